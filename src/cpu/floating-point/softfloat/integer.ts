/** Between floating-point numbers and integers: binary of 16, 32 and 64 bits, packed decimal, and in place. */
import { type FloatEnvironment, FloatException, type FloatFormat, Rounding } from './format.ts';
import { propagateNan } from './nan.ts';
import { roundBits, roundFinite } from './round.ts';
import { bitLength, type FloatValue, Kind } from './value.ts';

/** An exact conversion into an unpacked value; every 64-bit integer fits the significand. */
export function fromInteger(value: bigint, out: FloatValue): void {
  if (value === 0n) {
    out.setZero(0);
    return;
  }
  const magnitude = value < 0n ? -value : value;
  const length = bitLength(magnitude);
  out.setFinite(value < 0n ? 1 : 0, length - 1, magnitude << BigInt(64 - length));
}

/**
 * The integer nearest in the rounding mode, or undefined (and invalid raised) where it is not between
 * -2^(bits-1) and 2^(bits-1) - 1. `truncate` overrides the rounding mode (FISTTP, CVTT...).
 */
export function toInteger(
  env: FloatEnvironment,
  value: FloatValue,
  bits: number,
  truncate: boolean,
): bigint | undefined {
  const flagsBefore = env.flags;
  const magnitude = value.kind === Kind.Zero ? 0n : magnitudeOf(env, value, bits, truncate);
  if (magnitude !== undefined) {
    const limit = 1n << BigInt(bits - 1);
    if (value.sign === 0 ? magnitude < limit : magnitude <= limit) {
      return value.sign === 0 ? magnitude : -magnitude;
    }
  }
  env.flags = flagsBefore | FloatException.Invalid;
  env.roundedUp = false;
  return undefined;
}

/** The rounded magnitude, or undefined if it surely exceeds `bits` bits or there is none. */
function magnitudeOf(
  env: FloatEnvironment,
  value: FloatValue,
  bits: number,
  truncate: boolean,
): bigint | undefined {
  if (value.kind !== Kind.Finite || value.exponent >= bits) return undefined;
  return roundToUnits(env, value, truncate ? Rounding.Zero : env.rounding);
}

function roundToUnits(env: FloatEnvironment, value: FloatValue, rounding: number): bigint {
  const saved = env.rounding;
  env.rounding = rounding;
  const rounded = roundBits(env, value.sign, value.significand, Math.min(63 - value.exponent, 66));
  env.rounding = saved;
  return rounded;
}

/** FRNDINT and ROUNDSD: an integer in floating-point form. */
export function roundToIntegral(
  env: FloatEnvironment,
  format: FloatFormat,
  value: FloatValue,
  out: FloatValue,
): void {
  if (value.kind >= Kind.QuietNan) {
    propagateNan(env, value, out);
    return;
  }
  if (value.denormal) env.flags |= FloatException.Denormal;
  if (value.kind !== Kind.Finite || value.exponent >= 63) {
    out.assign(value);
    return;
  }
  const sign = value.sign;
  const rounded = roundToUnits(env, value, env.rounding);
  const { roundedUp } = env;
  if (rounded === 0n) out.setZero(sign);
  else roundFinite(env, format, sign, 0, rounded, out);
  env.roundedUp = roundedUp;
}

const DECIMAL_LIMIT = 10n ** 18n;

/** The 18-digit decimal magnitude FBSTP stores, or undefined (and invalid raised). */
export function toDecimal(env: FloatEnvironment, value: FloatValue): bigint | undefined {
  const flagsBefore = env.flags;
  const magnitude = value.kind === Kind.Zero ? 0n : magnitudeOf(env, value, 64, false);
  if (magnitude !== undefined && magnitude < DECIMAL_LIMIT) return magnitude;
  env.flags = flagsBefore | FloatException.Invalid;
  env.roundedUp = false;
  return undefined;
}
