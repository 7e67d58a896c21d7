/**
 * CPUID (TLFS 2.0a §11.11, Appendix D): the processor's own answer, changed where a virtual processor differs from
 * a bare one, and the hypervisor's leaves from 0x40000000. A leaf that the parent intercepts goes to it together
 * with that default answer.
 *
 * Leaf facts: SDM vol. 2A, CPUID. Topology chosen: one package, one core per virtual processor, no threads.
 */
import type { ExitContext } from './exit-context.ts';
import { low32 } from './exit-context.ts';
import type { CpuidAnswer } from './intercept-message.ts';

export interface CpuidExitContext extends ExitContext {
  readonly initialApicId: number;
  /** False while IA32_APIC_BASE's enable bit is clear. */
  readonly apicEnabled: boolean;
  hypervisorCpuid(leaf: number, subleaf: number): CpuidAnswer;
}

const HYPERVISOR_LEAVES = 0x4000_0000;
const HYPERVISOR_LEAVES_END = 0x4001_0000;

const Leaf1 = {
  ecxX2Apic: 1 << 21,
  ecxHypervisorPresent: 1 << 31,
  edxApic: 1 << 9,
  edxHtt: 1 << 28,
} as const;

export function handleCpuidExit(vp: CpuidExitContext): void {
  const { processor } = vp;
  const leaf = low32(processor, 0);
  const answer = virtualCpuid(vp, leaf, low32(processor, 1));
  if (vp.intercepts.interceptsCpuid(leaf)) {
    vp.message.cpuid(answer);
    vp.suspendForIntercept();
    return;
  }
  processor.setGpr(0, BigInt(answer.eax));
  processor.setGpr(3, BigInt(answer.ebx));
  processor.setGpr(1, BigInt(answer.ecx));
  processor.setGpr(2, BigInt(answer.edx));
  processor.completeInstruction();
}

/** What the virtual processor answers; each register an unsigned number. */
export function virtualCpuid(vp: CpuidExitContext, leaf: number, subleaf: number): CpuidAnswer {
  if (leaf >= HYPERVISOR_LEAVES && leaf < HYPERVISOR_LEAVES_END)
    return unsigned(vp.hypervisorCpuid(leaf, subleaf));
  const answer = { ...vp.processor.cpuid(leaf, subleaf) };
  const processors = vp.partition.virtualProcessors.size;
  if (leaf === 1) {
    answer.ebx = (answer.ebx & 0xff00_ffff) | (Math.min(processors, 255) << 16);
    answer.ebx = (answer.ebx & 0x00ff_ffff) | (vp.initialApicId << 24);
    answer.ecx |= Leaf1.ecxHypervisorPresent | Leaf1.ecxX2Apic;
    answer.edx = vp.apicEnabled ? answer.edx | Leaf1.edxApic : answer.edx & ~Leaf1.edxApic;
    answer.edx = processors > 1 ? answer.edx | Leaf1.edxHtt : answer.edx & ~Leaf1.edxHtt;
  } else if (leaf === 0xb && vp.processor.cpuid(0, 0).eax >= 0xb) {
    extendedTopology(vp, subleaf, processors, answer);
  } else if (leaf === 4 && (answer.eax & 0x1f) !== 0) {
    // Cores in the package, less one, rounded up to a power of two; every cache belongs to one core.
    answer.eax = (answer.eax & 0x3fff) | ((2 ** idBits(processors) - 1) << 26);
  } else if (leaf === 0x8000_0008) {
    answer.ecx = (answer.ecx & ~0xf0ff) | Math.min(processors - 1, 255) | (idBits(processors) << 12);
  }
  return unsigned(answer);
}

/** Leaf 0xB: a level of one thread per core, a level of all cores, then nothing. */
function extendedTopology(
  vp: CpuidExitContext,
  subleaf: number,
  processors: number,
  answer: CpuidAnswer,
): void {
  answer.eax = 0;
  answer.ebx = 0;
  answer.ecx = subleaf & 0xff;
  answer.edx = vp.initialApicId;
  if (subleaf === 0) {
    answer.ebx = 1;
    answer.ecx |= 1 << 8;
  } else if (subleaf === 1) {
    answer.eax = idBits(processors);
    answer.ebx = processors;
    answer.ecx |= 2 << 8;
  }
}

/** Bits of an APIC id that number the processors. */
function idBits(processors: number): number {
  return 32 - Math.clz32(Math.max(processors - 1, 0));
}

function unsigned(answer: CpuidAnswer): CpuidAnswer {
  return {
    eax: answer.eax >>> 0,
    ebx: answer.ebx >>> 0,
    ecx: answer.ecx >>> 0,
    edx: answer.edx >>> 0,
  };
}
