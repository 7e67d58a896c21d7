/**
 * What the hypervisor knows of each system physical page: whose pool it is in, through which GPA page it was
 * deposited, the root partition's rights to it, and how many child GPA pages can access it. These columns are
 * what the three pool invariants of TLFS 2.0a §7.1.1 are checked against. They lie in reserved memory, so that
 * every thread sees the same ones.
 *
 * Hypercalls ask about runs of pages ("how many from here on, at most `limit`"), so the column of bytes is read
 * four pages at a time. The free lists of the pools run through a column here and not through the pages: a deposit
 * touches none of them.
 */
import type { PhysicalMemory } from '../cpu/processor.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { PageList } from './gpa-map.ts';
import { type MappingPass, mappingPass } from './mapping-pass.ts';

/** A page's state byte: the root's rights (`Access` bits; its GPA map is the identity) and two flags. */
const ROOT_RIGHTS = 7;
const OFF_LIMITS = 8;
const IN_POOL = 0x10;
/** Spreads a byte over the four of a word. */
const EACH_BYTE = 0x0101_0101;

/** Bytes of the columns for one page. */
const BYTES_PER_PAGE = 13;

export class SpaPageTable {
  readonly pageCount: number;
  /** Partition whose pool holds the page; 0 = in no pool. */
  readonly #poolOwner: Int32Array;
  /** GPA page number, in the depositor's space, through which the page was deposited. */
  readonly #depositGpn: Int32Array;
  /**
   * Accessible mappings of the page in GPA spaces other than the root's. A page of a pool has none, so for those that
   * are free this is the next one of the pool's list, 0 = the last.
   */
  readonly #mappings: Int32Array;
  readonly #states: Uint8Array;
  /** All of system memory. */
  readonly #words: Int32Array;
  /** Checks and counts the pages of a list while it maps them. */
  readonly pass: MappingPass;
  /** Byte address of a page for a list of page numbers on its way. */
  readonly scratchList: number;
  /** The same bytes, four pages a word. */
  readonly #stateWords: Int32Array;

  static bytesNeeded(pageCount: number): number {
    return pageCount * BYTES_PER_PAGE + PAGE_SIZE;
  }

  /** `memory` has a multiple of eight pages; `address` is a multiple of eight bytes. */
  constructor(memory: PhysicalMemory, address: number) {
    const pages = memory.pageCount;
    const buffer = memory.memory.buffer;
    this.pageCount = pages;
    this.#poolOwner = new Int32Array(buffer, address, pages);
    this.#depositGpn = new Int32Array(buffer, address + pages * 4, pages);
    this.#mappings = new Int32Array(buffer, address + pages * 8, pages);
    this.#states = new Uint8Array(buffer, address + pages * 12, pages);
    this.#stateWords = new Int32Array(buffer, address + pages * 12, pages / 4);
    this.#words = new Int32Array(buffer);
    this.scratchList = address + pages * BYTES_PER_PAGE;
    this.pass = mappingPass(memory, {
      states: address + pages * 12,
      mappings: address + pages * 8,
      pages,
      refused: OFF_LIMITS | IN_POOL,
      kept: IN_POOL,
    });
    this.#states.fill(ROOT_RIGHTS);
  }

  /** Withholds `count` pages from every partition, the root included. */
  setOffLimits(spn: number, count: number): void {
    this.#states.fill(OFF_LIMITS, spn, spn + count);
  }

  /** True for RAM that partitions may have. */
  isRam(spn: number): boolean {
    return spn >= 0 && spn < this.pageCount && (this.#states[spn] & OFF_LIMITS) === 0;
  }

  /** Pages from `spn` on, at most `limit`, that are RAM and to which the root has the rights it has to `spn`. */
  alikeForRoot(spn: number, limit: number): number {
    return this.#alike(
      spn,
      Math.min(limit, this.pageCount - spn),
      ROOT_RIGHTS | OFF_LIMITS,
      this.rootRights(spn),
    );
  }

  /** Elements of a list before the first one that is not RAM outside pools or not page `spn` and those behind it. */
  listedInPlace(spn: number, list: PageList): number {
    const words = this.#words;
    const limit = Math.min(list.count, this.pageCount - spn);
    let run = 0;
    for (let at = list.address / 4; run < limit; run++, at += list.step / 4) {
      if (words[at] !== spn + run || words[at + 1] !== 0) break;
      if ((this.#states[spn + run] & (OFF_LIMITS | IN_POOL)) !== 0) break;
    }
    return run;
  }

  inPool(spn: number): boolean {
    return (this.#states[spn] & IN_POOL) !== 0;
  }

  /** Pages from `spn` on, at most `limit`, that are in no pool. */
  outsidePools(spn: number, limit: number): number {
    return this.#alike(spn, limit, IN_POOL, 0);
  }

  /** Pages from `spn` on, at most `limit`, that are in no pool and that exactly one GPA page can access. */
  accessibleOnce(spn: number, limit: number): number {
    const mappings = this.#mappings;
    const states = this.#states;
    const end = spn + this.outsidePools(spn, limit);
    let page = spn;
    while (page < end && mappings[page] + ((states[page] & ROOT_RIGHTS) === 0 ? 0 : 1) === 1) page++;
    return page - spn;
  }

  poolOwner(spn: number): number {
    return this.#poolOwner[spn];
  }

  depositGpn(spn: number): number {
    return this.#depositGpn[spn];
  }

  /** Pages from `spn` on go into the pool of `owner`, deposited through consecutive GPA pages from `gpn` on. */
  setDeposited(spn: number, owner: number, gpn: number, pages: number): void {
    this.#poolOwner.fill(owner, spn, spn + pages);
    for (let page = 0; page < pages; page++) {
      this.#depositGpn[spn + page] = gpn + page;
      this.#states[spn + page] |= IN_POOL;
    }
  }

  setWithdrawn(spn: number): void {
    this.#poolOwner[spn] = 0;
    this.#depositGpn[spn] = 0;
    this.#states[spn] &= ~IN_POOL;
  }

  /** Takes `spn`, the first page of a free list, out of it; answers the next one. */
  unchainFree(spn: number): number {
    const next = this.#mappings[spn];
    this.#mappings[spn] = 0;
    return next;
  }

  /** Puts pages from `spn` on in front of the free list that starts with `first`; answers its new start. */
  chainFree(spn: number, pages: number, first: number): number {
    let next = first;
    for (let page = spn; page < spn + pages; page++) {
      this.#mappings[page] = next;
      next = page;
    }
    return next;
  }

  rootRights(spn: number): number {
    return this.#states[spn] & ROOT_RIGHTS;
  }

  setRootRights(spn: number, rights: number, pages: number): void {
    const states = this.#states;
    for (let page = spn; page < spn + pages; page++) states[page] = (states[page] & ~ROOT_RIGHTS) | rights;
  }

  accessibleMappings(spn: number): number {
    return this.inPool(spn) ? 0 : this.#mappings[spn];
  }

  /** `change` more GPA pages, with some right, map to the page. */
  countMapping(spn: number, change: number): void {
    this.#mappings[spn] = (this.#mappings[spn] + change) | 0;
  }

  /** Pages from `spn` on, at most `limit`, whose state byte has `value` in the bits of `mask`. */
  #alike(spn: number, limit: number, mask: number, value: number): number {
    const states = this.#states;
    const end = spn + limit;
    let page = spn;
    for (; (page & 3) !== 0 && page < end; page++) if ((states[page] & mask) !== value) return page - spn;
    if (page < end) {
      const last = end >> 2;
      page =
        alikeWords(
          this.#stateWords,
          page >> 2,
          last,
          Math.imul(mask, EACH_BYTE),
          Math.imul(value, EACH_BYTE),
        ) * 4;
    }
    while (page < end && (states[page] & mask) === value) page++;
    return page - spn;
  }
}

/** Index of the first word from `start` on, before `end`, that differs from `value` in the bits of `mask`; else `end`. */
function alikeWords(words: Int32Array, start: number, end: number, mask: number, value: number): number {
  let word = start;
  while (word < end && (words[word] & mask) === value) word++;
  return word;
}
