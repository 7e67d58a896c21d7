/**
 * FSIN, FCOS and FPTAN. Range reduction uses the hardware's 66-bit pi (SDM vol. 1 §8.3.8), so that large
 * arguments answer what programs see on the real processor.
 */
import { cosine, sine } from './fixed-point.ts';
import { Extended, type FloatEnvironment } from './format.ts';
import { noteDenormal, roundFixed, roundSticky, TINY, WORKING_BITS } from './irrational.ts';
import { invalid, propagateNan } from './nan.ts';
import { bitLength, type FloatValue, INTEGER_BIT, Kind } from './value.ts';

/** The processor's pi: 66 significant bits; half of it in units of 2^-65. */
const HALF_PI = 0x3243f6a8885a308d3n;
const HALF_PI_BITS = 65;
/** From here on an operand is out of range (C2). */
const TRIGONOMETRIC_LIMIT = 63;

/** An angle as quadrant and rest: |a| = quadrant * pi/2 + rest, rest = significand * 2^exponent, signed. */
interface ReducedAngle {
  quadrant: number;
  rest: bigint;
  exponent: number;
}

function reduceAngle(a: FloatValue): ReducedAngle {
  if (a.exponent < -1) return { quadrant: 0, rest: a.significand, exponent: a.exponent - 63 };
  // a.exponent is -1..62, so its unit 2^(exponent-63) is 2^-64 or larger, or finer than that of pi.
  const unit = Math.max(HALF_PI_BITS, 63 - a.exponent);
  const angle = a.significand << BigInt(a.exponent - 63 + unit);
  const quarter = HALF_PI << BigInt(unit - HALF_PI_BITS);
  const quotient = (2n * angle + quarter) / (2n * quarter);
  return { quadrant: Number(quotient & 3n), rest: angle - quotient * quarter, exponent: -unit };
}

/** sin and cos of a reduced rest as numerators of fixed points; a tiny rest keeps its own scale. */
function sineOfRest(rest: bigint, exponent: number): { fixed: bigint; bits: number } {
  const leading = exponent + bitLength(rest) - 1;
  if (leading < TINY) {
    // sin r is r less a trace.
    return { fixed: (rest << BigInt(WORKING_BITS)) - 1n, bits: WORKING_BITS - exponent };
  }
  const bits = WORKING_BITS - leading;
  return { fixed: sine(rest << BigInt(bits + exponent), bits), bits };
}

function cosineOfRest(rest: bigint, exponent: number): { fixed: bigint; bits: number } {
  const one = 1n << BigInt(WORKING_BITS);
  if (rest === 0n) return { fixed: one, bits: WORKING_BITS };
  const leading = exponent + bitLength(rest) - 1;
  if (leading < TINY) return { fixed: one - 1n, bits: WORKING_BITS };
  const shift = WORKING_BITS + exponent;
  const fixed = shift >= 0 ? rest << BigInt(shift) : rest >> BigInt(-shift);
  return { fixed: cosine(fixed, WORKING_BITS), bits: WORKING_BITS };
}

/** True when FSIN, FCOS, FSINCOS and FPTAN leave the operand alone and set C2. */
export function isAngleOutOfRange(a: FloatValue): boolean {
  return a.kind === Kind.Finite && a.exponent >= TRIGONOMETRIC_LIMIT;
}

/** Answers a NaN, an infinity or nothing to do; true when `out` is final. */
function specialAngle(env: FloatEnvironment, a: FloatValue, out: FloatValue): boolean {
  if (a.kind >= Kind.QuietNan) propagateNan(env, a, out);
  else if (a.kind === Kind.Infinity) invalid(env, out);
  else return false;
  return true;
}

/** FSIN of an operand in range. */
export function sineOf(env: FloatEnvironment, a: FloatValue, out: FloatValue): void {
  if (specialAngle(env, a, out)) return;
  if (a.kind === Kind.Zero) {
    out.setZero(a.sign);
    return;
  }
  noteDenormal(env, a);
  if (a.exponent <= Extended.minExponent) {
    // The processor never rounds these down; the trace goes the other way.
    roundSticky(env, a.sign, a.exponent - 63, a.significand, out);
    return;
  }
  const { quadrant, rest, exponent } = reduceAngle(a);
  roundQuadrant(env, quadrant, a.sign, rest, exponent, out);
}

/** FCOS of an operand in range. */
export function cosineOf(env: FloatEnvironment, a: FloatValue, out: FloatValue): void {
  if (specialAngle(env, a, out)) return;
  if (a.kind === Kind.Zero) {
    out.setFinite(0, 0, INTEGER_BIT);
    return;
  }
  noteDenormal(env, a);
  const { quadrant, rest, exponent } = reduceAngle(a);
  roundQuadrant(env, quadrant + 1, 0, rest, exponent, out);
}

/** sin(quadrant * pi/2 + rest) with the sign turned by `sign`. */
function roundQuadrant(
  env: FloatEnvironment,
  quadrant: number,
  sign: number,
  rest: bigint,
  exponent: number,
  out: FloatValue,
): void {
  let negative = sign ^ ((quadrant & 2) >> 1);
  const magnitude = rest < 0n ? -rest : rest;
  if (quadrant & 1) {
    const { fixed, bits } = cosineOfRest(magnitude, exponent);
    roundFixed(env, negative, fixed, bits, out);
    return;
  }
  if (rest < 0n) negative ^= 1;
  if (rest === 0n) {
    out.setZero(negative);
    return;
  }
  const { fixed, bits } = sineOfRest(magnitude, exponent);
  roundFixed(env, negative, fixed, bits, out);
}

/** FPTAN of an operand in range. */
export function tangentOf(env: FloatEnvironment, a: FloatValue, out: FloatValue): void {
  if (specialAngle(env, a, out)) return;
  if (a.kind === Kind.Zero) {
    out.setZero(a.sign);
    return;
  }
  noteDenormal(env, a);
  const { quadrant, rest, exponent } = reduceAngle(a);
  const magnitude = rest < 0n ? -rest : rest;
  const sin = sineOfRest(magnitude, exponent);
  const cos = cosineOfRest(magnitude, exponent);
  const turned = (quadrant & 1) === 1;
  const sign = a.sign ^ (rest < 0n ? 1 : 0) ^ (turned ? 1 : 0);
  if (!turned && exponent + bitLength(magnitude) - 1 < TINY) {
    // tan r is r and a trace.
    roundSticky(env, sign, exponent - 70, magnitude << 70n, out);
    return;
  }
  const upper = turned ? cos : sin;
  const lower = turned ? sin : cos;
  const quotient = (upper.fixed << BigInt(WORKING_BITS)) / lower.fixed;
  roundSticky(env, sign, lower.bits - upper.bits - WORKING_BITS, quotient, out);
}
