/**
 * Whom a hypercall acts on: the partition that its ID field names, if the caller's relation to it allows the
 * call. An ID that names nobody is INVALID_PARTITION_ID, a partition that is not the caller's to touch is
 * ACCESS_DENIED (§4.11.2 prefers the latter where both could be said).
 */
import { HvStatus } from '../hvdef/status.ts';
import type { HypercallCall } from './hypercall-call.ts';
import type { Partition } from './partition.ts';

/** The caller's child that the ID at `offset` names, or a status. */
export function childOf(call: HypercallCall, offset = 0): Partition | HvStatus {
  const target = call.partition(call.u64(offset));
  if (target === undefined) return HvStatus.INVALID_PARTITION_ID;
  return target.parent === call.caller ? target : HvStatus.ACCESS_DENIED;
}

/** As childOf, or the caller itself. */
export function childOrSelf(call: HypercallCall, offset = 0): Partition | HvStatus {
  const target = call.partition(call.u64(offset));
  if (target === undefined) return HvStatus.INVALID_PARTITION_ID;
  return target === call.caller || target.parent === call.caller ? target : HvStatus.ACCESS_DENIED;
}

/** As childOf, or the root partition naming itself. */
export function childOrRootSelf(call: HypercallCall, offset = 0): Partition | HvStatus {
  const target = call.partition(call.u64(offset));
  if (target === undefined) return HvStatus.INVALID_PARTITION_ID;
  const allowed = target.parent === call.caller || (target === call.caller && target.isRoot);
  return allowed ? target : HvStatus.ACCESS_DENIED;
}

export function isStatus(value: Partition | HvStatus): value is HvStatus {
  return typeof value === 'number';
}
