/**
 * The registers that the debugger is shown: GDB's features i386.core, sse and segments, in the order that they demand,
 * and the system registers under the names that QEMU gives them. Each row says where its bits lie in a register of
 * TLFS 2.0a §10.2. One table: target description, `g` packet and register writes derive from it.
 */
import { RegisterName as R } from '../../hvdef/registers.ts';

export interface RegisterRow {
  name: string;
  bits: number;
  /** GDB's type; the default is an integer of `bits`. */
  type?: string;
  feature: Feature;
  /** The HV register, and the lowest of its 128 bits that counts. */
  source: number;
  shift: number;
  /** Bits of the source; above them the value reads as zero. */
  width: number;
  /** The x87 tag word travels as two bits a register, the HV register holds one. */
  tagWord?: true;
}

export type Feature =
  | 'org.gnu.gdb.i386.core'
  | 'org.gnu.gdb.i386.sse'
  | 'org.gnu.gdb.i386.segments'
  | 'org.partita.i386.system';

const CORE = 'org.gnu.gdb.i386.core';
const SSE = 'org.gnu.gdb.i386.sse';
const SEGMENTS = 'org.gnu.gdb.i386.segments';
const SYSTEM = 'org.partita.i386.system';

const SELECTOR_SHIFT = 112;

function row(
  feature: Feature,
  name: string,
  bits: number,
  source: number,
  rest: Partial<RegisterRow> = {},
): RegisterRow {
  return { feature, name, bits, source, shift: 0, width: bits, ...rest };
}

const GENERAL = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp'] as const;
const GENERAL_NAMES = [R.Rax, R.Rbx, R.Rcx, R.Rdx, R.Rsi, R.Rdi, R.Rbp, R.Rsp];
const SEGMENT_NAMES = { cs: R.Cs, ss: R.Ss, ds: R.Ds, es: R.Es, fs: R.Fs, gs: R.Gs };

const eight = [0, 1, 2, 3, 4, 5, 6, 7];
const fpu = (name: string, shift: number, width: number, rest: Partial<RegisterRow> = {}): RegisterRow =>
  row(CORE, name, 32, R.FpControlStatus, { shift, width, ...rest });

export const REGISTERS: readonly RegisterRow[] = [
  ...GENERAL.map((name, index) =>
    row(CORE, name, 64, GENERAL_NAMES[index], name === 'rbp' || name === 'rsp' ? { type: 'data_ptr' } : {}),
  ),
  ...eight.map((index) => row(CORE, `r${index + 8}`, 64, R.R8 + index)),
  row(CORE, 'rip', 64, R.Rip, { type: 'code_ptr' }),
  row(CORE, 'eflags', 32, R.Rflags, { type: 'i386_eflags' }),
  ...Object.entries(SEGMENT_NAMES).map(([name, source]) =>
    row(CORE, name, 32, source, { shift: SELECTOR_SHIFT, width: 16 }),
  ),
  ...eight.map((index) => row(CORE, `st${index}`, 80, R.FpMmx0 + index, { type: 'i387_ext' })),
  fpu('fctrl', 0, 16),
  fpu('fstat', 16, 16),
  fpu('ftag', 32, 8, { tagWord: true }),
  fpu('fiseg', 96, 16),
  fpu('fioff', 64, 32),
  row(CORE, 'foseg', 32, R.XmmControlStatus, { shift: 32, width: 16 }),
  row(CORE, 'fooff', 32, R.XmmControlStatus),
  fpu('fop', 48, 16),
  ...[...eight, ...eight.map((index) => index + 8)].map((index) =>
    row(SSE, `xmm${index}`, 128, R.Xmm0 + index, { type: 'vec128' }),
  ),
  row(SSE, 'mxcsr', 32, R.XmmControlStatus, { shift: 64, type: 'i386_mxcsr' }),
  row(SEGMENTS, 'fs_base', 64, R.Fs),
  row(SEGMENTS, 'gs_base', 64, R.Gs),
  row(SYSTEM, 'k_gs_base', 64, R.KernelGsBase),
  row(SYSTEM, 'cr0', 64, R.Cr0, { type: 'x64_cr0' }),
  row(SYSTEM, 'cr2', 64, R.Cr2),
  row(SYSTEM, 'cr3', 64, R.Cr3, { type: 'x64_cr3' }),
  row(SYSTEM, 'cr4', 64, R.Cr4, { type: 'x64_cr4' }),
  row(SYSTEM, 'cr8', 64, R.Cr8),
  row(SYSTEM, 'efer', 64, R.Efer, { type: 'x64_efer' }),
];

/** The HV registers behind the table, each once. */
export const SOURCES: readonly number[] = [...new Set(REGISTERS.map(({ source }) => source))];

export const registerIndex = (name: string): number => REGISTERS.findIndex((each) => each.name === name);

/** `values`: 128-bit values of the HV registers by name. */
export function registerValue(register: RegisterRow, values: ReadonlyMap<number, bigint>): bigint {
  const raw = BigInt.asUintN(register.width, (values.get(register.source) ?? 0n) >> BigInt(register.shift));
  return register.tagWord ? fullTagWord(Number(raw), values) : raw;
}

/** The HV register's new 128-bit value, or undefined when `value` does not fit. */
export function withRegister(register: RegisterRow, source: bigint, value: bigint): bigint | undefined {
  if (value >> BigInt(register.bits) !== 0n) return undefined;
  const field = register.tagWord ? abridgedTagWord(Number(value)) : value;
  if (field >> BigInt(register.width) !== 0n) return undefined;
  const mask = ((1n << BigInt(register.width)) - 1n) << BigInt(register.shift);
  return (source & ~mask) | (field << BigInt(register.shift));
}

const TAG_VALID = 0;
const TAG_ZERO = 1;
const TAG_SPECIAL = 2;
const TAG_EMPTY = 3;

/** What FSAVE would store: the registers' contents tell valid, zero and special apart (SDM vol. 1 §8.1.7). */
function fullTagWord(abridged: number, values: ReadonlyMap<number, bigint>): bigint {
  const top = Number(((values.get(R.FpControlStatus) ?? 0n) >> 27n) & 7n);
  let word = 0;
  for (let physical = 0; physical < 8; physical++) {
    const value = values.get(R.FpMmx0 + ((physical - top) & 7)) ?? 0n;
    const tag = (abridged >> physical) & 1 ? tagOf(value) : TAG_EMPTY;
    word |= tag << (2 * physical);
  }
  return BigInt(word);
}

function tagOf(value: bigint): number {
  const exponent = (value >> 64n) & 0x7fffn;
  const significand = BigInt.asUintN(64, value);
  if (exponent === 0n && significand === 0n) return TAG_ZERO;
  return exponent === 0n || exponent === 0x7fffn || significand >> 63n === 0n ? TAG_SPECIAL : TAG_VALID;
}

function abridgedTagWord(full: number): bigint {
  let word = 0;
  for (let physical = 0; physical < 8; physical++)
    if (((full >> (2 * physical)) & 3) !== TAG_EMPTY) word |= 1 << physical;
  return BigInt(word);
}
