/** Shifts and rotates. A masked count of zero changes nothing, flags included. */
import { i32, i64, type Value } from '../../support/wasm/values.ts';
import { type IntegerBits, type Semantics, type Stage, signExtend, zeroExtend } from '../stage.ts';
import { carryFlag, setCarryOverflow, setResultCarryOverflow } from './flags.ts';

const RCX = 1;

/** The count, i64, cut to 5 or 6 bits. */
function maskedCount(s: Stage, k: number): Value {
  const source = s.shape(k) === 'i' ? s.read(k) : s.gpr(RCX, 8);
  return s.f.let(i64.and(source, i64.const(s.bits === 64 ? 63 : 31)));
}

const bit = (value: Value, index: Value | number): Value => {
  const at = typeof index === 'number' ? i64.const(index) : index;
  return i32.and(i32.wrap(i64.shrU(value, at)), i32.const(1));
};
const topBit = (value: Value, bits: IntegerBits): Value => bit(value, bits - 1);

/**
 * With a zero count a memory operand is still accessed for writing (it may fault) and written back; flags stay.
 */
const shifting =
  (compute: (s: Stage, a: Value, count: Value, bits: IntegerBits) => Value): Semantics =>
  (s) => {
    const bits = s.width(0);
    const count = maskedCount(s, s.form.shapes.length - 1);
    s.modify(0, (a) => {
      const result = s.f.variable(a);
      s.f.if(i64.ne(count, i64.const(0)), () => s.f.scope(() => s.f.set(result, compute(s, a, count, bits))));
      return result.get;
    });
  };

const shl = shifting((s, a, count, bits) => {
  const result = s.f.let(i64.shl(a, count));
  // Counts beyond the width shift zeros out: bit (width - count) is then taken from beyond the value, 0.
  const shifted = bits === 64 ? undefined : result;
  const cf = s.f.let(shifted ? bit(shifted, bits) : bit(a, i64.sub(i64.const(64), count)));
  setResultCarryOverflow(s, bits, result, cf, i32.xor(topBit(result, bits), cf));
  return result;
});

const shr = shifting((s, a, count, bits) => {
  const result = s.f.let(i64.shrU(a, count));
  const cf = bit(a, i64.sub(count, i64.const(1)));
  setResultCarryOverflow(s, bits, result, cf, topBit(a, bits));
  return result;
});

const sar = shifting((s, a, count, bits) => {
  const wide = s.f.let(signExtend(a, bits));
  const result = s.f.let(i64.shrS(wide, count));
  const cf = bit(i64.shrS(wide, i64.sub(count, i64.const(1))), 0);
  setResultCarryOverflow(s, bits, result, cf, i32.const(0));
  return result;
});

/** The value repeated to fill 64 bits, so that a 64-bit rotate does narrower ones. */
function replicate(s: Stage, a: Value, bits: IntegerBits): Value {
  let value = s.f.let(zeroExtend(a, bits));
  for (let width: number = bits; width < 64; width *= 2)
    value = s.f.let(i64.or(value, i64.shl(value, i64.const(width))));
  return value;
}

const rol = shifting((s, a, count, bits) => {
  const result = s.f.let(i64.rotl(replicate(s, a, bits), count));
  const cf = s.f.let(bit(result, 0));
  setCarryOverflow(s, cf, i32.xor(topBit(result, bits), cf));
  return result;
});

const ror = shifting((s, a, count, bits) => {
  const result = s.f.let(i64.rotr(replicate(s, a, bits), count));
  setCarryOverflow(s, topBit(result, bits), i32.xor(topBit(result, bits), bit(result, bits - 2)));
  return result;
});

/** Rotates through CF: one bit at a time, at most 63 turns, on the width + 1 bits of CF:value. */
const rotateThroughCarry = (left: boolean): Semantics =>
  shifting((s, a, count, bits) => {
    const { f } = s;
    const value = f.variable(a);
    const carry = f.variable(i64.extendU(carryFlag(s)));
    const turns = bits === 8 || bits === 16 ? i64.remU(count, i64.const(bits + 1)) : count;
    const left_ = f.variable(turns);
    // Undefined above one turn; what processors give: the overflow of the last state.
    f.block((done) =>
      f.loop((again) => {
        f.branchIf(done, i64.eqz(left_.get));
        f.set(left_, i64.sub(left_.get, i64.const(1)));
        const old = f.let(value.get);
        if (left) {
          f.set(value, zeroExtend(i64.or(i64.shl(old, i64.const(1)), carry.get), bits));
          f.set(carry, i64.and(i64.shrU(old, i64.const(bits - 1)), i64.const(1)));
        } else {
          f.set(value, i64.or(i64.shrU(old, i64.const(1)), i64.shl(carry.get, i64.const(bits - 1))));
          f.set(carry, i64.and(old, i64.const(1)));
        }
        f.branch(again);
      }),
    );
    const cf = f.let(i32.wrap(carry.get));
    const overflow = left
      ? i32.xor(topBit(value.get, bits), cf)
      : i32.xor(topBit(value.get, bits), bit(value.get, bits - 2));
    setCarryOverflow(s, cf, overflow);
    return value.get;
  });

/** SHLD and SHRD. For 16-bit operands with counts above 16 the result is undefined; we shift in the source again. */
const doubleShift = (left: boolean): Semantics => {
  const semantics: Semantics = (s) => {
    const source = s.f.let(s.read(1));
    shifting((st, a, count, bits) => {
      const { f } = st;
      const width = i64.const(bits);
      const back = f.let(i64.sub(width, count));
      if (bits === 16) return doubleShift16(st, a, source, count, left);
      const result = left
        ? f.let(i64.or(i64.shl(a, count), i64.shrU(source, back)))
        : f.let(i64.or(i64.shrU(a, count), i64.shl(source, back)));
      const cf = left ? bit(a, back) : bit(a, i64.sub(count, i64.const(1)));
      setResultCarryOverflow(st, bits, result, cf, i32.xor(topBit(a, bits), topBit(result, bits)));
      return result;
    })(s);
  };
  return semantics;
};

function doubleShift16(s: Stage, a: Value, source: Value, count: Value, left: boolean): Value {
  const { f } = s;
  const at = (value: Value, shift: number): Value => i64.shl(value, i64.const(shift));
  if (left) {
    // dest:source:dest, 48 bits; the result is the window that starts `count` bits further right.
    const wide = f.let(i64.or(at(a, 32), i64.or(at(source, 16), a)));
    const result = f.let(zeroExtend(i64.shrU(wide, i64.sub(i64.const(32), count)), 16));
    setResultCarryOverflow(
      s,
      16,
      result,
      bit(wide, i64.sub(i64.const(48), count)),
      i32.xor(topBit(a, 16), topBit(result, 16)),
    );
    return result;
  }
  const wide = f.let(i64.or(a, i64.or(at(source, 16), at(a, 32))));
  const result = f.let(zeroExtend(i64.shrU(wide, count), 16));
  setResultCarryOverflow(
    s,
    16,
    result,
    bit(wide, i64.sub(count, i64.const(1))),
    i32.xor(topBit(a, 16), topBit(result, 16)),
  );
  return result;
}

export const shifts: Record<string, Semantics> = {
  shl,
  shr,
  sar,
  rol,
  ror,
  rcl: rotateThroughCarry(true),
  rcr: rotateThroughCarry(false),
  shld: doubleShift(true),
  shrd: doubleShift(false),
};
