/**
 * What this processor says of itself (SDM vol. 2, CPUID). It claims what works and nothing else; a hypervisor
 * adds its own leaves and the hypervisor-present bit.
 */
import { CR4 } from '../x86/control-registers.ts';
import { PHYSICAL_ADDRESS_BITS } from '../x86/page-table.ts';

export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

const NONE: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

const EDX_1 = {
  FPU: 1 << 0, VME: 0, DE: 1 << 2, PSE: 1 << 3, TSC: 1 << 4, MSR: 1 << 5, PAE: 1 << 6, CX8: 1 << 8, APIC: 1 << 9,
  SEP: 1 << 11, MTRR: 1 << 12, PGE: 1 << 13, MCA: 0, CMOV: 1 << 15, PAT: 1 << 16, PSE36: 0, CLFLUSH: 1 << 19,
  MMX: 1 << 23, FXSR: 1 << 24, SSE: 1 << 25, SSE2: 1 << 26,
}; // biome-ignore format: a table of bits
const ECX_1 = {
  SSE3: 1 << 0, SSSE3: 1 << 9, CX16: 1 << 13, SSE41: 1 << 19, SSE42: 1 << 20, X2APIC: 1 << 21, POPCNT: 1 << 23,
  TSC_DEADLINE: 0, XSAVE: 1 << 26, OSXSAVE: 1 << 27,
}; // biome-ignore format: a table of bits
const EBX_7 = { FSGSBASE: 1 << 0, TSC_ADJUST: 1 << 1 };
const EDX_7 = { SPEC_CTRL: 1 << 26, ARCH_CAPABILITIES: 1 << 29 };
const EDX_7_2 = { BHI_CTRL: 1 << 4 };
const EDX_81 = { SYSCALL: 1 << 11, NX: 1 << 20, RDTSCP: 1 << 27, LM: 1 << 29 };
const ECX_81 = { LAHF: 1 << 0 };
const EDX_87 = { INVARIANT_TSC: 1 << 8 };
/** Leaf 6: the APIC timer runs in all power states. */
const ARAT = 1 << 2;

const all = (bits: Record<string, number>): number => Object.values(bits).reduce((a, b) => a | b, 0);
const text = (value: string): number =>
  value.charCodeAt(0) |
  (value.charCodeAt(1) << 8) |
  (value.charCodeAt(2) << 16) |
  (value.charCodeAt(3) << 24);

/** Family 6, model 26 (Nehalem: SSE4.2 and POPCNT, no AVX), stepping 5. */
const SIGNATURE = 0x000106a5;
const MAX_LEAF = 0xd;
const MAX_EXTENDED = 0x80000008;
const BRAND = 'Partita virtual processor'.padEnd(48, '\0');

function brand(part: number): CpuidResult {
  const at = (k: number): number => text(BRAND.slice(part * 16 + k * 4, part * 16 + k * 4 + 4));
  return { eax: at(0), ebx: at(1), ecx: at(2), edx: at(3) };
}

/** `cr4` shows through in OSXSAVE. */
export function cpuid(leaf: number, subleaf: number, cr4: number): CpuidResult {
  switch (leaf >>> 0) {
    case 0:
      return { eax: MAX_LEAF, ebx: text('Genu'), edx: text('ineI'), ecx: text('ntel') };
    case 1: {
      const osxsave = cr4 & CR4.OSXSAVE ? 0 : ECX_1.OSXSAVE;
      // EBX: CLFLUSH line of 64 bytes; the host fills in the APIC ID and processor count.
      return { eax: SIGNATURE, ebx: 8 << 8, ecx: all(ECX_1) & ~osxsave, edx: all(EDX_1) };
    }
    case 2:
      return { eax: 0x00000001, ebx: 0, ecx: 0, edx: 0 };
    case 6:
      return { ...NONE, eax: ARAT };
    case 7:
      if (subleaf === 0) return { eax: 2, ebx: all(EBX_7), ecx: 0, edx: all(EDX_7) };
      return subleaf === 2 ? { ...NONE, edx: all(EDX_7_2) } : NONE;
    case 0xd:
      if (subleaf === 0) return { eax: 3, ebx: 576, ecx: 576, edx: 0 };
      return NONE;
    case 0x80000000:
      return { ...NONE, eax: MAX_EXTENDED | 0 };
    case 0x80000001:
      return { ...NONE, ecx: all(ECX_81), edx: all(EDX_81) };
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      return brand((leaf >>> 0) - 0x80000002);
    case 0x80000007:
      return { ...NONE, edx: all(EDX_87) };
    case 0x80000008:
      return { ...NONE, eax: PHYSICAL_ADDRESS_BITS | (48 << 8) };
    default:
      return NONE;
  }
}
