/**
 * Addition, subtraction, multiplication, division and square root, correctly rounded: each forms the exact
 * result (or one with a sticky lowest bit) and rounds once. `out` may be one of the operands.
 */
import { type FloatEnvironment, FloatException, type FloatFormat, Rounding } from './format.ts';
import { invalid, propagateNan, propagateNans } from './nan.ts';
import { roundFinite } from './round.ts';
import { bitLength, type FloatValue, Kind } from './value.ts';

function noteDenormals(env: FloatEnvironment, a: FloatValue, b: FloatValue): void {
  if (a.denormal || b.denormal) env.flags |= FloatException.Denormal;
}

/** a + b, or a - b with `subtract` 1. */
export function add(
  env: FloatEnvironment,
  format: FloatFormat,
  a: FloatValue,
  b: FloatValue,
  subtract: number,
  out: FloatValue,
): void {
  if (a.kind >= Kind.QuietNan || b.kind >= Kind.QuietNan) {
    propagateNans(env, a, b, out);
    return;
  }
  const signB = b.sign ^ subtract;
  if (a.kind === Kind.Finite && b.kind === Kind.Finite) {
    noteDenormals(env, a, b);
    addFinite(env, format, a, b, signB, out);
    return;
  }
  if (a.kind === Kind.Infinity || b.kind === Kind.Infinity) {
    if (a.kind === b.kind && a.sign !== signB) {
      invalid(env, out);
      return;
    }
    noteDenormals(env, a, b);
    out.setInfinity(a.kind === Kind.Infinity ? a.sign : signB);
    return;
  }
  if (a.kind === b.kind) {
    out.setZero(a.sign === signB ? a.sign : env.rounding === Rounding.Down ? 1 : 0);
    return;
  }
  noteDenormals(env, a, b);
  if (a.kind === Kind.Finite) roundFinite(env, format, a.sign, a.exponent - 63, a.significand, out);
  else roundFinite(env, format, signB, b.exponent - 63, b.significand, out);
}

/** Exponents this far apart leave the smaller operand below a quarter of the larger one's last bit. */
const FAR_APART = 67;

function addFinite(
  env: FloatEnvironment,
  format: FloatFormat,
  a: FloatValue,
  b: FloatValue,
  signB: number,
  out: FloatValue,
): void {
  let difference = a.exponent - b.exponent;
  const swap = difference < 0;
  if (swap) difference = -difference;
  const large = swap ? b : a;
  const small = swap ? a : b;
  const signLarge = swap ? signB : a.sign;
  const same = a.sign === signB;
  let exponent = small.exponent - 63;
  let sum: bigint;
  if (difference >= FAR_APART) {
    exponent = large.exponent - 66;
    sum = (large.significand << 3n) + (same ? 1n : -1n);
  } else {
    const aligned = large.significand << BigInt(difference);
    sum = same ? aligned + small.significand : aligned - small.significand;
  }
  if (sum > 0n) roundFinite(env, format, signLarge, exponent, sum, out);
  else if (sum < 0n) roundFinite(env, format, signLarge ^ 1, exponent, -sum, out);
  else out.setZero(env.rounding === Rounding.Down ? 1 : 0);
}

export function multiply(
  env: FloatEnvironment,
  format: FloatFormat,
  a: FloatValue,
  b: FloatValue,
  out: FloatValue,
): void {
  if (a.kind >= Kind.QuietNan || b.kind >= Kind.QuietNan) {
    propagateNans(env, a, b, out);
    return;
  }
  const sign = a.sign ^ b.sign;
  if (a.kind === Kind.Finite && b.kind === Kind.Finite) {
    noteDenormals(env, a, b);
    roundFinite(env, format, sign, a.exponent + b.exponent - 126, a.significand * b.significand, out);
    return;
  }
  const infinite = a.kind === Kind.Infinity || b.kind === Kind.Infinity;
  if (infinite && (a.kind === Kind.Zero || b.kind === Kind.Zero)) {
    invalid(env, out);
    return;
  }
  noteDenormals(env, a, b);
  if (infinite) out.setInfinity(sign);
  else out.setZero(sign);
}

export function divide(
  env: FloatEnvironment,
  format: FloatFormat,
  a: FloatValue,
  b: FloatValue,
  out: FloatValue,
): void {
  if (a.kind >= Kind.QuietNan || b.kind >= Kind.QuietNan) {
    propagateNans(env, a, b, out);
    return;
  }
  const sign = a.sign ^ b.sign;
  if (a.kind === Kind.Finite && b.kind === Kind.Finite) {
    noteDenormals(env, a, b);
    const numerator = a.significand << 67n;
    const quotient = numerator / b.significand;
    const sticky = quotient * b.significand === numerator ? 0n : 1n;
    roundFinite(env, format, sign, a.exponent - b.exponent - 68, (quotient << 1n) | sticky, out);
    return;
  }
  if (a.kind === b.kind) {
    invalid(env, out);
    return;
  }
  if (b.kind === Kind.Zero && a.kind === Kind.Finite) {
    env.flags |= FloatException.ZeroDivide;
    out.setInfinity(sign);
    return;
  }
  noteDenormals(env, a, b);
  if (a.kind === Kind.Infinity) out.setInfinity(sign);
  else if (b.kind === Kind.Zero) out.setInfinity(sign);
  else out.setZero(sign);
}

export function squareRoot(env: FloatEnvironment, format: FloatFormat, a: FloatValue, out: FloatValue): void {
  if (a.kind >= Kind.QuietNan) {
    propagateNan(env, a, out);
  } else if (a.kind === Kind.Zero) {
    out.setZero(a.sign);
  } else if (a.sign === 1) {
    invalid(env, out);
  } else if (a.kind === Kind.Infinity) {
    out.setInfinity(0);
  } else {
    if (a.denormal) env.flags |= FloatException.Denormal;
    // An even power of two is taken out; 134 or more bits leave a root of 67.
    const scale = (a.exponent & 1) === 0 ? 71 : 70;
    const scaled = a.significand << BigInt(scale);
    const root = integerSquareRoot(scaled);
    const sticky = root * root === scaled ? 0n : 1n;
    roundFinite(env, format, 0, (a.exponent - 63 - scale) / 2 - 1, (root << 1n) | sticky, out);
  }
}

/** Largest integer whose square is at most `value` (positive, below 2^1000). */
export function integerSquareRoot(value: bigint): bigint {
  const shift = Math.max(0, bitLength(value) - 100) & ~1;
  let root = BigInt(Math.floor(Math.sqrt(Number(value >> BigInt(shift))))) << BigInt(shift / 2);
  // From 50 good bits, each Newton step doubles them; the last steps come from above.
  for (let previous = -1n; root !== previous; ) {
    previous = root;
    root = (root + value / root) >> 1n;
    if (root === previous + 1n && root * root > value) root = previous;
  }
  while (root * root > value) root--;
  return root;
}
