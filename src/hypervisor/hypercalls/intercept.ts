/** HvInstallIntercept (TLFS 2.0a §9.3.1). */
import { InterceptType, REQUIRED_INTERCEPT_ACCESS } from '../../hvdef/intercepts.ts';
import { HvStatus } from '../../hvdef/status.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOf, isStatus } from '../hypercall-target.ts';
import { INTERCEPTS } from '../intercept-table.ts';
import type { Partition } from '../partition.ts';

const LAST_EXCEPTION_VECTOR = 31;

function installIntercept(call: HypercallCall): number {
  const partition = childOf(call);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const access = call.u32(8);
  const type = call.u32(12);
  const parameter = call.u64(16);
  if (!isInterceptType(type)) return HvStatus.INVALID_PARAMETER;
  if (access !== 0 && access !== REQUIRED_INTERCEPT_ACCESS[type]) return HvStatus.INVALID_PARAMETER;
  if (parameter > LARGEST_PARAMETER[type]) return HvStatus.INVALID_PARAMETER;

  const intercepts = partition.parts.get(INTERCEPTS);
  const target = Number(parameter);
  switch (type) {
    case InterceptType.X64IoPort:
      intercepts.setPort(target, access);
      break;
    case InterceptType.X64Msr:
      intercepts.msrAccess = access;
      break;
    case InterceptType.X64Cpuid:
      if (!intercepts.setCpuid(target, access !== 0)) return HvStatus.INSUFFICIENT_MEMORY;
      break;
    case InterceptType.X64Exception:
      intercepts.setException(target, access !== 0);
      publishExceptions(partition, intercepts.exceptionVectors);
      break;
  }
  return HvStatus.SUCCESS;
}

/** Unused bits of the parameter are reserved; an MSR intercept has none that means anything. */
const LARGEST_PARAMETER: Readonly<Record<InterceptType, bigint>> = {
  [InterceptType.X64IoPort]: 0xffffn,
  [InterceptType.X64Msr]: 0n,
  [InterceptType.X64Cpuid]: 0xffff_ffffn,
  [InterceptType.X64Exception]: BigInt(LAST_EXCEPTION_VECTOR),
};

function isInterceptType(type: number): type is InterceptType {
  return type <= InterceptType.X64Exception;
}

function publishExceptions(partition: Partition, vectors: number): void {
  for (const vp of partition.virtualProcessors.values()) {
    if (vp.processor !== undefined) vp.processor.exceptionIntercepts = vectors;
  }
}

export const interceptHypercalls: readonly HypercallImplementation[] = [
  { code: 0x004d, handle: installIntercept },
];
