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
import { GPA_PAGE_LIMIT, PAGE_SHIFT } from '../hvdef/types.ts';
import {
  GPA_UNMAPPED,
  type GpaMap,
  type GpaRange,
  type PageList,
  RIGHTS_SHIFT,
  SPN_MASK,
} from './gpa-map.ts';
import type { Machine } from './machine.ts';
import { passDone, passSuperseded } from './mapping-pass.ts';
import type { MemoryPool } from './memory-pool.ts';

const ENTRIES = 512;
const INDEX_MASK = ENTRIES - 1;
const PRESENT = 1 << 27;
/** Page numbers that fit the scratch page. */
const MOST_LISTED = 512;
/** Rights and page of a leaf entry: what `lookup` answers. */
const MAPPING_MASK = PRESENT - 1;
const RIGHTS_MASK = 7 << RIGHTS_SHIFT;

export class ChildGpaMap implements GpaMap {
  readonly #machine: Machine;
  readonly #words: Int32Array;
  readonly #pool: MemoryPool;
  /** Page of the top table; 0 until `allocate`. */
  #top = 0;
  #pagesMapped = 0;
  stale = false;

  constructor(machine: Machine, pool: MemoryPool) {
    this.#machine = machine;
    this.#words = new Int32Array(machine.memory.memory.buffer);
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

  runLength(gpn: number, limit: number): number {
    const within = inLeaf(gpn, limit);
    const middle = this.#middleEntry(gpn);
    if (middle < 0) return 0;
    const words = this.#words;
    if (words[middle + 1] !== 0) return within;
    if (words[middle] === 0) return 0;
    const at = entryIndex(words[middle], gpn & INDEX_MASK);
    return words[at] === 0 ? 0 : entryRun(words, at, within);
  }

  resolve(list: PageList): void {
    const words = this.#words;
    const into = this.#machine.spaPages.scratchList;
    const count = Math.min(list.count, MOST_LISTED);
    let found = 0;
    for (let from = list.address / 4, to = into / 4; found < count; found++, from += list.step / 4, to += 2) {
      const mapping = words[from + 1] === 0 ? this.lookup(words[from]) : GPA_UNMAPPED;
      if (mapping < 0) break;
      words[to] = mapping & SPN_MASK;
      words[to + 1] = 0;
    }
    list.address = into;
    list.step = 8;
    list.count = found;
  }

  map(gpn: number, list: PageList, rights: number): number {
    const at = this.#makeLeafEntry(gpn);
    if (at < 0) return 0;
    const count = inLeaf(gpn, list.count);
    const mark = PRESENT | (rights << RIGHTS_SHIFT);
    const { pass } = this.#machine.spaPages;
    const answer = pass.put(at * 4, list.address, list.step, count, mark, rights === 0 ? 0 : 1);
    const done = passDone(answer);
    this.#noteSuperseded(gpn, passSuperseded(answer));
    this.#pagesMapped += done - passSuperseded(answer);
    if (((gpn + done) & INDEX_MASK) === 0) this.#promote(gpn);
    return done;
  }

  unmap(gpn: number, pages: number): number {
    const at = this.#leafEntry(gpn);
    const within = inLeaf(gpn, pages);
    if (at < 0) return within;
    const words = this.#words;
    const { spaPages } = this.#machine;
    let removed = 0;
    let done = 0;
    for (let each = at; done < within; done++, each += 2) {
      const entry = words[each];
      if (entry === 0) continue;
      const spn = entry & SPN_MASK;
      if (spaPages.inPool(spn)) break;
      if ((entry & RIGHTS_MASK) !== 0) spaPages.countMapping(spn, -1);
      words[each] = 0;
      removed++;
    }
    this.#noteSuperseded(gpn, removed);
    this.#pagesMapped -= removed;
    return done;
  }

  setRights(gpn: number, pages: number, rights: number): void {
    const { spaPages } = this.#machine;
    for (let page = gpn; page < gpn + pages; page++) {
      const at = this.#leafEntry(page);
      if (at < 0 || this.#words[at] === 0) continue;
      const entry = this.#words[at];
      if ((entry & RIGHTS_MASK) !== 0) spaPages.countMapping(entry & SPN_MASK, -1);
      if (rights !== 0) spaPages.countMapping(entry & SPN_MASK, 1);
      this.#words[at] = (entry & ~RIGHTS_MASK) | (rights << RIGHTS_SHIFT);
      this.#noteSuperseded(page, 1);
    }
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

  /** Present mappings near `gpn` have changed: cached translations are stale, and a large mapping is none any more. */
  #noteSuperseded(gpn: number, mappings: number): void {
    if (mappings === 0) return;
    this.#words[this.#middleEntry(gpn) + 1] = 0;
    this.stale = true;
  }

  /** Takes back what the mappings of a leaf table count for. */
  #forget(leaf: number): void {
    const start = entryIndex(leaf, 0);
    for (let at = start; at < start + 2 * ENTRIES; at += 2) {
      const entry = this.#words[at];
      if (entry === 0) continue;
      if ((entry & RIGHTS_MASK) !== 0) this.#machine.spaPages.countMapping(entry & SPN_MASK, -1);
      this.#pagesMapped--;
    }
    this.stale = true;
  }

  /** Makes a large mapping of the 2 MiB around `gpn` if its leaf table allows it. */
  #promote(gpn: number): void {
    const at = this.#middleEntry(gpn);
    const leaf = this.#words[at];
    const start = entryIndex(leaf, 0);
    const first = this.#words[start];
    if (first === 0 || (first & INDEX_MASK) !== 0) return;
    if (entryRun(this.#words, start, ENTRIES) === ENTRIES) this.#words[at + 1] = first;
  }
}

/** Of `limit` pages from `gpn` on, those that share its leaf table. */
function inLeaf(gpn: number, limit: number): number {
  return Math.min(limit, ENTRIES - (gpn & INDEX_MASK));
}

/** Word index of entry `index` of the table in page `page`. */
function entryIndex(page: number, index: number): number {
  return (page << (PAGE_SHIFT - 2)) + index * 2;
}

/** Of `limit` leaf entries from word `at` on, those with equal rights to consecutive pages; at least 1. */
function entryRun(words: Int32Array, at: number, limit: number): number {
  const first = words[at];
  let run = 1;
  while (run < limit && words[at + 2 * run] === ((first + run) | 0)) run++;
  return run;
}

function* tables(words: Int32Array, table: number): IterableIterator<{ index: number; page: number }> {
  for (let index = 0; index < ENTRIES; index++) {
    const page = words[entryIndex(table, index)];
    if (page !== 0) yield { index, page };
  }
}

function continues(run: GpaRange, gpn: number, spn: number, rights: number): boolean {
  return gpn === run.gpn + run.pages && spn === run.spn + run.pages && rights === run.rights;
}
