/**
 * Instructions that touch memory in one place, once, and can't fail after that: their device is asked at the first
 * execution. All others are rehearsed, since what a device was asked can't be taken back (operand-memory.ts).
 */
import type { Instruction } from '../../cpu/instructions/instruction.ts';

/** With a general register or an immediate as the other operand. */
const MNEMONICS: ReadonlySet<string> = new Set(
  'mov movzx movsx movsxd movbe add or adc sbb and sub xor cmp test xchg xadd inc dec not neg imul'.split(
    ' ',
  ),
);

export function isOneAccess({ row, operands }: Instruction): boolean {
  return (
    MNEMONICS.has(row.mnemonic) &&
    operands.every(({ kind }) => kind === 'gpr' || kind === 'memory' || kind === 'immediate')
  );
}
