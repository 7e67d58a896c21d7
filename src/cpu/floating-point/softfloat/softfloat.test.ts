import { describe, expect, test } from 'vitest';
import { arcTangentOfPoint } from './arc-tangent.ts';
import { add, divide, integerSquareRoot, multiply, squareRoot } from './arithmetic.ts';
import { pi } from './fixed-point.ts';
import { Double, FloatEnvironment, FloatException, Rounding } from './format.ts';
import { sineOf } from './trigonometric.ts';
import { bitLength, FloatValue, packDouble, packExtendedSignExponent, unpackDouble } from './value.ts';

const bits = new DataView(new ArrayBuffer(8));
const bitsOf = (value: number): bigint => {
  bits.setFloat64(0, value);
  return bits.getBigUint64(0);
};
const unpack = (value: number): FloatValue => {
  const unpacked = new FloatValue();
  unpackDouble(unpacked, bitsOf(value));
  return unpacked;
};

const edges = [
  0,
  -0,
  1,
  -1,
  1.5,
  2 ** -1074,
  -(2 ** -1074),
  2 ** -1022,
  1.7976931348623157e308,
  2 ** 52 + 0.5,
  0.1,
  1 / 3,
  Number.POSITIVE_INFINITY,
  3 * 2 ** -1074,
  2 ** 1023,
  -(2 ** -1022 - 2 ** -1074),
  Math.PI,
];

describe("double arithmetic is the host's, to nearest", () => {
  const env = new FloatEnvironment();
  const out = new FloatValue();
  const check = (expected: number, what: string): void => {
    if (Number.isNaN(expected)) expect(out.isNan, what).toBe(true);
    else expect(packDouble(out), what).toBe(bitsOf(expected));
  };
  for (const a of edges) {
    test(`with ${a}`, () => {
      for (const b of edges) {
        const [x, y] = [unpack(a), unpack(b)];
        add(env, Double, x, y, 0, out);
        check(a + b, `${a} + ${b}`);
        add(env, Double, x, y, 1, out);
        check(a - b, `${a} - ${b}`);
        multiply(env, Double, x, y, out);
        check(a * b, `${a} * ${b}`);
        divide(env, Double, x, y, out);
        check(a / b, `${a} / ${b}`);
      }
      squareRoot(env, Double, unpack(a), out);
      check(Math.sqrt(a), `sqrt ${a}`);
    });
  }
});

test('a tiny result raises underflow only if inexact, or unmasked', () => {
  const env = new FloatEnvironment();
  const out = new FloatValue();
  env.begin(Rounding.Nearest, FloatException.All);
  multiply(env, Double, unpack(2 ** -1022), unpack(0.5), out);
  expect(env.flags).toBe(0);
  env.begin(Rounding.Nearest, FloatException.All);
  multiply(env, Double, unpack(2 ** -1074), unpack(0.75), out);
  expect(env.flags).toBe(FloatException.Denormal | FloatException.Underflow | FloatException.Precision);
  env.begin(Rounding.Nearest, FloatException.All & ~FloatException.Underflow);
  multiply(env, Double, unpack(2 ** -1022), unpack(0.5), out);
  expect(env.flags).toBe(FloatException.Underflow);
});

test('bit lengths are exact beside powers of two', () => {
  for (let exponent = 1; exponent < 300; exponent++) {
    const power = 1n << BigInt(exponent);
    expect([bitLength(power - 1n), bitLength(power), bitLength(power + 1n)]).toEqual([
      exponent,
      exponent + 1,
      exponent + 1,
    ]);
  }
});

test('integer square roots are the floor', () => {
  for (let root = (1n << 66n) - 5n; root < (1n << 66n) + 5n; root++) {
    expect(integerSquareRoot(root * root)).toBe(root);
    expect(integerSquareRoot(root * root - 1n)).toBe(root - 1n);
    expect(integerSquareRoot(root * root + 2n * root)).toBe(root);
  }
});

test('the fixed-point pi is right', () => {
  expect(pi(128).toString(16)).toBe('3243f6a8885a308d313198a2e03707344');
});

test('FPATAN of a negative x axis is pi, FSIN of it what the 66-bit pi leaves', () => {
  const env = new FloatEnvironment();
  const angle = new FloatValue();
  arcTangentOfPoint(env, unpack(0), unpack(-1), angle);
  expect([packExtendedSignExponent(angle), angle.significand]).toEqual([0x4000, 0xc90fdaa22168c235n]);
  const sine = new FloatValue();
  sineOf(env, angle, sine);
  // The operand is a quarter of 2^-62 above the processor's pi, as real processors show.
  expect([packExtendedSignExponent(sine), sine.significand]).toEqual([0xbfbf, 1n << 63n]);
});
