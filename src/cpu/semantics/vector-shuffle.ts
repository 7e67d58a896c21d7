/**
 * Packing, unpacking, widening, shuffles, blends, and lanes in and out. Immediates need not be constants here:
 * shuffles build a byte control for swizzle, lanes are addressed where the register lies in the state page.
 */
import { i8x16, i16x8, i32x4, i64x2, v128 } from '../../support/wasm/simd.ts';
import { i32, i64, loads, type Value } from '../../support/wasm/values.ts';
import type { Place, Semantics, Stage } from '../stage.ts';
import { XMM } from '../state-layout.ts';
import {
  combine,
  convert,
  dwords,
  immediateByte,
  qwords,
  readVector,
  vectorBytes,
  words,
  writeVector,
  ZERO,
} from './vector-operands.ts';

type Binary = (a: Value, b: Value) => Value;

/** Low halves of a and b side by side. */
const LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

const pack = (narrow: Binary): Semantics =>
  combine((a, b, s) => {
    if (vectorBytes(s) === 16) return narrow(a, b);
    const both = s.f.let(i8x16.shuffle(a, b, LOW_HALVES));
    return narrow(both, both);
  });

/** Lanes of a and b alternating, from lane `first` of the operand's low or high half on. */
const unpack = (laneBytes: number, high: boolean): Semantics =>
  combine((a, b, s) => {
    const start = high ? vectorBytes(s) / 2 : 0;
    const lanes = Array.from({ length: 16 }, (_, i) => {
      const lane = Math.floor(i / laneBytes);
      const from = start + (lane >> 1) * laneBytes + (i % laneBytes);
      return (from & 15) + ((lane & 1) === 1 ? 16 : 0);
    });
    return i8x16.shuffle(a, b, lanes);
  });

/** PSHUFB: bit 7 of the control clears, other high bits are ignored. */
const shuffleBytes = combine((a, b, s) =>
  i8x16.swizzle(a, v128.and(b, i8x16.splat(i32.const(vectorBytes(s) === 8 ? 0x87 : 0x8f)))),
);

// Controls of swizzle from the two-bit selectors of an immediate.

/** In each dword k the selector in bits 2k and 2k+1. */
function dwordSelectors(control: Value): Value {
  const aligned = i32x4.mul(i32x4.splat(control), dwords(64, 16, 4, 1));
  return v128.and(i32x4.shrU(aligned, i32.const(6)), dwords(3, 3, 3, 3));
}
const dwordControl = (control: Value): Value =>
  i32x4.add(
    i32x4.mul(dwordSelectors(control), dwords(0x04040404, 0x04040404, 0x04040404, 0x04040404)),
    dwords(0x03020100, 0x03020100, 0x03020100, 0x03020100),
  );

/** Places of the words that four selectors name, in lanes 0..3 and again in 4..7, with `high` added there. */
function wordControl(control: Value, high: number): Value {
  const selectors = dwordSelectors(control);
  const narrowed = i16x8.narrowI32x4U(selectors, selectors);
  const places = i16x8.mul(narrowed, i16x8.splat(i32.const(0x0202)));
  const upper = 0x0100 + high * 0x0101;
  return i16x8.add(places, words(0x100, 0x100, 0x100, 0x100, upper, upper, upper, upper));
}

const KEEP_LOW = qwords(0x0706050403020100n, 0n);
const KEEP_HIGH = qwords(0n, 0x0f0e0d0c0b0a0908n);
const ALL_LOW = qwords(-1n, 0n);

/** Bytes of lane number `lane(k)` for each lane k. */
const byteLanes = (laneBytes: number, lane: (k: number) => number): number[] =>
  Array.from({ length: 16 }, (_, i) => lane(Math.floor(i / laneBytes)) * laneBytes + (i % laneBytes));
const selector = (immediate: number, k: number): number => (immediate >> (2 * (k & 3))) & 3;

/** `fixed` gives the bytes' places for an immediate known now, `control` computes them. */
const shuffleWith =
  (fixed: (immediate: number) => number[], control: (immediate: Value) => Value): Semantics =>
  (s) => {
    const immediate = immediateByte(s, 2);
    const source = readVector(s, 1);
    if (immediate.kind === 'const')
      writeVector(s, 0, i8x16.shuffle(source, source, fixed(Number(immediate.value))));
    else writeVector(s, 0, i8x16.swizzle(source, control(immediate)));
  };
const fixedWords = (first: number) => (immediate: number) =>
  byteLanes(2, (k) => (k >= first && k < first + 4 ? first + selector(immediate, k) : k));

const shuffleFloats: Semantics = (s) => {
  const immediate = immediateByte(s, 2);
  const source = readVector(s, 1);
  const destination = readVector(s, 0);
  if (immediate.kind === 'const') {
    const lanes = byteLanes(4, (k) => selector(Number(immediate.value), k) + (k < 2 ? 0 : 4));
    writeVector(s, 0, i8x16.shuffle(destination, source, lanes));
    return;
  }
  const places = s.f.let(dwordControl(immediate));
  const [first, second] = [i8x16.swizzle(destination, places), i8x16.swizzle(source, places)];
  writeVector(s, 0, v128.bitselect(first, second, ALL_LOW));
};

const shuffleDoubles: Semantics = (s) => {
  const immediate = immediateByte(s, 2);
  const source = readVector(s, 1);
  const destination = readVector(s, 0);
  if (immediate.kind === 'const') {
    const lanes = byteLanes(8, (k) => ((Number(immediate.value) >> k) & 1) + 2 * k);
    writeVector(s, 0, i8x16.shuffle(destination, source, lanes));
    return;
  }
  // Selector bits to byte places 0 or 8 of the half they choose.
  const half = (bit: number): Value => {
    const chosen = i64.extendU(i32.and(i32.shrU(immediate, i32.const(bit)), i32.const(1)));
    return i64x2.splat(i64.mul(chosen, i64.const(0x0808080808080808n)));
  };
  const pick = (value: Value, bit: number): Value =>
    i8x16.swizzle(value, i8x16.add(half(bit), qwords(0x0706050403020100n, 0x0706050403020100n)));
  writeVector(s, 0, v128.bitselect(pick(destination, 0), pick(source, 1), ALL_LOW));
};

// Blends

const bitMask = (lanes: { splat(a: Value): Value; ne: Binary }, control: Value, bits: Value): Value =>
  lanes.ne(v128.and(lanes.splat(control), bits), ZERO);

const blendImmediate =
  (mask: (control: Value) => Value): Semantics =>
  (s) => {
    const control = immediateByte(s, 2);
    const source = readVector(s, 1);
    writeVector(s, 0, v128.bitselect(source, readVector(s, 0), mask(control)));
  };
/** By the sign of each lane of XMM0. */
const blendVariable =
  (shift: Binary, bits: number): Semantics =>
  (s) => {
    const source = readVector(s, 1);
    const mask = shift(s.field('v128', XMM), i32.const(bits - 1));
    writeVector(s, 0, v128.bitselect(source, readVector(s, 0), mask));
  };

// Lanes

/** Where lane `lane` (i32, already cut) of register operand `k` lies. */
function lanePlace(s: Stage, k: number, lane: Value, laneBytes: number): Place {
  const { base, offset } = s.place(k);
  return { base: s.f.let(i32.add(base, i32.mul(lane, i32.const(laneBytes)))), offset };
}
const LANE_LOAD = { 1: loads.i64_8u, 2: loads.i64_16u, 4: loads.i64_32u, 8: loads.i64 } as const;
const LANE_STORE = { 1: 'i64_8', 2: 'i64_16', 4: 'i64_32', 8: 'i64' } as const;
type LaneBytes = keyof typeof LANE_LOAD;

const cutLane = (s: Stage, k: number, laneBytes: LaneBytes, control: Value): Value =>
  i32.and(control, i32.const((s.shape(k) === 'mm' ? 8 : 16) / laneBytes - 1));

const extractLane =
  (size?: LaneBytes): Semantics =>
  (s) => {
    const laneBytes = size ?? ((s.width(0) / 8) as LaneBytes);
    const lane = cutLane(s, 1, laneBytes, immediateByte(s, 2));
    const { base, offset } = lanePlace(s, 1, lane, laneBytes);
    s.write(0, s.f.let(LANE_LOAD[laneBytes](base, offset)));
  };
const insertLane =
  (size?: LaneBytes): Semantics =>
  (s) => {
    const laneBytes = size ?? ((s.width(1) / 8) as LaneBytes);
    const value = s.f.let(s.read(1));
    const lane = cutLane(s, 0, laneBytes, immediateByte(s, 2));
    const { base, offset } = lanePlace(s, 0, lane, laneBytes);
    s.f.store(LANE_STORE[laneBytes], base, offset, value);
    if (s.shape(0) === 'mm') s.f.store('i32_16', s.place(0).base, s.place(0).offset + 8, i32.const(0xffff));
  };

/** INSERTPS: one float into a lane, then lanes cleared. */
const insertFloat: Semantics = (s) => {
  const { f } = s;
  const control = immediateByte(s, 2);
  let value: Value;
  if (s.isMemory(1)) value = f.let(s.read(1));
  else {
    const { base, offset } = lanePlace(s, 1, i32.shrU(control, i32.const(6)), 4);
    value = f.let(loads.i64_32u(base, offset));
  }
  const { base, offset } = lanePlace(s, 0, i32.and(i32.shrU(control, i32.const(4)), i32.const(3)), 4);
  f.store('i64_32', base, offset, value);
  const cleared = bitMask(i32x4, control, dwords(1, 2, 4, 8));
  writeVector(s, 0, v128.andnot(readVector(s, 0), cleared));
};

const widen = (...steps: ((a: Value) => Value)[]): Semantics =>
  convert((a) => steps.reduce((value, step) => step(value), a));

export const vectorShuffle: Record<string, Semantics> = {
  packsswb: pack(i8x16.narrowI16x8S),
  packuswb: pack(i8x16.narrowI16x8U),
  packssdw: pack(i16x8.narrowI32x4S),
  packusdw: pack(i16x8.narrowI32x4U),
  punpcklbw: unpack(1, false),
  punpcklwd: unpack(2, false),
  punpckldq: unpack(4, false),
  punpcklqdq: unpack(8, false),
  punpckhbw: unpack(1, true),
  punpckhwd: unpack(2, true),
  punpckhdq: unpack(4, true),
  punpckhqdq: unpack(8, true),
  unpcklps: unpack(4, false),
  unpcklpd: unpack(8, false),
  unpckhps: unpack(4, true),
  unpckhpd: unpack(8, true),
  pmovsxbw: widen(i16x8.extendLowI8x16S),
  pmovsxbd: widen(i16x8.extendLowI8x16S, i32x4.extendLowI16x8S),
  pmovsxbq: widen(i16x8.extendLowI8x16S, i32x4.extendLowI16x8S, i64x2.extendLowI32x4S),
  pmovsxwd: widen(i32x4.extendLowI16x8S),
  pmovsxwq: widen(i32x4.extendLowI16x8S, i64x2.extendLowI32x4S),
  pmovsxdq: widen(i64x2.extendLowI32x4S),
  pmovzxbw: widen(i16x8.extendLowI8x16U),
  pmovzxbd: widen(i16x8.extendLowI8x16U, i32x4.extendLowI16x8U),
  pmovzxbq: widen(i16x8.extendLowI8x16U, i32x4.extendLowI16x8U, i64x2.extendLowI32x4U),
  pmovzxwd: widen(i32x4.extendLowI16x8U),
  pmovzxwq: widen(i32x4.extendLowI16x8U, i64x2.extendLowI32x4U),
  pmovzxdq: widen(i64x2.extendLowI32x4U),
  pshufb: shuffleBytes,
  pshufd: shuffleWith((immediate) => byteLanes(4, (k) => selector(immediate, k)), dwordControl),
  pshufw: shuffleWith(fixedWords(0), (control) => wordControl(control, 0)),
  pshuflw: shuffleWith(fixedWords(0), (control) =>
    v128.bitselect(wordControl(control, 0), KEEP_HIGH, ALL_LOW),
  ),
  pshufhw: shuffleWith(fixedWords(4), (control) =>
    v128.bitselect(KEEP_LOW, wordControl(control, 8), ALL_LOW),
  ),
  shufps: shuffleFloats,
  shufpd: shuffleDoubles,
  blendps: blendImmediate((control) => bitMask(i32x4, control, dwords(1, 2, 4, 8))),
  blendpd: blendImmediate((control) => bitMask(i32x4, control, dwords(1, 1, 2, 2))),
  pblendw: blendImmediate((control) => bitMask(i16x8, control, words(1, 2, 4, 8, 16, 32, 64, 128))),
  pblendvb: blendVariable(i8x16.shrS, 8),
  blendvps: blendVariable(i32x4.shrS, 32),
  blendvpd: blendVariable(i64x2.shrS, 64),
  pextrb: extractLane(1),
  pextrw: extractLane(2),
  pextrd: extractLane(),
  extractps: extractLane(4),
  pinsrb: insertLane(1),
  pinsrw: insertLane(2),
  pinsrd: insertLane(),
  insertps: insertFloat,
  movsldup: convert((a) => i8x16.shuffle(a, a, [0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 8, 9, 10, 11])),
  movshdup: convert((a) => i8x16.shuffle(a, a, [4, 5, 6, 7, 4, 5, 6, 7, 12, 13, 14, 15, 12, 13, 14, 15])),
  movddup: convert((a) => i8x16.shuffle(a, a, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7])),
};
