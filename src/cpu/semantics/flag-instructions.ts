/** CLC to STD, CLI and STI, PUSHF and POPF. */
import { i32, i64, select, type Value } from '../../support/wasm/values.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { Operation } from '../microcode/operations.ts';
import { Mode } from '../mode.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';
import { carryFlag, packFlags, setCarry, unpackArithmetic } from './flags.ts';
import { popInto, push } from './stack.ts';

const RSP = 4;
const system = (s: Stage): Value => s.field('i32', S.FLAGS_SYSTEM);
const iopl = (s: Stage): Value => i32.and(i32.shrU(system(s), i32.const(12)), i32.const(3));
const setSystem = (s: Stage, bit: number): void =>
  s.setField('i32', S.FLAGS_SYSTEM, i32.or(system(s), i32.const(bit)));
const clearSystem = (s: Stage, bit: number): void =>
  s.setField('i32', S.FLAGS_SYSTEM, i32.and(system(s), i32.const(~bit)));

/** CLI, STI: #GP where the privilege is above IOPL (virtual-8086 mode counts as 3). */
const requireIoPrivilege = (s: Stage): void =>
  s.raiseIf(i32.gtU(s.field('i32', S.CPL), iopl(s)), VECTOR.GP, 0);

const sti: Semantics = (s) => {
  requireIoPrivilege(s);
  s.f.if(i32.eqz(i32.and(system(s), i32.const(FLAG.IF))), () => {
    setSystem(s, FLAG.IF);
    s.setField('i32', S.INTERRUPT_SHADOW, i32.const(2));
    s.setField('i32', S.MODE, i32.or(s.field('i32', S.MODE), i32.const(Mode.Shadow)));
    s.finishBlock();
  });
};

const virtual8086 = (s: Stage): Value => i32.and(system(s), i32.const(FLAG.VM));
/** PUSHF, POPF in virtual-8086 mode need IOPL 3. */
const requireFlagAccess = (s: Stage): void =>
  s.raiseIf(i32.and(i32.ne(virtual8086(s), i32.const(0)), i32.ltU(iopl(s), i32.const(3))), VECTOR.GP, 0);

const pushf: Semantics = (s) => {
  requireFlagAccess(s);
  const image = i32.and(packFlags(s), i32.const(~(FLAG.RF | FLAG.VM)));
  push(s, s.bits, s.f.let(i64.extendU(i32.or(image, i32.const(FLAG.FIXED)))));
};

const ALWAYS = FLAG.TF | FLAG.DF | FLAG.NT | FLAG.AC | FLAG.ID;

const popf: Semantics = (s) => {
  const { f } = s;
  requireFlagAccess(s);
  const { value, pointerAfter } = popInto(s, s.bits);
  s.setGpr(RSP, 64, pointerAfter);
  const image = f.let(i32.wrap(value));
  const cpl = f.let(s.field('i32', S.CPL));
  const withIf = select(i32.leU(cpl, iopl(s)), i32.const(ALWAYS | FLAG.IF), i32.const(ALWAYS));
  const all = select(i32.eqz(cpl), i32.const(ALWAYS | FLAG.IF | FLAG.IOPL), withIf);
  const writable = f.let(s.bits === 16 ? i32.and(all, i32.const(0xffff)) : all);
  const old = f.let(system(s));
  const next = f.let(i32.or(i32.and(old, i32.xor(writable, i32.const(-1))), i32.and(image, writable)));
  unpackArithmetic(s, image);
  s.setField('i32', S.FLAGS_SYSTEM, i32.and(next, i32.const(~FLAG.RF)));
  const changed = i32.xor(old, next);
  f.if(
    i32.and(changed, i32.const(FLAG.TF)),
    () => s.microcode(Operation.FlagsChanged),
    undefined,
    'unlikely',
  );
  f.if(i32.and(changed, i32.const(FLAG.IF | FLAG.TF)), () => s.finishBlock());
};

export const flagInstructions: Record<string, Semantics> = {
  clc: (s) => setCarry(s, i32.const(0)),
  stc: (s) => setCarry(s, i32.const(1)),
  cmc: (s) => setCarry(s, s.f.let(i32.eqz(carryFlag(s)))),
  cld: (s) => clearSystem(s, FLAG.DF),
  std: (s) => setSystem(s, FLAG.DF),
  cli: (s) => {
    requireIoPrivilege(s);
    clearSystem(s, FLAG.IF);
  },
  sti,
  pushf,
  popf,
  salc: (s) => s.setGpr(0, 8, i64.extendU(i32.sub(i32.const(0), s.f.let(carryFlag(s))))),
};
