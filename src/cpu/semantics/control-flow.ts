/** Near branches, calls and returns, loops. Far transfers are microcode. */
import { i32, i64, type Value } from '../../support/wasm/values.ts';
import { Operation } from '../microcode/operations.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';
import { CONDITION, zeroFlag } from './flags.ts';
import { popInto, push, stackPointer } from './stack.ts';

const RCX = 1;
const RSP = 4;

/** A near target must be canonical (64-bit) or within CS's limit; else #GP with nothing done. */
function checkTarget(s: Stage, target: Value): void {
  if (s.bits !== 64) return;
  const canonical = i64.shrS(i64.shl(target, i64.const(16)), i64.const(16));
  s.raiseIf(i64.ne(canonical, target), 13, 0);
}

const jmp: Semantics = (s) => {
  if (s.shape(0) === 'rel') s.jumpRelative(0);
  else {
    const target = s.f.let(s.read(0));
    checkTarget(s, target);
    s.jump(target);
  }
};

const call: Semantics = (s) => {
  if (s.shape(0) === 'rel') {
    push(s, s.bits, s.nextRip());
    s.jumpRelative(0);
    return;
  }
  const target = s.f.let(s.read(0));
  checkTarget(s, target);
  push(s, s.bits, s.nextRip());
  s.jump(target);
};

/** ptr16:16, ptr16:32, or the same in memory (m16:64 too): offset and selector go to the microcode's scratch. */
const farPointer =
  (operation: number): Semantics =>
  (s) => {
    if (s.shape(0) === 'far') {
      const { offset, selector } = s.farOperand();
      s.setField('i64', S.SCRATCH, offset);
      s.setField('i64', S.SCRATCH + 8, selector);
    } else {
      const bytes = s.bits / 8;
      const va = s.f.let(s.linearAddress(0, bytes + 2, 1));
      const offset = s.load(s.bits, va);
      const selector = s.load(16, i64.add(va, i64.const(bytes)));
      s.setField('i64', S.SCRATCH, offset);
      s.setField('i64', S.SCRATCH + 8, selector);
    }
    s.microcode(operation);
  };

const ret: Semantics = (s) => {
  const { value, pointerAfter } = popInto(s, s.bits);
  checkTarget(s, value);
  s.setGpr(RSP, 64, pointerAfter);
  if (s.form.shapes.length > 0) {
    const pointer = i64.add(s.gpr(RSP), i64.and(s.immediate(0), i64.const(0xffff)));
    s.setGpr(RSP, 64, stackPointer(s, pointer));
  }
  s.jump(value);
};

const conditionalJump =
  (condition: string): Semantics =>
  (s) =>
    s.f.if(CONDITION[condition]!(s), () => s.jumpRelative(0));

/** rCX by address size. */
const counter = (s: Stage): Value => i64.and(s.gpr(RCX), s.addressMask());

function setCounter(s: Stage, value: Value): void {
  const mask = s.f.let(s.addressMask());
  const kept = i64.and(s.gpr(RCX), i64.xor(mask, i64.const(-1)));
  // A 32-bit counter in 64-bit code zero-extends.
  const high = i64.eq(mask, i64.const(0xffffffffn));
  s.f.if(
    high,
    () => s.setGpr(RCX, 64, i64.and(value, mask)),
    () => s.setGpr(RCX, 64, i64.or(kept, i64.and(value, mask))),
  );
}

const loopWhile =
  (condition?: (s: Stage) => Value): Semantics =>
  (s) => {
    const next = s.f.let(i64.and(i64.sub(counter(s), i64.const(1)), s.addressMask()));
    setCounter(s, next);
    const more = i64.ne(next, i64.const(0));
    s.f.if(condition ? i32.and(more, condition(s)) : more, () => s.jumpRelative(0));
  };

const far =
  (operation: number): Semantics =>
  (s) => {
    s.setField('i64', S.SCRATCH, s.form.shapes.length > 0 ? s.immediate(0) : i64.const(0));
    s.microcode(operation);
  };

const loadFarPointer =
  (segment: number): Semantics =>
  (s) => {
    const bytes = s.bits / 8;
    const va = s.f.let(s.linearAddress(1, bytes + 2, 1));
    const offset = s.load(s.bits, va);
    s.setField('i64', S.SCRATCH, s.load(16, i64.add(va, i64.const(bytes))));
    s.setField('i64', S.SCRATCH + 0x100, offset);
    const { base, offset: at } = s.place(0);
    const place = i32.sub(i32.add(base, i32.const(at)), s.state);
    s.microcode(Operation.LoadFarPointer, i32.or(i32.const(segment), i32.shl(place, i32.const(8))));
  };

export const controlFlow: Record<string, Semantics> = {
  jmp,
  call,
  ret,
  jmpf: farPointer(Operation.JumpFar),
  callf: farPointer(Operation.CallFar),
  retf: far(Operation.ReturnFar),
  int: far(Operation.SoftwareInterrupt),
  int3: far(Operation.Breakpoint),
  int1: far(Operation.DebugTrap),
  into: (s) => s.f.if(CONDITION.o!(s), () => s.microcode(Operation.Overflow)),
  les: loadFarPointer(0),
  lss: loadFarPointer(2),
  lds: loadFarPointer(3),
  lfs: loadFarPointer(4),
  lgs: loadFarPointer(5),
  loop: loopWhile(),
  loope: loopWhile(zeroFlag),
  loopne: loopWhile((s) => i32.eqz(zeroFlag(s))),
  jcxz: (s) => s.f.if(i64.eqz(counter(s)), () => s.jumpRelative(0)),
  ...Object.fromEntries(Object.keys(CONDITION).map((name) => [`j${name}`, conditionalJump(name)])),
};
