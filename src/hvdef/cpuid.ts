/**
 * Hypervisor CPUID leaves as data (TLFS 2.0a §3.3, §3.4; bits that 2.0a does not have: current TLFS, feature
 * discovery). Who answers them: hypervisor/hypervisor-cpuid.ts.
 */
export const HypervisorLeaf = {
  VendorAndMaximum: 0x4000_0000,
  Interface: 0x4000_0001,
  Version: 0x4000_0002,
  Features: 0x4000_0003,
  Recommendations: 0x4000_0004,
  Limits: 0x4000_0005,
  HardwareFeatures: 0x4000_0006,
  CpuManagement: 0x4000_0007,
  SharedVirtualMemory: 0x4000_0008,
  NestedFeatures: 0x4000_0009,
  NestedOptimizations: 0x4000_000a,
} as const;

/** "Microsoft Hv". */
export const VENDOR_EBX = 0x7263_694d;
export const VENDOR_ECX = 0x666f_736f;
export const VENDOR_EDX = 0x7648_2074;
/** "Hv#1". */
export const INTERFACE_SIGNATURE = 0x3123_7648;

/** Leaf 0x40000003, EDX. */
export const MiscFeature = {
  XmmHypercallInput: 1 << 4,
  GuestIdleState: 1 << 5,
  FrequencyMsrs: 1 << 8,
  GuestCrashMsrs: 1 << 10,
  ExtendedGvaRanges: 1 << 14,
  XmmHypercallOutput: 1 << 15,
  SintPolling: 1 << 17,
  HypercallMsrLock: 1 << 18,
  DirectSyntheticTimers: 1 << 19,
} as const;

/** Leaf 0x40000004, EAX. */
export const Recommendation = {
  HypercallForAddressSwitch: 1 << 0,
  HypercallForLocalFlush: 1 << 1,
  HypercallForRemoteFlush: 1 << 2,
  MsrsForApicRegisters: 1 << 3,
  MsrForReset: 1 << 4,
  RelaxedTiming: 1 << 5,
  DeprecateAutoEoi: 1 << 9,
  ClusterIpi: 1 << 10,
  ExProcessorMasks: 1 << 11,
} as const;

/** Leaf 0x40000006, EAX. */
export const HardwareFeature = {
  ApicOverlayAssist: 1 << 0,
  MsrBitmaps: 1 << 1,
  PerformanceCounters: 1 << 2,
  SecondLevelTranslation: 1 << 3,
} as const;
