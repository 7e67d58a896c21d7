/**
 * HvSavePartitionState and HvRestorePartitionState (TLFS 2.0a §17.3). The state is taken when the save begins and
 * takes effect when the last byte has arrived, in one step.
 *
 * Chosen where the text is open:
 * - Partition ID zero names the system, for summaries only. Any partition may ask for the system's summary.
 * - SUMMARY must be given, or not, in every call of one transfer: INVALID_SAVE_RESTORE_STATE otherwise.
 * - A RestoreDataCount beyond 4080 or beyond the page is INVALID_PARAMETER.
 * - The pages that hold the stream come from the caller's pool. A restore that finds too few consumes nothing and
 *   goes on when the same data are presented again.
 * - After an error in the state (HvStateCorruptData and the like) the transfer is over.
 */
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import {
  SAVE_RESTORE_CHUNK,
  SAVE_RESTORE_FLAGS,
  SaveRestoreFlag,
  SaveRestoreResult,
} from '../../hvdef/save-restore.ts';
import { HvStatus } from '../../hvdef/status.ts';
import {
  decodeStream,
  encodeStream,
  STREAM_HEADER_BYTES,
  StreamKind,
  streamHeader,
} from '../../support/saved-state/state-stream.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOf, isStatus } from '../hypercall-target.ts';
import type { Partition } from '../partition.ts';
import {
  judgeSummary,
  restorePartition,
  savePartition,
  saveSummary,
} from '../saved-state/partition-state.ts';
import { type Direction, SYSTEM_TRANSFER, TRANSFER, type Transfer } from '../saved-state/transfer.ts';
import { VirtualProcessor } from '../virtual-processor.ts';

interface Operation {
  /** Undefined: the system. */
  target: Partition | undefined;
  transfer: Transfer;
  summary: boolean;
  starts: boolean;
}

function operationOf(call: HypercallCall): Operation | HvStatus {
  const flags = call.u32(8);
  const summary = (flags & SaveRestoreFlag.Summary) !== 0;
  const starts = (flags & SaveRestoreFlag.Start) !== 0;
  const system = call.u64(0) === 0n && summary;
  if (system) {
    if ((flags & ~SAVE_RESTORE_FLAGS) !== 0) return HvStatus.INVALID_PARAMETER;
    return { target: undefined, transfer: call.caller.parts.get(SYSTEM_TRANSFER), summary, starts };
  }
  const target = childOf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  if ((flags & ~SAVE_RESTORE_FLAGS) !== 0) return HvStatus.INVALID_PARAMETER;
  if (!summary && !isSuspended(target)) return HvStatus.OPERATION_DENIED;
  return { target, transfer: target.parts.get(TRANSFER), summary, starts };
}

function isSuspended(partition: Partition): boolean {
  for (const vp of partition.virtualProcessors.values()) {
    if (vp instanceof VirtualProcessor && !vp.explicitlySuspended) return false;
  }
  return true;
}

/** False: there is no transfer of this kind to go on with. */
function goesOn({ transfer, summary }: Operation, direction: Direction): boolean {
  return transfer.direction === direction && transfer.summary === summary;
}

/** §17.3.1 */
function savePartitionState(call: HypercallCall): number {
  const operation = operationOf(call);
  if (typeof operation === 'number') return operation;
  const { target, transfer, summary, starts } = operation;
  if (starts) {
    const stream =
      summary || target === undefined
        ? encodeStream(StreamKind.Summary, saveSummary(call.hypervisor, target))
        : encodeStream(StreamKind.Complete, savePartition(target));
    transfer.begin('save', summary, call.caller);
    if (!transfer.append(stream)) {
      transfer.release();
      return HvStatus.INSUFFICIENT_MEMORY;
    }
  } else if (!goesOn(operation, 'save')) return HvStatus.INVALID_SAVE_RESTORE_STATE;

  const count = Math.min(call.outputRoom, SAVE_RESTORE_CHUNK, transfer.length - transfer.position);
  call.putTail(transfer.read(transfer.position, count));
  transfer.position += count;
  const complete = transfer.position === transfer.length;
  call.putU32(0, complete ? SaveRestoreResult.Complete : SaveRestoreResult.Incomplete);
  call.putU32(4, count);
  if (complete) transfer.release();
  return HvStatus.SUCCESS;
}

/** §17.3.2 */
function restorePartitionState(call: HypercallCall): number {
  const operation = operationOf(call);
  if (typeof operation === 'number') return operation;
  const { transfer, summary, starts } = operation;
  const count = call.u32(12);
  if (count > SAVE_RESTORE_CHUNK || count > call.inputTail) return HvStatus.INVALID_PARAMETER;
  if (starts) transfer.begin('restore', summary, call.caller);
  else if (!goesOn(operation, 'restore')) return HvStatus.INVALID_SAVE_RESTORE_STATE;

  const data = call.inputBytes(call.headerBytes, count);
  const wanted = missingBytes(transfer, data);
  const taken = data.subarray(0, wanted.bytes);
  if (!transfer.append(taken)) return HvStatus.INSUFFICIENT_MEMORY;
  const result = wanted.bad ?? conclude(call, operation);
  if (result !== SaveRestoreResult.Incomplete) transfer.release();
  call.putU32(0, result);
  call.putU32(4, taken.length);
  return HvStatus.SUCCESS;
}

/** How many bytes of `data` belong to the stream, and what is wrong with its header as far as it is there. */
function missingBytes(transfer: Transfer, data: Uint8Array): { bytes: number; bad?: SaveRestoreResult } {
  if (transfer.length + data.length < STREAM_HEADER_BYTES) return { bytes: data.length };
  const start = new Uint8Array(STREAM_HEADER_BYTES);
  const present = Math.min(transfer.length, STREAM_HEADER_BYTES);
  start.set(transfer.read(0, present));
  start.set(data.subarray(0, STREAM_HEADER_BYTES - present), present);
  const header = streamHeader(start);
  if (header.kind === 'unsupported-version') return { bytes: 0, bad: SaveRestoreResult.UnsupportedVersion };
  const kind = transfer.summary ? StreamKind.Summary : StreamKind.Complete;
  if (header.kind === 'corrupt' || header.contents !== kind)
    return { bytes: 0, bad: SaveRestoreResult.CorruptData };
  return { bytes: Math.min(data.length, header.totalBytes - transfer.length) };
}

/** Once the stream is whole: judges the summary, or restores. */
function conclude(call: HypercallCall, { target, transfer, summary }: Operation): SaveRestoreResult {
  if (transfer.length < STREAM_HEADER_BYTES) return SaveRestoreResult.Incomplete;
  const header = streamHeader(transfer.read(0, STREAM_HEADER_BYTES));
  if (header.kind !== 'ok') return SaveRestoreResult.CorruptData;
  if (transfer.length < header.totalBytes) return SaveRestoreResult.Incomplete;
  const state = decodeStream(transfer.read(0, transfer.length));
  if (state === undefined) return SaveRestoreResult.CorruptData;
  if (summary || target === undefined) return judgeSummary(state, call.hypervisor);
  return restorePartition(target, state);
}

export const saveRestoreHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.SavePartitionState, handle: savePartitionState },
  { code: HypercallCode.RestorePartitionState, handle: restorePartitionState },
];
