/** MOV to and from control and debug registers, LMSW, CLTS, XSETBV (SDM vol. 2; reserved bits: vol. 3 §2.5). */
import { CR0, CR4, EFER } from '../../x86/control-registers.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { PHYSICAL_ADDRESS_BITS } from '../../x86/page-table.ts';
import { Segment } from '../processor.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import type { Core } from './core.ts';
import { enabledBreakpoints, generalDetect } from './debug-exceptions.ts';

/** CR4 bits that this processor has. */
export const CR4_KNOWN =
  CR4.VME | CR4.PVI | CR4.TSD | CR4.DE | CR4.PSE | CR4.PAE | CR4.MCE | CR4.PGE | CR4.PCE | CR4.OSFXSR |
  CR4.OSXMMEXCPT | CR4.FSGSBASE | CR4.OSXSAVE; // biome-ignore format: a set of bits
const CR0_KNOWN =
  CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG;

/** What the processor object does when translations are no longer valid. */
export interface ControlEffects {
  flushTlb(): void;
}

export function setCr0(core: Core, effects: ControlEffects, value: bigint): number {
  const { state } = core;
  const bits = Number(value & 0xffffffffn);
  const bad =
    value >> 32n !== 0n ||
    ((bits & CR0.PG) !== 0 && (bits & CR0.PE) === 0) ||
    ((bits & CR0.NW) !== 0 && (bits & CR0.CD) === 0);
  if (bad) return core.fault(VECTOR.GP, 0);
  const old = state.get32(S.CR0);
  const next = ((bits & CR0_KNOWN) | CR0.ET) >>> 0;
  const efer = state.get32(S.EFER);
  const paging = (next & CR0.PG) !== 0;
  if (paging && (old & CR0.PG) === 0 && efer & EFER.LME) {
    const noPae = (state.get32(S.CR4) & CR4.PAE) === 0;
    if (noPae || state.segment(Segment.CS).attributes & 0x2000) return core.fault(VECTOR.GP, 0);
    state.set32(S.EFER, efer | EFER.LMA);
  } else if (!paging && efer & EFER.LMA) {
    if (state.code64) return core.fault(VECTOR.GP, 0);
    state.set32(S.EFER, efer & ~EFER.LMA);
  }
  state.set64(S.CR0, BigInt(next));
  const flushing = CR0.PG | CR0.WP | CR0.PE;
  if ((old ^ next) & flushing) effects.flushTlb();
  state.refresh();
  return Status.Next;
}

function setCr3(core: Core, effects: ControlEffects, value: bigint): number {
  if (core.state.longMode && value >> BigInt(PHYSICAL_ADDRESS_BITS) !== 0n) return core.fault(VECTOR.GP, 0);
  core.state.set64(S.CR3, core.state.longMode ? value : value & 0xffffffffn);
  effects.flushTlb();
  return Status.Next;
}

function setCr4(core: Core, effects: ControlEffects, value: bigint): number {
  const { state } = core;
  const bits = Number(value & 0xffffffffn);
  const bad = value >> 32n !== 0n || (bits & ~CR4_KNOWN) !== 0 || (state.longMode && (bits & CR4.PAE) === 0);
  if (bad) return core.fault(VECTOR.GP, 0);
  const old = state.get32(S.CR4);
  state.set64(S.CR4, value);
  if ((old ^ bits) & (CR4.PAE | CR4.PSE | CR4.PGE)) effects.flushTlb();
  state.refresh();
  return Status.Next;
}

/** Operand offsets packed as semantics/data-movement.ts does. */
const operands = (argument: number): { gpr: number; special: number } => ({
  gpr: argument & 0xffff,
  special: argument >>> 16,
});

export function readControl(core: Core, argument: number): number {
  const { gpr, special } = operands(argument);
  if (special === S.ZERO) return core.fault(VECTOR.UD);
  core.state.set64(gpr, core.state.get64(special));
  return Status.Next;
}

/** CR8 is the host's local APIC's: it is told through `writeCr8`. */
export function writeControl(core: Core, effects: ControlEffects, argument: number): number {
  const { state } = core;
  const { gpr, special } = operands(argument);
  const value = state.get64(gpr);
  let status: number;
  switch (special) {
    case S.CR0:
      status = setCr0(core, effects, value);
      break;
    case S.CR2:
      state.set64(S.CR2, value);
      return Status.Next;
    case S.CR3:
      status = setCr3(core, effects, value);
      break;
    case S.CR4:
      status = setCr4(core, effects, value);
      break;
    case S.CR8:
      if (value > 15n) return core.fault(VECTOR.GP, 0);
      state.set64(S.CR8, value);
      status = Status.Next;
      break;
    default:
      return core.fault(VECTOR.UD);
  }
  if (status !== Status.Next) return status;
  state.rip = core.nextRip;
  return Status.Jumped;
}

/** DR4 and DR5 are DR6 and DR7 without CR4.DE. */
function debugOffset(core: Core, offset: number): number | undefined {
  const index = (offset - S.DR) >> 3;
  if (index !== 4 && index !== 5) return offset;
  if (core.state.get32(S.CR4) & CR4.DE) return undefined;
  return offset + 16;
}

const DR6_FIXED = 0xffff0ff0n;
const DR7_FIXED = 0x400n;

export function readDebug(core: Core, argument: number): number {
  const { gpr, special } = operands(argument);
  const at = debugOffset(core, special);
  if (at === undefined) return core.fault(VECTOR.UD);
  if (generalDetect(core)) return Status.Leave;
  core.state.set64(gpr, core.state.get64(at));
  return Status.Next;
}

export function writeDebug(core: Core, effects: ControlEffects, argument: number): number {
  const { gpr, special } = operands(argument);
  const at = debugOffset(core, special);
  if (at === undefined) return core.fault(VECTOR.UD);
  if (generalDetect(core)) return Status.Leave;
  const value = core.state.get64(gpr);
  const index = (at - S.DR) >> 3;
  if (index >= 6 && value >> 32n !== 0n) return core.fault(VECTOR.GP, 0);
  const fixed =
    index === 6 ? (value & 0x1e00fn) | DR6_FIXED : index === 7 ? (value & 0xffff2fffn) | DR7_FIXED : value;
  setDebug(core, effects, index, fixed);
  return Status.Next;
}

/** Sets a debug register; which pages the soft TLB may hold depends on them. */
export function setDebug({ state }: Core, effects: ControlEffects, index: number, value: bigint): void {
  const before = state.get32(S.BREAKPOINTS);
  state.set64(S.DR + 8 * index, value);
  const after = enabledBreakpoints(state.get64(S.DR + 56));
  state.set32(S.BREAKPOINTS, after);
  if (((before | after) & 15) !== 0) effects.flushTlb();
  if (before === 0 && after === 0) return;
  // The RF of an earlier exception's return is long over (see `boundary`).
  if (before === 0) state.set32(S.FLAGS_SYSTEM, state.get32(S.FLAGS_SYSTEM) & ~FLAG.RF);
  state.refresh();
}

/** LMSW changes PE (set only), MP, EM and TS. */
export function loadMachineStatus(core: Core, effects: ControlEffects): number {
  const { state } = core;
  const value = Number(state.get64(S.SCRATCH) & 0xfn);
  const old = state.get32(S.CR0);
  const next = ((old & ~0xe) | value) >>> 0;
  const status = setCr0(core, effects, BigInt(next));
  if (status !== Status.Next) return status;
  state.rip = core.nextRip;
  return Status.Jumped;
}

export function clearTaskSwitched(core: Core): number {
  const { state } = core;
  state.set64(S.CR0, BigInt((state.get32(S.CR0) & ~CR0.TS) >>> 0));
  state.refresh();
  state.rip = core.nextRip;
  return Status.Jumped;
}

/** XCR0 bits that this processor has: x87 and SSE. */
export const XCR0_KNOWN = 3n;

export function xgetbv(core: Core): number {
  const { state } = core;
  if ((state.gpr(1) & 0xffffffffn) !== 0n) return core.fault(VECTOR.GP, 0);
  const value = state.get64(S.XCR0);
  state.setGpr(0, value & 0xffffffffn);
  state.setGpr(2, value >> 32n);
  return Status.Next;
}

export function xsetbv(core: Core): number {
  const { state } = core;
  const value = (state.gpr(0) & 0xffffffffn) | ((state.gpr(2) & 0xffffffffn) << 32n);
  const bad = (state.gpr(1) & 0xffffffffn) !== 0n || (value & 1n) === 0n || (value & ~XCR0_KNOWN) !== 0n;
  if (bad) return core.fault(VECTOR.GP, 0);
  state.set64(S.XCR0, value);
  return Status.Next;
}
