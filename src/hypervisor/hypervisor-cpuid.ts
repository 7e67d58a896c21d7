/**
 * The hypervisor's CPUID leaves, 0x40000000 to 0x4000000A (TLFS 2.0a §3.3, §3.4). Features come from the
 * partition's privilege mask; recommendations are chosen for a processor in software:
 *
 * - remote TLB flush and IPI by hypercall: one exit for any number of targets. With more than 64 VPs by the Ex forms;
 * - APIC registers by MSR: a page access costs a decoded instruction more;
 * - no hypercalls for address space switch and local flush: those run inside the processor;
 * - auto-EOI is not discouraged: it saves the guest an exit per SynIC interrupt;
 * - relaxed timing: watchdogs can't rely on interrupt latency here.
 *
 * TSC invariance (bit 15 of the features) is not offered: with it Linux prefers the bare TSC to the reference TSC
 * page. Nested features are absent: leaf 0x4000000A is zero. Leaf 0x40000002 stays zero until the guest
 * has told its identity, as §3.4 asks.
 */
import {
  HardwareFeature,
  HypervisorLeaf,
  INTERFACE_SIGNATURE,
  MiscFeature,
  Recommendation,
  VENDOR_EBX,
  VENDOR_ECX,
  VENDOR_EDX,
} from '../hvdef/cpuid.ts';
import { Privilege } from '../hvdef/privileges.ts';

export interface HypervisorCpuidContext {
  readonly privileges: bigint;
  /** HV_X64_MSR_GUEST_OS_ID is not zero. */
  readonly guestIdentified: boolean;
  /** Virtual processors that the partition may have. */
  readonly maximumVps: number;
}

export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** The release whose interfaces this hypervisor follows: 10.0, build 17763. */
const VERSION = { build: 17763, major: 10, minor: 0 } as const;
const MAXIMUM_LEAF = HypervisorLeaf.NestedOptimizations;
/** Spinlock attempts before HvNotifyLongSpinWait is worth its exit. */
const SPIN_ATTEMPTS = 0xfff;
const NEVER_NOTIFY = 0xffff_ffff;
/** More VPs than a flat 64-bit mask names. */
const FLAT_MASK_VPS = 64;
const MAXIMUM_LOGICAL_PROCESSORS = 64;

const ZERO: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

/** The answer to a leaf in 0x40000000..0x400000FF; zero above the maximum. */
export function hypervisorCpuid(leaf: number, context: HypervisorCpuidContext): CpuidResult {
  switch (leaf) {
    case HypervisorLeaf.VendorAndMaximum:
      return { eax: MAXIMUM_LEAF, ebx: VENDOR_EBX, ecx: VENDOR_ECX, edx: VENDOR_EDX };
    case HypervisorLeaf.Interface:
      return { ...ZERO, eax: INTERFACE_SIGNATURE };
    case HypervisorLeaf.Version:
      if (!context.guestIdentified) return ZERO;
      return { ...ZERO, eax: VERSION.build, ebx: (VERSION.major << 16) | VERSION.minor };
    case HypervisorLeaf.Features:
      return features(context);
    case HypervisorLeaf.Recommendations:
      return recommendations(context);
    case HypervisorLeaf.Limits:
      return { ...ZERO, eax: context.maximumVps, ebx: MAXIMUM_LOGICAL_PROCESSORS };
    case HypervisorLeaf.HardwareFeatures:
      return { ...ZERO, eax: HardwareFeature.SecondLevelTranslation };
    default:
      return ZERO;
  }
}

function has(context: HypervisorCpuidContext, privilege: number): boolean {
  return ((context.privileges >> BigInt(privilege)) & 1n) === 1n;
}

function features(context: HypervisorCpuidContext): CpuidResult {
  let misc =
    MiscFeature.XmmHypercallInput |
    MiscFeature.XmmHypercallOutput |
    MiscFeature.GuestCrashMsrs |
    MiscFeature.ExtendedGvaRanges |
    MiscFeature.SintPolling |
    MiscFeature.HypercallMsrLock;
  if (has(context, Privilege.AccessFrequencyMsrs)) misc |= MiscFeature.FrequencyMsrs;
  if (has(context, Privilege.AccessGuestIdleMsr)) misc |= MiscFeature.GuestIdleState;
  if (has(context, Privilege.AccessSyntheticTimerMsrs)) misc |= MiscFeature.DirectSyntheticTimers;
  return {
    eax: Number(context.privileges & 0xffff_ffffn),
    ebx: Number((context.privileges >> 32n) & 0xffff_ffffn),
    ecx: 0,
    edx: misc,
  };
}

function recommendations(context: HypervisorCpuidContext): CpuidResult {
  let eax = Recommendation.HypercallForRemoteFlush | Recommendation.RelaxedTiming | Recommendation.ClusterIpi;
  if (has(context, Privilege.AccessApicMsrs)) eax |= Recommendation.MsrsForApicRegisters;
  if (has(context, Privilege.AccessResetMsr)) eax |= Recommendation.MsrForReset;
  if (context.maximumVps > FLAT_MASK_VPS) eax |= Recommendation.ExProcessorMasks;
  return { ...ZERO, eax, ebx: context.maximumVps > 1 ? SPIN_ATTEMPTS : NEVER_NOTIFY };
}
