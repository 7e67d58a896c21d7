/**
 * The synthetic MSRs as one table: number, name, who may touch them, and which privilege opens them. Everything
 * that asks what an MSR in 0x40000000..0x400001FF is (the dispatcher, the trace, tests) derives from it.
 *
 * Sources: TLFS 2.0a §3.6, §4.12, §6.2.3, §13.2.3, §14.6, §15.2..15.4, §21.3.3; frequency, crash and
 * VP assist MSRs from the current TLFS. The TSC invariant control MSR is left out on purpose: a guest that has
 * it prefers the bare TSC to the reference TSC page.
 */
import { Privilege } from './privileges.ts';

export const SyntheticMsr = {
  GuestOsId: 0x4000_0000,
  Hypercall: 0x4000_0001,
  VpIndex: 0x4000_0002,
  Reset: 0x4000_0003,
  VpRuntime: 0x4000_0010,
  TimeRefCount: 0x4000_0020,
  ReferenceTsc: 0x4000_0021,
  TscFrequency: 0x4000_0022,
  ApicFrequency: 0x4000_0023,
  Eoi: 0x4000_0070,
  Icr: 0x4000_0071,
  Tpr: 0x4000_0072,
  VpAssistPage: 0x4000_0073,
  Scontrol: 0x4000_0080,
  Sversion: 0x4000_0081,
  Siefp: 0x4000_0082,
  Simp: 0x4000_0083,
  Eom: 0x4000_0084,
  Sint0: 0x4000_0090,
  Sint15: 0x4000_009f,
  Stimer0Config: 0x4000_00b0,
  Stimer3Count: 0x4000_00b7,
  StatsPartitionRetail: 0x4000_00e0,
  StatsPartitionInternal: 0x4000_00e1,
  StatsVpRetail: 0x4000_00e2,
  StatsVpInternal: 0x4000_00e3,
  GuestIdle: 0x4000_00f0,
  CrashP0: 0x4000_0100,
  CrashP4: 0x4000_0104,
  CrashCtl: 0x4000_0105,
} as const;

export type SyntheticMsrAccess = 'read' | 'write' | 'read-write';

export interface SyntheticMsrRow {
  readonly msr: number;
  readonly name: string;
  readonly access: SyntheticMsrAccess;
  /** Bit number in the privilege mask; undefined: every partition may use it. */
  readonly privilege: number | undefined;
  /** One per partition, not one per virtual processor. */
  readonly partitionWide: boolean;
}

const row = (
  msr: number,
  name: string,
  access: SyntheticMsrAccess,
  privilege: number | undefined,
  partitionWide = false,
): SyntheticMsrRow => ({ msr, name, access, privilege, partitionWide });

const sints = Array.from({ length: 16 }, (_, index) =>
  row(SyntheticMsr.Sint0 + index, `HV_X64_MSR_SINT${index}`, 'read-write', Privilege.AccessSynicMsrs),
);
const timers = Array.from({ length: 8 }, (_, index) =>
  row(
    SyntheticMsr.Stimer0Config + index,
    `HV_X64_MSR_STIMER${index >> 1}_${index & 1 ? 'COUNT' : 'CONFIG'}`,
    'read-write',
    Privilege.AccessSyntheticTimerMsrs,
  ),
);
const statisticsPages = ['PARTITION_RETAIL', 'PARTITION_INTERNAL', 'VP_RETAIL', 'VP_INTERNAL'].map(
  (name, index) =>
    row(
      SyntheticMsr.StatsPartitionRetail + index,
      `HV_X64_MSR_STATS_${name}_PAGE`,
      'read-write',
      Privilege.AccessStatsMsr,
    ),
);
const crashParameters = Array.from({ length: 5 }, (_, index) =>
  row(SyntheticMsr.CrashP0 + index, `HV_X64_MSR_CRASH_P${index}`, 'read-write', undefined, true),
);

/**
 * EOM reads as zero (§14.6.6), so it is readable. The VP assist page has no privilege of its own in 2.0a (it
 * belongs to the APIC assists); the current TLFS gives it AccessIntrCtrlRegs, which is the same bit.
 */
export const SYNTHETIC_MSRS: readonly SyntheticMsrRow[] = [
  row(SyntheticMsr.GuestOsId, 'HV_X64_MSR_GUEST_OS_ID', 'read-write', Privilege.AccessHypercallMsrs, true),
  row(SyntheticMsr.Hypercall, 'HV_X64_MSR_HYPERCALL', 'read-write', Privilege.AccessHypercallMsrs, true),
  row(SyntheticMsr.VpIndex, 'HV_X64_MSR_VP_INDEX', 'read', Privilege.AccessVpIndex),
  row(SyntheticMsr.Reset, 'HV_X64_MSR_RESET', 'read-write', Privilege.AccessResetMsr, true),
  row(SyntheticMsr.VpRuntime, 'HV_X64_MSR_VP_RUNTIME', 'read', Privilege.AccessVpRunTimeMsr),
  row(
    SyntheticMsr.TimeRefCount,
    'HV_X64_MSR_TIME_REF_COUNT',
    'read',
    Privilege.AccessPartitionReferenceCounter,
    true,
  ),
  row(
    SyntheticMsr.ReferenceTsc,
    'HV_X64_MSR_REFERENCE_TSC',
    'read-write',
    Privilege.AccessPartitionReferenceTsc,
    true,
  ),
  row(SyntheticMsr.TscFrequency, 'HV_X64_MSR_TSC_FREQUENCY', 'read', Privilege.AccessFrequencyMsrs, true),
  row(SyntheticMsr.ApicFrequency, 'HV_X64_MSR_APIC_FREQUENCY', 'read', Privilege.AccessFrequencyMsrs, true),
  row(SyntheticMsr.Eoi, 'HV_X64_MSR_EOI', 'write', Privilege.AccessApicMsrs),
  row(SyntheticMsr.Icr, 'HV_X64_MSR_ICR', 'read-write', Privilege.AccessApicMsrs),
  row(SyntheticMsr.Tpr, 'HV_X64_MSR_TPR', 'read-write', Privilege.AccessApicMsrs),
  row(SyntheticMsr.VpAssistPage, 'HV_X64_MSR_VP_ASSIST_PAGE', 'read-write', Privilege.AccessApicMsrs),
  row(SyntheticMsr.Scontrol, 'HV_X64_MSR_SCONTROL', 'read-write', Privilege.AccessSynicMsrs),
  row(SyntheticMsr.Sversion, 'HV_X64_MSR_SVERSION', 'read', Privilege.AccessSynicMsrs),
  row(SyntheticMsr.Siefp, 'HV_X64_MSR_SIEFP', 'read-write', Privilege.AccessSynicMsrs),
  row(SyntheticMsr.Simp, 'HV_X64_MSR_SIMP', 'read-write', Privilege.AccessSynicMsrs),
  row(SyntheticMsr.Eom, 'HV_X64_MSR_EOM', 'read-write', Privilege.AccessSynicMsrs),
  ...sints,
  ...timers,
  ...statisticsPages,
  row(SyntheticMsr.GuestIdle, 'HV_X64_MSR_GUEST_IDLE', 'read', Privilege.AccessGuestIdleMsr),
  ...crashParameters,
  row(SyntheticMsr.CrashCtl, 'HV_X64_MSR_CRASH_CTL', 'read-write', undefined, true),
];

const byNumber = new Map(SYNTHETIC_MSRS.map((entry) => [entry.msr, entry]));

/** The row of an MSR number, or undefined if it is not one that this hypervisor has. */
export function syntheticMsr(msr: number): SyntheticMsrRow | undefined {
  return byNumber.get(msr);
}

/** True for every number in the range that the TLFS keeps for itself. */
export function isSyntheticMsr(msr: number): boolean {
  return msr >= 0x4000_0000 && msr <= 0x4000_01ff;
}

/** For the trace. */
export function syntheticMsrName(msr: number): string {
  return byNumber.get(msr)?.name ?? `0x${msr.toString(16)}`;
}

/** Bits that GPFN-and-enable MSRs share (hypercall, SIMP, SIEFP, VP assist, reference TSC). */
export const PageMsrBit = { Enable: 1, HypercallLocked: 2 } as const;
