/** Flags that an instruction leaves undefined with the operands it has: for shifts and rotates it depends on the count. */
import { FLAG_BITS, type InstructionRow } from '../../../src/cpu/instructions/table.ts';
import { SHIFTS } from './instruction-traits.ts';

/** `encodedCount` is the shift count as encoded or in CL, before masking. */
export function undefinedFlags(row: InstructionRow, operandSize: number, encodedCount: number): number {
  const { mnemonic } = row;
  const { a, o, c } = FLAG_BITS as { a: number; o: number; c: number };
  if (!SHIFTS.has(mnemonic) && mnemonic !== 'shld' && mnemonic !== 'shrd') return row.flagsUndefined;
  const count = encodedCount & (operandSize === 64 ? 63 : 31);
  if (count === 0) return 0;
  const overflow = count === 1 ? 0 : o;
  if (mnemonic.startsWith('r')) return overflow;
  const carry = (mnemonic === 'shl' || mnemonic === 'shr') && count >= operandSize ? c : 0;
  return overflow | a | carry;
}
