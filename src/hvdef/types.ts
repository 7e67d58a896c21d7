/** Scalar constants that several hypercalls share. TLFS 2.0a §2, §5.2, §7.2.1, §8.2.1. */

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/** Bits of a guest physical address: every partition's GPA space ends at 512 GiB. What the radix table of hypervisor/gpa-map.ts covers. */
export const GPA_BITS = 39;
/** First guest page number outside every GPA space. */
export const GPA_PAGE_LIMIT = 2 ** (GPA_BITS - PAGE_SHIFT);

export const HV_PARTITION_ID_INVALID = 0;
/** Names the caller's own partition. Newer than 2.0a. */
export const HV_PARTITION_ID_SELF = 0xffff_ffff_ffff_ffffn;
/** Names the caller's own virtual processor. */
export const HV_VP_INDEX_SELF = 0xffff_fffe;
export const HV_ANY_VP = 0xffff_ffff;

/** HV_MAP_GPA_FLAGS; the same bits as `Access` in cpu/processor.ts. */
export const MapGpaFlags = { Readable: 1, Writable: 2, Executable: 4 } as const;
export const MAP_GPA_RIGHTS = 7;

/** Rights that x86 can't express are refused (§8.1.2): writable or executable without readable. */
export function rightsAreLegal(rights: number): boolean {
  return rights === 0 || rights === 1 || rights === 3 || rights === 5 || rights === 7;
}

/** HV_PROXIMITY_DOMAIN_INFO.Flags. */
export const ProximityFlags = { Preferred: 1, InfoValid: 0x8000_0000 } as const;

/** HV_PARTITION_STATE by name (§5.2.5); the TLFS gives them no numbers. */
export type PartitionState = 'uninitialized' | 'active' | 'finalizing' | 'finalized' | 'deleted';
