/**
 * HvMapStatsPage and HvUnmapStatsPage (TLFS 2.0a §21.3). HvStatsObjectSelfStats names an object of the caller's own
 * partition; without it the object's partition is a child of the caller. An object type that is none is
 * INVALID_PARAMETER.
 */
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { STATS_SELF, StatsObject } from '../../hvdef/statistics.ts';
import { HvStatus } from '../../hvdef/status.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import type { Partition } from '../partition.ts';
import type { StatsTarget } from '../statistics.ts';

const IDENTITY = 8;

/** The object that the identity at offset 8 names, or a status. */
function targetOf(call: HypercallCall): StatsTarget | HvStatus {
  const type = call.u32(0);
  if (type === StatsObject.Hypervisor || type === StatsObject.LogicalProcessor)
    return globalTarget(call, type);
  if (type !== StatsObject.Partition && type !== StatsObject.Vp) return HvStatus.INVALID_PARAMETER;
  const flags = call.u16(IDENTITY + 12);
  if ((flags & ~STATS_SELF) !== 0 || call.u16(IDENTITY + 14) !== 0) return HvStatus.INVALID_PARAMETER;
  const partition = localPartition(call, (flags & STATS_SELF) !== 0);
  if (typeof partition === 'number') return partition;
  const index = call.u32(IDENTITY + 8);
  if (type === StatsObject.Partition) {
    return index === 0 ? { kind: 'partition', partition } : HvStatus.INVALID_PARAMETER;
  }
  const vp = partition.virtualProcessors.get(index);
  return vp === undefined ? HvStatus.INVALID_VP_INDEX : { kind: 'vp', vp };
}

function globalTarget(call: HypercallCall, type: number): StatsTarget | HvStatus {
  if (!call.caller.isRoot) return HvStatus.ACCESS_DENIED;
  const rest = call.u32(IDENTITY + 4) | call.u32(IDENTITY + 8) | call.u32(IDENTITY + 12);
  const index = call.u32(IDENTITY);
  if (rest !== 0) return HvStatus.INVALID_PARAMETER;
  if (type === StatsObject.Hypervisor)
    return index === 0 ? { kind: 'hypervisor' } : HvStatus.INVALID_PARAMETER;
  const processor = call.hypervisor.logicalProcessors.all[index];
  return processor === undefined ? HvStatus.INVALID_PARAMETER : { kind: 'logical-processor', processor };
}

function localPartition(call: HypercallCall, self: boolean): Partition | HvStatus {
  const partition = call.partition(call.u64(IDENTITY));
  if (partition === undefined) return HvStatus.INVALID_PARTITION_ID;
  const allowed = self ? partition === call.caller : partition.parent === call.caller;
  if (!allowed) return HvStatus.ACCESS_DENIED;
  return partition.state === 'active' ? partition : HvStatus.INVALID_PARTITION_STATE;
}

function mapStatsPage(call: HypercallCall): number {
  const target = targetOf(call);
  if (typeof target === 'number') return target;
  const { statistics } = call.hypervisor;
  if (statistics.isMapped(call.caller, target)) return HvStatus.OPERATION_DENIED;
  return statistics.map(call.caller, target, call.number(24))
    ? HvStatus.SUCCESS
    : HvStatus.INSUFFICIENT_MEMORY;
}

function unmapStatsPage(call: HypercallCall): number {
  const target = targetOf(call);
  if (typeof target === 'number') return target;
  const { statistics } = call.hypervisor;
  if (!statistics.isMapped(call.caller, target)) return HvStatus.OPERATION_DENIED;
  statistics.unmap(call.caller, target);
  return HvStatus.SUCCESS;
}

export const statisticsHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.MapStatsPage, handle: mapStatsPage },
  { code: HypercallCode.UnmapStatsPage, handle: unmapStatsPage },
];
