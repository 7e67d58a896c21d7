/** Partial remainders, scaling and taking apart: FPREM, FPREM1, FSCALE, FXTRACT. */
import { Extended, type FloatEnvironment, FloatException } from './format.ts';
import { fromInteger } from './integer.ts';
import { invalid, propagateNan, propagateNans } from './nan.ts';
import { roundFinite } from './round.ts';
import { type FloatValue, Kind } from './value.ts';

/**
 * The remainder of a / b into `out`. Answers the low three bits of the quotient, or -1 when the reduction is
 * only partial (C2). `nearest` rounds the quotient to nearest (FPREM1), else it is truncated (FPREM).
 *
 * A partial step removes between 32 and 63 bits, as many as make the exponent difference a multiple of 32:
 * the choice is the processor's, and this is what Intel's do.
 */
export function partialRemainder(
  env: FloatEnvironment,
  a: FloatValue,
  b: FloatValue,
  nearest: boolean,
  out: FloatValue,
): number {
  if (a.kind >= Kind.QuietNan || b.kind >= Kind.QuietNan) {
    propagateNans(env, a, b, out);
    return 0;
  }
  if (a.kind === Kind.Infinity || b.kind === Kind.Zero) {
    invalid(env, out);
    return 0;
  }
  if (a.denormal || b.denormal) env.flags |= FloatException.Denormal;
  if (a.kind === Kind.Zero) {
    out.setZero(a.sign);
    return 0;
  }
  if (b.kind === Kind.Infinity) {
    copyRegister(a, out);
    return 0;
  }
  const difference = a.exponent - b.exponent;
  if (difference < (nearest ? -1 : 0)) {
    roundFinite(env, Extended, a.sign, a.exponent - 63, a.significand, out);
    return 0;
  }
  if (difference >= 64) return reducePartly(env, a, b, difference, out);
  return reduceFully(env, a, b, difference, nearest, out);
}

/** A register value as it is: what was unpacked normalized becomes denormal again. */
function copyRegister(a: FloatValue, out: FloatValue): void {
  const short = Extended.minExponent - a.exponent;
  if (short <= 0) out.setFinite(a.sign, a.exponent, a.significand);
  else out.setFinite(a.sign, Extended.minExponent, a.significand >> BigInt(short));
}

function reducePartly(
  env: FloatEnvironment,
  a: FloatValue,
  b: FloatValue,
  difference: number,
  out: FloatValue,
): number {
  const bits = (difference & 0x1f) | 0x20;
  const rest = (a.significand << BigInt(bits)) % b.significand;
  if (rest === 0n) out.setZero(a.sign);
  else roundFinite(env, Extended, a.sign, a.exponent - bits - 63, rest, out);
  return -1;
}

function reduceFully(
  env: FloatEnvironment,
  a: FloatValue,
  b: FloatValue,
  difference: number,
  nearest: boolean,
  out: FloatValue,
): number {
  // Both operands as integers of one unit.
  const numerator = difference >= 0 ? a.significand << BigInt(difference) : a.significand;
  const denominator = difference >= 0 ? b.significand : b.significand << BigInt(-difference);
  const exponent = Math.min(a.exponent, b.exponent) - 63;
  let quotient = numerator / denominator;
  let rest = numerator - quotient * denominator;
  let sign = a.sign;
  if (nearest) {
    const twice = rest << 1n;
    if (twice > denominator || (twice === denominator && (quotient & 1n) === 1n)) {
      quotient += 1n;
      rest = denominator - rest;
      sign ^= 1;
    }
  }
  if (rest === 0n) out.setZero(a.sign);
  else roundFinite(env, Extended, sign, exponent, rest, out);
  return Number(quotient & 7n);
}

/** a * 2^trunc(b). */
export function scale(env: FloatEnvironment, a: FloatValue, b: FloatValue, out: FloatValue): void {
  if (a.kind >= Kind.QuietNan || b.kind >= Kind.QuietNan) {
    propagateNans(env, a, b, out);
    return;
  }
  if (b.kind === Kind.Infinity) {
    if (a.kind === (b.sign ? Kind.Infinity : Kind.Zero)) {
      invalid(env, out);
      return;
    }
    if (a.denormal) env.flags |= FloatException.Denormal;
    if (b.sign) out.setZero(a.sign);
    else out.setInfinity(a.sign);
    return;
  }
  if (a.denormal || b.denormal) env.flags |= FloatException.Denormal;
  if (a.kind !== Kind.Finite) {
    out.assign(a);
    return;
  }
  if (b.kind === Kind.Zero) copyRegister(a, out);
  else roundFinite(env, Extended, a.sign, a.exponent - 63 + scaleOf(b), a.significand, out);
}

/** The truncated scale, held to where every number has long overflowed or vanished. */
function scaleOf(b: FloatValue): number {
  if (b.exponent < 0) return 0;
  const magnitude = b.exponent > 16 ? 0x1ffff : Number(b.significand >> BigInt(63 - b.exponent));
  return b.sign ? -magnitude : magnitude;
}

/** Splits a into its exponent, as a number, and its significand with exponent zero. */
export function extract(
  env: FloatEnvironment,
  a: FloatValue,
  exponentOut: FloatValue,
  significandOut: FloatValue,
): void {
  if (a.kind >= Kind.QuietNan) {
    propagateNan(env, a, exponentOut);
    significandOut.assign(exponentOut);
  } else if (a.kind === Kind.Zero) {
    env.flags |= FloatException.ZeroDivide;
    exponentOut.setInfinity(1);
    significandOut.setZero(a.sign);
  } else if (a.kind === Kind.Infinity) {
    exponentOut.setInfinity(0);
    significandOut.setInfinity(a.sign);
  } else {
    if (a.denormal) env.flags |= FloatException.Denormal;
    const { exponent, sign, significand } = a;
    fromInteger(BigInt(exponent), exponentOut);
    significandOut.setFinite(sign, 0, significand);
  }
}
