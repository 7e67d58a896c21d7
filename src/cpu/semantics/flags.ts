/**
 * Lazy arithmetic flags. Two fields stand for six flags: the result, sign-extended to 64 bits, and an auxiliary
 * word. ZF, SF and PF follow from the result; the auxiliary word holds
 *
 *   bit 31  CF           bit 3      AF
 *   bit 30  CF xor OF    bit 0      inverts SF
 *                        bits 8-15  are xored to the low byte of the result before its parity is taken
 *
 * The corrections are only needed when flags come from a register (POPF, SAHF); arithmetic leaves them zero.
 * Carries come from one vector: bit n is the carry out of bit n, so CF is the vector's bit width-1 and
 * CF xor OF its bit width-2 (the carry into the sign).
 */
import { i32, i64, type Value } from '../../support/wasm/values.ts';
import { ARITHMETIC_FLAGS, FLAG } from '../../x86/flags.ts';
import { type FlagKind, type FlagOperation, type IntegerBits, type Stage, signExtend } from '../stage.ts';
import { FLAG_AUX, FLAG_RESULT, FLAGS_SYSTEM } from '../state-layout.ts';
import {
  adjustOf,
  auxiliaryOf,
  carryOf,
  comparisonOf,
  overflowOf,
  parityOf,
  signOf,
  zeroOf,
} from './flag-operation.ts';

const setResult = (s: Stage, bits: number, result: Value): void =>
  s.setField('i64', FLAG_RESULT, signExtend(result, bits));

/** Flags of an operation: held by the stage where it can, else written. */
function setFlagsOf(s: Stage, operation: FlagOperation): void {
  if (s.holdFlags(operation)) return;
  const auxiliary = s.f.let(auxiliaryOf(operation, (value) => s.f.let(value)));
  setResult(s, operation.bits, operation.result);
  s.setField('i32', FLAG_AUX, auxiliary);
}

const NONE = i64.const(0);

/** AND, OR, XOR, TEST: CF = OF = AF = 0. */
export const setLogicFlags = (s: Stage, bits: IntegerBits, result: Value): void =>
  setFlagsOf(s, { kind: 'logic', bits, a: NONE, b: NONE, result, carry: i32.const(0) });

/** Flags of a + b (+ carry) = sum. All three may have rubbish above `bits`. */
export const setAddFlags = (
  s: Stage,
  bits: IntegerBits,
  a: Value,
  b: Value,
  result: Value,
  kind: FlagKind = 'add',
): void => setFlagsOf(s, { kind, bits, a, b, result, carry: i32.const(0) });

/** Flags of a - b (- borrow) = difference. */
export const setSubFlags = (
  s: Stage,
  bits: IntegerBits,
  a: Value,
  b: Value,
  result: Value,
  kind: FlagKind = 'sub',
): void => setFlagsOf(s, { kind, bits, a, b, result, carry: i32.const(0) });

/** INC and DEC: as add or sub of one, but CF stays. */
export function setStepFlags(
  s: Stage,
  bits: IntegerBits,
  kind: 'inc' | 'dec',
  a: Value,
  result: Value,
): void {
  const carry = s.f.let(carryFlag(s));
  setFlagsOf(s, { kind, bits, a, b: i64.const(1), result, carry });
}

/** Result flags from `result`; CF and OF are i32 values 0 or 1; AF = 0. */
export function setResultCarryOverflow(
  s: Stage,
  bits: IntegerBits,
  result: Value,
  cf: Value,
  of: Value,
): void {
  setResult(s, bits, result);
  s.setField('i32', FLAG_AUX, carryOverflowAux(cf, of, s));
}

function carryOverflowAux(cf: Value, of: Value, s: Stage): Value {
  const carry = s.f.let(cf);
  return i32.or(i32.shl(carry, i32.const(31)), i32.shl(i32.xor(carry, of), i32.const(30)));
}

/** ZF as given (i32, 0 or 1), the other five flags 0. */
export function setZeroFlagOnly(s: Stage, zero: Value): void {
  const zf = s.f.let(zero);
  s.setField('i64', FLAG_RESULT, i64.extendU(i32.eqz(zf)));
  // A zero result has even parity: the correction makes it odd.
  s.setField('i32', FLAG_AUX, i32.shl(zf, i32.const(8)));
}

/** Changes CF and OF only (rotates, CLC ...). */
export function setCarryOverflow(s: Stage, cf: Value, of: Value): void {
  const rest = i32.and(s.field('i32', FLAG_AUX), i32.const(0x3fffffff));
  s.setField('i32', FLAG_AUX, i32.or(rest, carryOverflowAux(cf, of, s)));
}

/** Changes CF only. */
export const setCarry = (s: Stage, cf: Value): void => {
  const overflow = s.f.let(overflowFlag(s));
  setCarryOverflow(s, cf, overflow);
};

/** Whoever reads fields of the state page: a stage, or generated code beside the instructions. */
export type StateReader = Pick<Stage, 'f' | 'field'> & Partial<Pick<Stage, 'heldFlags'>>;

// Reading: each an i32, 0 or 1; from the operation that the stage holds, else from the two fields.

export function carryFlag(s: StateReader): Value {
  if (s.heldFlags) return carryOf(s.heldFlags);
  return i32.shrU(s.field('i32', FLAG_AUX), i32.const(31));
}
export function overflowFlag(s: StateReader): Value {
  if (s.heldFlags) return overflowOf(s.heldFlags);
  const aux = s.f.let(s.field('i32', FLAG_AUX));
  return i32.shrU(i32.xor(aux, i32.shl(aux, i32.const(1))), i32.const(31));
}
export function zeroFlag(s: StateReader): Value {
  if (s.heldFlags) return zeroOf(s.heldFlags);
  return i64.eqz(s.field('i64', FLAG_RESULT));
}
export function signFlag(s: StateReader): Value {
  if (s.heldFlags) return signOf(s.heldFlags);
  return i32.xor(
    i32.wrap(i64.shrU(s.field('i64', FLAG_RESULT), i64.const(63))),
    i32.and(s.field('i32', FLAG_AUX), i32.const(1)),
  );
}
export function parityFlag(s: StateReader): Value {
  if (s.heldFlags) return parityOf(s.heldFlags);
  const correction = i32.shrU(s.field('i32', FLAG_AUX), i32.const(8));
  const low = i32.and(i32.xor(i32.wrap(s.field('i64', FLAG_RESULT)), correction), i32.const(0xff));
  return i32.eqz(i32.and(i32.popcnt(low), i32.const(1)));
}
export function adjustFlag(s: StateReader): Value {
  if (s.heldFlags) return adjustOf(s.heldFlags);
  return i32.and(i32.shrU(s.field('i32', FLAG_AUX), i32.const(3)), i32.const(1));
}

const not = (value: Value): Value => i32.eqz(value);
const less = (s: StateReader): Value => i32.xor(s.f.let(signFlag(s)), overflowFlag(s));

const FROM_FLAGS: Record<string, (s: Stage) => Value> = {
  o: overflowFlag,
  no: (s) => not(overflowFlag(s)),
  b: carryFlag,
  ae: (s) => not(carryFlag(s)),
  e: zeroFlag,
  ne: (s) => not(zeroFlag(s)),
  be: (s) => i32.or(carryFlag(s), zeroFlag(s)),
  a: (s) => not(i32.or(carryFlag(s), zeroFlag(s))),
  s: signFlag,
  ns: (s) => not(signFlag(s)),
  p: parityFlag,
  np: (s) => not(parityFlag(s)),
  l: less,
  ge: (s) => not(less(s)),
  le: (s) => i32.or(zeroFlag(s), less(s)),
  g: (s) => not(i32.or(zeroFlag(s), less(s))),
};

/** Condition codes by the suffix of Jcc, SETcc, CMOVcc. */
export const CONDITION: Record<string, (s: Stage) => Value> = Object.fromEntries(
  Object.entries(FROM_FLAGS).map(([name, fromFlags]) => [
    name,
    (s: Stage) => (s.heldFlags && comparisonOf(s.heldFlags, name)) ?? fromFlags(s),
  ]),
);

/** The six arithmetic flags in their RFLAGS places, i32. */
export function packArithmetic(s: StateReader): Value {
  const at = (flag: Value, bit: number): Value => i32.shl(flag, i32.const(bit));
  return i32.or(
    i32.or(i32.or(carryFlag(s), at(parityFlag(s), 2)), i32.or(at(adjustFlag(s), 4), at(zeroFlag(s), 6))),
    i32.or(at(signFlag(s), 7), at(overflowFlag(s), 11)),
  );
}

/** All of RFLAGS' low 32 bits. */
export const packFlags = (s: StateReader): Value => i32.or(packArithmetic(s), s.field('i32', FLAGS_SYSTEM));

/** Sets the arithmetic flags from their RFLAGS places (i32). */
export function unpackArithmetic(s: Stage, value: Value): void {
  const flags = s.f.let(value);
  const bit = (flag: number): Value => i32.and(i32.shrU(flags, i32.const(Math.log2(flag))), i32.const(1));
  // The result is 0 (ZF) or 1; the corrections then make SF and PF what they must be.
  s.setField('i64', FLAG_RESULT, i64.extendU(i32.xor(bit(FLAG.ZF), i32.const(1))));
  const corrections = i32.or(bit(FLAG.SF), i32.shl(i32.xor(bit(FLAG.PF), bit(FLAG.ZF)), i32.const(8)));
  const carries = i32.or(
    i32.shl(bit(FLAG.CF), i32.const(31)),
    i32.shl(i32.xor(bit(FLAG.CF), bit(FLAG.OF)), i32.const(30)),
  );
  s.setField('i32', FLAG_AUX, i32.or(i32.or(corrections, carries), i32.shl(bit(FLAG.AF), i32.const(3))));
}

export { ARITHMETIC_FLAGS };
