/** System properties and the one that is defined: HV_PERF_COUNTER_CONFIGURATION. TLFS 2.0a §23. */
export const SYSTEM_PROPERTY_PERF_COUNTER = 0;
/** HV_PROFILE_SOURCE. */
export const ProfileSource = {
  Invalid: 0,
  CyclesNotHalted: 1,
  CacheMisses: 2,
  BranchMispredictions: 3,
} as const;
