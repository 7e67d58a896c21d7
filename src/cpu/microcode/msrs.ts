/** The MSRs that are the processor's own state. Everything else is the host's. */
import { CR0, EFER } from '../../x86/control-registers.ts';
import { MSR } from '../../x86/msrs.ts';
import { Segment } from '../processor.ts';
import type { ProcessorState } from '../state.ts';
import * as S from '../state-layout.ts';
import { isCanonical } from './core.ts';

const EFER_KNOWN = BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE);

/** MSRs that are plain storage: number to offset in the state page. */
const STORED: ReadonlyMap<number, number> = new Map([
  [MSR.STAR, S.MSR_STAR],
  [MSR.LSTAR, S.MSR_LSTAR],
  [MSR.CSTAR, S.MSR_CSTAR],
  [MSR.SFMASK, S.MSR_SFMASK],
  [MSR.KERNEL_GS_BASE, S.MSR_KERNEL_GS_BASE],
  [MSR.SYSENTER_CS, S.MSR_SYSENTER_CS],
  [MSR.SYSENTER_ESP, S.MSR_SYSENTER_ESP],
  [MSR.SYSENTER_EIP, S.MSR_SYSENTER_EIP],
  [MSR.PAT, S.MSR_PAT],
  [MSR.TSC_AUX, S.MSR_TSC_AUX],
  [MSR.SPEC_CTRL, S.MSR_SPEC_CTRL],
  [MSR.FS_BASE, S.SEGMENT + Segment.FS * S.SEGMENT_SIZE + S.SEGMENT_BASE],
  [MSR.GS_BASE, S.SEGMENT + Segment.GS * S.SEGMENT_SIZE + S.SEGMENT_BASE],
]);
const CANONICAL = new Set<number>([
  MSR.LSTAR, MSR.CSTAR, MSR.KERNEL_GS_BASE, MSR.SYSENTER_ESP, MSR.SYSENTER_EIP, MSR.FS_BASE, MSR.GS_BASE,
]); // biome-ignore format: a set of names

/**
 * What this processor does not suffer from (SDM vol. 4): it executes nothing speculatively across a privilege
 * check, nor across an indirect branch: IBRS can stay on, so kernels need no return trampolines. RDCL, IBRS, L1 flush, SSB, MDS, IF_PSCHANGE, TAA, SBDR, FBSDP, PSDP, BHI, PBRSB, GDS, RFDS, ITS.
 */
const ARCH_CAPABILITIES = [0, 1, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27, 62].reduce(
  (a, bit) => a | (1n << BigInt(bit)),
  0n,
);

/** IBRS, STIBP and BHI_DIS_S: there is nothing to restrict, so all of them hold at once. */
const SPEC_CTRL_KNOWN = 0x403n;
/** A barrier for a predictor that does not exist. */
const PRED_CMD_IBPB = 1n;

export interface MsrContext {
  state: ProcessorState;
  /** Host ticks, without the offset. */
  readTsc(): bigint;
  flushTlb(): void;
}

export function readMsr({ state, readTsc }: MsrContext, msr: number): bigint | undefined {
  const at = STORED.get(msr);
  if (at !== undefined) return state.get64(at);
  if (msr === MSR.EFER) return state.get64(S.EFER);
  if (msr === MSR.ARCH_CAPABILITIES) return ARCH_CAPABILITIES;
  if (msr === MSR.TSC) return BigInt.asUintN(64, readTsc() + state.get64(S.TSC_OFFSET));
  if (msr === MSR.TSC_ADJUST) return state.get64(S.MSR_TSC_ADJUST);
  return undefined;
}

function writeEfer({ state, flushTlb }: MsrContext, value: bigint): 'ok' | 'fault' {
  const old = state.get64(S.EFER);
  const lma = BigInt(EFER.LMA);
  const lmeChanges = ((old ^ value) & BigInt(EFER.LME)) !== 0n;
  if ((value & ~EFER_KNOWN) !== 0n || (lmeChanges && state.get32(S.CR0) & CR0.PG)) return 'fault';
  state.set64(S.EFER, (value & ~lma) | (old & lma));
  state.refresh();
  flushTlb();
  return 'ok';
}

const validPat = (value: bigint): boolean => {
  for (let k = 0n; k < 8n; k++) {
    const type = Number((value >> (8n * k)) & 0xffn);
    if (![0, 1, 4, 5, 6, 7].includes(type)) return false;
  }
  return true;
};

export function writeMsr(context: MsrContext, msr: number, value: bigint): 'ok' | 'fault' | 'unknown' {
  const { state, readTsc } = context;
  const at = STORED.get(msr);
  if (at !== undefined) {
    if (CANONICAL.has(msr) && !isCanonical(value)) return 'fault';
    if (msr === MSR.PAT && !validPat(value)) return 'fault';
    if (msr === MSR.SPEC_CTRL && (value & ~SPEC_CTRL_KNOWN) !== 0n) return 'fault';
    const narrow = msr === MSR.TSC_AUX || msr === MSR.SFMASK || msr === MSR.SYSENTER_CS;
    if (narrow && value >> 32n !== 0n) return 'fault';
    state.set64(at, value);
    return 'ok';
  }
  if (msr === MSR.EFER) return writeEfer(context, value);
  if (msr === MSR.ARCH_CAPABILITIES) return 'fault';
  if (msr === MSR.PRED_CMD) return (value & ~PRED_CMD_IBPB) === 0n ? 'ok' : 'fault';
  if (msr === MSR.TSC || msr === MSR.TSC_ADJUST) {
    // Both registers move together: what one write adds, the other shows (SDM vol. 3 §17.17.3).
    const adjust = state.get64(S.MSR_TSC_ADJUST);
    const delta = msr === MSR.TSC ? value - readTsc() - state.get64(S.TSC_OFFSET) : value - adjust;
    state.set64(S.TSC_OFFSET, BigInt.asUintN(64, state.get64(S.TSC_OFFSET) + delta));
    state.set64(S.MSR_TSC_ADJUST, BigInt.asUintN(64, adjust + delta));
    return 'ok';
  }
  return 'unknown';
}
