/**
 * Partition properties: codes, defaults and the values each accepts. TLFS 2.0a §5.2.2, §15.1.5, §15.1.6,
 * §18.2. What a property does is the business of whoever reads it; this file only says what may be stored.
 */
import { ALL_PRIVILEGES, ROOT_ONLY_PRIVILEGES } from './privileges.ts';
import { HvStatus } from './status.ts';

export const PartitionProperty = {
  PrivilegeFlags: 0x0001_0000,
  CpuReserve: 0x0002_0001,
  CpuCap: 0x0002_0002,
  CpuWeight: 0x0002_0003,
  EmulatedTimerPeriod: 0x0003_0000,
  EmulatedTimerControl: 0x0003_0001,
  PmTimerAssist: 0x0003_0002,
  DebugChannelId: 0x0004_0000,
  VirtualTlbPageCount: 0x0005_0000,
  ProcessorVendor: 0x0006_0000,
  ProcessorFeatures: 0x0006_0001,
  ProcessorXsaveFeatures: 0x0006_0002,
  ProcessorClFlushSize: 0x0006_0003,
} as const;
export type PartitionPropertyName = keyof typeof PartitionProperty;

const known = new Set<number>(Object.values(PartitionProperty));

export function isPartitionProperty(code: number): boolean {
  return known.has(code);
}

/** HV_PROCESSOR_VENDOR (§5.2.7). */
export const ProcessorVendor = { Amd: 0, Intel: 1 } as const;

/** Bit numbers of HV_PARTITION_PROCESSOR_FEATURES (§5.2.8). */
export const ProcessorFeature = {
  Sse3: 0,
  LahfSahf: 1,
  Ssse3: 2,
  Sse4_1: 3,
  Sse4_2: 4,
  Sse4a: 5,
  Sse5: 6,
  PopCnt: 7,
  Cmpxchg16b: 8,
  AltMovCr8: 9,
  Lzcnt: 10,
  MisAlignSse: 11,
  MmxExt: 12,
  Amd3DNow: 13,
  ExtendedAmd3DNow: 14,
} as const;

/** What the platform's processors are: the root's read-only properties and every child's defaults. */
export interface PlatformProcessor {
  vendor: number;
  /** HV_PARTITION_PROCESSOR_FEATURES. */
  features: bigint;
  /** HV_PARTITION_PROCESSOR_XSAVE_FEATURES. */
  xsaveFeatures: bigint;
  /** In units of 8 bytes, as CPUID leaf 1 has it. */
  clFlushSize: number;
}

const featureMask = (names: readonly (keyof typeof ProcessorFeature)[]): bigint =>
  names.reduce((sum, name) => sum | (1n << BigInt(ProcessorFeature[name])), 0n);

/** The processors of src/cpu. */
export const DEFAULT_PLATFORM: PlatformProcessor = {
  vendor: ProcessorVendor.Intel,
  features: featureMask(['Sse3', 'LahfSahf', 'Ssse3', 'Sse4_1', 'Sse4_2', 'PopCnt', 'Cmpxchg16b']),
  xsaveFeatures: 0n,
  clFlushSize: 8,
};

/** Value of a property that nobody has set. Privileges are not kept here: see Partition.privileges. */
export function defaultProperty(code: number, platform: PlatformProcessor): bigint {
  switch (code) {
    case PartitionProperty.CpuCap:
      return 0x1_0000n;
    case PartitionProperty.CpuWeight:
      return 100n;
    case PartitionProperty.ProcessorVendor:
      return BigInt(platform.vendor);
    case PartitionProperty.ProcessorFeatures:
      return platform.features;
    case PartitionProperty.ProcessorXsaveFeatures:
      return platform.xsaveFeatures;
    case PartitionProperty.ProcessorClFlushSize:
      return BigInt(platform.clFlushSize);
    default:
      return 0n;
  }
}

/** HV_EMULATED_TIMER_CONTROL and HV_PM_TIMER_INFO: bits that are reserved. */
const TIMER_CONTROL_RESERVED = 0x00ff_ffff_ffff_e000n;
const PM_TIMER_RESERVED = 0xffff_ffff_fffc_0000n;

/** What a property check may look at. */
export interface PropertyContext {
  isRoot: boolean;
  platform: PlatformProcessor;
  /** Value of another property of the same partition. */
  current(code: number): bigint;
  /** True if another partition has this value for this property. */
  usedElsewhere(code: number, value: bigint): boolean;
}

/** Whether `value` may be stored under `code`: HV_STATUS_SUCCESS or what HvSetPartitionProperty answers. */
export function checkProperty(code: number, value: bigint, context: PropertyContext): HvStatus {
  switch (code) {
    case PartitionProperty.PrivilegeFlags:
      return checkPrivileges(value, context);
    case PartitionProperty.CpuReserve:
      return within(value <= context.current(PartitionProperty.CpuCap));
    case PartitionProperty.CpuCap:
      return within(value <= 0x1_0000n && value >= context.current(PartitionProperty.CpuReserve));
    case PartitionProperty.CpuWeight:
      return within(value >= 1n && value <= 10_000n);
    case PartitionProperty.EmulatedTimerControl:
      return (value & TIMER_CONTROL_RESERVED) === 0n ? HvStatus.SUCCESS : HvStatus.INVALID_PARAMETER;
    case PartitionProperty.PmTimerAssist:
      return (value & PM_TIMER_RESERVED) === 0n ? HvStatus.SUCCESS : HvStatus.INVALID_PARAMETER;
    case PartitionProperty.DebugChannelId:
      return value !== 0n && context.usedElsewhere(code, value) ? HvStatus.OBJECT_IN_USE : HvStatus.SUCCESS;
    case PartitionProperty.ProcessorVendor:
      return HvStatus.PROPERTY_VALUE_OUT_OF_RANGE;
    case PartitionProperty.ProcessorFeatures:
      return checkFeatures(value, context.platform.features, context.isRoot);
    case PartitionProperty.ProcessorXsaveFeatures:
      return checkFeatures(value, context.platform.xsaveFeatures, context.isRoot);
    case PartitionProperty.ProcessorClFlushSize:
      return within(!context.isRoot && value === BigInt(context.platform.clFlushSize));
    default:
      return HvStatus.SUCCESS;
  }
}

/** The root's privileges are read-only; a child may get any that is not reserved to the root. */
function checkPrivileges(value: bigint, context: PropertyContext): HvStatus {
  if ((value & ~ALL_PRIVILEGES) !== 0n) return HvStatus.INVALID_PARAMETER;
  if (context.isRoot) return within(value === ALL_PRIVILEGES);
  return within((value & ROOT_ONLY_PRIVILEGES) === 0n);
}

/** A child can be given fewer features than the platform has, never others. */
function checkFeatures(value: bigint, platform: bigint, isRoot: boolean): HvStatus {
  return within(!isRoot && (value & ~platform) === 0n);
}

function within(condition: boolean): HvStatus {
  return condition ? HvStatus.SUCCESS : HvStatus.PROPERTY_VALUE_OUT_OF_RANGE;
}
