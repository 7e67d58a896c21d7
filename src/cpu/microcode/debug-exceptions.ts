/**
 * Debug exceptions (SDM vol. 3 §17.2, §17.3.1): single steps, instruction and data breakpoints, general detect.
 *
 * While RFLAGS.TF or an enabled breakpoint asks for it, `Mode.Trap` makes blocks of one instruction and calls
 * `boundary` before each. Data breakpoints need no check on hot paths: the soft TLB holds no tags for a watched
 * page (cpu/paging.ts), so each access to it comes to `noteAccess`. I/O breakpoints (R/W = 10b) never match.
 */
import { VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { Access } from '../processor.ts';
import { Status } from '../stage.ts';
import type { ProcessorState } from '../state.ts';
import * as S from '../state-layout.ts';
import type { Core } from './core.ts';

/** Bits of TRAP_PENDING. */
export const TrapPending = {
  /** The instruction runs under TF: a trap follows it. */
  Step: 1,
  /** The instruction runs under RF, which ends with it. */
  Resumed: 2,
} as const;

/** INTERRUPT_SHADOW after MOV SS or POP SS: debug exceptions are held off as well. */
export const SHADOW_OF_STACK_LOAD = 6;

const DR6_BD = 1n << 13n;
const DR6_BS = 1n << 14n;
const DR6_HITS = 0xfn;
const DR7_GD = 1n << 13n;
const LENGTHS = [1, 2, 8, 4] as const;
const Kind = { Execute: 0, Write: 1, ReadWrite: 3 } as const;

/** Kind and length of breakpoint `k`, or undefined if it is not enabled. */
function breakpoint(dr7: bigint, k: number): { kind: number; length: number } | undefined {
  if (((dr7 >> BigInt(2 * k)) & 3n) === 0n) return undefined;
  const control = Number((dr7 >> BigInt(16 + 4 * k)) & 0xfn);
  return { kind: control & 3, length: LENGTHS[control >> 2]! };
}

/** Bits 0..3: breakpoints on data that DR7 enables. Bits 4..7: those on instructions. */
export function enabledBreakpoints(dr7: bigint): number {
  let mask = 0;
  for (let k = 0; k < 4; k++) {
    const found = breakpoint(dr7, k);
    if (found) mask |= (found.kind === Kind.Execute ? 16 : 1) << k;
  }
  return mask;
}

/** Breakpoints on data that an access of `size` bytes at `va` meets; `access` 0 asks for any kind. */
function matches(state: ProcessorState, va: bigint, size: bigint, access: number): number {
  const dr7 = state.get64(S.DR + 56);
  let hits = 0;
  for (let k = 0; k < 4; k++) {
    const found = breakpoint(dr7, k);
    if (!found || (found.kind !== Kind.Write && found.kind !== Kind.ReadWrite)) continue;
    if (access === Access.Read && found.kind === Kind.Write) continue;
    const length = BigInt(found.length);
    const start = state.get64(S.DR + 8 * k) & ~(length - 1n);
    if (va < start + length && start < va + size) hits |= 1 << k;
  }
  return hits;
}

/** Whether the page of the address that is being translated holds a data breakpoint: 1 or 0. */
export const watchesPage = ({ state }: Core): number =>
  matches(state, state.get64(S.EXIT_B) & ~0xfffn, 4096n, 0) === 0 ? 0 : 1;

/** An access to a watched page: what it hits is raised behind the instruction. */
export function noteAccess({ state }: Core, size: number, access: number): number {
  const hits = matches(state, state.get64(S.EXIT_B), BigInt(size), access);
  if (hits !== 0) state.set32(S.DEBUG_HITS, state.get32(S.DEBUG_HITS) | hits);
  return Status.Next;
}

function instructionHits(state: ProcessorState): number {
  const armed = state.get32(S.BREAKPOINTS) >> 4;
  if (armed === 0) return 0;
  const linear = state.linearRip;
  let hits = 0;
  for (let k = 0; k < 4; k++) if (armed & (1 << k) && state.get64(S.DR + 8 * k) === linear) hits |= 1 << k;
  return hits;
}

/** #DB with these bits of DR6; the breakpoint bits are those of this exception alone. */
function debugException(core: Core, bits: bigint): number {
  const at = S.DR + 48;
  core.state.set64(at, (core.state.get64(at) & ~DR6_HITS) | bits);
  return core.fault(VECTOR.DB);
}

/**
 * Between instructions while a shadow holds, TF is set or breakpoints are enabled: ends the shadow, raises what
 * the instruction before has earned, and looks at the one that comes.
 */
export function boundary(core: Core): number {
  const { state } = core;
  const shadow = state.get32(S.INTERRUPT_SHADOW);
  const held = shadow === SHADOW_OF_STACK_LOAD;
  if (shadow !== 0) {
    state.set32(S.INTERRUPT_SHADOW, (shadow & 3) === 2 ? shadow - 1 : 0);
    if ((shadow & 3) === 1) state.refresh();
  }
  const pending = state.get32(S.TRAP_PENDING);
  if (pending & TrapPending.Resumed) state.set32(S.FLAGS_SYSTEM, state.get32(S.FLAGS_SYSTEM) & ~FLAG.RF);
  state.set32(S.TRAP_PENDING, 0);
  const hits = state.get32(S.DEBUG_HITS);
  if (!held && (hits !== 0 || pending & TrapPending.Step)) {
    state.set32(S.DEBUG_HITS, 0);
    return debugException(core, BigInt(hits) | (pending & TrapPending.Step ? DR6_BS : 0n));
  }
  const flags = state.get32(S.FLAGS_SYSTEM);
  const resumed = (flags & FLAG.RF) !== 0;
  const reached = resumed || held ? 0 : instructionHits(state);
  if (reached !== 0) return debugException(core, BigInt(reached));
  state.set32(S.TRAP_PENDING, (flags & FLAG.TF ? TrapPending.Step : 0) | (resumed ? TrapPending.Resumed : 0));
  // POPF and IRET may have ended TF behind Mode.Trap's back.
  state.refresh();
  return Status.Next;
}

/** MOV to or from a debug register under DR7.GD. True: #DB is pending. */
export function generalDetect(core: Core): boolean {
  if ((core.state.get64(S.DR + 56) & DR7_GD) === 0n) return false;
  debugException(core, DR6_BD);
  return true;
}

/** The handler of #DB may use the debug registers. */
export function endGeneralDetect(state: ProcessorState): void {
  state.set64(S.DR + 56, state.get64(S.DR + 56) & ~DR7_GD);
}
