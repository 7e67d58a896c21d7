/** Statistics: object types, groups and the counters that are kept. TLFS 2.0a §21, Appendix J. */

export const StatsObject = {
  Hypervisor: 0x0000_0001,
  LogicalProcessor: 0x0000_0002,
  Partition: 0x0001_0001,
  Vp: 0x0001_0002,
} as const;
/** HV_STATS_OBJECT_FLAG: the object is the caller's own. */
export const STATS_SELF = 1;

/** Version 1.0. */
export const STATS_VERSION = 1 << 16;
export const StatsGroup = { EndOfList: 0, Architected: 2, ReleaseSpecific: 3 } as const;

/** HV_STATISTICS_GROUP_HEADER, packed. */
export const StatsGroupHeader = { Type: 0, Version: 2, Length: 6, End: 8 } as const;

/** Release-specific counters of a virtual processor that this hypervisor keeps, by index (§J.4.2). */
export const VpCounter = {
  Hypercalls: 1,
  IoInstructions: 7,
  HltInstructions: 9,
  CpuidInstructions: 13,
  MsrAccesses: 15,
  OtherIntercepts: 17,
  PendingInterrupts: 21,
  IoInterceptMessages: 34,
  MemoryInterceptMessages: 35,
  OtherInterceptMessages: 37,
  VirtualInterrupts: 53,
  LongSpinWaitHypercalls: 58,
} as const;
export const VP_COUNTERS = 63;
export const PARTITION_COUNTERS = 7;
export const LOGICAL_PROCESSOR_COUNTERS = 18;
