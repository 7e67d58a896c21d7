/**
 * When an operation is calm: operands are normal numbers or zeros and the result neither overflowed nor came near
 * the denormals, so that no exception but precision is due, and FTZ and DAZ have nothing to do. The test is made
 * on the lanes' bits; a calm answer is 1 (i32), any doubt 0.
 */
import { i32x4, i64x2, v128 } from '../../support/wasm/simd.ts';
import { i32, type Value } from '../../support/wasm/values.ts';
import type { Stage } from '../stage.ts';
import type { CalmLanes, Lane } from './sse-control.ts';
import { dwords, qwords, ZERO } from './vector-operands.ts';

const both = (value: bigint): Value => qwords(value, value);
const all = (value: number): Value => dwords(value, value, value, value);
const SIGNS = both(1n << 63n);

/** Per lane width: bits without the sign (doubled), and those tests on them that are needed. */
const LANES = {
  32: {
    doubled: (value: Value): Value => i32x4.shl(value, i32.const(1)),
    isZero: (doubled: Value): Value => i32x4.eq(doubled, ZERO),
    /** Not denormal, infinite or NaN. */
    isNormal: (doubled: Value): Value => i32x4.ltU(i32x4.sub(doubled, all(0x01000000)), all(0xfe000000)),
    /** Normal, and not the smallest, to which a denormal may have been rounded. */
    isLargerNormal: (doubled: Value): Value =>
      i32x4.ltU(i32x4.sub(doubled, all(0x01000001)), all(0xfdffffff)),
    allTrue: i32x4.allTrue,
  },
  64: {
    doubled: (value: Value): Value => i64x2.shl(value, i32.const(1)),
    isZero: (doubled: Value): Value => i64x2.eq(doubled, ZERO),
    isNormal: (doubled: Value): Value => below(i64x2.sub(doubled, both(1n << 53n)), 0x7fen << 53n),
    isLargerNormal: (doubled: Value): Value =>
      below(i64x2.sub(doubled, both((1n << 53n) + 1n)), (0x7fen << 53n) - 1n),
    allTrue: i64x2.allTrue,
  },
} as const;

/** Unsigned comparison of 64-bit lanes. */
function below(value: Value, limit: bigint): Value {
  return i64x2.ltS(v128.xor(value, SIGNS), both(BigInt.asUintN(64, limit ^ (1n << 63n))));
}

function ordinary(s: Stage, lane: Lane, value: Value): Value {
  const { doubled, isZero, isNormal } = LANES[lane];
  const bits = s.f.let(doubled(value));
  return v128.or(isZero(bits), isNormal(bits));
}

/** Comparisons, minimum, maximum. */
export const calmOperands =
  (lane: Lane): CalmLanes =>
  (s, a, b) =>
    LANES[lane].allTrue(v128.and(ordinary(s, lane, a), ordinary(s, lane, b)));

/** When a zero result is exact: always (sums), or with a zero among these operands. */
const ZERO_OPERANDS = { add: [], sub: [], mul: ['a', 'b'], div: ['a'], sqrt: ['b'] } as const;

export const calmResult =
  (lane: Lane, operation: keyof typeof ZERO_OPERANDS): CalmLanes =>
  (s, a, b, result) => {
    const { doubled, isZero, isLargerNormal, allTrue } = LANES[lane];
    const bits = s.f.let(doubled(result));
    let zero = isZero(bits);
    const operands = { a, b };
    const zeros = ZERO_OPERANDS[operation].map((name) => isZero(doubled(operands[name])));
    if (zeros.length > 0)
      zero = v128.and(
        zero,
        zeros.reduce((x, y) => v128.or(x, y)),
      );
    const inputs =
      operation === 'sqrt' ? ordinary(s, lane, b) : v128.and(ordinary(s, lane, a), ordinary(s, lane, b));
    return allTrue(v128.and(inputs, v128.or(zero, isLargerNormal(bits))));
  };
