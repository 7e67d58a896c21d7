/**
 * The guest physical address map: what each GPA page of a partition maps to, with which rights. One interface,
 * two kinds: a child's radix table (this file's neighbour child-gpa-map.ts) and the root's identity map
 * (root-gpa-map.ts). Overlays are not in here; they cover it (overlay-map.ts). TLFS 2.0a §8.1.
 */

/** Answer of `lookup` for an unmapped page. */
export const GPA_UNMAPPED = -1;
/** `lookup` and `Partition.translate` answer `spn | rights << RIGHTS_SHIFT`. */
export const RIGHTS_SHIFT = 24;
export const SPN_MASK = 0xff_ffff;

export interface GpaRange {
  gpn: number;
  pages: number;
  spn: number;
  rights: number;
}

/** `count` 64-bit page numbers in system memory, `step` bytes apart from byte address `address` (a multiple of 8) on. */
export interface PageList {
  address: number;
  step: number;
  count: number;
}

export interface GpaMap {
  /** `spn | rights << 24` (rights 0: inaccessible), or a negative number where unmapped. Allocates nothing. */
  lookup(gpn: number): number;
  /** Pages from `gpn`, which is mapped, on, at most `limit`, that have equal rights to consecutive system pages. */
  runLength(gpn: number, limit: number): number;
  /** Makes of a list of this map's pages one of the system pages they map to; it ends before one that is unmapped. */
  resolve(list: PageList): void;
  /**
   * Maps the pages from `gpn` on to the system pages in `list`, superseding what was there. They end below
   * GPA_PAGE_LIMIT and the rights are legal. Answers how many it has done: perhaps not all, and none where the first
   * one is no RAM or in a pool, supersedes a page that is in a pool, where the pool has no page for a table, or
   * where the map (the root's) does not allow it.
   */
  map(gpn: number, list: PageList, rights: number): number;
  /**
   * Unmaps `pages` pages; those that are unmapped already stay so. Answers as `map`: none where the first one is
   * mapped to a page that is in a pool.
   */
  unmap(gpn: number, pages: number): number;
  /** Sets the rights of `pages` mapped pages (not their state); for deposits and withdrawals. */
  setRights(gpn: number, pages: number, rights: number): void;
  /** True when a present mapping was changed since this was last cleared: cached translations are stale. */
  stale: boolean;
  readonly pagesMapped: number;
  /** Contiguous runs with equal rights, in ascending order. */
  ranges(): IterableIterator<GpaRange>;
  /** Initialization: draws what an empty map needs; false: the pool is empty. */
  allocate(): boolean;
  /** Finalization: forgets some mappings and releases their tables; false when nothing is left. */
  releaseNext(): boolean;
}
