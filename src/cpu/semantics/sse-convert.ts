/** SSE conversions. What does not fit an integer becomes the integer indefinite, 80...0. See sse-control.ts. */
import { f32x4, f64x2, i8x16, i32x4, i64x2, v128 } from '../../support/wasm/simd.ts';
import { f32, f64, i32, i64, select, type Value } from '../../support/wasm/values.ts';
import type { Semantics, Stage } from '../stage.ts';
import { calmOperands, calmResult } from './sse-calm.ts';
import {
  finishVector,
  type Lane,
  PRECISE_RESULT,
  packedOps,
  readScalar,
  scalarOps,
  underControl,
  writeScalar,
} from './sse-control.ts';
import { dwords, readVector, writeVector, ZERO } from './vector-operands.ts';

/** destination = change(source), under MXCSR. */
const vector =
  (change: (s: Stage, source: Value) => Value): Semantics =>
  (s) => {
    const source = readVector(s, 1);
    underControl(s, {
      source,
      compute: () => change(s, source),
      write: (result) => writeVector(s, 0, result),
      finish: finishVector(s),
    });
  };

/** Always exact, whatever MXCSR says. */
const exact =
  (change: (source: Value) => Value): Semantics =>
  (s) =>
    writeVector(s, 0, change(readVector(s, 1)));

/** CVTPI2PS keeps the high half. */
const integersToFloats: Semantics = (s) => {
  const source = readVector(s, 1);
  const write = (low: Value): void => {
    const { base, offset } = s.place(0);
    s.f.store('i64', base, offset, low);
  };
  const compute = (): Value => i64x2.extract(f32x4.convertI32x4S(source), 0);
  underControl(s, { source, compute, write, finish: finishVector(s) });
};

const LIMIT = 2147483648;
const INDEFINITE = dwords(0x80000000, 0x80000000, 0x80000000, 0x80000000);

/** Too large and NaN lanes are wrong in WebAssembly's saturating conversion; too small ones come out right. */
const singlesToIntegers =
  (round: (a: Value) => Value) =>
  (s: Stage, source: Value): Value => {
    const rounded = s.f.let(round(source));
    const fits = f32x4.lt(rounded, f32x4.splat(f32.const(LIMIT)));
    return v128.bitselect(i32x4.truncSatF32x4S(rounded), INDEFINITE, fits);
  };
const doublesToIntegers =
  (round: (a: Value) => Value) =>
  (s: Stage, source: Value): Value => {
    const rounded = s.f.let(round(source));
    const fits = f64x2.lt(rounded, f64x2.splat(f64.const(LIMIT)));
    // Lanes of 64 bits to the low two of 32; the high two are zero.
    const narrow = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23];
    const mask = i8x16.shuffle(fits, v128.not(ZERO), narrow);
    return v128.bitselect(i32x4.truncSatF64x2SZero(rounded), INDEFINITE, mask);
  };

const CONVERT = {
  32: { 32: i32.truncSatF32S, 64: i32.truncSatF64S },
  64: { 32: i64.truncSatF32S, 64: i64.truncSatF64S },
} as const;

/** CVT(T)SS2SI, CVT(T)SD2SI. */
const scalarToInteger =
  (lane: Lane, rounding: 'nearest' | 'trunc'): Semantics =>
  (s) => {
    const { f } = s;
    const ops = scalarOps[lane];
    const source = readScalar(s, 1, lane);
    const bits = s.width(0) as 32 | 64;
    const indefinite = i64.const(bits === 32 ? 0x80000000n : 1n << 63n);
    underControl(s, {
      source,
      compute: () => {
        const rounded = f.let(ops[rounding](source));
        const fits = ops.lt(rounded, ops.const(2 ** (bits - 1)));
        const converted = CONVERT[bits][lane](rounded);
        return select(fits, bits === 32 ? i64.extendU(converted) : converted, indefinite);
      },
      write: (result) => s.write(0, result),
      calm: (result) => i64.ne(result, indefinite),
      finish: () => s.write(0, s.field('i64', PRECISE_RESULT)),
    });
  };

const integerToScalar =
  (lane: Lane): Semantics =>
  (s) => {
    const wide = s.width(1) === 64;
    const raw = s.f.let(s.read(1));
    const source = wide ? raw : s.f.let(i64.extend32S(raw));
    const { convertI32S, convertI64S } = scalarOps[lane];
    const compute = (): Value => (wide ? convertI64S(source) : convertI32S(i32.wrap(source)));
    const write = (result: Value): void => writeScalar(s, lane, result);
    if (lane === 64 && !wide) write(compute());
    else underControl(s, { source, compute, write, calm: () => i32.const(1), finish: finishVector(s) });
  };

const ONES = f32x4.splat(f32.const(1));

const scalarToScalar =
  (from: Lane): Semantics =>
  (s) => {
    const source = readScalar(s, 1, from);
    const to = from === 32 ? 64 : 32;
    const wide = (value: Value): Value => packedOps[from].splat(value);
    underControl(s, {
      source,
      compute: () => (from === 32 ? f64.promote(source) : f32.demote(source)),
      write: (result) => writeScalar(s, to, result),
      // A double's range is checked on the result; a zero may be an underflow.
      calm: (result) =>
        from === 32
          ? calmOperands(32)(s, wide(source), wide(source), ZERO)
          : calmResult(32, 'mul')(s, ONES, ONES, f32x4.splat(result)),
      finish: finishVector(s),
    });
  };

const same = (a: Value): Value => a;

export const sseConvert: Record<string, Semantics> = {
  cvtdq2pd: exact(f64x2.convertLowI32x4S),
  cvtpi2pd: exact(f64x2.convertLowI32x4S),
  cvtdq2ps: vector((_, source) => f32x4.convertI32x4S(source)),
  cvtpi2ps: integersToFloats,
  cvtps2pd: vector((_, source) => f64x2.promoteLowF32x4(source)),
  cvtpd2ps: vector((_, source) => f32x4.demoteF64x2Zero(source)),
  cvtps2dq: vector(singlesToIntegers(f32x4.nearest)),
  cvttps2dq: vector(singlesToIntegers(same)),
  cvtpd2dq: vector(doublesToIntegers(f64x2.nearest)),
  cvttpd2dq: vector(doublesToIntegers(same)),
  cvtps2pi: vector(singlesToIntegers(f32x4.nearest)),
  cvttps2pi: vector(singlesToIntegers(same)),
  cvtpd2pi: vector(doublesToIntegers(f64x2.nearest)),
  cvttpd2pi: vector(doublesToIntegers(same)),
  cvtss2si: scalarToInteger(32, 'nearest'),
  cvttss2si: scalarToInteger(32, 'trunc'),
  cvtsd2si: scalarToInteger(64, 'nearest'),
  cvttsd2si: scalarToInteger(64, 'trunc'),
  cvtsi2ss: integerToScalar(32),
  cvtsi2sd: integerToScalar(64),
  cvtss2sd: scalarToScalar(32),
  cvtsd2ss: scalarToScalar(64),
};
