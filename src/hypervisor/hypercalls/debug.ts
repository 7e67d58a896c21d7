/**
 * HvPostDebugData, HvRetrieveDebugData, HvResetDebugSession (TLFS 2.0a §20.3). The hint that a guest loops (§20.1.6) is
 * answered by giving its turn to others and returning: one of the two things the text allows.
 */
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { DEBUG_SESSION, type DebugSession } from '../debug-session.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { VirtualProcessor } from '../virtual-processor.ts';

/** HV_DEBUG_MAXIMUM_DATA_SIZE */
const MAXIMUM_DATA = 4088;
const LOOP = 1;
const TEST_ACTIVITY = 2;
const Purge = { Incoming: 1, Outgoing: 2 } as const;

function sessionOf(call: HypercallCall): DebugSession | HvStatus {
  if (call.hypervisor.debugTransport === undefined) return HvStatus.FEATURE_UNAVAILABLE;
  const session = call.caller.parts.peek(DEBUG_SESSION);
  return session === undefined || session.channel === 0 ? HvStatus.OPERATION_DENIED : session;
}

function yieldTurn(call: HypercallCall): void {
  const vp = call.caller.virtualProcessors.get(call.callerVp);
  if (vp instanceof VirtualProcessor) vp.yieldTurn();
}

function postDebugData(call: HypercallCall): number {
  const session = sessionOf(call);
  if (typeof session === 'number') return session;
  const count = call.u32(0);
  const options = call.u32(4);
  if (count > MAXIMUM_DATA || count > call.inputTail || (options & ~LOOP) !== 0)
    return HvStatus.INVALID_PARAMETER;
  if (!session.post(call.inputBytes(call.headerBytes, count))) {
    if ((options & LOOP) !== 0) yieldTurn(call);
    return HvStatus.INSUFFICIENT_BUFFERS;
  }
  call.putU32(0, session.pending);
  return HvStatus.SUCCESS;
}

function retrieveDebugData(call: HypercallCall): number {
  const session = sessionOf(call);
  if (typeof session === 'number') return session;
  const count = call.u32(0);
  const options = call.u32(4);
  const known = (options & ~(LOOP | TEST_ACTIVITY)) === 0;
  if (count > MAXIMUM_DATA || count > call.outputRoom || !known) return HvStatus.INVALID_PARAMETER;
  const active = session.active;
  session.note();
  if ((options & TEST_ACTIVITY) !== 0 && !active) return HvStatus.INACTIVE;
  if (session.available === 0) {
    if ((options & LOOP) !== 0) yieldTurn(call);
    return HvStatus.NO_DATA;
  }
  const data = session.retrieve(count);
  call.putU32(0, data.length);
  call.putU32(4, session.available);
  call.putTail(data);
  return HvStatus.SUCCESS;
}

function resetDebugSession(call: HypercallCall): number {
  const session = sessionOf(call);
  if (typeof session === 'number') return session;
  const options = call.u32(0);
  if (options === 0 || (options & ~(Purge.Incoming | Purge.Outgoing)) !== 0)
    return HvStatus.INVALID_PARAMETER;
  const purged = session.purge((options & Purge.Incoming) !== 0, (options & Purge.Outgoing) !== 0);
  return purged === 0 ? HvStatus.NO_DATA : HvStatus.SUCCESS;
}

export const debugHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.PostDebugData, handle: postDebugData },
  { code: HypercallCode.RetrieveDebugData, handle: retrieveDebugData },
  { code: HypercallCode.ResetDebugSession, handle: resetDebugSession },
];
