/**
 * The event log's hypercalls (TLFS 2.0a §19.3), of the root only. A threshold is appropriate from 1 to the number of
 * buffers. Where a section lists no status for a group that is not there (§19.3.6), it is INVALID_PARAMETER; §19.3.6
 * says ACCESS_DENIED for a buffer in the wrong state.
 */
import {
  EVENT_LOG_MAXIMUM,
  EVENT_LOG_TYPES,
  EventLogBufferState,
  EventLogTimeBasis,
} from '../../hvdef/event-log.ts';
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { EventLogGroup } from '../event-log.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { placementAt } from './placement.ts';

/** The group that the call's first field names, or a status. */
function groupOf(
  call: HypercallCall,
  missing: HvStatus = HvStatus.OPERATION_DENIED,
): EventLogGroup | HvStatus {
  const type = call.u32(0);
  if (type >= EVENT_LOG_TYPES) return HvStatus.INVALID_PARAMETER;
  return call.hypervisor.eventLog.group(type) ?? missing;
}

type Found = { group: EventLogGroup; buffer: NonNullable<ReturnType<EventLogGroup['buffers']['get']>> };

function bufferOf(call: HypercallCall, missing?: HvStatus): Found | HvStatus {
  const group = groupOf(call, missing);
  if (typeof group === 'number') return group;
  const buffer = group.buffers.get(call.u32(4));
  return buffer === undefined ? HvStatus.INVALID_PARAMETER : { group, buffer };
}

function initializeGroup(call: HypercallCall): number {
  const type = call.u32(0);
  const geometry = {
    maximumBuffers: call.u32(4),
    bufferPages: call.u32(8),
    threshold: call.u32(12),
    timeBasis: call.u32(16),
  };
  const { maximumBuffers, bufferPages, threshold, timeBasis } = geometry;
  if (type >= EVENT_LOG_TYPES) return HvStatus.INVALID_PARAMETER;
  const { eventLog } = call.hypervisor;
  if (bufferPages < 1 || bufferPages > EVENT_LOG_MAXIMUM) return HvStatus.INVALID_PARAMETER;
  if (maximumBuffers < 1 || maximumBuffers > EVENT_LOG_MAXIMUM) return HvStatus.INVALID_PARAMETER;
  if (threshold < 1 || threshold > maximumBuffers) return HvStatus.INVALID_PARAMETER;
  if (timeBasis !== EventLogTimeBasis.Reference && timeBasis !== EventLogTimeBasis.Tsc) {
    return HvStatus.INVALID_PARAMETER;
  }
  if (eventLog.group(type) !== undefined) return HvStatus.OBJECT_IN_USE;
  const page = call.caller.pool.draw('event-log');
  if (page < 0) return HvStatus.INSUFFICIENT_MEMORY;
  eventLog.add(new EventLogGroup(type, geometry, call.caller, page));
  return HvStatus.SUCCESS;
}

function finalizeGroup(call: HypercallCall): number {
  const group = groupOf(call);
  if (typeof group === 'number') return group;
  if (group.buffers.size > 0 || group.sources !== 0n) return HvStatus.OPERATION_DENIED;
  call.hypervisor.eventLog.remove(group);
  return HvStatus.SUCCESS;
}

function createBuffer(call: HypercallCall): number {
  const group = groupOf(call);
  if (typeof group === 'number') return group;
  const index = call.u32(4);
  const placement = placementAt(call, 8);
  if (placement === undefined) return HvStatus.INVALID_PARAMETER;
  if (index >= group.geometry.maximumBuffers || group.buffers.has(index)) return HvStatus.INVALID_PARAMETER;
  const created = call.caller.pool.within(placement, () => group.create(index));
  return created ? HvStatus.SUCCESS : HvStatus.INSUFFICIENT_MEMORY;
}

function deleteBuffer(call: HypercallCall): number {
  const found = bufferOf(call);
  if (typeof found === 'number') return found;
  if (found.buffer.state !== EventLogBufferState.Standby) return HvStatus.OPERATION_DENIED;
  found.group.delete(found.buffer);
  return HvStatus.SUCCESS;
}

function mapBuffer(call: HypercallCall): number {
  const found = bufferOf(call);
  if (typeof found === 'number') return found;
  const { group, buffer } = found;
  if (buffer.state !== EventLogBufferState.Standby) return HvStatus.OPERATION_DENIED;
  // The list of pages lies within a page, as all output does.
  if (8 * (buffer.pages.length - 1) > call.outputRoom) return HvStatus.INVALID_ALIGNMENT;
  const list = new BigUint64Array(group.map(buffer).map((gpn) => BigInt(gpn)));
  call.putU64(0, list[0]);
  call.putTail(new Uint8Array(list.buffer, 8));
  return HvStatus.SUCCESS;
}

function unmapBuffer(call: HypercallCall): number {
  const found = bufferOf(call, HvStatus.INVALID_PARAMETER);
  if (typeof found === 'number') return found;
  const { Free, Ready } = EventLogBufferState;
  if (found.buffer.state !== Free && found.buffer.state !== Ready) return HvStatus.ACCESS_DENIED;
  found.group.unmap(found.buffer);
  return HvStatus.SUCCESS;
}

function setSources(call: HypercallCall): number {
  const group = groupOf(call);
  if (typeof group === 'number') return group;
  call.hypervisor.eventLog.setSources(group, call.u64(8));
  return HvStatus.SUCCESS;
}

function releaseBuffer(call: HypercallCall): number {
  const found = bufferOf(call);
  if (typeof found === 'number') return found;
  if (found.buffer.state !== EventLogBufferState.Ready) return HvStatus.OPERATION_DENIED;
  found.group.release(found.buffer);
  return HvStatus.SUCCESS;
}

function flushBuffer(call: HypercallCall): number {
  const found = bufferOf(call);
  if (typeof found === 'number') return found;
  if (found.buffer.state !== EventLogBufferState.InUse) return HvStatus.OPERATION_DENIED;
  found.group.flush(found.buffer);
  return HvStatus.SUCCESS;
}

export const eventLogHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.InitializeEventLogBufferGroup, handle: initializeGroup },
  { code: HypercallCode.FinalizeEventLogBufferGroup, handle: finalizeGroup },
  { code: HypercallCode.CreateEventLogBuffer, handle: createBuffer },
  { code: HypercallCode.DeleteEventLogBuffer, handle: deleteBuffer },
  { code: HypercallCode.MapEventLogBuffer, handle: mapBuffer },
  { code: HypercallCode.UnmapEventLogBuffer, handle: unmapBuffer },
  { code: HypercallCode.SetEventLogGroupSources, handle: setSources },
  { code: HypercallCode.ReleaseEventLogBuffer, handle: releaseBuffer },
  { code: HypercallCode.FlushEventLogBuffer, handle: flushBuffer },
];
