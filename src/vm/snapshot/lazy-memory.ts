/**
 * Guest RAM that comes page by page out of a snapshot, as the guest reaches for it: the source of the parent's absent
 * pages (hypervisor/absent-pages.ts). What the guest writes stays in its own memory: the file is only ever read, so any
 * number of machines go on from one file, and the host's page cache holds it once.
 *
 * A page is read with its absent neighbours (READ_AROUND pages, aligned), straight into its place, and each is checked
 * against its own checksum. A page that can't be read or is damaged stays absent; `problem` says so from then on, the
 * processor that wanted it has done nothing of its instruction, and the state driver ends the machine. The file may
 * have been cut or overwritten since it was opened: it is not mapped, so that is an answer here and not a signal.
 */
import { crc32 } from 'node:zlib';
import { PAGE_SIZE } from '../../hvdef/types.ts';
import type { PageSource, ParentSurface } from '../../hypervisor/root-surface.ts';
import type { GuestMemory } from '../guest-memory.ts';
import type { StoredPages } from './snapshot.ts';

/** A power of two. Measured in docs/decisions/snapshots.md. */
const READ_AROUND = 4;

export class LazyMemory implements PageSource {
  readonly #surface: ParentSurface;
  readonly #memory: GuestMemory;
  readonly #stored: StoredPages;
  #problem: string | undefined;
  #reads = 0;
  #pagesRead = 0;

  /** All stored pages are absent from `memory` from now on. */
  constructor(surface: ParentSurface, memory: GuestMemory, stored: StoredPages) {
    this.#surface = surface;
    this.#memory = memory;
    this.#stored = stored;
    for (const { gpn, pages } of stored.index.runs) {
      for (const { rootGpn, pages: part } of memory.backing(gpn, pages)) {
        surface.absentPages.withhold(this, rootGpn, part);
      }
    }
  }

  /** Why a page could not be had; the machine can't go on then. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Reads of the file, the pages that came with them, and those that nobody has touched yet. */
  account(): { reads: number; pagesRead: number; pagesAbsent: number } {
    const pagesAbsent = this.#surface.absentPages.count;
    return { reads: this.#reads, pagesRead: this.#pagesRead, pagesAbsent };
  }

  load(spn: number): boolean {
    const gpn = this.#memory.gpnOf(spn);
    const run = gpn < 0 ? undefined : this.#stored.index.find(gpn);
    if (run === undefined) return this.#fail(`page ${gpn} is missing`);
    const { absentPages, memory } = this.#surface;
    // A node's RAM starts aligned, and a neighbour on the other side of its end is present or another's.
    const limit = gpn | (READ_AROUND - 1);
    const least = Math.max(run.gpn, gpn & ~(READ_AROUND - 1));
    let first = gpn;
    while (first > least && absentPages.isAbsent(spn - (gpn - first) - 1)) first--;
    let end = gpn + 1;
    while (end <= limit && end < run.gpn + run.pages && absentPages.isAbsent(spn + (end - gpn))) end++;
    const address = (spn - (gpn - first)) * PAGE_SIZE;
    const place = memory.bytes.subarray(address, address + (end - first) * PAGE_SIZE);
    const problems = this.#read(first, place);
    for (let page = first; page < end; page++) {
      if (problems.get(page) === undefined) absentPages.forget(spn + (page - gpn), 1);
    }
    const problem = problems.get(gpn);
    return problem === undefined ? true : this.#fail(problem);
  }

  /** Copies a page that is absent, which stays so: for another snapshot. Throws when it can't be had. */
  copy(gpn: number, into: Uint8Array): void {
    const problem = this.#read(gpn, into).get(gpn);
    if (problem === undefined) return;
    this.#fail(problem);
    throw new Error(this.#problem);
  }

  #fail(problem: string): false {
    this.#problem ??= `${this.#stored.file.name}: ${problem}`;
    return false;
  }

  /** Reads pages of one run from `gpn` on into `place`. What is wrong with which of them. */
  #read(gpn: number, place: Uint8Array): Map<number, string> {
    const { file, firstPage, checksums, index } = this.#stored;
    const run = index.find(gpn)!;
    const stored = run.stored + (gpn - run.gpn);
    const problems = new Map<number, string>();
    let got = 0;
    let reason = 'it was cut off since the machine started';
    try {
      got = file.read(place, (firstPage + stored) * PAGE_SIZE);
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    this.#reads++;
    for (let page = 0; page * PAGE_SIZE < place.length; page++) {
      const contents = place.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
      if (got < (page + 1) * PAGE_SIZE)
        problems.set(gpn + page, `page ${gpn + page} can't be read: ${reason}`);
      else if (crc32(contents) !== checksums[stored + page])
        problems.set(gpn + page, `page ${gpn + page} of the memory in it is damaged`);
      else this.#pagesRead++;
    }
    return problems;
  }
}
