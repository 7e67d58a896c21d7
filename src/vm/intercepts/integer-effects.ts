/**
 * What an integer instruction with one operand in intercepted memory does, as a pure function of its operands and
 * flags (SDM vol. 2): the parent has no processor to run it on. `left` is the destination's old value, `right` the
 * source. All values are unsigned, within the operand size. Undefined flags stay as they were.
 */
export interface IntegerEffect {
  /** New value of the destination; undefined: it is only read. */
  destination?: bigint;
  /** New value of the source (XCHG, XADD) or of the accumulator (CMPXCHG). */
  source?: bigint;
  accumulator?: bigint;
  rflags: bigint;
}

export interface IntegerInput {
  bits: number;
  left: bigint;
  right: bigint;
  accumulator: bigint;
  rflags: bigint;
}

const CARRY = 1n;
const PARITY = 1n << 2n;
const ADJUST = 1n << 4n;
const ZERO = 1n << 6n;
const SIGN = 1n << 7n;
const OVERFLOW = 1n << 11n;
const ARITHMETIC = CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW;
const SHIFT_COUNT_MASK = { 64: 63n, 32: 31n } as const;

type Rule = (input: IntegerInput) => IntegerEffect;

const add = (carry: boolean, { bits, left, right, rflags }: IntegerInput): IntegerEffect => {
  const wide = left + right + (carry ? rflags & CARRY : 0n);
  const result = BigInt.asUintN(bits, wide);
  const overflow = (left ^ result) & (right ^ result);
  return {
    destination: result,
    rflags: flags(bits, rflags, result, wide !== result, left ^ right ^ result, overflow),
  };
};
const subtract = (borrow: boolean, { bits, left, right, rflags }: IntegerInput): IntegerEffect => {
  const wide = left - right - (borrow ? rflags & CARRY : 0n);
  const result = BigInt.asUintN(bits, wide);
  const overflow = (left ^ right) & (left ^ result);
  return {
    destination: result,
    rflags: flags(bits, rflags, result, wide < 0n, left ^ right ^ result, overflow),
  };
};
const logic = (result: bigint, { bits, rflags }: IntegerInput): IntegerEffect => ({
  destination: result,
  // AF is undefined.
  rflags: flags(bits, rflags, result, false, rflags & ADJUST, 0n),
});
const keepingCarry = (effect: IntegerEffect, { rflags }: IntegerInput): IntegerEffect => ({
  ...effect,
  rflags: (effect.rflags & ~CARRY) | (rflags & CARRY),
});
const onlyFlags = ({ rflags }: IntegerEffect): IntegerEffect => ({ rflags });
const move: Rule = ({ right, rflags }) => ({ destination: right, rflags });

/** BT and its kin on a bit of the addressed operand; a register's bit offset beyond it moved the address already. */
const bit =
  (change: (value: bigint, mask: bigint) => bigint | undefined): Rule =>
  ({ bits, left, right, rflags }) => {
    const at = right & BigInt(bits - 1);
    const effect = change(left, 1n << at);
    const carry = (left >> at) & 1n;
    return { destination: effect, rflags: (rflags & ~CARRY) | carry };
  };

function shift(kind: 'shl' | 'shr' | 'sar', input: IntegerInput): IntegerEffect {
  const { bits, left, right, rflags } = input;
  const count = right & SHIFT_COUNT_MASK[bits === 64 ? 64 : 32];
  if (count === 0n) return { destination: left, rflags };
  const signed = BigInt.asIntN(bits, left);
  const top = BigInt(bits - 1);
  const result = BigInt.asUintN(
    bits,
    kind === 'shl' ? left << count : (kind === 'sar' ? signed : left) >> count,
  );
  const out =
    kind === 'shl'
      ? (left >> (BigInt(bits) - count)) & 1n
      : ((kind === 'sar' ? signed : left) >> (count - 1n)) & 1n;
  // OF is defined for a count of one only.
  let overflow = rflags & OVERFLOW;
  if (count === 1n) overflow = kind === 'shl' ? (result >> top) ^ out : kind === 'shr' ? left >> top : 0n;
  const carry = count <= BigInt(bits) || kind === 'sar' ? out === 1n : (rflags & CARRY) !== 0n;
  return {
    destination: result,
    rflags: flags(bits, rflags, result, carry, rflags & ADJUST, overflow === 0n ? 0n : 1n << top),
  };
}

/** By mnemonic of the instruction table. */
export const INTEGER_EFFECTS: Readonly<Record<string, Rule>> = {
  mov: move,
  movzx: move,
  movsx: move,
  movsxd: move,
  movnti: move,
  add: (input) => add(false, input),
  adc: (input) => add(true, input),
  sub: (input) => subtract(false, input),
  sbb: (input) => subtract(true, input),
  cmp: (input) => onlyFlags(subtract(false, input)),
  and: (input) => logic(input.left & input.right, input),
  or: (input) => logic(input.left | input.right, input),
  xor: (input) => logic(input.left ^ input.right, input),
  test: (input) => onlyFlags(logic(input.left & input.right, input)),
  inc: (input) => keepingCarry(add(false, { ...input, right: 1n }), input),
  dec: (input) => keepingCarry(subtract(false, { ...input, right: 1n }), input),
  neg: (input) => subtract(false, { ...input, left: 0n, right: input.left }),
  not: ({ bits, left, rflags }) => ({ destination: BigInt.asUintN(bits, ~left), rflags }),
  xchg: ({ left, right, rflags }) => ({ destination: right, source: left, rflags }),
  xadd: (input) => ({ ...add(false, input), source: input.left }),
  cmpxchg: (input) => {
    const { rflags } = subtract(false, { ...input, left: input.accumulator, right: input.left });
    if (input.accumulator === input.left) return { destination: input.right, rflags };
    return { destination: input.left, accumulator: input.left, rflags };
  },
  bt: bit(() => undefined),
  bts: bit((value, mask) => value | mask),
  btr: bit((value, mask) => value & ~mask),
  btc: bit((value, mask) => value ^ mask),
  shl: (input) => shift('shl', input),
  shr: (input) => shift('shr', input),
  sar: (input) => shift('sar', input),
};

function flags(
  bits: number,
  old: bigint,
  result: bigint,
  carry: boolean,
  adjust: bigint,
  overflow: bigint,
): bigint {
  const top = 1n << BigInt(bits - 1);
  let set = carry ? CARRY : 0n;
  if (hasEvenParity(Number(result & 0xffn))) set |= PARITY;
  set |= adjust & ADJUST;
  if (result === 0n) set |= ZERO;
  if ((result & top) !== 0n) set |= SIGN;
  if ((overflow & top) !== 0n) set |= OVERFLOW;
  return (old & ~ARITHMETIC) | set;
}

function hasEvenParity(byte: number): boolean {
  let folded = byte ^ (byte >> 4);
  folded ^= folded >> 2;
  return ((folded ^ (folded >> 1)) & 1) === 0;
}
