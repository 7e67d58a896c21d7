/**
 * A guest's RAM as the root sees it: runs of the root's own pages, mapped into the guest one after the other from
 * GPA 0 upward; one run, or one for each NUMA node. The stack reads and writes it here; every write tells whoever
 * caches code, and pages whose contents are still in a snapshot's file come first.
 */
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { ParentSurface } from '../hypervisor/root-surface.ts';

/** Guest pages from `gpn` are the root's pages from `rootGpn`. */
export interface BackingRun {
  readonly gpn: number;
  readonly rootGpn: number;
  readonly pages: number;
}

export class GuestMemory {
  readonly #surface: ParentSurface;
  /** In ascending order, without gaps. */
  readonly runs: readonly BackingRun[];
  readonly pages: number;

  constructor(surface: ParentSurface, runs: readonly BackingRun[]) {
    this.#surface = surface;
    this.runs = runs;
    this.pages = runs.reduce((sum, run) => sum + run.pages, 0);
  }

  get bytes(): number {
    return this.pages * PAGE_SIZE;
  }

  contains(gpa: number, bytes: number): boolean {
    return gpa >= 0 && gpa + bytes <= this.bytes;
  }

  /** The root's pages behind `pages` guest pages from `gpn` on, run by run. */
  backing(gpn: number, pages: number): BackingRun[] {
    const parts: BackingRun[] = [];
    for (const run of this.runs) {
      const first = Math.max(run.gpn, gpn);
      const end = Math.min(run.gpn + run.pages, gpn + pages);
      if (first < end) parts.push({ gpn: first, rootGpn: run.rootGpn + first - run.gpn, pages: end - first });
    }
    return parts;
  }

  /** The guest page that the root's page `rootGpn` is; -1: none. */
  gpnOf(rootGpn: number): number {
    for (const run of this.runs) {
      if (rootGpn >= run.rootGpn && rootGpn < run.rootGpn + run.pages) return run.gpn + rootGpn - run.rootGpn;
    }
    return -1;
  }

  isAbsent(gpn: number): boolean {
    return this.#surface.absentPages.isAbsent(this.#place(gpn * PAGE_SIZE).address / PAGE_SIZE);
  }

  /** Brings what is absent of `bytes` bytes at an address of the root. Throws when it can't be had. */
  #bring(address: number, bytes: number): void {
    const { absentPages } = this.#surface;
    if (absentPages.count === 0) return;
    const last = Math.floor((address + bytes - 1) / PAGE_SIZE);
    for (let page = Math.floor(address / PAGE_SIZE); page <= last; page++) {
      if (!absentPages.makePresent(page))
        throw new Error(`guest memory at page ${this.gpnOf(page)} is not there`);
    }
  }

  /** The caller checked `contains`. */
  write(gpa: number, data: Uint8Array): void {
    const { memory } = this.#surface;
    for (let done = 0; done < data.length; ) {
      const { address, room } = this.#place(gpa + done);
      const piece = data.subarray(done, done + room);
      this.#bring(address, piece.length);
      memory.bytes.set(piece, address);
      const last = Math.floor((address + piece.length - 1) / PAGE_SIZE);
      for (let page = Math.floor(address / PAGE_SIZE); page <= last; page++) memory.noteWritten(page);
      done += piece.length;
    }
  }

  /** True for a page of RAM that holds nothing but zeros. */
  isZero(gpn: number): boolean {
    const { words } = this.#surface.memory;
    const { address } = this.#place(gpn * PAGE_SIZE);
    // What a snapshot left out was zero; what it has was not.
    if (this.#surface.absentPages.isAbsent(address / PAGE_SIZE)) return false;
    const start = address / 4;
    for (let at = start; at < start + PAGE_SIZE / 4; at++) if (words[at] !== 0) return false;
    return true;
  }

  /** A copy, cut at the end of RAM. */
  read(gpa: number, bytes: number): Uint8Array {
    if (gpa < 0 || gpa >= this.bytes) return new Uint8Array(0);
    const copy = new Uint8Array(Math.min(bytes, this.bytes - gpa));
    for (let done = 0; done < copy.length; ) {
      const { address, room } = this.#place(gpa + done);
      const length = Math.min(room, copy.length - done);
      this.#bring(address, length);
      copy.set(this.#surface.memory.bytes.subarray(address, address + length), done);
      done += length;
    }
    return copy;
  }

  /** Byte address of `gpa` in the root's memory, and how many bytes follow in one piece. */
  #place(gpa: number): { address: number; room: number } {
    const run = this.runs.findLast((each) => each.gpn * PAGE_SIZE <= gpa)!;
    const offset = gpa - run.gpn * PAGE_SIZE;
    return { address: run.rootGpn * PAGE_SIZE + offset, room: run.pages * PAGE_SIZE - offset };
  }
}
