/**
 * Architectural and vendor MSRs that neither the processor nor the synthetic set owns, yet a guest kernel may
 * touch: memory type ranges, machine check, identification, and a few that only must not fault. One instance
 * per virtual processor owns their values.
 *
 * Sources: what is virtualized and how, TLFS 2.0a Appendices F and G; numbers and formats, SDM vol. 4 §2.1 and
 * vol. 3 §12.11 (MTRR), APM vol. 2 Appendix A (the C001_xxxx range). An MSR that is not listed is unknown here:
 * the caller intercepts it or raises #GP. Memory types are stored and have no effect: all memory is write-back.
 */
import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';

type Policy =
  /** The value is fixed; writes are ignored. */
  | { kind: 'fixed'; value: bigint }
  /** The value is fixed; writes fault. */
  | { kind: 'read-only'; value: bigint }
  /** Plain storage; bits outside `mask` fault. */
  | { kind: 'stored'; initial: bigint; mask: bigint }
  /** Storage of memory types: one per byte. */
  | { kind: 'memory-types' }
  | { kind: 'range-base' }
  | { kind: 'range-mask' }
  | { kind: 'default-type' };

const VARIABLE_RANGES = 8;
/** Variable ranges, fixed ranges (bit 8), write-combining (bit 10). */
const MTRR_CAP = BigInt(VARIABLE_RANGES | 0x500);
/** Fast strings; branch trace store and PEBS are unavailable. */
const MISC_ENABLE = 0x1801n;
/** "The best possible patch is loaded" (Appendix G); the revision stands in the high half. */
const MICROCODE_REVISION = 0x8fff_ffff_0000_0000n;
/** Physical address bits 12..51. */
const PHYSICAL_PAGE_MASK = 0x000f_ffff_ffff_f000n;

const ZERO_IGNORED: Policy = { kind: 'fixed', value: 0n };

const POLICIES = new Map<number, Policy>([
  [0x017, ZERO_IGNORED], // IA32_PLATFORM_ID
  [0x079, ZERO_IGNORED], // IA32_BIOS_UPDT_TRIG
  [0x08b, { kind: 'fixed', value: MICROCODE_REVISION }], // IA32_BIOS_SIGN_ID, AMD PATCH_LEVEL
  [0x0fe, { kind: 'read-only', value: MTRR_CAP }], // IA32_MTRRCAP
  [0x179, { kind: 'read-only', value: 0n }], // IA32_MCG_CAP: no banks
  [0x17a, { kind: 'stored', initial: 0n, mask: 0x7n }], // IA32_MCG_STATUS
  [0x1a0, { kind: 'fixed', value: MISC_ENABLE }], // IA32_MISC_ENABLE
  [0x1d9, ZERO_IGNORED], // IA32_DEBUGCTL: no branch records to turn on
  [0x2ff, { kind: 'default-type' }], // IA32_MTRR_DEF_TYPE, where the processor does not own it
  [0xc001_0010, ZERO_IGNORED], // AMD SYSCFG
  [0xc001_0015, ZERO_IGNORED], // AMD HWCR
  [0xc001_001f, ZERO_IGNORED], // AMD NB_CFG
  [0xc001_0055, ZERO_IGNORED], // AMD interrupt pending message
  [0xc001_1029, { kind: 'fixed', value: 2n }], // AMD DE_CFG: LFENCE serializes
]);
for (let range = 0; range < VARIABLE_RANGES; range++) {
  POLICIES.set(0x200 + 2 * range, { kind: 'range-base' });
  POLICIES.set(0x201 + 2 * range, { kind: 'range-mask' });
}
for (const msr of [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f]) {
  POLICIES.set(msr, { kind: 'memory-types' });
}

/** UC, WC, WT, WP, WB. */
function isMemoryType(type: number): boolean {
  return type === 0 || type === 1 || (type >= 4 && type <= 6);
}

function areMemoryTypes(value: bigint): boolean {
  for (let byte = 0; byte < 8; byte++) {
    if (!isMemoryType(Number((value >> BigInt(8 * byte)) & 0xffn))) return false;
  }
  return true;
}

/** Whether `value` may be written; 'ignored' succeeds without effect. */
function judge(policy: Policy, value: bigint): 'stored' | 'ignored' | 'fault' {
  switch (policy.kind) {
    case 'fixed':
      return 'ignored';
    case 'read-only':
      return 'fault';
    case 'stored':
      return (value & ~policy.mask) === 0n ? 'stored' : 'fault';
    case 'memory-types':
      return areMemoryTypes(value) ? 'stored' : 'fault';
    case 'range-base':
      return (value & ~(PHYSICAL_PAGE_MASK | 0xffn)) === 0n && isMemoryType(Number(value & 0xffn))
        ? 'stored'
        : 'fault';
    case 'range-mask':
      return (value & ~(PHYSICAL_PAGE_MASK | 0x800n)) === 0n ? 'stored' : 'fault';
    case 'default-type':
      return (value & ~0xcffn) === 0n && isMemoryType(Number(value & 0xffn)) ? 'stored' : 'fault';
  }
}

export class ArchitecturalMsrs {
  readonly #values = new Map<number, bigint>();

  read(msr: number): bigint | undefined {
    const policy = POLICIES.get(msr);
    if (policy === undefined) return undefined;
    const stored = this.#values.get(msr);
    if (stored !== undefined) return stored;
    if (policy.kind === 'fixed' || policy.kind === 'read-only') return policy.value;
    return policy.kind === 'stored' ? policy.initial : 0n;
  }

  write(msr: number, value: bigint): 'ok' | 'fault' | 'unknown' {
    const policy = POLICIES.get(msr);
    if (policy === undefined) return 'unknown';
    const verdict = judge(policy, value);
    if (verdict === 'fault') return 'fault';
    if (verdict === 'stored') this.#values.set(msr, value);
    return 'ok';
  }

  reset(): void {
    this.#values.clear();
  }

  save(): StateRecord {
    return { values: [...this.#values].map(([msr, value]) => ({ msr, value })) };
  }
  restore(from: StateReader): void {
    this.reset();
    for (const each of from.records('values', POLICIES.size)) {
      if (this.write(each.u32('msr'), each.u64('value')) !== 'ok') each.fail('value');
    }
  }

  /** What was written, for saved state and inspection. */
  entries(): IterableIterator<[number, bigint]> {
    return this.#values.entries();
  }
}
