/**
 * HvCreateVp and HvDeleteVp (TLFS 2.0a §10.4.1, §10.4.2); HvCallStartVirtualProcessor (current TLFS).
 *
 * Whose pool a virtual processor's pages come from: the target's. §7.1.1 names HvCreateVp as its example of a call that
 * draws on behalf of another partition, and §10.4.1's status table speaks of "the memory pool of the specified
 * partition"; only its paragraph on proximity domains says "the caller's pool", taken as a slip.
 */
import { Segment } from '../../cpu/processor.ts';
import { PartitionProperty } from '../../hvdef/partition-property.ts';
import { ModernSegmentLayout, RegisterName, TableLayout } from '../../hvdef/registers.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { HV_VP_INDEX_SELF } from '../../hvdef/types.ts';
import { reserveFits } from '../cpu-reserve.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import type { HypercallEntry } from '../hypercall-request.ts';
import { childOf, childOrSelf, isStatus } from '../hypercall-target.ts';
import type { Partition } from '../partition.ts';
import { writeRegister } from '../register-access.ts';
import { VirtualProcessor } from '../virtual-processor.ts';
import { MAXIMUM_VIRTUAL_PROCESSORS } from '../virtual-processor-limits.ts';
import { placementAt } from './placement.ts';

/**
 * The VP of `partition` that an HV_VP_INDEX names, on an instruction boundary; the caller's own under
 * HV_VP_INDEX_SELF.
 */
export function namedProcessor(
  call: HypercallCall,
  partition: Partition,
  index: number,
): VirtualProcessor | undefined {
  const own = index === HV_VP_INDEX_SELF && partition === call.caller;
  const vp = partition.virtualProcessors.get(own ? call.callerVp : index);
  if (!(vp instanceof VirtualProcessor)) return undefined;
  vp.stand();
  return vp;
}

function createVp(call: HypercallCall): number {
  const partition = childOf(call);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const index = call.u32(8);
  if (index >= MAXIMUM_VIRTUAL_PROCESSORS || partition.virtualProcessors.has(index)) {
    return HvStatus.INVALID_VP_INDEX;
  }
  const placement = placementAt(call, 16);
  if (placement === undefined) return HvStatus.INVALID_PARAMETER;
  if (call.u64(24) !== 0n) return HvStatus.INVALID_PARAMETER;
  const reserve = partition.property(PartitionProperty.CpuReserve);
  const count = partition.virtualProcessors.size + 1;
  if (!reserveFits(call.hypervisor, partition, count, reserve)) {
    return HvStatus.OPERATION_DENIED;
  }
  const create = () => VirtualProcessor.create(partition, index, entryOf(call));
  const vp = partition.pool.within(placement, create);
  if (vp === 'insufficient-memory') return HvStatus.INSUFFICIENT_MEMORY;
  return vp === 'no-resources' ? HvStatus.NO_RESOURCES : HvStatus.SUCCESS;
}

function entryOf(call: HypercallCall): HypercallEntry {
  const entry = call.hypervisor.hypercalls;
  if (entry === undefined) throw new Error('a hypercall ran before the dispatcher was set');
  return entry;
}

function deleteVp(call: HypercallCall): number {
  const partition = childOf(call);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const vp = partition.virtualProcessors.get(call.u32(8));
  if (vp === undefined) return HvStatus.INVALID_VP_INDEX;
  vp.release();
  return HvStatus.SUCCESS;
}

/** Where HV_INITIAL_VP_CONTEXT starts in the input, and its fields from there. */
const CONTEXT = 16;
const SCALARS: readonly [offset: number, name: number][] = [
  [0, RegisterName.Rip],
  [8, RegisterName.Rsp],
  [16, RegisterName.Rflags],
  [184, RegisterName.Efer],
  [208, RegisterName.Cr4],
  [200, RegisterName.Cr3],
  [192, RegisterName.Cr0],
  [216, RegisterName.Pat],
];
const SEGMENTS: readonly [offset: number, index: number][] = [
  [24, Segment.CS],
  [40, Segment.DS],
  [56, Segment.ES],
  [72, Segment.FS],
  [88, Segment.GS],
  [104, Segment.SS],
  [120, Segment.TR],
  [136, Segment.LDTR],
];
const TABLES: readonly [offset: number, which: 'idtr' | 'gdtr'][] = [
  [152, 'idtr'],
  [168, 'gdtr'],
];

function startVirtualProcessor(call: HypercallCall): number {
  const partition = childOrSelf(call);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const vp = namedProcessor(call, partition, call.u32(8));
  if (vp === undefined) return HvStatus.INVALID_VP_INDEX;
  // There is no virtual trust level but 0.
  if (call.u8(12) !== 0) return HvStatus.INVALID_PARAMETER;
  if (vp.activity !== 'waiting-for-sipi') return HvStatus.INVALID_VP_STATE;
  for (const [offset, index] of SEGMENTS) {
    const at = CONTEXT + offset;
    vp.processor.setSegment(index, {
      base: call.u64(at + ModernSegmentLayout.Base),
      limit: call.u32(at + ModernSegmentLayout.Limit),
      selector: call.u16(at + ModernSegmentLayout.Selector),
      attributes: call.u16(at + ModernSegmentLayout.Attributes),
    });
  }
  for (const [offset, which] of TABLES) {
    const at = CONTEXT + offset;
    vp.processor.setTable(which, {
      base: call.u64(at + TableLayout.Base),
      limit: call.u16(at + TableLayout.Limit),
    });
  }
  for (const [offset, name] of SCALARS) {
    if (!writeRegister(vp, name, call.u64(CONTEXT + offset), 0n)) {
      vp.processor.init();
      return HvStatus.INVALID_REGISTER_VALUE;
    }
  }
  vp.start();
  return HvStatus.SUCCESS;
}

export const virtualProcessorHypercalls: readonly HypercallImplementation[] = [
  { code: 0x004e, handle: createVp },
  { code: 0x004f, handle: deleteVp },
  { code: 0x0099, handle: startVirtualProcessor },
];
