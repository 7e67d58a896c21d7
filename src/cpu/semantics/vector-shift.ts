/** Shifts of MMX and SSE lanes: by an immediate, or by the low 64 bits of a vector. Too large counts shift all out. */
import { i8x16, i16x8, i32x4, i64x2 } from '../../support/wasm/simd.ts';
import { i32, i64, select, type Value } from '../../support/wasm/values.ts';
import type { Semantics, Stage } from '../stage.ts';
import { bytes, immediateByte, readVector, writeVector, ZERO } from './vector-operands.ts';

type Shift = (a: Value, count: Value) => Value;

/** The count, or `limit` where it is greater (i32). */
function countUpTo(s: Stage, limit: number): Value {
  if (s.shape(1) === 'i') {
    const count = immediateByte(s, 1);
    if (count.kind === 'const') return i32.const(Math.min(Number(count.value), limit));
    return s.f.let(select(i32.gtU(count, i32.const(limit)), i32.const(limit), count));
  }
  const count = s.f.let(i64x2.extract(readVector(s, 1), 0));
  return s.f.let(select(i64.gtU(count, i64.const(limit)), i32.const(limit), i32.wrap(count)));
}

const logical =
  (shift: Shift, bits: number): Semantics =>
  (s) => {
    const count = countUpTo(s, bits);
    const value = readVector(s, 0);
    if (count.kind === 'const') {
      writeVector(s, 0, Number(count.value) >= bits ? ZERO : shift(value, count));
      return;
    }
    writeVector(s, 0, select(i32.ltU(count, i32.const(bits)), shift(value, count), ZERO));
  };

const arithmetic =
  (shift: Shift, bits: number): Semantics =>
  (s) => {
    const count = countUpTo(s, bits - 1);
    writeVector(s, 0, shift(readVector(s, 0), count));
  };

const IOTA = bytes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

/** Bytes of a, then b, from `start` on; zeros before and behind. */
function bytesFrom(a: Value, b: Value, start: number): Value {
  const places = Array.from({ length: 16 }, (_, k) => k + start);
  if (start >= 16)
    return i8x16.shuffle(
      b,
      ZERO,
      places.map((k) => Math.min(k - 16, 16)),
    );
  if (start >= 0) return i8x16.shuffle(a, b, places);
  return i8x16.shuffle(
    a,
    ZERO,
    places.map((k) => (k < 0 ? 16 : k)),
  );
}

/** PSLLDQ, PSRLDQ: swizzle answers zero for every place outside 0..15. */
const byteShift =
  (direction: 1 | -1): Semantics =>
  (s) => {
    const count = countUpTo(s, 16);
    if (count.kind === 'const') {
      writeVector(s, 0, bytesFrom(readVector(s, 0), ZERO, direction * Number(count.value)));
      return;
    }
    const place = direction > 0 ? i8x16.add : i8x16.sub;
    writeVector(s, 0, i8x16.swizzle(readVector(s, 0), place(IOTA, i8x16.splat(count))));
  };

/** PALIGNR: bytes from `count` on of the source, behind it the destination, behind that zeros. */
const align: Semantics = (s) => {
  const { f } = s;
  const count = immediateByte(s, 2);
  const second = readVector(s, 1);
  let first = readVector(s, 0);
  let low = second;
  if (s.shape(0) === 'mm') {
    low = f.let(i64x2.replace(second, 1, i64x2.extract(first, 0)));
    first = ZERO;
  }
  if (count.kind === 'const') {
    writeVector(s, 0, bytesFrom(low, first, Math.min(Number(count.value), 32)));
    return;
  }
  const limited = f.let(select(i32.gtU(count, i32.const(32)), i32.const(32), count));
  const places = f.let(i8x16.add(IOTA, i8x16.splat(limited)));
  const fromLow = i8x16.swizzle(low, places);
  const fromHigh = i8x16.swizzle(first, i8x16.sub(places, i8x16.splat(i32.const(16))));
  // At most one of the two is not zero in each byte.
  writeVector(s, 0, i8x16.add(fromLow, fromHigh));
};

export const vectorShift: Record<string, Semantics> = {
  psllw: logical(i16x8.shl, 16),
  pslld: logical(i32x4.shl, 32),
  psllq: logical(i64x2.shl, 64),
  psrlw: logical(i16x8.shrU, 16),
  psrld: logical(i32x4.shrU, 32),
  psrlq: logical(i64x2.shrU, 64),
  psraw: arithmetic(i16x8.shrS, 16),
  psrad: arithmetic(i32x4.shrS, 32),
  pslldq: byteShift(-1),
  psrldq: byteShift(1),
  palignr: align,
};
