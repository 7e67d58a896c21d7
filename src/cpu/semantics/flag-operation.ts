/**
 * The operation that flags come from: what a stage may hold instead of the flags themselves (`Stage.holdFlags`),
 * so that a conditional branch behind a comparison is one comparison and flags that nobody reads cost nothing.
 */
import { i32, i64, type Value } from '../../support/wasm/values.ts';
import { type FlagKind, type FlagOperation, signExtend, zeroExtend } from '../stage.ts';

const AF = 8;

const addCarries = (a: Value, b: Value, sum: Value): Value =>
  i64.or(i64.and(a, b), i64.and(i64.or(a, b), i64.xor(sum, i64.const(-1))));
const subBorrows = (a: Value, b: Value, difference: Value): Value => {
  const notA = i64.xor(a, i64.const(-1));
  return i64.or(i64.and(notA, b), i64.and(i64.or(notA, b), difference));
};

const isSum = (kind: FlagKind): boolean => kind === 'add' || kind === 'adc' || kind === 'inc';

/** Bit n is the carry (or borrow) out of bit n. */
const carriesOf = ({ kind, a, b, result }: FlagOperation): Value =>
  isSum(kind) ? addCarries(a, b, result) : subBorrows(a, b, result);

/** The auxiliary word of flags.ts. */
export function auxiliaryOf(op: FlagOperation, fix: (value: Value) => Value): Value {
  if (op.kind === 'logic') return i32.const(0);
  const carries = fix(carriesOf(op));
  const fresh = i32.or(
    i32.and(i32.wrap(carries), i32.const(AF)),
    i32.shl(i32.wrap(i64.shrU(carries, i64.const(op.bits - 2))), i32.const(30)),
  );
  if (op.kind !== 'inc' && op.kind !== 'dec') return fresh;
  // CF stays; the bit below it says where CF and OF differ.
  const own = fix(fresh);
  const overflow = i32.and(i32.xor(own, i32.shl(own, i32.const(1))), i32.const(0x80000000));
  const carry = fix(i32.shl(op.carry, i32.const(31)));
  const second = i32.shrU(i32.xor(carry, overflow), i32.const(1));
  return i32.or(i32.and(own, i32.const(AF)), i32.or(carry, second));
}

// Single flags, i32 0 or 1.

const bit = (value: Value, n: number): Value =>
  i32.and(i32.wrap(i64.shrU(value, i64.const(n))), i32.const(1));
const unsigned = (op: FlagOperation, value: Value): Value => zeroExtend(value, op.bits);
const signed = (op: FlagOperation, value: Value): Value => signExtend(value, op.bits);

export const zeroOf = (op: FlagOperation): Value => i64.eqz(unsigned(op, op.result));
export const signOf = (op: FlagOperation): Value => bit(op.result, op.bits - 1);

export function carryOf(op: FlagOperation): Value {
  switch (op.kind) {
    case 'logic':
      return i32.const(0);
    case 'inc':
    case 'dec':
      return op.carry;
    case 'sub':
      return i64.ltU(unsigned(op, op.a), unsigned(op, op.b));
    case 'add':
      return i64.ltU(unsigned(op, op.result), unsigned(op, op.a));
    default:
      return bit(carriesOf(op), op.bits - 1);
  }
}

export function overflowOf(op: FlagOperation): Value {
  if (op.kind === 'logic') return i32.const(0);
  const { a, b, result } = op;
  const changed = isSum(op.kind)
    ? i64.and(i64.xor(a, result), i64.xor(b, result))
    : i64.and(i64.xor(a, b), i64.xor(a, result));
  return bit(changed, op.bits - 1);
}

export const parityOf = (op: FlagOperation): Value =>
  i32.eqz(i32.and(i32.popcnt(i32.and(i32.wrap(op.result), i32.const(0xff))), i32.const(1)));

export const adjustOf = (op: FlagOperation): Value =>
  op.kind === 'logic' ? i32.const(0) : bit(i64.xor(i64.xor(op.a, op.b), op.result), 4);

/** Conditions that are one comparison of what was compared; undefined where the flags must be put together. */
export function comparisonOf(op: FlagOperation, condition: string): Value | undefined {
  if (op.kind === 'logic') return comparisonWithZero(op, condition);
  if (op.kind !== 'sub') return undefined;
  const [a, b] = [unsigned(op, op.a), unsigned(op, op.b)];
  const [x, y] = [signed(op, op.a), signed(op, op.b)];
  switch (condition) {
    case 'b':
      return i64.ltU(a, b);
    case 'ae':
      return i64.geU(a, b);
    case 'be':
      return i64.leU(a, b);
    case 'a':
      return i64.gtU(a, b);
    case 'e':
      return i64.eq(a, b);
    case 'ne':
      return i64.ne(a, b);
    case 'l':
      return i64.ltS(x, y);
    case 'ge':
      return i64.geS(x, y);
    case 'le':
      return i64.leS(x, y);
    case 'g':
      return i64.gtS(x, y);
    default:
      return undefined;
  }
}

function comparisonWithZero(op: FlagOperation, condition: string): Value | undefined {
  const zero = i64.const(0);
  const result = signed(op, op.result);
  switch (condition) {
    case 'be':
      return i64.eqz(unsigned(op, op.result));
    case 'a':
      return i64.ne(unsigned(op, op.result), zero);
    case 'l':
    case 's':
      return i64.ltS(result, zero);
    case 'ge':
    case 'ns':
      return i64.geS(result, zero);
    case 'le':
      return i64.leS(result, zero);
    case 'g':
      return i64.gtS(result, zero);
    default:
      return undefined;
  }
}
