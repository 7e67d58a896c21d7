/** The stack as PUSH, POP, CALL and RET see it: 64-bit in 64-bit code, else as wide as SS.B says. */
import { i64, type Value } from '../../support/wasm/values.ts';
import type { IntegerBits, Stage } from '../stage.ts';
import { STACK_BASE, STACK_MASK } from '../state-layout.ts';

const RSP = 4;

/** RSP with `value` in the part that the stack width covers. */
export function stackPointer(s: Stage, value: Value): Value {
  if (s.bits === 64) return value;
  const width = s.field('i64', STACK_MASK);
  return i64.or(i64.and(s.gpr(RSP), i64.xor(width, i64.const(-1))), i64.and(value, width));
}

/** Linear address of stack offset `pointer`. */
function stackAddress(s: Stage, pointer: Value): Value {
  if (s.bits === 64) return pointer;
  return i64.add(s.field('i64', STACK_BASE), i64.and(pointer, s.field('i64', STACK_MASK)));
}

/** Stores, then moves the pointer: a fault leaves it. */
export function push(s: Stage, bits: IntegerBits, value: Value): void {
  const pointer = s.f.let(i64.sub(s.gpr(RSP), i64.const(bits / 8)));
  s.store(bits, stackAddress(s, pointer), value);
  s.setGpr(RSP, 64, stackPointer(s, pointer));
}

/** The top of the stack, and what RSP becomes; RSP is not changed yet. */
export function popInto(s: Stage, bits: IntegerBits): { value: Value; pointerAfter: Value } {
  const pointer = s.f.let(s.gpr(RSP));
  const value = s.load(bits, stackAddress(s, pointer));
  return { value, pointerAfter: s.f.let(stackPointer(s, i64.add(pointer, i64.const(bits / 8)))) };
}

export function pop(s: Stage, bits: IntegerBits): Value {
  const { value, pointerAfter } = popInto(s, bits);
  s.setGpr(RSP, 64, pointerAfter);
  return value;
}
