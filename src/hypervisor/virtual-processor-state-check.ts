/**
 * Whether a processor's registers make sense together (TLFS 2.0a §10.1.2): values that HvSetVpRegisters takes one
 * by one may contradict each other, which shows only when the virtual processor resumes. Rules: SDM vol. 3
 * §2.5, §26.3.1.1 (what VM entry would refuse).
 */
import type { Processor } from '../cpu/processor.ts';

const CR0_PE = 1n << 0n;
const CR0_NW = 1n << 29n;
const CR0_CD = 1n << 30n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER = 0xc000_0080;
const EFER_LME = 1n << 8n;
const RFLAGS_FIXED = 1n << 1n;

export function isRunnableState(processor: Processor): boolean {
  const cr0 = processor.getControl(0);
  const paging = (cr0 & CR0_PG) !== 0n;
  if (paging && (cr0 & CR0_PE) === 0n) return false;
  if ((cr0 & CR0_NW) !== 0n && (cr0 & CR0_CD) === 0n) return false;
  const longMode = ((processor.getMsr(EFER) ?? 0n) & EFER_LME) !== 0n;
  if (paging && longMode && (processor.getControl(4) & CR4_PAE) === 0n) return false;
  return (processor.getRflags() & RFLAGS_FIXED) !== 0n;
}
