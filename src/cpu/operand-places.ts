/** Where a decoded operand lies in the state page, and what an instruction means for the block it is in. */
import type { Instruction, Operand } from './instructions/instruction.ts';
import { Mode } from './mode.ts';
import { Segment } from './processor.ts';
import * as S from './state-layout.ts';

/** After these nothing of the same block runs. */
export const ENDS_BLOCK: ReadonlySet<string> = new Set(
  'jmp call ret jmpf callf retf iret int int1 int3 syscall sysret sysenter sysexit hlt ud0 ud1 ud2 rsm'.split(
    ' ',
  ),
);

const CONTROL_OFFSET: Record<number, number> = { 0: S.CR0, 2: S.CR2, 3: S.CR3, 4: S.CR4, 8: S.CR8 };

/** String instructions and XLAT form their addresses from fixed registers. */
export const isStringOperation = ({ row }: Instruction): boolean =>
  row.repeat !== 'none' || row.mnemonic === 'xlat';

/** Segment of a string instruction's source, overrides applied (DS where it has none). */
export function sourceSegment({ operands, row }: Instruction): number {
  for (const operand of operands)
    if (operand.kind === 'memory' && (operand.base === 6 || row.mnemonic === 'xlat')) return operand.segment;
  return Segment.DS;
}

/** State page offset of a segment's base; of a zero where 64-bit code ignores the base. */
export function segmentOffset(segment: number, mode: number): number {
  const ignored = (mode & Mode.CodeSizeMask) === Mode.Code64 && segment < Segment.FS;
  return ignored ? S.ZERO : S.SEGMENT + segment * S.SEGMENT_SIZE;
}

/** State page offset of a register operand; an x87 stack register gives its number. */
export function registerOffset(operand: Operand): number {
  switch (operand.kind) {
    case 'gpr':
      return S.GPR + 8 * operand.index + (operand.high ? 1 : 0);
    case 'xmm':
      return S.XMM + 16 * operand.index;
    case 'mmx':
      return S.FPU_REGISTER + S.FPU_REGISTER_SIZE * operand.index;
    case 'segment':
      return S.SEGMENT + S.SEGMENT_SIZE * operand.index;
    case 'control':
      return CONTROL_OFFSET[operand.index] ?? S.ZERO;
    case 'debug':
      return S.DR + 8 * operand.index;
    case 'st':
      return operand.index;
    default:
      return S.ZERO;
  }
}
