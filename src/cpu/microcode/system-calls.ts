/** SYSCALL, SYSRET, SYSENTER, SYSEXIT: fixed flat segments, no descriptor is read (SDM vol. 2). */
import { EFER } from '../../x86/control-registers.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { Segment } from '../processor.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import { type Core, isCanonical } from './core.ts';
import { TrapPending } from './debug-exceptions.ts';

const RCX = 1;
const RDX = 2;
const RSP = 4;
const R11 = 11;
/** Present, S, read/execute, accessed, G; with DPL, L and D to be added. */
const CODE = 0x809b;
/** Present, S, read/write, accessed, G, B. */
const DATA = 0xc093;
const L = 0x2000;
const D = 0x4000;
const RF_AND_VM = FLAG.RF | FLAG.VM;

function flatSegments(core: Core, selector: number, stackSelector: number, cpl: number, wide: boolean): void {
  const { state } = core;
  const dpl = cpl << 5;
  state.setSegment(Segment.CS, {
    selector,
    base: 0n,
    limit: 0xffffffff,
    attributes: CODE | dpl | (wide ? L : D),
  });
  state.setSegment(Segment.SS, {
    selector: stackSelector,
    base: 0n,
    limit: 0xffffffff,
    attributes: DATA | dpl,
  });
  state.set32(S.CPL, cpl);
}

export function syscall(core: Core): number {
  const { state } = core;
  if ((state.get32(S.EFER) & EFER.SCE) === 0 || !state.longMode) return core.fault(VECTOR.UD);
  const star = state.get64(S.MSR_STAR);
  const flags = state.rflags & ~FLAG.RF;
  const target = state.get64(state.code64 ? S.MSR_LSTAR : S.MSR_CSTAR);
  state.setGpr(RCX, core.nextRip);
  state.setGpr(R11, BigInt(flags >>> 0));
  state.rip = target;
  state.rflags = flags & ~Number(state.get64(S.MSR_SFMASK) & 0xffffffffn) & ~FLAG.RF;
  const selector = Number((star >> 32n) & 0xfffcn);
  flatSegments(core, selector, selector + 8, 0, true);
  // A step under TF ends here unless SFMASK leaves TF set.
  if ((state.rflags & FLAG.TF) === 0) state.set32(S.TRAP_PENDING, 0);
  state.refresh();
  return Status.Jumped;
}

export function sysret(core: Core, bits: number): number {
  const { state } = core;
  if ((state.get32(S.EFER) & EFER.SCE) === 0) return core.fault(VECTOR.UD);
  const target = state.gpr(RCX);
  if (bits === 64 && !isCanonical(target)) return core.fault(VECTOR.GP, 0);
  const base = Number((state.get64(S.MSR_STAR) >> 48n) & 0xffffn);
  const flags = Number(state.gpr(R11) & 0x3c7fd7n);
  const writable = flags & ~RF_AND_VM;
  state.rip = bits === 64 ? target : target & 0xffffffffn;
  state.rflags = writable | FLAG.FIXED;
  const selector = (bits === 64 ? base + 16 : base) | 3;
  flatSegments(core, selector, (base + 8) | 3, 3, bits === 64);
  // TF as SYSRET loads it traps before the next instruction (SDM vol. 3 §17.3.1.4).
  if (writable & FLAG.TF) state.set32(S.TRAP_PENDING, TrapPending.Step);
  state.refresh();
  return Status.Jumped;
}

export function sysenter(core: Core): number {
  const { state } = core;
  const selector = state.get64(S.MSR_SYSENTER_CS) & 0xfffcn;
  if (selector === 0n) return core.fault(VECTOR.GP, 0);
  const wide = state.longMode;
  state.rflags = state.rflags & ~(FLAG.VM | FLAG.IF | FLAG.RF);
  const limit = wide ? (1n << 64n) - 1n : 0xffffffffn;
  state.setGpr(RSP, state.get64(S.MSR_SYSENTER_ESP) & limit);
  state.rip = state.get64(S.MSR_SYSENTER_EIP) & limit;
  flatSegments(core, Number(selector), Number(selector) + 8, 0, wide);
  state.refresh();
  return Status.Jumped;
}

export function sysexit(core: Core, bits: number): number {
  const { state } = core;
  const base = Number(state.get64(S.MSR_SYSENTER_CS) & 0xfffcn);
  if (base === 0) return core.fault(VECTOR.GP, 0);
  const wide = bits === 64;
  const rip = state.gpr(RDX);
  const rsp = state.gpr(RCX);
  if (wide && !(isCanonical(rip) && isCanonical(rsp))) return core.fault(VECTOR.GP, 0);
  state.rip = wide ? rip : rip & 0xffffffffn;
  state.setGpr(RSP, wide ? rsp : rsp & 0xffffffffn);
  flatSegments(core, (base + (wide ? 32 : 16)) | 3, (base + (wide ? 40 : 24)) | 3, 3, wide);
  state.refresh();
  return Status.Jumped;
}
