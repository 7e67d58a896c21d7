/**
 * Rounding an exact (or sticky) number to a format, with the masked and unmasked answers to overflow and
 * underflow. Tininess is detected after rounding, as x86 does (SDM vol. 1 §4.9.1.5).
 */
import { type FloatEnvironment, FloatException, type FloatFormat, Rounding } from './format.ts';
import { bitLength, type FloatValue, INTEGER_BIT } from './value.ts';

/** Shifts `significand` right by `excess` bits (left if negative), rounding; PE and `roundedUp` tell how. */
export function roundBits(env: FloatEnvironment, sign: number, significand: bigint, excess: number): bigint {
  env.roundedUp = false;
  if (excess <= 0) return excess === 0 ? significand : significand << BigInt(-excess);
  const shift = BigInt(excess);
  const kept = significand >> shift;
  const dropped = significand - (kept << shift);
  if (dropped === 0n) return kept;
  env.flags |= FloatException.Precision;
  if (!roundsUp(env.rounding, sign, kept, dropped, 1n << (shift - 1n))) return kept;
  env.roundedUp = true;
  return kept + 1n;
}

function roundsUp(rounding: number, sign: number, kept: bigint, dropped: bigint, half: bigint): boolean {
  switch (rounding) {
    case Rounding.Nearest:
      return dropped > half || (dropped === half && (kept & 1n) === 1n);
    case Rounding.Down:
      return sign === 1;
    case Rounding.Up:
      return sign === 0;
    default:
      return false;
  }
}

const POWERS_OF_TWO = Array.from({ length: 66 }, (_, exponent) => 1n << BigInt(exponent));
const JUSTIFY = Array.from({ length: 66 }, (_, precision) => BigInt(Math.max(0, 64 - precision)));

/**
 * Rounds `significand` * 2^`exponent` (significand > 0; its lowest bit may stand for lost nonzero bits if it lies
 * at least two bits below the precision).
 */
export function roundFinite(
  env: FloatEnvironment,
  format: FloatFormat,
  sign: number,
  exponent: number,
  significand: bigint,
  out: FloatValue,
): void {
  const length = bitLength(significand);
  const { precision, minExponent, maxExponent } = format;
  let leading = exponent + length - 1;
  const excess = length - precision;
  const flagsBefore = env.flags;
  let rounded = roundBits(env, sign, significand, excess);
  if (rounded === POWERS_OF_TWO[precision]) {
    rounded = POWERS_OF_TWO[precision - 1];
    leading++;
  }
  if (leading > maxExponent) {
    overflow(env, format, sign, leading, rounded, out);
  } else if (leading >= minExponent && exponent + length - 1 >= minExponent) {
    out.setFinite(sign, leading, rounded << JUSTIFY[precision]);
  } else {
    const tiny = leading < minExponent;
    if (tiny && !(env.masks & FloatException.Underflow)) {
      env.flags |= FloatException.Underflow;
      if (format.rebias > 0 && leading + format.rebias < minExponent) {
        env.flags |= FloatException.Precision;
        out.setZero(sign);
        return;
      }
      out.setFinite(sign, leading + format.rebias, rounded << JUSTIFY[precision]);
      return;
    }
    if (tiny && env.flushToZero) {
      env.flags |= FloatException.Underflow | FloatException.Precision;
      out.setZero(sign);
      return;
    }
    env.flags = flagsBefore;
    denormalize(env, format, sign, exponent + length - 1, length, significand, tiny, out);
  }
}

function denormalize(
  env: FloatEnvironment,
  format: FloatFormat,
  sign: number,
  leading: number,
  length: number,
  significand: bigint,
  tiny: boolean,
  out: FloatValue,
): void {
  const flagsBefore = env.flags;
  env.flags = 0;
  const excess = length - format.precision + (format.minExponent - leading);
  // Beyond all its bits a number only says that it is not zero.
  const rounded = roundBits(env, sign, significand, Math.min(excess, length + 2));
  if (tiny && env.flags) env.flags |= FloatException.Underflow;
  env.flags |= flagsBefore;
  if (rounded === 0n) out.setZero(sign);
  else out.setFinite(sign, format.minExponent, rounded << JUSTIFY[format.precision]);
}

function overflow(
  env: FloatEnvironment,
  format: FloatFormat,
  sign: number,
  leading: number,
  rounded: bigint,
  out: FloatValue,
): void {
  const justify = JUSTIFY[format.precision];
  if (!(env.masks & FloatException.Overflow)) {
    env.flags |= FloatException.Overflow;
    if (format.rebias > 0 && leading - format.rebias > format.maxExponent) {
      env.flags |= FloatException.Precision;
      env.roundedUp = true;
      out.setInfinity(sign);
      return;
    }
    out.setFinite(sign, leading - format.rebias, rounded << justify);
    return;
  }
  env.flags |= FloatException.Overflow | FloatException.Precision;
  const towardZero =
    env.rounding === Rounding.Zero || env.rounding === (sign === 0 ? Rounding.Down : Rounding.Up);
  env.roundedUp = !towardZero;
  if (towardZero) {
    out.setFinite(sign, format.maxExponent, (POWERS_OF_TWO[format.precision] - 1n) << justify);
  } else {
    out.setInfinity(sign);
  }
}

/** Rounds a value as unpacked from another format. */
export function roundValue(
  env: FloatEnvironment,
  format: FloatFormat,
  value: FloatValue,
  out: FloatValue,
): void {
  roundFinite(env, format, value.sign, value.exponent - 63, value.significand, out);
}

/** True if a normalized significand is a power of two. */
export function isPowerOfTwo(value: FloatValue): boolean {
  return value.significand === INTEGER_BIT;
}
