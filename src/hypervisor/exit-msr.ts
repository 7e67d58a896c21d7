/**
 * RDMSR and WRMSR (TLFS 2.0a §11.10). Who answers, in order: the synthetic MSRs, the local APIC, the processor
 * itself (EFER, STAR, TSC ...), the table of architectural MSRs; then the parent if it intercepts MSRs; else
 * #GP(0). A synthetic MSR for which the partition lacks the privilege counts as not virtualized (§11.10).
 */
import type { Processor } from '../cpu/processor.ts';
import { isSyntheticMsr, SyntheticMsr } from '../hvdef/msr.ts';
import type { ApicPageContext } from './exit-apic-page.ts';
import { Vector } from './exit-context.ts';
import { raiseException } from './exit-exception.ts';
import type { ArchitecturalMsrs } from './exit-msr-architectural.ts';
import { LocalApicRegisters } from './local-apic-registers.ts';
import type { SyntheticMsrs } from './synthetic-msr.ts';

export interface MsrExitContext extends ApicPageContext {
  readonly architecturalMsrs: ArchitecturalMsrs;
  readonly syntheticMsrs: SyntheticMsrs;
  /** IA32_APIC_BASE may have moved the APIC's page. */
  apicBaseChanged(): void;
}

type Outcome = 'ok' | 'fault' | 'unknown';

const IA32_APIC_BASE = 0x1b;
const LOW = 0xffff_ffffn;
const CRASH_NOTIFY = 1n << 31n;
const RESET = 1n;

export function handleMsrRead(vp: MsrExitContext): void {
  const { processor } = vp;
  const { msr } = processor.msrExit;
  if (isSyntheticMsr(msr)) {
    const synthetic = vp.syntheticMsrs;
    if (!synthetic.handles(msr)) refuse(vp, 'unknown', false);
    else if (!synthetic.read(msr)) refuse(vp, 'fault', false);
    else answer(processor, synthetic.low, synthetic.high);
    return;
  }
  if (LocalApicRegisters.handles(msr)) {
    if (vp.apicRegisters.readMsr(msr)) answer(processor, vp.apicRegisters.low, vp.apicRegisters.high);
    else refuse(vp, 'fault', false);
    return;
  }
  const value = processor.getMsr(msr) ?? vp.architecturalMsrs.read(msr);
  if (value === undefined) refuse(vp, 'unknown', false);
  else answer(processor, Number(value & LOW), Number(value >> 32n));
}

function answer(processor: Processor, low: number, high: number): void {
  processor.setGpr(0, BigInt(low));
  processor.setGpr(2, BigInt(high));
  processor.completeInstruction();
}

export function handleMsrWrite(vp: MsrExitContext): void {
  const { processor } = vp;
  const { msr } = processor.msrExit;
  const outcome = writeMsr(vp, msr);
  if (outcome !== 'ok') {
    refuse(vp, outcome, true);
    return;
  }
  const reports = reportsToParent(processor, msr) && vp.intercepts.interceptsMsr(true);
  if (reports) vp.message.msr(true);
  processor.completeInstruction();
  if (reports) vp.suspendForIntercept();
}

/**
 * Writes that tell the parent something: a crash, the wish to be reset. The text has no message for them; a
 * parent that intercepts MSRs gets them as such, after the write was done.
 */
function reportsToParent(processor: Processor, msr: number): boolean {
  if (msr === SyntheticMsr.CrashCtl) return (processor.getGpr(2) & CRASH_NOTIFY) !== 0n;
  return msr === SyntheticMsr.Reset && (processor.getGpr(0) & RESET) !== 0n;
}

function writeMsr(vp: MsrExitContext, msr: number): Outcome {
  const { processor } = vp;
  const low = processor.getGpr(0) & LOW;
  const high = processor.getGpr(2) & LOW;
  if (isSyntheticMsr(msr)) {
    if (!vp.syntheticMsrs.handles(msr)) return 'unknown';
    return vp.syntheticMsrs.write(msr, Number(low), Number(high)) ? 'ok' : 'fault';
  }
  if (LocalApicRegisters.handles(msr)) {
    if (!vp.apicRegisters.writeMsr(msr, Number(low), Number(high))) return 'fault';
    if (msr === IA32_APIC_BASE) vp.apicBaseChanged();
    return 'ok';
  }
  const value = (high << 32n) | low;
  const own = processor.setMsr(msr, value);
  return own === 'unknown' ? vp.architecturalMsrs.write(msr, value) : own;
}

function refuse(vp: MsrExitContext, outcome: Outcome, write: boolean): void {
  if (outcome === 'unknown' && vp.intercepts.interceptsMsr(write)) {
    vp.message.msr(write);
    vp.suspendForIntercept();
    return;
  }
  raiseException(vp, Vector.GeneralProtection, 0);
}
