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

export interface GpaMap {
  /** `spn | rights << 24` (rights 0: inaccessible), or a negative number where unmapped. Allocates nothing. */
  lookup(gpn: number): number;
  /**
   * Maps `gpn` to `spn`, superseding what was there. `gpn` is below GPA_PAGE_LIMIT and the rights are legal;
   * answers an HV_STATUS.
   */
  map(gpn: number, spn: number, rights: number): number;
  /** Unmaps `gpn`; unmapped already is a success. Answers an HV_STATUS. */
  unmap(gpn: number): number;
  /** Sets the rights of a mapped page (not its state); for deposits and withdrawals. */
  setRights(gpn: number, rights: number): void;
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
