/**
 * Partition privilege flags: bit numbers in the 64-bit HV_PARTITION_PRIVILEGE_MASK.
 * TLFS 2.0a §5.2.3; bits above GuestIdle in the low half come from the current TLFS (feature discovery).
 */
export const Privilege = {
  AccessVpRunTimeMsr: 0,
  AccessPartitionReferenceCounter: 1,
  AccessSynicMsrs: 2,
  AccessSyntheticTimerMsrs: 3,
  AccessApicMsrs: 4,
  AccessHypercallMsrs: 5,
  AccessVpIndex: 6,
  AccessResetMsr: 7,
  AccessStatsMsr: 8,
  AccessPartitionReferenceTsc: 9,
  AccessGuestIdleMsr: 10,
  AccessFrequencyMsrs: 11,
  AccessDebugMsrs: 12,
  AccessReenlightenmentControls: 13,

  CreatePartitions: 32,
  AccessPartitionId: 33,
  AccessMemoryPool: 34,
  AdjustMessageBuffers: 35,
  PostMessages: 36,
  SignalEvents: 37,
  CreatePort: 38,
  ConnectPort: 39,
  AccessStats: 40,
  Debugging: 43,
  CpuManagement: 44,
  ConfigureProfiler: 45,
  AccessVsm: 48,
  AccessVpRegisters: 49,
  EnableExtendedHypercalls: 52,
  StartVirtualProcessor: 53,
} as const;
export type Privilege = (typeof Privilege)[keyof typeof Privilege];
export type PrivilegeName = keyof typeof Privilege;

const mask = (names: readonly PrivilegeName[]): bigint =>
  names.reduce((sum, name) => sum | (1n << BigInt(Privilege[name])), 0n);

/** Every privilege that is defined: the root partition's, and the bits a parent may set. */
export const ALL_PRIVILEGES: bigint = mask(Object.keys(Privilege) as PrivilegeName[]);

/**
 * What a new non-root partition has: the default column of §5.2.3's table. AccessFrequencyMsrs is newer than
 * that table; it follows AccessPartitionReferenceTsc, which is off until the parent grants it.
 */
export const DEFAULT_CHILD_PRIVILEGES: bigint = mask([
  'AccessVpRunTimeMsr',
  'AccessPartitionReferenceCounter',
  'AccessSynicMsrs',
  'AccessSyntheticTimerMsrs',
  'AccessApicMsrs',
  'AccessHypercallMsrs',
  'AccessVpIndex',
  'AccessResetMsr',
  'AccessStatsMsr',
  'AccessGuestIdleMsr',
]);

/** Privileges that this implementation reserves to the root partition (§5.2.3, footnote 1). */
export const ROOT_ONLY_PRIVILEGES: bigint = mask(['CpuManagement', 'ConfigureProfiler']);
