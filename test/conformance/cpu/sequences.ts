/**
 * Random straight code of a few integer instructions between registers, with short branches over one of them:
 * what single instructions can't show, flags that one instruction leaves and another takes. No instruction reads
 * a flag that an earlier one left undefined.
 */
import type { Form } from '../../../src/cpu/instructions/forms.ts';
import { Place } from '../../../src/cpu/instructions/operand-codes.ts';
import { FLAG_BITS, type InstructionRow } from '../../../src/cpu/instructions/table.ts';
import type { Case } from './cases.ts';
import { coveredForms } from './coverage.ts';
import { backgroundState } from './cpu-state.ts';
import { encode } from './encode.ts';
import { SHIFTS } from './instruction-traits.ts';
import { undefinedFlags } from './undefined-flags.ts';
import { Draw, integer } from './values.ts';

const SEQUENCES = 6000;
const MAX_BYTES = 60;

const MNEMONICS =
  /^(add|or|adc|sbb|and|sub|xor|cmp|test|inc|dec|neg|not|rol|ror|rcl|rcr|shl|shr|sar|bt|bts|btr|btc|imul|mov|movzx|movsx|movsxd|lahf|sahf|cmc|clc|stc|bswap|xadd|cmpxchg|xchg|popcnt|set.*|cmov.*|cbw|cwd)$/;
const CONDITION = /^(?:set|cmov|j)(n?)(o|b|e|be|s|p|l|le|ae|a|ge|g)$/;
const CONDITION_FLAGS: Record<string, string> = {
  o: 'o', b: 'c', ae: 'c', e: 'z', be: 'cz', a: 'cz', s: 's', p: 'p', l: 'so', ge: 'so', le: 'zso', g: 'zso',
}; // biome-ignore format: a table
/** RAX, RCX, RDX, RBX, RSI, RDI, R8, R9. */
const REGISTERS = [0, 1, 2, 3, 6, 7, 8, 9];

const maskOf = (letters: string): number =>
  [...letters].reduce((mask, letter) => mask | FLAG_BITS[letter]!, 0);

function flagsRead(mnemonic: string): number {
  const condition = CONDITION.exec(mnemonic);
  if (condition !== null) return maskOf(CONDITION_FLAGS[condition[2]!]!);
  if (/^(adc|sbb|rcl|rcr|cmc)$/.test(mnemonic)) return maskOf('c');
  return mnemonic === 'lahf' ? maskOf('szapc') : 0;
}

interface Choice {
  row: InstructionRow;
  form: Form;
}
const isRegisterOnly = ({ shapes }: Form): boolean => shapes.every((shape) => /^(r\d+|i)$/.test(shape));

const choices: Choice[] = coveredForms(64).flatMap(({ form, rows }) =>
  isRegisterOnly(form) && MNEMONICS.test(form.mnemonic)
    ? rows.filter(({ operands }) => operands.at(-1)?.code !== 'CL').map((row) => ({ row, form }))
    : [],
);
const branches: InstructionRow[] = coveredForms(64).flatMap(({ form, rows }) =>
  CONDITION.test(form.mnemonic) && form.mnemonic.startsWith('j') ? rows.filter(({ map }) => map === 0) : [],
);

interface Piece {
  bytes: Uint8Array;
  /** Flags undefined behind it. */
  undefinedAfter: number;
}

function instruction(draw: Draw, undefinedBefore: number): Piece {
  for (;;) {
    const { row, form } = draw.pick(choices);
    if ((flagsRead(row.mnemonic) & undefinedBefore) !== 0) continue;
    const legacyBytes = form.operandSize !== 64 && form.shapes.includes('r8') && draw.chance(50);
    const register = (): number => (legacyBytes ? draw.pick([0, 1, 2, 3, 4, 5, 6, 7]) : draw.pick(REGISTERS));
    const [reg, rm] = [register(), register()];
    // SPL and BPL stay out: without REX these numbers are AH and CH, and wide operands would be RSP and RBP.
    const isWide = form.shapes.some((shape) => /^r(16|32|64)$/.test(shape));
    if (legacyBytes && isWide && [reg, rm].some((index) => index === 4 || index === 5)) continue;
    const immediate = integer(draw, 64);
    const bytes = encode(row, {
      code: 64,
      operandSize: form.operandSize,
      reg,
      rm,
      memory: undefined,
      immediates: [immediate],
      repeat: 'none',
      segmentPrefix: undefined,
      addressOverride: false,
      lock: false,
      forceRex: form.shapes.includes('r8') && !legacyBytes,
    });
    return { bytes, undefinedAfter: flagsAfter(row, form.operandSize, immediate, undefinedBefore) };
  }
}

function flagsAfter(row: InstructionRow, operandSize: number, immediate: bigint, before: number): number {
  if (!SHIFTS.has(row.mnemonic)) return (before & ~row.flagsWritten) | row.flagsUndefined;
  const encoded = row.operands.at(-1)!.place === Place.One ? 1 : Number(immediate & 0xffn);
  if ((encoded & (operandSize === 64 ? 63 : 31)) === 0) return before;
  const open = undefinedFlags(row, operandSize, encoded);
  return (
    (before & ~(row.flagsWritten | row.flagsUndefined)) |
    (before & row.flagsUndefined & ~open & maskOf('a')) |
    open
  );
}

function sequence(draw: Draw): Case {
  const cpu = backgroundState();
  for (const index of REGISTERS) cpu.gpr[index] = integer(draw, 64);
  cpu.rflags = 0x202 | (draw.u32() & 0x8d5);
  const pieces: Uint8Array[] = [];
  let open = 0;
  let length = 0;
  const add = (bytes: Uint8Array): void => {
    pieces.push(bytes);
    length += bytes.length;
  };
  for (let count = 2 + draw.below(7); count > 0 && length < MAX_BYTES - 24; count--) {
    const branch = draw.chance(15) ? draw.pick(branches) : undefined;
    const before = open;
    const piece = instruction(draw, open);
    open = piece.undefinedAfter;
    if (branch !== undefined && (flagsRead(branch.mnemonic) & before) === 0) {
      add(Uint8Array.of(branch.opcode, piece.bytes.length));
      open |= before;
    }
    add(piece.bytes);
  }
  return { bytes: Buffer.concat(pieces), cpu, memory: [], undefinedFlags: open, repeats: false };
}

export function planSequences(): { form: string; test: Case }[] {
  const draw = new Draw('sequences');
  return Array.from({ length: SEQUENCES }, () => ({ form: 'sequence', test: sequence(draw) }));
}
