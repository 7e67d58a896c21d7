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
import { type IntegerBits, type Stage, signExtend } from '../stage.ts';
import { FLAG_AUX, FLAG_RESULT, FLAGS_SYSTEM } from '../state-layout.ts';

const AF = 8;

const setResult = (s: Stage, bits: number, result: Value): void =>
  s.setField('i64', FLAG_RESULT, signExtend(result, bits));

/** AND, OR, XOR, TEST: CF = OF = AF = 0. */
export function setLogicFlags(s: Stage, bits: IntegerBits, result: Value): void {
  setResult(s, bits, result);
  s.setField('i32', FLAG_AUX, i32.const(0));
}

const auxFromCarries = (bits: IntegerBits, carries: Value): Value => {
  const top = i32.shl(i32.wrap(i64.shrU(carries, i64.const(bits - 2))), i32.const(30));
  return i32.or(i32.and(i32.wrap(carries), i32.const(AF)), top);
};

export const addCarries = (a: Value, b: Value, sum: Value): Value =>
  i64.or(i64.and(a, b), i64.and(i64.or(a, b), i64.xor(sum, i64.const(-1))));
export const subBorrows = (a: Value, b: Value, difference: Value): Value => {
  const notA = i64.xor(a, i64.const(-1));
  return i64.or(i64.and(notA, b), i64.and(i64.or(notA, b), difference));
};

/** Flags of a + b (+ carry) = sum. All three may have rubbish above `bits`. */
export function setAddFlags(s: Stage, bits: IntegerBits, a: Value, b: Value, sum: Value): void {
  setResult(s, bits, sum);
  s.setField('i32', FLAG_AUX, auxFromCarries(bits, addCarries(a, b, sum)));
}

/** Flags of a - b (- borrow) = difference. */
export function setSubFlags(s: Stage, bits: IntegerBits, a: Value, b: Value, difference: Value): void {
  setResult(s, bits, difference);
  s.setField('i32', FLAG_AUX, auxFromCarries(bits, subBorrows(a, b, difference)));
}

/** INC and DEC: as add or sub of one, but CF stays. */
export function setStepFlags(s: Stage, bits: IntegerBits, carries: Value, result: Value): void {
  const { f } = s;
  const fresh = f.let(auxFromCarries(bits, carries));
  const overflow = i32.and(i32.xor(fresh, i32.shl(fresh, i32.const(1))), i32.const(0x80000000));
  const oldCarry = f.let(i32.and(s.field('i32', FLAG_AUX), i32.const(0x80000000)));
  const second = i32.shrU(i32.xor(oldCarry, overflow), i32.const(1));
  s.setField('i32', FLAG_AUX, i32.or(i32.and(fresh, i32.const(AF)), i32.or(oldCarry, second)));
  setResult(s, bits, result);
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
export type StateReader = Pick<Stage, 'f' | 'field'>;

// Reading: each an i32, 0 or 1.

export const carryFlag = (s: StateReader): Value => i32.shrU(s.field('i32', FLAG_AUX), i32.const(31));
export const overflowFlag = (s: StateReader): Value => {
  const aux = s.f.let(s.field('i32', FLAG_AUX));
  return i32.shrU(i32.xor(aux, i32.shl(aux, i32.const(1))), i32.const(31));
};
export const zeroFlag = (s: StateReader): Value => i64.eqz(s.field('i64', FLAG_RESULT));
export const signFlag = (s: StateReader): Value =>
  i32.xor(
    i32.wrap(i64.shrU(s.field('i64', FLAG_RESULT), i64.const(63))),
    i32.and(s.field('i32', FLAG_AUX), i32.const(1)),
  );
export const parityFlag = (s: StateReader): Value => {
  const correction = i32.shrU(s.field('i32', FLAG_AUX), i32.const(8));
  const low = i32.and(i32.xor(i32.wrap(s.field('i64', FLAG_RESULT)), correction), i32.const(0xff));
  return i32.eqz(i32.and(i32.popcnt(low), i32.const(1)));
};
export const adjustFlag = (s: StateReader): Value =>
  i32.and(i32.shrU(s.field('i32', FLAG_AUX), i32.const(3)), i32.const(1));

const not = (value: Value): Value => i32.eqz(value);
const less = (s: StateReader): Value => i32.xor(s.f.let(signFlag(s)), overflowFlag(s));

/** Condition codes by the suffix of Jcc, SETcc, CMOVcc. */
export const CONDITION: Record<string, (s: Stage) => Value> = {
  o: overflowFlag,
  no: (s) => not(overflowFlag(s)),
  b: carryFlag,
  ae: (s) => not(carryFlag(s)),
  e: zeroFlag,
  ne: (s) => i64.ne(s.field('i64', FLAG_RESULT), i64.const(0)),
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
