/** x87 instructions: decoded here, executed by cpu/floating-point through the microcode. */
import { i32, i64 } from '../../support/wasm/values.ts';
import { allForms, type Form } from '../instructions/forms.ts';
import { x87Rows } from '../instructions/rows-x87.ts';
import { Operation } from '../microcode/operations.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';
import { CONDITION, unpackArithmetic } from './flags.ts';

const mnemonics = [...new Set(['fwait', ...x87Rows.map(([mnemonic]) => mnemonic)])];
const names = new Set(mnemonics);

/** All x87 forms; an index into this list is what the microcode is told. */
export const x87Forms: readonly Form[] = allForms().filter((form) => names.has(form.mnemonic));
const indexOf = new Map(x87Forms.map((form, k) => [form.key, k]));

const MOVE_CONDITION: Record<string, string> = {
  fcmovb: 'b',
  fcmove: 'e',
  fcmovbe: 'be',
  fcmovu: 'p',
  fcmovnb: 'ae',
  fcmovne: 'ne',
  fcmovnbe: 'a',
  fcmovnu: 'np',
};
/** FCOMI and its kin set ZF, PF and CF. */
const COMPARES_INTO_FLAGS = new Set(['fcomi', 'fcomip', 'fucomi', 'fucomip']);

/** SCRATCH + 0x300: address of the memory operand; + 0x308: FCMOV's condition, and the flags of FCOMI. */
export const X87_ADDRESS = S.SCRATCH + 0x300;
export const X87_FLAGS = S.SCRATCH + 0x308;

const execute: Semantics = (s: Stage) => {
  const { form } = s;
  const memory = form.shapes.findIndex((shape) => /^m\d*$/.test(shape));
  s.setField('i64', X87_ADDRESS, memory < 0 ? i64.const(-1) : s.linearAddress(memory, 1, 1));
  const condition = MOVE_CONDITION[form.mnemonic];
  if (condition) s.setField('i32', X87_FLAGS, s.f.let(CONDITION[condition]!(s)));
  let argument = i32.const(indexOf.get(form.key)!);
  let shift = 16;
  form.shapes.forEach((shape, k) => {
    if (shape !== 'st') return;
    argument = i32.or(argument, i32.shl(s.stackIndex(k), i32.const(shift)));
    shift += 4;
  });
  s.microcode(Operation.X87, argument);
  if (COMPARES_INTO_FLAGS.has(form.mnemonic)) {
    const flags = s.f.let(s.field('i32', X87_FLAGS));
    s.f.if(i32.geS(flags, i32.const(0)), () => unpackArithmetic(s, flags));
  }
};

export const x87: Record<string, Semantics> = Object.fromEntries(mnemonics.map((name) => [name, execute]));
