/** FPATAN: the angle of a point, in the right quadrant for every sign, zero and infinity. */
import { arcTangent, pi } from './fixed-point.ts';
import { Extended, type FloatEnvironment } from './format.ts';
import { noteDenormal, roundFixed, roundSticky, TINY, WORKING_BITS } from './irrational.ts';
import { propagateNans } from './nan.ts';
import { roundFinite } from './round.ts';
import { type FloatValue, Kind } from './value.ts';

/** FPATAN: the angle of the point (x, y). */
export function arcTangentOfPoint(
  env: FloatEnvironment,
  y: FloatValue,
  x: FloatValue,
  out: FloatValue,
): void {
  if (x.kind >= Kind.QuietNan || y.kind >= Kind.QuietNan) {
    propagateNans(env, x, y, out);
    return;
  }
  noteDenormal(env, x);
  noteDenormal(env, y);
  const sign = y.sign;
  const infiniteY = y.kind === Kind.Infinity;
  const infiniteX = x.kind === Kind.Infinity;
  if (infiniteY && infiniteX) {
    roundPi(env, sign, x.sign ? 3n : 1n, 2, out);
  } else if (infiniteY || (x.kind === Kind.Zero && y.kind === Kind.Finite)) {
    roundPi(env, sign, 1n, 1, out);
  } else if (infiniteX || y.kind === Kind.Zero) {
    if (x.sign) roundPi(env, sign, 1n, 0, out);
    else out.setZero(sign);
  } else {
    angleOfFinite(env, y, x, out);
  }
}

/** pi * multiple / 2^shift. */
function roundPi(
  env: FloatEnvironment,
  sign: number,
  multiple: bigint,
  shift: number,
  out: FloatValue,
): void {
  roundFixed(env, sign, multiple * pi(WORKING_BITS), WORKING_BITS + shift, out);
}

function angleOfFinite(env: FloatEnvironment, y: FloatValue, x: FloatValue, out: FloatValue): void {
  const sign = y.sign;
  const negativeX = x.sign === 1;
  let difference = y.exponent - x.exponent;
  const steep = difference > 0 || (difference === 0 && y.significand > x.significand);
  const numerator = steep ? x.significand : y.significand;
  const denominator = steep ? y.significand : x.significand;
  if (steep) difference = -difference;
  // The angle to the nearer axis is about 2^difference; the result is that, or pi/2 or pi and that.
  const nearAxis = !steep && !negativeX;
  if (difference < TINY) {
    if (nearAxis) {
      const quotient = (numerator << BigInt(WORKING_BITS)) / denominator;
      const exact = quotient * denominator === numerator << BigInt(WORKING_BITS);
      if (exact && difference > Extended.minExponent) {
        // The angle is a little below the quotient; where that would be denormal, the processor never rounds down.
        roundFinite(env, Extended, sign, difference - WORKING_BITS - 2, (quotient << 2n) - 1n, out);
      } else {
        roundSticky(env, sign, difference - WORKING_BITS, quotient, out);
      }
    } else {
      const base = steep ? pi(WORKING_BITS) >> 1n : pi(WORKING_BITS);
      roundFixed(env, sign, base, WORKING_BITS, out);
    }
    return;
  }
  const bits = WORKING_BITS - difference;
  const angle = arcTangent(numerator, denominator << BigInt(-difference), bits);
  const whole = pi(bits);
  if (nearAxis) roundFixed(env, sign, angle, bits, out);
  else if (!steep) roundFixed(env, sign, whole - angle, bits, out);
  else roundFixed(env, sign, negativeX ? (whole >> 1n) + angle : (whole >> 1n) - angle, bits, out);
}
