/**
 * Partition management: the hypercalls of TLFS 2.0a §5.6. They alone move a partition's state (the diagram is
 * in partition.ts). Checks run in the order ID, relation to the caller, state, parameters, memory.
 *
 * Chosen where the text is open:
 * - HvGetNextChildPartition lets a partition list its own children as well as those of a child.
 * - Finalization works through virtual processors, parts, overlays and the GPA map, and uses continuation when
 *   its time is up; "finalizing" shows in between.
 * - The object of a partition takes one page of the creator's pool; initialization takes the GPA map's top
 *   table of its own.
 */
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import {
  checkProperty,
  isPartitionProperty,
  PartitionProperty,
  type PropertyContext,
} from '../../hvdef/partition-property.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { HV_PARTITION_ID_INVALID } from '../../hvdef/types.ts';
import { reserveFits } from '../cpu-reserve.ts';
import { DEBUG_SESSION } from '../debug-session.ts';
import { CONTINUE, type HypercallCall, type HypercallImplementation } from '../hypercall-call.ts';
import { childOf, childOrRootSelf, childOrSelf, isStatus } from '../hypercall-target.ts';
import { MAXIMUM_DEPTH } from '../hypervisor.ts';
import type { Partition } from '../partition.ts';
import { PERIODIC_TIMER } from '../periodic-timer-assist.ts';
import { placementAt } from './placement.ts';

/** §5.6.1 */
function createPartition(call: HypercallCall): number {
  const placement = placementAt(call, 8);
  if (call.u64(0) !== 0n || placement === undefined) return HvStatus.INVALID_PARAMETER;
  if (call.caller.depth >= MAXIMUM_DEPTH) return HvStatus.PARTITION_TOO_DEEP;
  const { pool } = call.caller;
  const page = pool.within(placement, () => pool.draw('partition'));
  if (page < 0) return HvStatus.INSUFFICIENT_MEMORY;

  const child = call.hypervisor.addPartition(call.caller);
  child.objectPage = page;
  // §5.6.2: what comes later is drawn from there preferentially.
  child.pool.home = { domain: placement.domain, required: false };
  call.putU64(0, child.id);
  return HvStatus.SUCCESS;
}

/** §5.6.2 */
function initializePartition(call: HypercallCall): number {
  const target = childOf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'uninitialized') return HvStatus.INVALID_PARTITION_STATE;
  if (!target.gpaMap.allocate()) return HvStatus.INSUFFICIENT_MEMORY;

  target.state = 'active';
  call.hypervisor.tracePartition(target);
  return HvStatus.SUCCESS;
}

/** §5.6.3 */
function finalizePartition(call: HypercallCall): number {
  const target = childOf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active' && target.state !== 'finalizing') return HvStatus.INVALID_PARTITION_STATE;
  if (target.children.length > 0) return HvStatus.OPERATION_DENIED;

  if (target.state === 'active') {
    target.state = 'finalizing';
    call.hypervisor.tracePartition(target);
  }
  if (!dismantle(target, call)) return CONTINUE;
  target.state = 'finalized';
  call.hypervisor.tracePartition(target);
  return HvStatus.SUCCESS;
}

/** Takes a partition apart, as far as the time goes; false when there is more to do. */
function dismantle(partition: Partition, call: HypercallCall): boolean {
  for (const [index, vp] of [...partition.virtualProcessors]) {
    if (call.timeIsUp()) return false;
    vp.release();
    partition.virtualProcessors.delete(index);
  }
  partition.parts.release();
  partition.overlays.clear();
  while (partition.gpaMap.releaseNext()) if (call.timeIsUp()) return false;
  return true;
}

/** §5.6.4 */
function deletePartition(call: HypercallCall): number {
  const target = childOf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'finalized' && target.state !== 'uninitialized')
    return HvStatus.INVALID_PARTITION_STATE;
  if (!target.pool.isEmpty) return HvStatus.OPERATION_DENIED;

  call.hypervisor.removePartition(target);
  call.caller.pool.release(target.objectPage);
  return HvStatus.SUCCESS;
}

/** §5.6.5 */
function getPartitionProperty(call: HypercallCall): number {
  const target = childOrRootSelf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const code = call.u32(8);
  if (!isPartitionProperty(code)) return HvStatus.UNKNOWN_PROPERTY;

  call.putU64(0, target.property(code));
  return HvStatus.SUCCESS;
}

/** §5.6.6 */
function setPartitionProperty(call: HypercallCall): number {
  const target = childOrRootSelf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const code = call.u32(8);
  const value = call.u64(16);
  if (!isPartitionProperty(code)) return HvStatus.UNKNOWN_PROPERTY;
  const refusal = checkProperty(code, value, contextOf(target, call));
  if (refusal !== HvStatus.SUCCESS) return refusal;
  const { size } = target.virtualProcessors;
  const fits = code !== PartitionProperty.CpuReserve || reserveFits(call.hypervisor, target, size, value);
  if (!fits) return HvStatus.PROPERTY_VALUE_OUT_OF_RANGE;

  if (code === PartitionProperty.DebugChannelId) {
    const transport = call.hypervisor.debugTransport;
    const session = target.parts.get(DEBUG_SESSION);
    if (transport !== undefined && !session.assign(transport, Number(value & 0xffffn))) {
      return HvStatus.INSUFFICIENT_MEMORY;
    }
  }
  target.setProperty(code, value);
  if (code === PartitionProperty.EmulatedTimerPeriod || code === PartitionProperty.EmulatedTimerControl) {
    target.parts.get(PERIODIC_TIMER).configure();
  }
  return HvStatus.SUCCESS;
}

function contextOf(target: Partition, call: HypercallCall): PropertyContext {
  return {
    isRoot: target.isRoot,
    platform: target.machine.platform,
    current: (code) => target.property(code),
    usedElsewhere: (code, value) => {
      for (const other of call.hypervisor.partitions.values()) {
        if (other !== target && other.property(code) === value) return true;
      }
      return false;
    },
  };
}

/** §5.6.7 */
function getPartitionId(call: HypercallCall): number {
  call.putU64(0, call.caller.id);
  return HvStatus.SUCCESS;
}

/** §5.6.8 */
function getNextChildPartition(call: HypercallCall): number {
  const parent = childOrSelf(call);
  if (isStatus(parent)) return parent;
  const previous = call.number(8);
  const index = parent.children.findIndex((child) => child.id === previous);
  if (previous !== HV_PARTITION_ID_INVALID && index < 0) return HvStatus.INVALID_PARTITION_ID;

  call.putU64(0, parent.children[index + 1]?.id ?? HV_PARTITION_ID_INVALID);
  return HvStatus.SUCCESS;
}

export const partitionHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.CreatePartition, handle: createPartition },
  { code: HypercallCode.InitializePartition, handle: initializePartition },
  { code: HypercallCode.FinalizePartition, handle: finalizePartition },
  { code: HypercallCode.DeletePartition, handle: deletePartition },
  { code: HypercallCode.GetPartitionProperty, handle: getPartitionProperty },
  { code: HypercallCode.SetPartitionProperty, handle: setPartitionProperty },
  { code: HypercallCode.GetPartitionId, handle: getPartitionId },
  { code: HypercallCode.GetNextChildPartition, handle: getNextChildPartition },
];
