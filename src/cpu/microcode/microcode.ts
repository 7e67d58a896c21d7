/** The microcode's dispatch: one entry per operation of operations.ts. */
import { VECTOR } from '../../x86/exceptions.ts';
import { EXIT_MARK, NO_ADDRESS } from '../paging.ts';
import { Access, Exit, Segment } from '../processor.ts';
import { RECORD_IMMEDIATE } from '../record.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import type { ControlEffects } from './control-registers.ts';
import * as control from './control-registers.ts';
import { type Core, type InterpreterExports, isCanonical } from './core.ts';
import { boundary, noteAccess, SHADOW_OF_STACK_LOAD, watchesPage } from './debug-exceptions.ts';
import { decimalAdjust } from './decimal.ts';
import { loadAccessRights, loadLdt, loadLimit, loadSegment, loadTask, verify } from './descriptors.ts';
import { divideSigned, divideUnsigned } from './division.ts';
import { callFar, interruptReturn, jumpFar, returnFar } from './far-transfers.ts';
import type { FloatingState } from './floating-state.ts';
import { deliver } from './interrupt-delivery.ts';
import { type MsrContext, readMsr, writeMsr } from './msrs.ts';
import { Operation } from './operations.ts';
import { preciseFloat } from './precise-float.ts';
import { enter, popAllRegisters, pushAllRegisters } from './stack-frames.ts';
import { compareStrings } from './string-compare.ts';
import { syscall, sysenter, sysexit, sysret } from './system-calls.ts';

export interface MicrocodeContext {
  core: Core;
  effects: ControlEffects & { flushTlbPage(va: bigint): void };
  floating: FloatingState;
  msrs: MsrContext;
  exports: () => InterpreterExports;
  /** Port accesses are described here for the host. */
  notePort(port: number, size: number, write: boolean, string: boolean, rep: boolean): void;
  noteMsr(msr: number): void;
  /** Forgets decoded code at RIP. */
  dropCodeAtRip(): void;
  /** True if the host intercepts the exception; the details are noted then. */
  interceptException(vector: number): boolean;
}

type Handler = (bits: number, argument: number) => number;

/** Asks run() to return; the instruction is not done. */
function exit({ core }: MicrocodeContext, reason: number): number {
  core.state.set32(S.FAULT_VECTOR, EXIT_MARK + reason);
  return Status.Leave;
}

const scratch = (c: MicrocodeContext): bigint => c.core.state.get64(S.SCRATCH);
const selectorIn = (c: MicrocodeContext): number => Number(scratch(c) & 0xffffn);

/** As a jump to the next instruction when the operation succeeded: mode may have changed. */
function thenNext({ core }: MicrocodeContext, status: number): number {
  if (status !== Status.Next) return status;
  core.state.rip = core.nextRip;
  return Status.Jumped;
}

/** After MOV or POP to SS: interrupts and debug exceptions wait for one more instruction. */
function holdInterrupts({ core }: MicrocodeContext): void {
  core.state.set32(S.INTERRUPT_SHADOW, SHADOW_OF_STACK_LOAD);
  core.state.refresh();
}

function segmentLoads(c: MicrocodeContext): Record<number, Handler> {
  const { core } = c;
  const load = (index: number): number => {
    const status = loadSegment(core, index, selectorIn(c));
    if (status === Status.Next && index === Segment.SS) holdInterrupts(c);
    return status;
  };
  return {
    [Operation.LoadSegment]: (_bits, index) =>
      index === Segment.CS ? core.fault(VECTOR.UD) : thenNext(c, load(index)),
    [Operation.PopSegment]: (_bits, index) => {
      const after = core.state.get64(S.SCRATCH + 8);
      const status = load(index);
      if (status === Status.Next) core.state.setGpr(4, after);
      return thenNext(c, status);
    },
    [Operation.LoadFarPointer]: (bits, argument) => {
      const offset = core.state.get64(S.SCRATCH + 0x100);
      const status = loadSegment(core, argument & 0xff, selectorIn(c));
      if (status !== Status.Next) return status;
      const place = argument >>> 8;
      if (bits === 16) core.state.set16(place, Number(offset & 0xffffn));
      else core.state.set64(place, offset);
      return thenNext(c, status);
    },
    [Operation.LoadLdt]: () => loadLdt(core, selectorIn(c)),
    [Operation.LoadTask]: () => loadTask(core, selectorIn(c)),
    [Operation.LoadGdt]: () => loadTable(c, S.GDTR),
    [Operation.LoadIdt]: () => loadTable(c, S.IDTR),
    [Operation.LoadAccessRights]: () => query(c, loadAccessRights(core, selectorIn(c))),
    [Operation.LoadLimit]: () => query(c, loadLimit(core, selectorIn(c))),
    [Operation.VerifyRead]: () => query(c, verify(false)(core, selectorIn(c))),
    [Operation.VerifyWrite]: () => query(c, verify(true)(core, selectorIn(c))),
  };
}

function loadTable({ core }: MicrocodeContext, table: number): number {
  if (core.state.code64 && !isCanonical(core.state.get64(S.SCRATCH + 8))) return core.fault(VECTOR.GP, 0);
  core.state.set32(table + 8, Number(core.state.get64(S.SCRATCH) & 0xffffn));
  core.state.set64(table, core.state.get64(S.SCRATCH + 8));
  return Status.Next;
}

function query({ core }: MicrocodeContext, answer: { ok: boolean; value: bigint } | undefined): number {
  if (!answer) return Status.Leave;
  core.state.set64(S.SCRATCH + 8, answer.value);
  core.state.set32(S.SCRATCH + 16, answer.ok ? 1 : 0);
  return Status.Next;
}

/** INT n, INT3, INTO, INT1: the return address is the next instruction. */
function softwareInterrupt(c: MicrocodeContext, vector: number, cause: 'software' | 'exception'): number {
  const { core } = c;
  const { state } = core;
  const { rip } = state;
  if (state.virtual8086 && cause === 'software' && ((state.rflags >> 12) & 3) < 3)
    return core.fault(VECTOR.GP, 0);
  state.rip = core.nextRip;
  if (deliver(core, vector, cause)) return Status.Jumped;
  state.rip = rip;
  return Status.Leave;
}

/** INT3, INTO and INT1 are exceptions to whoever intercepts these; INT n is not. */
function softwareException(c: MicrocodeContext, vector: number, cause: 'software' | 'exception'): number {
  return c.interceptException(vector) ? exit(c, Exit.Exception) : softwareInterrupt(c, vector, cause);
}

function transfers(c: MicrocodeContext): Record<number, Handler> {
  const { core } = c;
  return {
    [Operation.JumpFar]: (bits) => jumpFar(core, bits),
    [Operation.CallFar]: (bits) => callFar(core, bits),
    [Operation.ReturnFar]: (bits) => returnFar(core, bits),
    [Operation.InterruptReturn]: (bits) => interruptReturn(core, bits),
    [Operation.SoftwareInterrupt]: () => softwareInterrupt(c, Number(scratch(c) & 0xffn), 'software'),
    [Operation.Breakpoint]: () => softwareException(c, VECTOR.BP, 'software'),
    [Operation.Overflow]: () => softwareException(c, VECTOR.OF, 'software'),
    [Operation.DebugTrap]: () => softwareException(c, VECTOR.DB, 'exception'),
    [Operation.Syscall]: () => syscall(core),
    [Operation.Sysret]: (bits) => sysret(core, bits),
    [Operation.Sysenter]: () => sysenter(core),
    [Operation.Sysexit]: (bits) => sysexit(core, bits),
    [Operation.Enter]: (bits) => enter(core, bits),
    [Operation.PushAll]: (bits) => pushAllRegisters(core, bits),
    [Operation.PopAll]: (bits) => popAllRegisters(core, bits),
  };
}

/** IN and OUT at a privilege above IOPL ask the I/O permission bitmap (SDM vol. 1 §19.5.2). */
function portAllowed(core: Core, port: number, size: number): boolean {
  const { state } = core;
  const free = !state.protectedMode || (!state.virtual8086 && state.cpl <= ((state.rflags >> 12) & 3));
  if (free) return true;
  const tr = state.segment(Segment.TR);
  const denied = (): boolean => {
    if (state.get32(S.FAULT_VECTOR) === 0) core.fault(VECTOR.GP, 0);
    return false;
  };
  if ((tr.attributes & 8) === 0 || tr.limit < 0x67) return denied();
  const map = core.readSystem(tr.base + 0x66n, 2);
  if (map === undefined) return false;
  const at = Number(map) + (port >> 3);
  if (at + 1 > tr.limit) return denied();
  const bits = core.readSystem(tr.base + BigInt(at), 2);
  if (bits === undefined) return false;
  return ((Number(bits) >> (port & 7)) & ((1 << size) - 1)) === 0 || denied();
}

function hostExits(c: MicrocodeContext): Record<number, Handler> {
  const { core } = c;
  const port =
    (write: boolean): Handler =>
    (_bits, size) => {
      const number = Number(scratch(c) & 0xffffn);
      if (!portAllowed(core, number, size)) return Status.Leave;
      c.notePort(number, size, write, false, false);
      return exit(c, Exit.Port);
    };
  const portString =
    (write: boolean): Handler =>
    (bits, rep) => {
      const number = Number(core.state.gpr(2) & 0xffffn);
      const size = Math.min(bits, 32) / 8;
      if (!portAllowed(core, number, size)) return Status.Leave;
      c.notePort(number, size, write, true, rep !== 0);
      return exit(c, Exit.Port);
    };
  const msr = (): number => Number(core.state.gpr(1) & 0xffffffffn);
  return {
    [Operation.PortIn]: port(false),
    [Operation.PortOut]: port(true),
    [Operation.PortInString]: portString(false),
    [Operation.PortOutString]: portString(true),
    [Operation.ReadMsr]: () => {
      const value = readMsr(c.msrs, msr());
      if (value === undefined) {
        c.noteMsr(msr());
        return exit(c, Exit.MsrRead);
      }
      core.state.setGpr(0, value & 0xffffffffn);
      core.state.setGpr(2, value >> 32n);
      return Status.Next;
    },
    [Operation.WriteMsr]: () => {
      const value = (core.state.gpr(0) & 0xffffffffn) | ((core.state.gpr(2) & 0xffffffffn) << 32n);
      const outcome = writeMsr(c.msrs, msr(), value);
      if (outcome === 'ok') return thenNext(c, Status.Next);
      if (outcome === 'fault') return core.fault(VECTOR.GP, 0);
      c.noteMsr(msr());
      return exit(c, Exit.MsrWrite);
    },
    [Operation.Rdpmc]: () => core.fault(VECTOR.GP, 0),
    [Operation.Cpuid]: () => exit(c, Exit.Cpuid),
    [Operation.Halt]: () => exit(c, Exit.Halt),
    [Operation.Hypercall]: () => exit(c, Exit.Hypercall),
  };
}

function systemState(c: MicrocodeContext): Record<number, Handler> {
  const { core, effects, floating } = c;
  return {
    [Operation.DivideUnsigned]: () => divideUnsigned(core),
    [Operation.DivideSigned]: () => divideSigned(core),
    [Operation.ReadControl]: (_bits, argument) => control.readControl(core, argument),
    [Operation.WriteControl]: (_bits, argument) => control.writeControl(core, effects, argument),
    [Operation.ReadDebug]: (_bits, argument) => control.readDebug(core, argument),
    [Operation.WriteDebug]: (_bits, argument) => thenNext(c, control.writeDebug(core, effects, argument)),
    [Operation.LoadMachineStatus]: () => control.loadMachineStatus(core, effects),
    [Operation.ClearTaskSwitched]: () => control.clearTaskSwitched(core),
    [Operation.Xgetbv]: () => control.xgetbv(core),
    [Operation.Xsetbv]: () => control.xsetbv(core),
    [Operation.InvalidatePage]: () => {
      effects.flushTlbPage(scratch(c));
      return Status.Next;
    },
    [Operation.Fxsave]: (bits) => floating.fxsave(bits),
    [Operation.Fxrstor]: (bits) => floating.fxrstor(bits),
    [Operation.Xsave]: (bits) => floating.xsave(bits),
    [Operation.Xrstor]: (bits) => floating.xrstor(bits),
    [Operation.X87]: (_bits, argument) => floating.execute(argument),
    [Operation.PreciseFloat]: (_bits, argument) => preciseFloat(core.view, core.state.address, argument),
    [Operation.StringCompareSse]: (_bits, mode) => {
      compareStrings(core.view, core.state.address, mode);
      return Status.Next;
    },
    [Operation.DecimalAdjust]: (_bits, which) => decimalAdjust(core, which),
    [Operation.FlagsChanged]: () => {
      core.state.refresh();
      return thenNext(c, Status.Next);
    },
    [Operation.Boundary]: () => boundary(core),
    [Operation.WatchesPage]: () => watchesPage(core),
    [Operation.NoteAccess]: (size, access) => noteAccess(core, size, access),
    [Operation.CheckSecondPage]: (_bits, record) => checkSecondPage(c, record),
  };
}

/** The second page of an instruction decoded earlier: still the same page, or the block is decoded anew. */
function checkSecondPage(c: MicrocodeContext, record: number): number {
  const { state, view } = c.core;
  const linear = state.get64(S.RIP_PAGE) + state.get64(S.CODE_BASE) + 4096n;
  const user = state.cpl === 3 ? 1 : 0;
  const host = c.exports().walk(state.address, BigInt.asUintN(64, linear), Access.Execute, user);
  if (host === NO_ADDRESS) return Status.Leave;
  if (host >>> 12 === Number(view.getBigInt64((record >>> 0) + RECORD_IMMEDIATE, true))) return Status.Next;
  c.dropCodeAtRip();
  return Status.Jumped;
}

/** All operations by number; an operation without an entry is a bug of ours and raises #UD in the guest. */
export function buildMicrocode(
  c: MicrocodeContext,
): (operation: number, bits: number, argument: number) => number {
  const table: (Handler | undefined)[] = [];
  const entries = { ...segmentLoads(c), ...transfers(c), ...hostExits(c), ...systemState(c) };
  for (const [operation, handler] of Object.entries(entries)) table[Number(operation)] = handler;
  return (operation, bits, argument) => {
    const handler = table[operation];
    return handler ? handler(bits, argument) : c.core.fault(VECTOR.UD);
  };
}
