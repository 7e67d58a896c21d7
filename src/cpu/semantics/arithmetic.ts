/** Integer arithmetic and logic (SDM vol. 2; flags: vol. 1 appendix A). */
import { i32, i64, select, type Value } from '../../support/wasm/values.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { Operation } from '../microcode/operations.ts';
import { type IntegerBits, mask, type Semantics, type Stage, signExtend, zeroExtend } from '../stage.ts';
import { SCRATCH as SCRATCH_DIVISOR } from '../state-layout.ts';
import {
  carryFlag,
  setAddFlags,
  setLogicFlags,
  setResultCarryOverflow,
  setStepFlags,
  setSubFlags,
} from './flags.ts';

const RAX = 0;
const RDX = 2;

/** The second operand, fixed in a local: sign-extended immediates are cut by whoever stores the result. */
const operand = (s: Stage, k: number): Value => s.f.let(zeroExtend(s.read(k), s.width(0)));

type Combine = (s: Stage, bits: IntegerBits, a: Value, b: Value) => Value;

const combine: Record<string, Combine> = {
  add: (s, bits, a, b) => {
    const sum = s.f.let(i64.add(a, b));
    setAddFlags(s, bits, a, b, sum);
    return sum;
  },
  adc: (s, bits, a, b) => {
    const sum = s.f.let(i64.add(i64.add(a, b), i64.extendU(carryFlag(s))));
    setAddFlags(s, bits, a, b, sum, 'adc');
    return sum;
  },
  sub: (s, bits, a, b) => {
    const difference = s.f.let(i64.sub(a, b));
    setSubFlags(s, bits, a, b, difference);
    return difference;
  },
  sbb: (s, bits, a, b) => {
    const difference = s.f.let(i64.sub(i64.sub(a, b), i64.extendU(carryFlag(s))));
    setSubFlags(s, bits, a, b, difference, 'sbb');
    return difference;
  },
  and: (s, bits, a, b) => logic(s, bits, i64.and(a, b)),
  or: (s, bits, a, b) => logic(s, bits, i64.or(a, b)),
  xor: (s, bits, a, b) => logic(s, bits, i64.xor(a, b)),
};

function logic(s: Stage, bits: IntegerBits, value: Value): Value {
  const result = s.f.let(value);
  setLogicFlags(s, bits, result);
  return result;
}

/**
 * Destination op source. The source is read first: it may fault, and flags must not have changed by then. Flags
 * are set between the destination's validation and its store.
 */
const binary =
  (name: string): Semantics =>
  (s) => {
    const b = operand(s, 1);
    s.modify(0, (a) => combine[name]!(s, s.width(0), a, b));
  };

const compare: Semantics = (s) => {
  const a = s.f.let(s.read(0));
  const b = operand(s, 1);
  setSubFlags(s, s.width(0), a, b, s.f.let(i64.sub(a, b)));
};

const test: Semantics = (s) => {
  const a = s.f.let(s.read(0));
  logic(s, s.width(0), zeroExtend(i64.and(a, s.read(1)), s.width(0)));
};

const step =
  (direction: 1 | -1): Semantics =>
  (s) =>
    s.modify(0, (a) => {
      const result = s.f.let(i64.add(a, i64.const(direction)));
      setStepFlags(s, s.width(0), direction === 1 ? 'inc' : 'dec', a, result);
      return result;
    });

const negate: Semantics = (s) =>
  s.modify(0, (a) => {
    const result = s.f.let(i64.sub(i64.const(0), a));
    setSubFlags(s, s.width(0), i64.const(0), a, result);
    return result;
  });

const exchangeAdd: Semantics = (s) => {
  const bits = s.width(0);
  const b = s.f.let(s.read(1));
  const old = s.f.local('i64');
  s.modify(0, (a) => {
    s.f.set(old, a);
    const sum = s.f.let(i64.add(a, b));
    setAddFlags(s, bits, a, b, sum);
    return sum;
  });
  if (s.isMemory(0)) s.write(1, old.get);
  else {
    // XADD of a register with itself leaves the sum: the destination is written last.
    s.write(1, old.get);
    s.write(0, i64.add(old.get, b));
  }
};

/** High half of the 128-bit product of two 64-bit values. */
function multiplyHigh(s: Stage, a: Value, b: Value, signed: boolean): Value {
  const { f } = s;
  const low32 = (v: Value): Value => i64.and(v, i64.const(mask(32)));
  const high32 = (v: Value): Value => i64.shrU(v, i64.const(32));
  const [al, ah, bl, bh] = [f.let(low32(a)), f.let(high32(a)), f.let(low32(b)), f.let(high32(b))];
  const cross = f.let(i64.add(i64.mul(ah, bl), high32(i64.mul(al, bl))));
  const middle = f.let(i64.add(i64.mul(al, bh), low32(cross)));
  const unsigned = i64.add(i64.add(i64.mul(ah, bh), high32(cross)), high32(middle));
  if (!signed) return f.let(unsigned);
  const correction = i64.add(i64.and(i64.shrS(a, i64.const(63)), b), i64.and(i64.shrS(b, i64.const(63)), a));
  return f.let(i64.sub(unsigned, correction));
}

/** rDX:rAX (AX for bytes) = rAX * operand 0. */
const widening =
  (signed: boolean): Semantics =>
  (s) => {
    const { f } = s;
    const bits = s.width(0);
    const extend = signed ? signExtend : zeroExtend;
    const a = f.let(extend(s.gpr(RAX, bits), bits));
    const b = f.let(extend(s.read(0), bits));
    const low = f.let(i64.mul(a, b));
    const high = bits === 64 ? multiplyHigh(s, a, b, signed) : f.let(i64.shrU(low, i64.const(bits)));
    const fits = signed
      ? bits === 64
        ? i64.eq(high, i64.shrS(low, i64.const(63)))
        : i64.eq(low, signExtend(low, bits))
      : i64.eqz(zeroExtend(high, bits));
    const overflow = f.let(i32.eqz(fits));
    setResultCarryOverflow(s, bits, low, overflow, overflow);
    if (bits === 8) s.setGpr(RAX, 16, low);
    else {
      s.setGpr(RAX, bits, low);
      s.setGpr(RDX, bits, high);
    }
  };

/** Two- and three-operand IMUL. */
const multiplyInto = (s: Stage, x: number, y: number): void => {
  const { f } = s;
  const bits = s.width(0);
  const a = f.let(signExtend(s.read(x), bits));
  const b = f.let(signExtend(s.read(y), bits));
  const low = f.let(i64.mul(a, b));
  const fits =
    bits === 64
      ? i64.eq(multiplyHigh(s, a, b, true), i64.shrS(low, i64.const(63)))
      : i64.eq(low, signExtend(low, bits));
  const overflow = f.let(i32.eqz(fits));
  setResultCarryOverflow(s, bits, low, overflow, overflow);
  s.write(0, low);
};

const multiply: Semantics = (s) => {
  if (s.form.shapes.length === 1) widening(true)(s);
  else if (s.form.shapes.length === 2) multiplyInto(s, 0, 1);
  else multiplyInto(s, 1, 2);
};

/** DIV and IDIV up to 32 bits in i64; 64-bit ones here when the dividend fits 64 bits, else in microcode. */
const divide =
  (signed: boolean): Semantics =>
  (s) => {
    const { f } = s;
    const bits = s.width(0);
    const extend = signed ? signExtend : zeroExtend;
    const divisor = f.let(extend(s.read(0), bits));
    s.raiseIf(i64.eqz(divisor), VECTOR.DE);
    if (bits === 64) {
      divide64(s, divisor, signed);
      return;
    }
    const wide =
      bits === 8 ? s.gpr(RAX, 16) : i64.or(s.gpr(RAX, bits), i64.shl(s.gpr(RDX, bits), i64.const(bits)));
    const dividend = f.let(extend(wide, (bits * 2) as IntegerBits));
    if (signed && bits === 32) {
      const minimum = i64.eq(dividend, i64.const(-(1n << 63n)));
      s.raiseIf(i32.and(minimum, i64.eq(divisor, i64.const(-1))), VECTOR.DE);
    }
    const quotient = f.let((signed ? i64.divS : i64.divU)(dividend, divisor));
    s.raiseIf(i64.ne(extend(quotient, bits), quotient), VECTOR.DE);
    const remainder = f.let((signed ? i64.remS : i64.remU)(dividend, divisor));
    if (bits === 8) {
      const pair = i64.or(zeroExtend(quotient, 8), i64.shl(zeroExtend(remainder, 8), i64.const(8)));
      s.setGpr(RAX, 16, pair);
    } else {
      s.setGpr(RAX, bits, quotient);
      s.setGpr(RDX, bits, remainder);
    }
  };

function divide64(s: Stage, divisor: Value, signed: boolean): void {
  const { f } = s;
  const low = f.let(s.gpr(RAX));
  const high = f.let(s.gpr(RDX));
  const small = signed
    ? i32.and(
        i64.eq(high, i64.shrS(low, i64.const(63))),
        i32.or(i64.ne(divisor, i64.const(-1)), i64.ne(low, i64.const(-(1n << 63n)))),
      )
    : i64.eqz(high);
  f.if(
    small,
    () => {
      s.setGpr(RAX, 64, (signed ? i64.divS : i64.divU)(low, divisor));
      s.setGpr(RDX, 64, (signed ? i64.remS : i64.remU)(low, divisor));
    },
    () => {
      s.setField('i64', SCRATCH_DIVISOR, divisor);
      s.microcode(signed ? Operation.DivideSigned : Operation.DivideUnsigned);
    },
    'likely',
  );
}

const compareExchange: Semantics = (s) => {
  const { f } = s;
  const bits = s.width(0);
  const replacement = f.let(s.read(1));
  const expected = f.let(s.gpr(RAX, bits));
  const old = f.local('i64');
  const compare = (current: Value): Value => {
    f.set(old, current);
    setSubFlags(s, bits, expected, current, f.let(i64.sub(expected, current)));
    return i64.eq(expected, current);
  };
  // Memory is written in either case; a register only on success, so that 32 bits are not zero-extended.
  if (s.isMemory(0)) s.modify(0, (current) => select(compare(current), replacement, current));
  else f.if(compare(f.let(s.read(0))), () => s.write(0, replacement));
  // A 32-bit accumulator is only written, and so only zero-extended, when the comparison failed.
  f.if(i64.ne(expected, old.get), () => s.setGpr(RAX, bits, old.get));
};

const convert: Semantics = (s) => {
  const half = (s.bits / 2) as IntegerBits;
  s.setGpr(RAX, s.bits, signExtend(s.gpr(RAX, half), half));
};

const spreadSign: Semantics = (s) =>
  s.setGpr(RDX, s.bits, i64.shrS(signExtend(s.gpr(RAX, s.bits), s.bits), i64.const(63)));

const bsw: Semantics = (s) =>
  s.modify(0, (v) => {
    const bits = s.width(0);
    if (bits === 16) return i64.const(0); // undefined by the SDM; processors clear the register
    const swap = (x: Value, distance: number, keep: bigint): Value =>
      s.f.let(
        i64.or(
          i64.and(i64.shrU(x, i64.const(distance)), i64.const(keep)),
          i64.shl(i64.and(x, i64.const(keep)), i64.const(distance)),
        ),
      );
    const halves = swap(swap(v, 8, 0x00ff00ff00ff00ffn), 16, 0x0000ffff0000ffffn);
    return bits === 32 ? halves : i64.rotl(halves, i64.const(32));
  });

export const arithmetic: Record<string, Semantics> = {
  add: binary('add'),
  adc: binary('adc'),
  sub: binary('sub'),
  sbb: binary('sbb'),
  and: binary('and'),
  or: binary('or'),
  xor: binary('xor'),
  cmp: compare,
  test,
  inc: step(1),
  dec: step(-1),
  neg: negate,
  not: (s) => s.modify(0, (a) => i64.xor(a, i64.const(-1))),
  xadd: exchangeAdd,
  mul: widening(false),
  imul: multiply,
  div: divide(false),
  idiv: divide(true),
  cmpxchg: compareExchange,
  cbw: convert,
  cwd: spreadSign,
  bswap: bsw,
};
