/**
 * A child partition's GPA map: a radix table of three levels in pages of the partition's own pool.
 *
 *   guest page number   26      18 17       9 8        0
 *                      ┌──────────┬──────────┬──────────┐
 *                      │ top      │ middle   │ leaf     │     512 entries of two words each, one page a table
 *                      └──────────┴──────────┴──────────┘
 *   top entry      word 0: page of the middle table, 0 = none
 *   middle entry   word 0: page of the leaf table, 0 = none     word 1: the large mapping, 0 = none
 *   leaf entry     word 0: PRESENT | rights << 24 | page        word 1: kept for page tracking
 *
 * A large mapping (2 MiB: 512 pages, aligned alike on both sides, with equal rights) only shortens lookups: the
 * leaf table under it stays, and stays true, so taking a large mapping apart never needs memory that the pool
 * may not have. HvUnmapGpaPages has no HV_STATUS_INSUFFICIENT_MEMORY to answer with. Tables stay until the
 * partition is finalized.
 */
import { HvStatus } from '../hvdef/status.ts';
import { GPA_PAGE_LIMIT, PAGE_SHIFT } from '../hvdef/types.ts';
import { GPA_UNMAPPED, type GpaMap, type GpaRange, RIGHTS_SHIFT, SPN_MASK } from './gpa-map.ts';
import type { Machine } from './machine.ts';
import type { MemoryPool } from './memory-pool.ts';

const ENTRIES = 512;
const INDEX_MASK = ENTRIES - 1;
const PRESENT = 1 << 27;
/** Rights and page of a leaf entry: what `lookup` answers. */
const MAPPING_MASK = PRESENT - 1;
const RIGHTS_MASK = 7 << RIGHTS_SHIFT;

export class ChildGpaMap implements GpaMap {
  readonly #machine: Machine;
  readonly #words: Uint32Array;
  readonly #pool: MemoryPool;
  /** Page of the top table; 0 until `allocate`. */
  #top = 0;
  #pagesMapped = 0;
  stale = false;

  constructor(machine: Machine, pool: MemoryPool) {
    this.#machine = machine;
    this.#words = machine.memory.words;
    this.#pool = pool;
  }

  allocate(): boolean {
    if (this.#top !== 0) return true;
    const page = this.#pool.draw('gpa-map');
    if (page < 0) return false;
    this.#top = page;
    return true;
  }

  get pagesMapped(): number {
    return this.#pagesMapped;
  }

  lookup(gpn: number): number {
    if (this.#top === 0 || gpn < 0 || gpn >= GPA_PAGE_LIMIT) return GPA_UNMAPPED;
    const words = this.#words;
    const middle = words[entryIndex(this.#top, gpn >>> 18)];
    if (middle === 0) return GPA_UNMAPPED;
    const at = entryIndex(middle, (gpn >>> 9) & INDEX_MASK);
    const large = words[at + 1];
    if (large !== 0) return (large & MAPPING_MASK) + (gpn & INDEX_MASK);
    const leaf = words[at];
    if (leaf === 0) return GPA_UNMAPPED;
    const entry = words[entryIndex(leaf, gpn & INDEX_MASK)];
    return entry === 0 ? GPA_UNMAPPED : entry & MAPPING_MASK;
  }

  /** True where a large mapping serves `gpn`. */
  isLarge(gpn: number): boolean {
    const at = this.#middleEntry(gpn);
    return at >= 0 && this.#words[at + 1] !== 0;
  }

  map(gpn: number, spn: number, rights: number): number {
    const at = this.#makeLeafEntry(gpn);
    if (at < 0) return HvStatus.INSUFFICIENT_MEMORY;
    this.#clear(gpn, at);
    if (rights !== 0) this.#machine.spaPages.addAccessibleMapping(spn);
    this.#words[at] = (PRESENT | (rights << RIGHTS_SHIFT) | spn) >>> 0;
    this.#pagesMapped++;
    if ((gpn & INDEX_MASK) === INDEX_MASK) this.#promote(gpn);
    return HvStatus.SUCCESS;
  }

  unmap(gpn: number): number {
    const at = this.#leafEntry(gpn);
    if (at >= 0) this.#clear(gpn, at);
    return HvStatus.SUCCESS;
  }

  setRights(gpn: number, rights: number): void {
    const at = this.#leafEntry(gpn);
    if (at < 0 || this.#words[at] === 0) return;
    const spn = this.#words[at] & SPN_MASK;
    this.#clear(gpn, at);
    if (rights !== 0) this.#machine.spaPages.addAccessibleMapping(spn);
    this.#words[at] = (PRESENT | (rights << RIGHTS_SHIFT) | spn) >>> 0;
    this.#pagesMapped++;
  }

  *ranges(): IterableIterator<GpaRange> {
    let run: GpaRange | undefined;
    for (const [gpn, entry] of this.#leafEntries()) {
      const spn = entry & SPN_MASK;
      const rights = (entry & RIGHTS_MASK) >>> RIGHTS_SHIFT;
      if (run !== undefined && continues(run, gpn, spn, rights)) {
        run.pages++;
        continue;
      }
      if (run !== undefined) yield run;
      run = { gpn, pages: 1, spn, rights };
    }
    if (run !== undefined) yield run;
  }

  releaseNext(): boolean {
    if (this.#top === 0) return false;
    const parent = this.#firstEntry(this.#top);
    if (parent < 0) {
      this.#pool.release(this.#top);
      this.#top = 0;
      return false;
    }
    const middle = this.#words[parent];
    const at = this.#firstEntry(middle);
    if (at < 0) {
      this.#words[parent] = 0;
      this.#pool.release(middle);
    } else {
      this.#forget(this.#words[at]);
      this.#pool.release(this.#words[at]);
      this.#words[at] = 0;
      this.#words[at + 1] = 0;
    }
    return true;
  }

  /** Word index of the first entry of `table` that is in use, or -1. */
  #firstEntry(table: number): number {
    for (let index = 0; index < ENTRIES; index++) {
      const at = entryIndex(table, index);
      if (this.#words[at] !== 0) return at;
    }
    return -1;
  }

  /** Takes back what the mappings of a leaf table count for. */
  #forget(leaf: number): void {
    for (let index = 0; index < ENTRIES; index++) {
      const entry = this.#words[entryIndex(leaf, index)];
      if (entry === 0) continue;
      if ((entry & RIGHTS_MASK) !== 0) this.#machine.spaPages.removeAccessibleMapping(entry & SPN_MASK);
      this.#pagesMapped--;
    }
    this.stale = true;
  }

  *#leafEntries(): IterableIterator<[gpn: number, entry: number]> {
    if (this.#top === 0) return;
    for (const middle of [...tables(this.#words, this.#top)]) {
      for (const leaf of [...tables(this.#words, middle.page)]) {
        const base = (middle.index << 18) | (leaf.index << 9);
        for (let index = 0; index < ENTRIES; index++) {
          const entry = this.#words[entryIndex(leaf.page, index)];
          if (entry !== 0) yield [base + index, entry];
        }
      }
    }
  }

  /** Word index of the middle entry for `gpn`, or -1. */
  #middleEntry(gpn: number): number {
    if (this.#top === 0) return -1;
    const middle = this.#words[entryIndex(this.#top, gpn >>> 18)];
    return middle === 0 ? -1 : entryIndex(middle, (gpn >>> 9) & INDEX_MASK);
  }

  /** Word index of the leaf entry for `gpn`, or -1 where there is no table for it. */
  #leafEntry(gpn: number): number {
    const at = this.#middleEntry(gpn);
    if (at < 0 || this.#words[at] === 0) return -1;
    return entryIndex(this.#words[at], gpn & INDEX_MASK);
  }

  /** As #leafEntry, with tables drawn where they are missing; -1 when the pool is empty. */
  #makeLeafEntry(gpn: number): number {
    if (this.#top === 0) return -1;
    const middle = this.#makeTable(entryIndex(this.#top, gpn >>> 18));
    if (middle < 0) return -1;
    const leaf = this.#makeTable(entryIndex(middle, (gpn >>> 9) & INDEX_MASK));
    return leaf < 0 ? -1 : entryIndex(leaf, gpn & INDEX_MASK);
  }

  #makeTable(at: number): number {
    if (this.#words[at] !== 0) return this.#words[at];
    const page = this.#pool.draw('gpa-map');
    if (page >= 0) this.#words[at] = page;
    return page;
  }

  /** Empties a leaf entry; a present mapping that goes makes cached translations stale. */
  #clear(gpn: number, at: number): void {
    const entry = this.#words[at];
    if (entry === 0) return;
    this.#words[this.#middleEntry(gpn) + 1] = 0;
    if ((entry & RIGHTS_MASK) !== 0) this.#machine.spaPages.removeAccessibleMapping(entry & SPN_MASK);
    this.#words[at] = 0;
    this.#pagesMapped--;
    this.stale = true;
  }

  /** Makes a large mapping of the 2 MiB around `gpn` if its leaf table allows it. */
  #promote(gpn: number): void {
    const at = this.#middleEntry(gpn);
    const leaf = this.#words[at];
    const first = this.#words[entryIndex(leaf, 0)];
    if (first === 0 || (first & INDEX_MASK) !== 0) return;
    for (let index = 1; index < ENTRIES; index++) {
      if (this.#words[entryIndex(leaf, index)] !== first + index) return;
    }
    this.#words[at + 1] = first;
  }
}

/** Word index of entry `index` of the table in page `page`. */
function entryIndex(page: number, index: number): number {
  return (page << (PAGE_SHIFT - 2)) + index * 2;
}

function* tables(words: Uint32Array, table: number): IterableIterator<{ index: number; page: number }> {
  for (let index = 0; index < ENTRIES; index++) {
    const page = words[entryIndex(table, index)];
    if (page !== 0) yield { index, page };
  }
}

function continues(run: GpaRange, gpn: number, spn: number, rights: number): boolean {
  return gpn === run.gpn + run.pages && spn === run.spn + run.pages && rights === run.rights;
}
