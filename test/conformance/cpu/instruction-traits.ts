/** What a case must know of an instruction beyond its operands: implicit registers, stack, what its data mean. */
import type { OperandSpec } from '../../../src/cpu/instructions/operand-codes.ts';
import type { InstructionRow } from '../../../src/cpu/instructions/table.ts';
import type { Kind } from './values.ts';

/** General registers by number. */
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

/** Registers that instructions use without naming them; they get operand-like values. */
export const IMPLICIT: Record<string, number[]> = {
  mul: [RAX, RDX],
  imul: [RAX, RDX],
  div: [RAX, RDX],
  idiv: [RAX, RDX],
  cbw: [RAX],
  daa: [RAX],
  das: [RAX],
  aaa: [RAX],
  aas: [RAX],
  aam: [RAX],
  aad: [RAX],
  salc: [RAX],
  pusha: [RAX, RCX, RDX, RBX, RBP, RSI, RDI],
  cwd: [RAX, RDX],
  cmpxchg: [RAX],
  cmpxchg8b: [RAX, RDX, RBX, RCX],
  lahf: [RAX],
  sahf: [RAX],
  stos: [RAX],
  lods: [RAX],
  scas: [RAX],
  loop: [RCX],
  loope: [RCX],
  loopne: [RCX],
  jcxz: [RCX],
  pcmpestri: [RAX, RDX],
  pcmpestrm: [RAX, RDX],
};
export const USES_STACK = new Set([
  'push',
  'pop',
  'pushf',
  'popf',
  'call',
  'ret',
  'enter',
  'leave',
  'pusha',
  'popa',
]);
export const BIT_TESTS = new Set(['bt', 'bts', 'btr', 'btc']);
export const SHIFTS = new Set(['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sar']);
export const NO_ACCESS = new Set(['lea', 'nop', 'prefetch']);
const X87_INTEGER = /^fi/;

export const isX87 = (row: InstructionRow): boolean =>
  row.map === 0 && row.opcode >= 0xd8 && row.opcode <= 0xdf;

/** What an operand's bytes should look like, by the instruction's name. */
export function kindOf(mnemonic: string, spec: OperandSpec, row: InstructionRow): Kind {
  if (isX87(row)) {
    if (mnemonic === 'fbld') return 'bcd';
    if (X87_INTEGER.test(mnemonic) || spec.size === 16 || spec.size === 0) return 'integer';
    return spec.size === 32 ? 'float32' : spec.size === 64 ? 'float64' : 'extended';
  }
  if (mnemonic.startsWith('pcmpestr') || mnemonic.startsWith('pcmpistr')) return 'text';
  const conversion = /^cvtt?(ps|pd|ss|sd|dq|pi|si)2/.exec(mnemonic);
  if (conversion !== null) {
    const source = conversion[1]!;
    return source === 'ps' || source === 'ss'
      ? 'float32'
      : source === 'pd' || source === 'sd'
        ? 'float64'
        : 'integer';
  }
  if (row.map > 0 && /(ps|ss)$/.test(mnemonic) && !mnemonic.startsWith('p')) return 'float32';
  if (row.map > 0 && /(pd|sd)$/.test(mnemonic) && !mnemonic.startsWith('p')) return 'float64';
  return 'integer';
}
