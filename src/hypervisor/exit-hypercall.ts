/**
 * VMCALL and VMMCALL: who may call (TLFS 2.0a §4.5), how registers become a request and a result becomes registers
 * (§4.7, §4.8), and continuation by executing the instruction again (§4.3). What a call does is the
 * dispatcher's.
 *
 *               64-bit caller      32-bit caller
 *   input       RCX                EDX:EAX
 *   first       RDX                EBX:ECX          input GPA, or bytes 0..7 of a fast call
 *   second      R8                 EDI:ESI          output GPA, or bytes 8..15
 *   result      RAX                EDX:EAX
 *
 * Chosen: the instruction is accepted from anywhere, not only from the hypercall page (§4.5 leaves it open).
 */
import { type Processor, Segment } from '../cpu/processor.ts';
import { XMM } from '../cpu/state-layout.ts';
import { Vector } from './exit-context.ts';
import { raiseException } from './exit-exception.ts';
import { type MemoryExitContext, refuseMemoryAccess } from './exit-memory.ts';
import { Dispatched, type HypercallEntry, type HypercallRequest, resultValue } from './hypercall-request.ts';
import { currentPrivilegeLevel } from './intercept-message.ts';

export interface HypercallExitContext extends MemoryExitContext {
  readonly hypercalls: HypercallEntry;
  readonly request: HypercallRequest;
}

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSI = 6;
const RDI = 7;
const R8 = 8;
const EFER = 0xc000_0080;
const EFER_LMA = 1n << 10n;
const CS_LONG = 1 << 13;
const CR0_PE = 1n;
const RFLAGS_VM = 1n << 17n;
const LOW = 0xffff_ffffn;
/** Fast bit of the input value. */
const FAST = 1 << 16;
const REP_START_SHIFT = 48n;
const REP_START_MASK = 0xfffn << REP_START_SHIFT;
const CALL_CODE_MASK = 0xffff;

export function handleHypercallExit(vp: HypercallExitContext): void {
  const { processor, request } = vp;
  if (!mayCall(processor)) {
    raiseException(vp, Vector.InvalidOpcode);
    return;
  }
  const wide = isWideCaller(processor);
  const input = readPair(processor, wide, RCX, RDX, RAX);
  const first = readPair(processor, wide, RDX, RBX, RCX);
  const second = readPair(processor, wide, R8, RDI, RSI);
  request.controlLow = Number(input & LOW);
  request.controlHigh = Number(input >> 32n);
  const fast = (request.controlLow & FAST) !== 0;
  if (fast) {
    loadFastBlock(vp, first, second);
  } else {
    request.inputGpa = Number(first);
    request.outputGpa = Number(second);
  }
  switch (vp.hypercalls.dispatch(request)) {
    case Dispatched.Done:
      vp.counters.countHypercall(request.controlLow & CALL_CODE_MASK, request.resultStatus);
      if (fast && request.fastOutputEnd > request.fastOutputStart) storeFastOutput(vp, wide);
      writePair(processor, wide, RAX, RDX, RAX, resultValue(request));
      processor.completeInstruction();
      break;
    case Dispatched.Continue: {
      const start = BigInt(request.repsCompleted) << REP_START_SHIFT;
      writePair(processor, wide, RCX, RDX, RAX, (input & ~REP_START_MASK) | start);
      break;
    }
    case Dispatched.MemoryIntercept:
      refuseMemoryAccess(vp, request.interceptGpa, undefined, request.interceptAccess);
      break;
    case Dispatched.UndefinedOpcode:
      raiseException(vp, Vector.InvalidOpcode);
      break;
  }
}

/** Protected mode at privilege level 0 (§4.5). */
function mayCall(processor: Processor): boolean {
  return (
    (processor.getControl(0) & CR0_PE) !== 0n &&
    (processor.getRflags() & RFLAGS_VM) === 0n &&
    currentPrivilegeLevel(processor) === 0
  );
}

function isWideCaller(processor: Processor): boolean {
  return (
    ((processor.getMsr(EFER) ?? 0n) & EFER_LMA) !== 0n &&
    (processor.getSegment(Segment.CS).attributes & CS_LONG) !== 0
  );
}

function readPair(processor: Processor, wide: boolean, whole: number, high: number, low: number): bigint {
  if (wide) return processor.getGpr(whole);
  return ((processor.getGpr(high) & LOW) << 32n) | (processor.getGpr(low) & LOW);
}

function writePair(
  processor: Processor,
  wide: boolean,
  whole: number,
  high: number,
  low: number,
  value: bigint,
): void {
  if (wide) {
    processor.setGpr(whole, value);
    return;
  }
  processor.setGpr(high, value >> 32n);
  processor.setGpr(low, value & LOW);
}

/** RDX, R8 and XMM0..5, whatever the call uses of them. */
function loadFastBlock(vp: HypercallExitContext, first: bigint, second: bigint): void {
  const block = vp.request.fastBlock;
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  view.setBigUint64(0, first, true);
  view.setBigUint64(8, second, true);
  const xmm = vp.processor.stateAddress + XMM;
  block.set(vp.partition.machine.memory.bytes.subarray(xmm, xmm + block.length - 16), 16);
}

/** Output of a fast call goes back into the registers behind its input. */
function storeFastOutput(vp: HypercallExitContext, wide: boolean): void {
  const { fastBlock, fastOutputStart, fastOutputEnd } = vp.request;
  const view = new DataView(fastBlock.buffer, fastBlock.byteOffset, fastBlock.byteLength);
  if (fastOutputStart < 8) writePair(vp.processor, wide, RDX, RBX, RCX, view.getBigUint64(0, true));
  if (fastOutputStart < 16 && fastOutputEnd > 8) {
    writePair(vp.processor, wide, R8, RDI, RSI, view.getBigUint64(8, true));
  }
  const start = Math.max(fastOutputStart, 16);
  if (fastOutputEnd <= start) return;
  const xmm = vp.processor.stateAddress + XMM - 16;
  vp.partition.machine.memory.bytes.set(fastBlock.subarray(start, fastOutputEnd), xmm + start);
}
