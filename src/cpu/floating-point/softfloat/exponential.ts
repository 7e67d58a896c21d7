/** F2XM1, FYL2X and FYL2XP1: powers and logarithms to the base two, with the processor's special cases. */
import { expMinusOne, inverseTangentSeries, ln2 } from './fixed-point.ts';
import { Extended, type FloatEnvironment, FloatException } from './format.ts';
import { noteDenormal, roundFixed, roundSticky, TINY, WORKING_BITS } from './irrational.ts';
import { invalid, propagateNan, propagateNans } from './nan.ts';
import { isPowerOfTwo, roundFinite } from './round.ts';
import { bitLength, type FloatValue, INTEGER_BIT, Kind } from './value.ts';

/** From this exponent on, x + 1 is formed exactly. */
const SUM_IS_SHORT = -3;

/** A value's magnitude in fixed point. */
function toFixed(a: FloatValue, bits: number): bigint {
  const shift = a.exponent - 63 + bits;
  return shift >= 0 ? a.significand << BigInt(shift) : a.significand >> BigInt(-shift);
}

/** F2XM1: 2^a - 1. Outside -1..1 the architecture leaves the result open; it stays the operand. */
export function powerOfTwoMinusOne(env: FloatEnvironment, a: FloatValue, out: FloatValue): void {
  if (a.kind >= Kind.QuietNan) {
    propagateNan(env, a, out);
  } else if (a.kind === Kind.Infinity) {
    if (a.sign) out.setFinite(1, 0, INTEGER_BIT);
    else out.setInfinity(0);
  } else if (a.kind === Kind.Zero) {
    out.setZero(a.sign);
  } else {
    noteDenormal(env, a);
    if (a.exponent >= 0) {
      if (a.exponent === 0 && isPowerOfTwo(a)) out.setFinite(a.sign, a.sign ? -1 : 0, INTEGER_BIT);
      else out.assign(a);
      env.flags |= FloatException.Precision;
      return;
    }
    if (a.exponent < TINY) {
      roundSticky(env, a.sign, a.exponent - 63 - WORKING_BITS, a.significand * ln2(WORKING_BITS), out);
      return;
    }
    const bits = WORKING_BITS - a.exponent;
    const argument = (toFixed(a, bits) * ln2(bits)) >> BigInt(bits);
    const result = expMinusOne(a.sign ? -argument : argument, bits);
    roundFixed(env, a.sign, a.sign ? -result : result, bits, out);
  }
}

/** FYL2X: y * log2(x). */
export function yLog2(env: FloatEnvironment, y: FloatValue, x: FloatValue, out: FloatValue): void {
  if (x.kind >= Kind.QuietNan || y.kind >= Kind.QuietNan) {
    propagateNans(env, x, y, out);
    return;
  }
  if (x.kind === Kind.Zero) {
    yLog2OfZero(env, y, out);
    return;
  }
  if (x.sign) {
    invalid(env, out);
    return;
  }
  if (x.kind === Kind.Infinity) {
    if (y.kind === Kind.Zero) {
      invalid(env, out);
      return;
    }
    noteDenormal(env, y);
    out.setInfinity(y.sign);
    return;
  }
  const one = x.exponent === 0 && isPowerOfTwo(x);
  if (y.kind === Kind.Infinity) {
    if (one) {
      invalid(env, out);
      return;
    }
    noteDenormal(env, x);
    out.setInfinity(y.sign ^ (x.exponent < 0 ? 1 : 0));
    return;
  }
  noteDenormal(env, x);
  noteDenormal(env, y);
  if (one || y.kind === Kind.Zero) {
    out.setZero(y.sign ^ (x.exponent < 0 ? 1 : 0));
    return;
  }
  if (isPowerOfTwo(x)) {
    const log = BigInt(Math.abs(x.exponent));
    roundFinite(env, Extended, y.sign ^ (x.exponent < 0 ? 1 : 0), y.exponent - 63, y.significand * log, out);
    // The processor does not notice that this is exact.
    env.flags |= FloatException.Precision;
    if (out.kind === Kind.Finite && out.significand < INTEGER_BIT) env.flags |= FloatException.Underflow;
    return;
  }
  const { log, bits } = logOf(x.significand, x.exponent);
  multiplyByLog(env, y, log, bits, out);
}

function yLog2OfZero(env: FloatEnvironment, y: FloatValue, out: FloatValue): void {
  if (y.kind === Kind.Zero) {
    invalid(env, out);
  } else {
    if (y.kind === Kind.Finite) env.flags |= FloatException.ZeroDivide;
    out.setInfinity(y.sign ^ 1);
  }
}

/**
 * log2 in fixed point with WORKING_BITS significant bits, of a significand of any length whose leading bit has
 * this exponent.
 */
function logOf(significand: bigint, leading: number): { log: bigint; bits: number } {
  // As m * 2^exponent with m in 3/4..3/2, m being the ratio of two integers.
  const length = bitLength(significand);
  const upper = significand >> BigInt(length - 2) === 3n;
  const exponent = upper ? leading + 1 : leading;
  const one = 1n << BigInt(upper ? length : length - 1);
  const distance = significand - one;
  if (distance === 0n) return { log: BigInt(exponent), bits: 0 };
  const lost = bitLength(one) - bitLength(distance < 0n ? -distance : distance);
  const bits = WORKING_BITS + lost;
  const u = (distance << BigInt(bits)) / (significand + one);
  const log = ((2n * inverseTangentSeries(u, bits, false)) << BigInt(bits)) / ln2(bits);
  return { log: log + (BigInt(exponent) << BigInt(bits)), bits };
}

function multiplyByLog(
  env: FloatEnvironment,
  y: FloatValue,
  log: bigint,
  bits: number,
  out: FloatValue,
): void {
  const negative = log < 0n;
  const sign = y.sign ^ (negative ? 1 : 0);
  roundSticky(env, sign, y.exponent - 63 - bits, y.significand * (negative ? -log : log), out);
}

/** FYL2XP1: y * log2(x + 1) for |x| < 1 - sqrt(1/2). */
export function yLog2Plus1(env: FloatEnvironment, y: FloatValue, x: FloatValue, out: FloatValue): void {
  if (x.kind >= Kind.QuietNan || y.kind >= Kind.QuietNan) {
    propagateNans(env, x, y, out);
    return;
  }
  if (x.kind === Kind.Infinity) {
    if (x.sign || y.kind === Kind.Zero) {
      invalid(env, out);
      return;
    }
    noteDenormal(env, y);
    out.setInfinity(y.sign);
    return;
  }
  if (y.kind === Kind.Infinity) {
    if (x.kind === Kind.Zero) {
      invalid(env, out);
      return;
    }
    noteDenormal(env, x);
    out.setInfinity(y.sign ^ x.sign);
    return;
  }
  noteDenormal(env, x);
  noteDenormal(env, y);
  if (x.kind === Kind.Zero || y.kind === Kind.Zero) {
    out.setZero(x.sign ^ y.sign);
    return;
  }
  if (x.exponent >= 0 && x.sign) {
    // Outside the range the architecture leaves the result open.
    env.flags |= FloatException.Precision;
    out.assign(x);
    return;
  }
  if (x.exponent >= SUM_IS_SHORT) {
    const shift = Math.max(0, 63 - x.exponent);
    const one = x.exponent > 63 ? 0n : 1n << BigInt(shift);
    const sum = x.sign ? one - x.significand : one + x.significand;
    const { log, bits } = logOf(sum, bitLength(sum) - 1 - (63 - x.exponent));
    multiplyByLog(env, y, log, bits, out);
    return;
  }
  if (x.exponent < TINY) {
    const log = (x.significand << BigInt(2 * WORKING_BITS)) / ln2(WORKING_BITS);
    const exponent = x.exponent - 63 + (y.exponent - 63) - WORKING_BITS;
    roundSticky(env, x.sign ^ y.sign, exponent, y.significand * log, out);
    return;
  }
  const bits = WORKING_BITS + Math.max(0, -x.exponent);
  const magnitude = toFixed(x, bits);
  const fixed = x.sign ? -magnitude : magnitude;
  const u = (fixed << BigInt(bits)) / ((2n << BigInt(bits)) + fixed);
  const log = ((2n * inverseTangentSeries(u, bits, false)) << BigInt(bits)) / ln2(bits);
  multiplyByLog(env, y, log, bits, out);
}
