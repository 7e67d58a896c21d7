/**
 * Delivery of interrupts and exceptions through the IDT (SDM vol. 3 §6), or the vector table of real mode
 * (§20.1.4). Delivery either happens whole or leaves a fault pending; what that fault turns into (double fault,
 * triple fault) is decided in `deliverException`.
 */
import { HAS_ERROR_CODE, VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { EXIT_MARK, NON_CANONICAL } from '../paging.ts';
import { Segment } from '../processor.ts';
import * as S from '../state-layout.ts';
import { type Bytes, type Core, cut, isCanonical } from './core.ts';
import { endGeneralDetect } from './debug-exceptions.ts';
import {
  type Descriptor,
  dplOf,
  isCode,
  isConforming,
  isPresent,
  isSystem,
  readDescriptor,
} from './descriptors.ts';

/** What caused the delivery: decides about the gate's privilege check and the EXT bit of nested faults. */
export type Cause = 'software' | 'exception' | 'external';

interface Gate {
  selector: number;
  offset: bigint;
  type: number;
  ist: number;
}

const idtError = (vector: number, cause: Cause): number => vector * 8 + 2 + (cause === 'software' ? 0 : 1);

function readGate(core: Core, vector: number, cause: Cause): Gate | undefined {
  const { state } = core;
  const long = state.longMode;
  const size = long ? 16 : 8;
  const error = idtError(vector, cause);
  if (vector * size + size - 1 > state.get32(S.IDTR + 8) >>> 0) {
    core.fault(VECTOR.GP, error);
    return undefined;
  }
  const words = core.readAll(state.get64(S.IDTR) + BigInt(vector * size), 8, size / 8, false);
  if (!words) return undefined;
  const low = words[0]!;
  const attributes = Number((low >> 40n) & 0xffn);
  const type = attributes & 0x1f;
  const valid = long
    ? type === 0xe || type === 0xf
    : type === 5 || type === 6 || type === 7 || type === 0xe || type === 0xf;
  if (!valid || (cause === 'software' && dplOf(attributes) < state.cpl)) {
    core.fault(VECTOR.GP, error);
    return undefined;
  }
  if ((attributes & 0x80) === 0) {
    core.fault(VECTOR.NP, error);
    return undefined;
  }
  const wide = type >= 0xe ? (low >> 32n) & 0xffff0000n : 0n;
  const high = long ? (words[1]! & 0xffffffffn) << 32n : 0n;
  return {
    selector: Number((low >> 16n) & 0xffffn),
    offset: (low & 0xffffn) | wide | high,
    type,
    ist: long ? Number((low >> 32n) & 7n) : 0,
  };
}

function readHandlerSegment(core: Core, gate: Gate, cause: Cause): Descriptor | undefined {
  const ext = cause === 'software' ? 0 : 1;
  const error = (gate.selector & 0xfffc) + ext;
  if ((gate.selector & 0xfffc) === 0) {
    core.fault(VECTOR.GP, ext);
    return undefined;
  }
  const cs = readDescriptor(core, gate.selector);
  if (!cs) {
    if (core.state.get32(S.FAULT_VECTOR) === VECTOR.GP + 1) core.fault(VECTOR.GP, error);
    return undefined;
  }
  const { attributes } = cs;
  const is64 = (attributes & 0x2000) !== 0 && (attributes & 0x4000) === 0;
  const ok =
    !isSystem(attributes) &&
    isCode(attributes) &&
    dplOf(attributes) <= core.state.cpl &&
    (!core.state.longMode || is64);
  if (!ok) {
    core.fault(VECTOR.GP, error);
    return undefined;
  }
  if (!isPresent(attributes)) {
    core.fault(VECTOR.NP, error);
    return undefined;
  }
  return cs;
}

/** RSP for privilege `level`, or interrupt stack `ist`, from the 64-bit task state segment. */
export function taskStack64(core: Core, level: number, ist: number): bigint | undefined {
  const tr = core.state.segment(Segment.TR);
  const offset = ist > 0 ? 0x24 + (ist - 1) * 8 : 4 + level * 8;
  if (offset + 7 > tr.limit) {
    core.fault(VECTOR.TS, tr.selector & 0xfffc);
    return undefined;
  }
  const rsp = core.readSystem(tr.base + BigInt(offset), 8);
  if (rsp === undefined) return undefined;
  if (!isCanonical(rsp)) {
    core.fault(VECTOR.SS, 0);
    return undefined;
  }
  return rsp;
}

/** Flags as the handler starts with them. */
const handlerFlags = (flags: number, interruptGate: boolean): number =>
  flags & ~(FLAG.TF | FLAG.NT | FLAG.RF | FLAG.VM | (interruptGate ? FLAG.IF : 0));

function deliver64(
  core: Core,
  gate: Gate,
  cs: Descriptor,
  error: number | undefined,
  rflags: number,
): boolean {
  const { state } = core;
  const target = isConforming(cs.attributes) ? state.cpl : dplOf(cs.attributes);
  const inner = target < state.cpl;
  let rsp = state.gpr(4);
  if (inner || gate.ist > 0) {
    const stack = taskStack64(core, target, gate.ist);
    if (stack === undefined) return false;
    rsp = stack;
  }
  rsp &= ~0xfn;
  if (!isCanonical(gate.offset)) {
    core.fault(VECTOR.GP, 0);
    return false;
  }
  const ss = state.segment(Segment.SS);
  const frame = [
    BigInt(ss.selector),
    state.gpr(4),
    BigInt(rflags >>> 0),
    BigInt(state.segment(Segment.CS).selector),
    state.rip,
  ];
  if (error !== undefined) frame.push(BigInt(error));
  if (!core.pushAll(rsp, 8, frame, target === 3)) return false;
  state.setGpr(4, rsp - BigInt(8 * frame.length));
  if (inner) state.setSegment(Segment.SS, { selector: target, base: 0n, limit: 0, attributes: target << 5 });
  enterHandler(core, gate, cs, target, rflags);
  return true;
}

function enterHandler(core: Core, gate: Gate, cs: Descriptor, cpl: number, rflags: number): void {
  const { state } = core;
  state.setSegment(Segment.CS, { ...cs, selector: (cs.selector & 0xfffc) | cpl });
  state.rip = gate.offset;
  state.set32(S.CPL, cpl);
  state.rflags = handlerFlags(rflags, (gate.type & 1) === 0);
  state.set32(S.INTERRUPT_SHADOW, 0);
}

interface Stack {
  ss: Descriptor | undefined;
  base: bigint;
  /** Width of the stack pointer in bits. */
  bits: 16 | 32;
  pointer: bigint;
}

/** The inner stack of a legacy privilege change, from the 16- or 32-bit task state segment. */
export function taskStack32(core: Core, level: number): Stack | undefined {
  const tr = core.state.segment(Segment.TR);
  const wide = (tr.attributes & 8) !== 0;
  const offset = wide ? 4 + level * 8 : 2 + level * 4;
  const size: Bytes = wide ? 4 : 2;
  if (offset + size + 1 > tr.limit) {
    core.fault(VECTOR.TS, tr.selector & 0xfffc);
    return undefined;
  }
  const pointer = core.readSystem(tr.base + BigInt(offset), size);
  if (pointer === undefined) return undefined;
  const selector = core.readSystem(tr.base + BigInt(offset + size), 2);
  if (selector === undefined) return undefined;
  const number = Number(selector);
  const error = number & 0xfffc;
  if (error === 0) {
    core.fault(VECTOR.TS, 0);
    return undefined;
  }
  const ss = readDescriptor(core, number, VECTOR.TS);
  if (!ss) return undefined;
  const { attributes } = ss;
  const writableData = !isSystem(attributes) && !isCode(attributes) && (attributes & 2) !== 0;
  if ((number & 3) !== level || dplOf(attributes) !== level || !writableData) {
    core.fault(VECTOR.TS, error);
    return undefined;
  }
  if (!isPresent(attributes)) {
    core.fault(VECTOR.SS, error);
    return undefined;
  }
  return { ss, base: ss.base, bits: attributes & 0x4000 ? 32 : 16, pointer };
}

function currentStack(core: Core): Stack {
  const ss = core.state.segment(Segment.SS);
  return { ss: undefined, base: ss.base, bits: ss.attributes & 0x4000 ? 32 : 16, pointer: core.state.gpr(4) };
}

function deliverLegacy(
  core: Core,
  gate: Gate,
  cs: Descriptor,
  error: number | undefined,
  rflags: number,
): boolean {
  const { state } = core;
  const target = isConforming(cs.attributes) ? state.cpl : dplOf(cs.attributes);
  const fromVirtual = state.virtual8086;
  if (fromVirtual && target !== 0) {
    core.fault(VECTOR.GP, cs.selector & 0xfffc);
    return false;
  }
  const inner = target < state.cpl;
  const stack = inner ? taskStack32(core, target) : currentStack(core);
  if (!stack) return false;
  const size: Bytes = gate.type & 8 ? 4 : 2;
  const frame: bigint[] = [];
  const selectorOf = (index: number): bigint => BigInt(state.segment(index).selector);
  if (fromVirtual)
    for (const k of [Segment.GS, Segment.FS, Segment.DS, Segment.ES]) frame.push(selectorOf(k));
  if (inner) frame.push(selectorOf(Segment.SS), state.gpr(4));
  frame.push(BigInt(rflags >>> 0), selectorOf(Segment.CS), state.rip);
  if (error !== undefined) frame.push(BigInt(error));
  const top = stack.base + cut(stack.pointer, stack.bits);
  if (!core.pushAll(top, size, frame, target === 3)) return false;
  const pointer = stack.pointer - BigInt(size * frame.length);
  const keep = stack.bits === 16 ? state.gpr(4) & ~0xffffn : 0n;
  if (stack.ss) state.setSegment(Segment.SS, stack.ss);
  state.setGpr(4, keep | cut(pointer, stack.bits));
  if (fromVirtual)
    for (const k of [Segment.GS, Segment.FS, Segment.DS, Segment.ES])
      state.setSegment(k, { selector: 0, base: 0n, limit: 0, attributes: 0 });
  enterHandler(core, gate, cs, target, rflags);
  return true;
}

function deliverReal(core: Core, vector: number): boolean {
  const { state } = core;
  const error = vector * 4 + 3 > state.get32(S.IDTR + 8) >>> 0;
  if (error) {
    core.fault(VECTOR.GP);
    return false;
  }
  const entry = core.readSystem(state.get64(S.IDTR) + BigInt(vector * 4), 4);
  if (entry === undefined) return false;
  const { rflags } = state;
  const ss = state.segment(Segment.SS);
  const frame = [BigInt(rflags & 0xffff), BigInt(state.segment(Segment.CS).selector), state.rip & 0xffffn];
  const sp = cut(state.gpr(4), 16);
  if (!core.pushAll(ss.base + sp, 2, frame, false)) return false;
  state.setGpr(4, (state.gpr(4) & ~0xffffn) | cut(sp - 6n, 16));
  const selector = Number(entry >> 16n);
  state.setSegment(Segment.CS, { ...state.segment(Segment.CS), selector, base: BigInt(selector) << 4n });
  state.rip = entry & 0xffffn;
  state.rflags = rflags & ~(FLAG.IF | FLAG.TF | FLAG.AC | FLAG.RF);
  state.set32(S.INTERRUPT_SHADOW, 0);
  return true;
}

/** Delivers `vector` with RIP as the return address. False: a fault (or an exit) is pending and nothing changed. */
export function deliver(core: Core, vector: number, cause: Cause, error?: number): boolean {
  const { state } = core;
  if (!state.protectedMode) {
    if (!deliverReal(core, vector)) return false;
    endDebugTraps(core, vector, cause);
    return true;
  }
  // RF is set in the image that faults push, so that a breakpoint does not hit twice.
  const faulting =
    cause === 'exception' && vector !== VECTOR.DB && vector !== VECTOR.BP && vector !== VECTOR.OF;
  const addedFlags = faulting ? FLAG.RF : 0;
  const ordinary = cause !== 'software' && vector !== VECTOR.DB;
  if (ordinary && core.deliverLong(vector, error, addedFlags)) return true;
  const gate = readGate(core, vector, cause);
  if (!gate) return false;
  const cs = readHandlerSegment(core, gate, cause);
  if (!cs) return false;
  const rflags = state.rflags | addedFlags;
  const run = state.longMode ? deliver64 : deliverLegacy;
  if (!run(core, gate, cs, error, rflags)) return false;
  endDebugTraps(core, vector, cause);
  return true;
}

/** What a delivery does to waiting debug traps: INT n lets data breakpoints wait for the handler. */
function endDebugTraps({ state }: Core, vector: number, cause: Cause): void {
  state.set32(S.TRAP_PENDING, 0);
  if (cause !== 'software') state.set32(S.DEBUG_HITS, 0);
  if (vector === VECTOR.DB && cause === 'exception') endGeneralDetect(state);
  state.refresh();
}

const CONTRIBUTORY = new Set<number>([VECTOR.DE, VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP]);

/** SDM vol. 3 table 6-5. */
function makesDoubleFault(first: number, second: number): boolean {
  const contributory = CONTRIBUTORY.has(second);
  if (first === VECTOR.PF) return contributory || second === VECTOR.PF;
  return CONTRIBUTORY.has(first) && contributory;
}

/** 'delivered'; 'shutdown': a fault while delivering a double fault; 'exit': an intercept stopped the delivery. */
export type Delivery = 'delivered' | 'shutdown' | 'exit';

/** Delivers an exception, and the faults that its delivery meets. */
export function deliverException(core: Core, vector: number, error: number | undefined): Delivery {
  const { state } = core;
  let current = vector;
  let code = HAS_ERROR_CODE.has(vector) && state.protectedMode ? (error ?? 0) : undefined;
  for (let depth = 0; depth < 8; depth++) {
    if (current === VECTOR.PF) state.set64(S.CR2, state.get64(S.FAULT_ADDRESS));
    state.set32(S.FAULT_VECTOR, 0);
    if (deliver(core, current, 'exception', code)) return 'delivered';
    const pending = state.get32(S.FAULT_VECTOR);
    if (pending >= EXIT_MARK) return 'exit';
    if (current === VECTOR.DF) return 'shutdown';
    // A stack that is not canonical: deliveries push through SS.
    const second = pending - 1 === NON_CANONICAL ? VECTOR.SS : pending - 1;
    const secondError = state.get32(S.FAULT_ERROR);
    if (makesDoubleFault(current, second)) {
      current = VECTOR.DF;
      code = state.protectedMode ? 0 : undefined;
    } else {
      current = second;
      code = HAS_ERROR_CODE.has(second) && state.protectedMode ? secondError : undefined;
    }
  }
  return 'shutdown';
}
