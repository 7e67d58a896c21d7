/** Far JMP, CALL, RET and IRET to code segments (SDM vol. 2; vol. 3 §5.8). Call gates and task gates are refused with #GP. */
import { VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { EXIT_MARK } from '../paging.ts';
import { Attention, Segment } from '../processor.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import { type Bytes, type Core, cut, isCanonical } from './core.ts';
import { TrapPending } from './debug-exceptions.ts';
import {
  type Descriptor,
  dplOf,
  dropInnerSegments,
  isCode,
  isConforming,
  isPresent,
  isSystem,
  readDescriptor,
  setAccessed,
} from './descriptors.ts';

const RSP = 4;
const RPL = 3;

/** A code segment that the current privilege may transfer to directly, or undefined with a fault pending. */
function directTarget(core: Core, selector: number): Descriptor | undefined {
  const { state } = core;
  const error = selector & 0xfffc;
  const refuse = (vector: number, code: number): undefined => {
    core.fault(vector, code);
    return undefined;
  };
  if (error === 0) return refuse(VECTOR.GP, 0);
  const cs = readDescriptor(core, selector);
  if (!cs) return undefined;
  const { attributes } = cs;
  if (isSystem(attributes) || !isCode(attributes)) return refuse(VECTOR.GP, error);
  const dpl = dplOf(attributes);
  const allowed = isConforming(attributes)
    ? dpl <= state.cpl
    : (selector & RPL) <= state.cpl && dpl === state.cpl;
  if (!allowed) return refuse(VECTOR.GP, error);
  if (state.longMode && (attributes & 0x6000) === 0x6000) return refuse(VECTOR.GP, error);
  if (!isPresent(attributes)) return refuse(VECTOR.NP, error);
  return setAccessed(core, cs) ? cs : undefined;
}

/** Whether RIP may be `offset` in `cs`; #GP(0) pending if not. */
function offsetFits(core: Core, cs: Descriptor, offset: bigint): boolean {
  const is64 = core.state.longMode && (cs.attributes & 0x2000) !== 0;
  if (is64 ? isCanonical(offset) : offset <= BigInt(cs.limit)) return true;
  core.fault(VECTOR.GP, 0);
  return false;
}

function enterCode(core: Core, cs: Descriptor, offset: bigint, cpl: number): void {
  const { state } = core;
  state.setSegment(Segment.CS, { ...cs, selector: (cs.selector & 0xfffc) | cpl });
  state.set32(S.CPL, cpl);
  state.rip = offset;
  state.refresh();
}

const isReal = (core: Core): boolean => !core.state.protectedMode || core.state.virtual8086;

function enterReal(core: Core, selector: number, offset: bigint): void {
  const { state } = core;
  state.setSegment(Segment.CS, { ...state.segment(Segment.CS), selector, base: BigInt(selector) << 4n });
  state.rip = offset;
  state.refresh();
}

const farOperand = (core: Core, bits: number): { selector: number; offset: bigint } => ({
  selector: Number(core.state.get64(S.SCRATCH + 8) & 0xffffn),
  offset: cut(core.state.get64(S.SCRATCH), bits),
});

export function jumpFar(core: Core, bits: number): number {
  const { selector, offset } = farOperand(core, bits);
  if (isReal(core)) {
    enterReal(core, selector, offset);
    return Status.Jumped;
  }
  const cs = directTarget(core, selector);
  if (!cs || !offsetFits(core, cs, offset)) return Status.Leave;
  enterCode(core, cs, offset, core.state.cpl);
  return Status.Jumped;
}

/** The stack as far CALL and RET use it: base, width of the pointer, and pushing on it. */
function stackOf(core: Core): { base: bigint; width: number; pointer: bigint } {
  const { state } = core;
  if (state.code64) return { base: 0n, width: 64, pointer: state.gpr(RSP) };
  const ss = state.segment(Segment.SS);
  const width = ss.attributes & 0x4000 ? 32 : 16;
  return { base: ss.base, width, pointer: cut(state.gpr(RSP), width) };
}

function setStackPointer(core: Core, value: bigint, width: number): void {
  const { state } = core;
  const kept = width === 16 ? state.gpr(RSP) & ~0xffffn : 0n;
  state.setGpr(RSP, kept | cut(value, width));
}

export function callFar(core: Core, bits: number): number {
  const { state } = core;
  const { selector, offset } = farOperand(core, bits);
  const real = isReal(core);
  const cs = real ? undefined : directTarget(core, selector);
  if (!real && (!cs || !offsetFits(core, cs, offset))) return Status.Leave;
  const size = (bits / 8) as Bytes;
  const { base, width, pointer } = stackOf(core);
  const frame = [BigInt(state.segment(Segment.CS).selector), core.nextRip];
  if (!core.pushAll(base + pointer, size, frame, state.cpl === 3)) return Status.Leave;
  setStackPointer(core, pointer - BigInt(2 * size), width);
  if (cs) enterCode(core, cs, offset, state.cpl);
  else enterReal(core, selector, offset);
  return Status.Jumped;
}

/** The code segment that a far return or IRET goes back to: same or outer privilege. */
function returnTarget(core: Core, selector: number): Descriptor | undefined {
  const error = selector & 0xfffc;
  const refuse = (vector: number, code: number): undefined => {
    core.fault(vector, code);
    return undefined;
  };
  if (error === 0) return refuse(VECTOR.GP, 0);
  const cs = readDescriptor(core, selector);
  if (!cs) return undefined;
  const rpl = selector & RPL;
  const dpl = dplOf(cs.attributes);
  const type = !isSystem(cs.attributes) && isCode(cs.attributes);
  const privilege = isConforming(cs.attributes) ? dpl <= rpl : dpl === rpl;
  if (!type || rpl < core.state.cpl || !privilege) return refuse(VECTOR.GP, error);
  if (!isPresent(cs.attributes)) return refuse(VECTOR.NP, error);
  return cs;
}

/** SS for a return to privilege `cpl`; null is fine for 64-bit code outside ring 3. */
function returnStack(core: Core, selector: number, cpl: number, cs: Descriptor): Descriptor | undefined {
  const error = selector & 0xfffc;
  if (error === 0) {
    const is64 = core.state.longMode && (cs.attributes & 0x2000) !== 0;
    if (is64 && cpl !== 3) return { selector, base: 0n, limit: 0, attributes: cpl << 5, at: 0n, raw: 0n };
    core.fault(VECTOR.GP, 0);
    return undefined;
  }
  const ss = readDescriptor(core, selector);
  if (!ss) return undefined;
  const { attributes } = ss;
  const writable = !isSystem(attributes) && !isCode(attributes) && (attributes & 2) !== 0;
  if ((selector & RPL) !== cpl || dplOf(attributes) !== cpl || !writable) {
    core.fault(VECTOR.GP, error);
    return undefined;
  }
  if (!isPresent(attributes)) {
    core.fault(VECTOR.SS, error);
    return undefined;
  }
  return setAccessed(core, ss) ? ss : undefined;
}

export function returnFar(core: Core, bits: number): number {
  const { state } = core;
  const size = (bits / 8) as Bytes;
  const release = state.get64(S.SCRATCH) & 0xffffn;
  const { base, width, pointer } = stackOf(core);
  const user = state.cpl === 3;
  const words = core.readAll(base + pointer, size, 2, user);
  if (!words) return Status.Leave;
  const offset = words[0]!;
  const selector = Number(words[1]! & 0xffffn);
  if (isReal(core)) {
    enterReal(core, selector, offset);
    setStackPointer(core, pointer + BigInt(2 * size) + release, width);
    return Status.Jumped;
  }
  const cs = returnTarget(core, selector);
  if (!cs || !offsetFits(core, cs, offset)) return Status.Leave;
  const cpl = selector & RPL;
  if (cpl === state.cpl) {
    if (!setAccessed(core, cs)) return Status.Leave;
    enterCode(core, cs, offset, cpl);
    setStackPointer(core, pointer + BigInt(2 * size) + release, width);
    return Status.Jumped;
  }
  const outer = core.readAll(base + cut(pointer + BigInt(2 * size) + release, width), size, 2, user);
  if (!outer) return Status.Leave;
  const ss = returnStack(core, Number(outer[1]! & 0xffffn), cpl, cs);
  if (!ss || !setAccessed(core, cs)) return Status.Leave;
  state.setSegment(Segment.SS, ss);
  enterCode(core, cs, offset, cpl);
  setStackPointer(core, outer[0]! + release, state.code64 ? 64 : ss.attributes & 0x4000 ? 32 : 16);
  dropInnerSegments(core);
  state.refresh();
  return Status.Jumped;
}

/** Flag bits that IRET may change at the old privilege. */
function restoredFlags(core: Core, image: number, bits: number): number {
  const { state } = core;
  const old = state.rflags;
  const iopl = (old >> 12) & 3;
  let writable: number =
    FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT;
  if (bits > 16) writable |= FLAG.RF | FLAG.AC | FLAG.ID;
  if (state.cpl <= iopl) writable |= FLAG.IF;
  if (state.cpl === 0) {
    writable |= FLAG.IOPL;
    if (bits > 16) writable |= FLAG.VIF | FLAG.VIP;
  }
  return (old & ~writable) | (image & writable);
}

function returnReal(core: Core, bits: number): number {
  const { state } = core;
  if (state.virtual8086 && ((state.rflags >> 12) & 3) < 3) return core.fault(VECTOR.GP, 0);
  const size = (bits / 8) as Bytes;
  const { base, width, pointer } = stackOf(core);
  const words = core.readAll(base + pointer, size, 3, state.cpl === 3);
  if (!words) return Status.Leave;
  const kept = state.virtual8086 ? FLAG.IOPL | FLAG.VM : FLAG.VM;
  const flags = restoredFlags(core, Number(words[2]! & 0xffffffffn), bits);
  state.rflags = (flags & ~kept) | (state.rflags & kept);
  enterReal(core, Number(words[1]! & 0xffffn), words[0]!);
  setStackPointer(core, pointer + BigInt(3 * size), width);
  return Status.Jumped;
}

function returnToVirtual8086(core: Core, words: bigint[], from: bigint): number {
  const { state } = core;
  const more = core.readAll(from, 4, 6, false);
  if (!more) return Status.Leave;
  state.rflags = Number(words[2]! & 0xffffffffn) | FLAG.VM;
  state.set32(S.CPL, 3);
  const load = (index: number, selector: bigint): void =>
    state.setSegment(index, {
      selector: Number(selector & 0xffffn),
      base: (selector & 0xffffn) << 4n,
      limit: 0xffff,
      attributes: 0xf3,
    });
  load(Segment.CS, words[1]!);
  load(Segment.SS, more[1]!);
  load(Segment.ES, more[2]!);
  load(Segment.DS, more[3]!);
  load(Segment.FS, more[4]!);
  load(Segment.GS, more[5]!);
  state.setGpr(RSP, more[0]! & 0xffffffffn);
  state.rip = words[0]! & 0xffffn;
  state.refresh();
  return Status.Jumped;
}

export function interruptReturn(core: Core, bits: number): number {
  const status = popFrame(core, bits);
  // RF as IRET sets it holds for the instruction that it returns to.
  const { state } = core;
  if (status === Status.Jumped)
    state.set32(S.TRAP_PENDING, state.get32(S.TRAP_PENDING) & ~TrapPending.Resumed);
  // Even an IRET that faults lets NMIs in again; one that exits was not executed.
  if (
    state.get32(S.NMI_MASKED) !== 0 &&
    (status === Status.Jumped || state.get32(S.FAULT_VECTOR) < EXIT_MARK)
  ) {
    state.set32(S.NMI_MASKED, 0);
    state.raiseAttention(Attention.Stop);
  }
  return status;
}

function popFrame(core: Core, bits: number): number {
  const { state } = core;
  if (isReal(core)) return returnReal(core, bits);
  if (state.rflags & FLAG.NT) return core.fault(VECTOR.GP, 0);
  const size = (bits / 8) as Bytes;
  const { base, width, pointer } = stackOf(core);
  const user = state.cpl === 3;
  const words = core.readAll(base + pointer, size, 3, user);
  if (!words) return Status.Leave;
  const image = Number(words[2]! & 0xffffffffn);
  if (image & FLAG.VM && state.cpl === 0 && bits === 32 && !state.longMode)
    return returnToVirtual8086(core, words, base + cut(pointer + 12n, width));
  const selector = Number(words[1]! & 0xffffn);
  const cs = returnTarget(core, selector);
  if (!cs || !offsetFits(core, cs, words[0]!)) return Status.Leave;
  const cpl = selector & RPL;
  const flags = restoredFlags(core, image, bits);
  // 64-bit code always pops SS:RSP.
  if (cpl === state.cpl && !state.code64) {
    if (!setAccessed(core, cs)) return Status.Leave;
    state.rflags = flags;
    enterCode(core, cs, words[0]!, cpl);
    setStackPointer(core, pointer + BigInt(3 * size), width);
    return Status.Jumped;
  }
  const outer = core.readAll(base + cut(pointer + BigInt(3 * size), width), size, 2, user);
  if (!outer) return Status.Leave;
  const ss = returnStack(core, Number(outer[1]! & 0xffffn), cpl, cs);
  if (!ss || !setAccessed(core, cs)) return Status.Leave;
  const leaving = cpl !== state.cpl;
  state.setSegment(Segment.SS, ss);
  state.rflags = flags;
  enterCode(core, cs, words[0]!, cpl);
  setStackPointer(core, outer[0]!, state.code64 || state.longMode ? 64 : ss.attributes & 0x4000 ? 32 : 16);
  if (leaving) {
    dropInnerSegments(core);
    state.refresh();
  }
  return Status.Jumped;
}
