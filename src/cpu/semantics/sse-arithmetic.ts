/** SSE floating-point arithmetic, rounding to integral values, horizontal sums and dot products. See sse-control.ts. */
import { f32x4, f64x2, i8x16, i32x4, v128 } from '../../support/wasm/simd.ts';
import { i32, select, type Value } from '../../support/wasm/values.ts';
import type { Semantics, Stage } from '../stage.ts';
import { calmOperands, calmResult } from './sse-calm.ts';
import {
  finishVector,
  type Lane,
  packed,
  packedOps,
  readScalar,
  scalar,
  scalarOps,
  settled,
  settledScalar,
  settleNans,
  settleScalarNan,
  underControl,
  writeScalar,
} from './sse-control.ts';
import { dwords, immediateByte, qwords, readVector, writeVector, ZERO } from './vector-operands.ts';

type Operator = 'add' | 'sub' | 'mul' | 'div';
type Binary = (a: Value, b: Value) => Value;
type Unary = (a: Value) => Value;

/** The four shapes of an operation. */
const shapes = (
  name: string,
  make: (lane: Lane) => { packed: Semantics; scalar: Semantics },
): Record<string, Semantics> => {
  const [single, double] = [make(32), make(64)];
  return {
    [`${name}ps`]: single.packed,
    [`${name}pd`]: double.packed,
    [`${name}ss`]: single.scalar,
    [`${name}sd`]: double.scalar,
  };
};

const arithmetic = (name: Operator): Record<string, Semantics> =>
  shapes(name, (lane) => ({
    packed: packed(settled(lane, packedOps[lane][name]), calmResult(lane, name)),
    scalar: scalar(lane, settledScalar(lane, scalarOps[lane][name]), calmResult(lane, name)),
  }));

const squareRoot = shapes('sqrt', (lane) => ({
  packed: packed((s, _, b) => settleNans(s, lane, packedOps[lane].sqrt(b), b, b), calmResult(lane, 'sqrt')),
  scalar: scalar(
    lane,
    (s, _, b) => settleScalarNan(s, lane, scalarOps[lane].sqrt(b), b, b),
    calmResult(lane, 'sqrt'),
  ),
}));

/** The second operand where neither is smaller (greater): unordered, or zeros of any sign. */
const minimum = shapes('min', (lane) => ({
  packed: packed((_, a, b) => packedOps[lane].pmin(b, a), calmOperands(lane)),
  scalar: scalar(lane, (_, a, b) => select(scalarOps[lane].lt(a, b), a, b), calmOperands(lane)),
}));
const maximum = shapes('max', (lane) => ({
  packed: packed((_, a, b) => packedOps[lane].pmax(b, a), calmOperands(lane)),
  scalar: scalar(lane, (_, a, b) => select(scalarOps[lane].gt(a, b), a, b), calmOperands(lane)),
}));

// ROUNDPS and its kin: bits 0 and 1 of the immediate choose the rounding, bit 2 MXCSR's (to nearest, here).

interface Roundings {
  nearest: Unary;
  floor: Unary;
  ceil: Unary;
  trunc: Unary;
}
function roundBy(s: Stage, control: Value, ops: Roundings, value: Value): Value {
  const { f } = s;
  const list = [ops.nearest, ops.floor, ops.ceil, ops.trunc];
  if (control.kind === 'const')
    return list[Number(control.value) & 4 ? 0 : Number(control.value) & 3]!(value);
  const out = f.variable(ops.nearest(value));
  f.if(i32.eqz(i32.and(control, i32.const(4))), () => {
    const mode = f.let(i32.and(control, i32.const(3)));
    for (const k of [1, 2, 3]) f.if(i32.eq(mode, i32.const(k)), () => f.set(out, list[k]!(value)));
  });
  return out.get;
}
const rounding = shapes('round', (lane) => ({
  packed: (s) => {
    const control = immediateByte(s, 2);
    const source = readVector(s, 1);
    underControl(s, {
      source,
      immediate: control,
      compute: () => roundBy(s, control, packedOps[lane], source),
      write: (result) => writeVector(s, 0, result),
      finish: finishVector(s),
    });
  },
  scalar: (s) => {
    const control = immediateByte(s, 2);
    const source = readScalar(s, 1, lane);
    underControl(s, {
      source,
      immediate: control,
      compute: () => roundBy(s, control, scalarOps[lane], source),
      write: (result) => writeScalar(s, lane, result),
      finish: finishVector(s),
    });
  },
}));

// Across lanes

const EVEN = {
  32: [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27],
  64: [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23],
} as const;
const even = (s: Stage, lane: Lane, a: Value, b: Value): Value => s.f.let(i8x16.shuffle(a, b, EVEN[lane]));
const odd = (s: Stage, lane: Lane, a: Value, b: Value): Value =>
  s.f.let(
    i8x16.shuffle(
      a,
      b,
      EVEN[lane].map((k) => k + lane / 8),
    ),
  );

const horizontal = (lane: Lane, op: Binary): Semantics =>
  packed((s, a, b) => settled(lane, op)(s, even(s, lane, a, b), odd(s, lane, a, b)));

const ODD_LANES = { 32: dwords(0, 0xffffffff, 0, 0xffffffff), 64: qwords(0n, -1n) } as const;
/** Differences in even lanes, sums in odd ones. */
const alternating = (lane: Lane): Semantics =>
  packed((s, a, b) => {
    const { add, sub } = packedOps[lane];
    return settleNans(s, lane, v128.bitselect(add(a, b), sub(a, b), ODD_LANES[lane]), a, b);
  });

/** Lanes of the mask are all ones where the immediate's bits `first`.. are set. */
const laneMask = (lane: Lane, control: Value, first: number): Value =>
  lane === 32
    ? i32x4.ne(v128.and(i32x4.splat(control), dwords(1 << first, 2 << first, 4 << first, 8 << first)), ZERO)
    : i32x4.ne(v128.and(i32x4.splat(control), dwords(1 << first, 1 << first, 2 << first, 2 << first)), ZERO);

/** Each lane's neighbour in its pair, and the lanes of the other pair. */
const NEIGHBOURS = {
  32: [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11],
  64: [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7],
} as const;

/** The sum of a vector's lanes, pairs first, in every lane; which NaN each lane gets is as on Intel processors. */
function sumOfLanes(s: Stage, lane: Lane, vector: Value): Value {
  const { add } = packedOps[lane];
  const moved = s.f.let(i8x16.shuffle(vector, vector, NEIGHBOURS[lane]));
  if (lane === 64) return settled(lane, add)(s, vector, moved);
  const pairs = settled(lane, add)(s, moved, vector);
  return settled(lane, add)(s, pairs, s.f.let(i8x16.shuffle(pairs, pairs, NEIGHBOURS[64])));
}

/** DPPS, DPPD: products by bits 4.., their sum to the lanes of bits 0... */
const dotProduct =
  (lane: Lane): Semantics =>
  (s) => {
    const { f } = s;
    const control = immediateByte(s, 2);
    const source = readVector(s, 1);
    const destination = readVector(s, 0);
    const compute = (): Value => {
      const products = settleNans(s, lane, packedOps[lane].mul(destination, source), destination, source);
      const chosen = f.let(v128.and(products, laneMask(lane, control, 4)));
      return v128.and(sumOfLanes(s, lane, chosen), laneMask(lane, control, 0));
    };
    const write = (result: Value): void => writeVector(s, 0, result);
    underControl(s, { source, immediate: control, compute, write, finish: finishVector(s) });
  };

// Approximations: no exceptions, MXCSR does not count. We answer more exactly than asked (1.5 * 2^-12); as on
// Intel processors, denormal operands and results count as zeros.

const SIGNS = dwords(0x80000000, 0x80000000, 0x80000000, 0x80000000);
function flushTiny(s: Stage, value: Value): Value {
  const fixed = s.f.let(value);
  const tiny = i32x4.ltU(v128.andnot(fixed, SIGNS), dwords(0x800000, 0x800000, 0x800000, 0x800000));
  return s.f.let(v128.andnot(fixed, v128.andnot(tiny, SIGNS)));
}
const ONES = f32x4.splat({ type: 'f32', kind: 'const', value: 1 });
function reciprocal(s: Stage, source: Value): Value {
  const operand = flushTiny(s, source);
  return flushTiny(s, settleNans(s, 32, f32x4.div(ONES, operand), operand, operand));
}
function reciprocalRoot(s: Stage, source: Value): Value {
  const operand = flushTiny(s, source);
  return settleNans(s, 32, f32x4.div(ONES, f32x4.sqrt(operand)), operand, operand);
}
const approximate = (op: (s: Stage, source: Value) => Value): { packed: Semantics; scalar: Semantics } => ({
  packed: (s) => writeVector(s, 0, op(s, readVector(s, 1))),
  scalar: (s) => writeScalar(s, 32, f32x4.extract(op(s, readVector(s, 1)), 0)),
});
const [rcp, rsqrt] = [approximate(reciprocal), approximate(reciprocalRoot)];

export const sseArithmetic: Record<string, Semantics> = {
  ...arithmetic('add'),
  ...arithmetic('sub'),
  ...arithmetic('mul'),
  ...arithmetic('div'),
  ...squareRoot,
  ...minimum,
  ...maximum,
  ...rounding,
  haddps: horizontal(32, f32x4.add),
  haddpd: horizontal(64, f64x2.add),
  hsubps: horizontal(32, f32x4.sub),
  hsubpd: horizontal(64, f64x2.sub),
  addsubps: alternating(32),
  addsubpd: alternating(64),
  dpps: dotProduct(32),
  dppd: dotProduct(64),
  rcpps: rcp.packed,
  rcpss: rcp.scalar,
  rsqrtps: rsqrt.packed,
  rsqrtss: rsqrt.scalar,
};
