/**
 * Elementary functions on binary fixed-point numbers: a BigInt `x` stands for x / 2^bits. Each is good to a few
 * units of its last place; callers ask for enough bits (about 140 significant ones) that rounding to 64 is
 * right but for cases too rare to meet.
 */

/** 2^bits * e^y - 2^bits for |y| < 1. */
export function expMinusOne(y: bigint, bits: number): bigint {
  const shift = BigInt(bits);
  let term = y;
  let sum = y;
  for (let k = 2n; term !== 0n && term !== -1n; k++) {
    term = ((term * y) >> shift) / k;
    sum += term;
  }
  return sum;
}

/** atanh(u), or atan(u) with `alternating`, for |u| well below 1: the odd power series. */
export function inverseTangentSeries(u: bigint, bits: number, alternating: boolean): bigint {
  // Shifting rounds down, so powers of a negative number would not die out.
  if (u < 0n) return -inverseTangentSeries(-u, bits, alternating);
  const shift = BigInt(bits);
  const square = alternating ? -((u * u) >> shift) : (u * u) >> shift;
  let power = u;
  let sum = u;
  for (let k = 3n; power !== 0n && power !== -1n; k += 2n) {
    power = (power * square) >> shift;
    sum += power / k;
  }
  return sum;
}

/** sin(r) for 0 < r < 1. */
export function sine(r: bigint, bits: number): bigint {
  return factorialSeries(r, r, 2n, bits);
}

/** cos(r) for 0 < r < 1. */
export function cosine(r: bigint, bits: number): bigint {
  return factorialSeries(r, 1n << BigInt(bits), 1n, bits);
}

function factorialSeries(r: bigint, first: bigint, start: bigint, bits: number): bigint {
  const shift = BigInt(bits);
  const square = (r * r) >> shift;
  let term = first;
  let sum = first;
  for (let k = start; term !== 0n && term !== -1n; k += 2n) {
    term = -((term * square) >> shift) / (k * (k + 1n));
    sum += term;
  }
  return sum;
}

/** Bits of the stored constants. */
const CONSTANT_BITS = 384;

function atConstantPrecision(compute: (bits: number) => bigint): bigint {
  return compute(CONSTANT_BITS + 32) >> 32n;
}

const LN2 = atConstantPrecision((bits) => 2n * inverseTangentSeries((1n << BigInt(bits)) / 3n, bits, false));

/** Machin: pi = 16 atan(1/5) - 4 atan(1/239). */
const PI = atConstantPrecision((bits) => {
  const one = 1n << BigInt(bits);
  return 16n * inverseTangentSeries(one / 5n, bits, true) - 4n * inverseTangentSeries(one / 239n, bits, true);
});

/** ln 2 with `bits` (at most 384) fraction bits. */
export function ln2(bits: number): bigint {
  return LN2 >> BigInt(CONSTANT_BITS - bits);
}

/** pi with `bits` (at most 384) fraction bits. */
export function pi(bits: number): bigint {
  return PI >> BigInt(CONSTANT_BITS - bits);
}

const ANGLE_STEPS = 16n;
/** atan(k / 16), filled when first asked for. */
const angleTable: (bigint | undefined)[] = [0n];

function tableAngle(step: bigint): bigint {
  const index = Number(step);
  let angle = angleTable[index];
  if (angle === undefined) {
    angle = atConstantPrecision((bits) => {
      // atan(k/16) = 2 atan(u) with u = tan of half the angle, which is below 1/2.
      const t = (step << BigInt(bits)) / ANGLE_STEPS;
      const one = 1n << BigInt(bits);
      const hypotenuse = squareRootFixed(one + ((t * t) >> BigInt(bits)), bits);
      return 2n * inverseTangentSeries((t << BigInt(bits)) / (one + hypotenuse), bits, true);
    });
    angleTable[index] = angle;
  }
  return angle;
}

function squareRootFixed(x: bigint, bits: number): bigint {
  const target = x << BigInt(bits);
  let root = 1n << BigInt(bits);
  for (let previous = 0n; root !== previous && root !== previous + 1n; ) {
    previous = root;
    root = (root + target / root) >> 1n;
    if (previous === root + 1n) break;
  }
  return root;
}

/** atan(numerator / denominator) for 0 <= numerator <= denominator, with `bits` (at most 384) fraction bits. */
export function arcTangent(numerator: bigint, denominator: bigint, bits: number): bigint {
  const step = (ANGLE_STEPS * numerator) / denominator;
  // atan z - atan c = atan((z - c) / (1 + z c)), here with c = step / 16.
  const above = ANGLE_STEPS * numerator - step * denominator;
  const below = ANGLE_STEPS * denominator + step * numerator;
  const rest = inverseTangentSeries((above << BigInt(bits)) / below, bits, true);
  return rest + (tableAngle(step) >> BigInt(CONSTANT_BITS - bits));
}
