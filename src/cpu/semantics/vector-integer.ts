/** Integer arithmetic, comparison and logic of MMX and SSE: lane by lane. */
import { i8x16, i16x8, i32x4, i64x2, v128 } from '../../support/wasm/simd.ts';
import { i32, i64, type Value } from '../../support/wasm/values.ts';
import type { Semantics, Stage } from '../stage.ts';
import { FLAG_AUX, FLAG_RESULT } from '../state-layout.ts';
import {
  bytes,
  combine,
  convert,
  dwords,
  extend,
  immediateByte,
  qwords,
  readVector,
  vectorBytes,
  words,
  writeVector,
  ZERO,
} from './vector-operands.ts';

type Binary = (a: Value, b: Value) => Value;

/** The high half of each 32-bit product. */
const highProducts =
  (low: Binary, high: Binary): Binary =>
  (a, b) =>
    i8x16.shuffle(low(a, b), high(a, b), [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31]);

const EVEN_DWORDS = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
const evenDwords = (a: Value): Value => i8x16.shuffle(a, a, EVEN_DWORDS);
const evenProducts =
  (multiply: Binary): Binary =>
  (a, b) =>
    multiply(evenDwords(a), evenDwords(b));

function sumOfDifferences(a: Value, b: Value): Value {
  const difference = v128.or(i8x16.subSatU(a, b), i8x16.subSatU(b, a));
  return i64x2Pairs(i32x4.extaddPairwiseI16x8U(i16x8.extaddPairwiseI8x16U(difference)));
}
/** Adds the two 32-bit halves of each 64-bit lane (small, not negative). */
const i64x2Pairs = (sums: Value): Value =>
  i64x2.add(v128.and(sums, qwords(0xffffffffn, 0xffffffffn)), i64x2.shrU(sums, i32.const(32)));

/** Unsigned bytes of a times signed bytes of b, neighbours added with saturation. */
function multiplyAddBytes(a: Value, b: Value): Value {
  const eight = i32.const(8);
  const low = words(255, 255, 255, 255, 255, 255, 255, 255);
  const even = i16x8.mul(v128.and(a, low), i16x8.shrS(i16x8.shl(b, eight), eight));
  const odd = i16x8.mul(i16x8.shrU(a, eight), i16x8.shrS(b, eight));
  return i16x8.addSatS(even, odd);
}

/** WebAssembly's rounding product saturates -1 * -1, x86's wraps. */
function multiplyRound(a: Value, b: Value): Value {
  const lowest = i16x8.splat(i32.const(0x8000));
  const wraps = v128.and(i16x8.eq(a, lowest), i16x8.eq(b, lowest));
  return v128.xor(i16x8.q15mulrSatS(a, b), wraps);
}

/** Lanes at even places of a, then b, against those at odd places. */
const horizontal =
  (laneBytes: 2 | 4, op: Binary): Semantics =>
  (s) => {
    const { f } = s;
    const pick = (odd: number): number[] =>
      Array.from(
        { length: 16 },
        (_, i) => Math.floor(i / laneBytes) * 2 * laneBytes + odd * laneBytes + (i % laneBytes),
      );
    let second = readVector(s, 1);
    let first = readVector(s, 0);
    if (vectorBytes(s) === 8) {
      first = f.let(i8x16.shuffle(first, second, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]));
      second = first;
    }
    writeVector(s, 0, op(i8x16.shuffle(first, second, pick(0)), i8x16.shuffle(first, second, pick(1))));
  };

interface Lanes {
  shrS: Binary;
  sub: Binary;
  eq: Binary;
}
const applySign =
  (lanes: Lanes, laneBits: number): Semantics =>
  (s) => {
    const source = readVector(s, 1);
    const negative = s.f.let(lanes.shrS(source, i32.const(laneBits - 1)));
    const value = lanes.sub(v128.xor(readVector(s, 0), negative), negative);
    writeVector(s, 0, v128.andnot(value, lanes.eq(source, ZERO)));
  };

/** PTEST: ZF if no bit is common, CF if the destination has all of the source's bits; the others are zero. */
const test: Semantics = (s) => {
  const source = readVector(s, 1);
  const destination = readVector(s, 0);
  const common = s.f.let(v128.anyTrue(v128.and(source, destination)));
  const all = i32.eqz(v128.anyTrue(v128.andnot(source, destination)));
  setZeroCarry(s, i32.eqz(common), all);
};

/** ZF and CF (i32, 0 or 1); PF, AF, SF and OF are zero. See flags.ts for the encoding. */
function setZeroCarry(s: Stage, zero: Value, carry: Value): void {
  const zf = s.f.let(zero);
  s.setField('i32', FLAG_AUX, i32.or(i32.mul(carry, i32.const(0xc0000000)), i32.shl(zf, i32.const(8))));
  s.setField('i64', FLAG_RESULT, extend(i32.eqz(zf)));
}

/** PHMINPOSUW: lanes paired with their numbers, so that one minimum finds value and place. */
function minimumPosition(a: Value, s: Stage): Value {
  const sixteen = i32.const(16);
  const numbered = (half: Value, numbers: Value): Value => v128.or(i32x4.shl(half, sixteen), numbers);
  const low = numbered(i32x4.extendLowI16x8U(a), dwords(0, 1, 2, 3));
  const high = numbered(i32x4.extendHighI16x8U(a), dwords(4, 5, 6, 7));
  const four = s.f.let(i32x4.minU(low, high));
  const two = s.f.let(
    i32x4.minU(four, i8x16.shuffle(four, four, [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7])),
  );
  const one = i32x4.minU(
    two,
    i8x16.shuffle(two, two, [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11]),
  );
  return i32x4.replace(ZERO, 0, i32.rotl(i32x4.extract(one, 0), sixteen));
}

/** MPSADBW: four bytes of the source against each of eight places of the destination. */
const multipleSums: Semantics = (s) => {
  const { f } = s;
  const control = immediateByte(s, 2);
  const source = readVector(s, 1);
  const destination = readVector(s, 0);
  const block = f.let(i32.shl(i32.and(control, i32.const(3)), i32.const(2)));
  const start = f.let(i32.and(control, i32.const(4)));
  const iota = bytes(0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0);
  let sum = ZERO;
  for (let k = 0; k < 4; k++) {
    const at = i8x16.add(iota, i8x16.splat(i32.add(start, i32.const(k))));
    const window = i16x8.extendLowI8x16U(i8x16.swizzle(destination, at));
    const byte = i16x8.extendLowI8x16U(i8x16.swizzle(source, i8x16.splat(i32.add(block, i32.const(k)))));
    sum = f.let(i16x8.add(sum, i16x8.abs(i16x8.sub(window, byte))));
  }
  writeVector(s, 0, sum);
};

const moveMask =
  (mask: (a: Value) => Value, keep?: number): Semantics =>
  (s) => {
    const value = mask(readVector(s, 1));
    const short = keep !== undefined && vectorBytes(s) === 8;
    s.write(0, i64.extendU(short ? i32.and(value, i32.const(keep)) : value));
  };

const andnot = combine((a, b) => v128.andnot(b, a));

const binaries: Record<string, Binary> = {
  paddb: i8x16.add,
  paddw: i16x8.add,
  paddd: i32x4.add,
  paddq: i64x2.add,
  psubb: i8x16.sub,
  psubw: i16x8.sub,
  psubd: i32x4.sub,
  psubq: i64x2.sub,
  paddsb: i8x16.addSatS,
  paddsw: i16x8.addSatS,
  paddusb: i8x16.addSatU,
  paddusw: i16x8.addSatU,
  psubsb: i8x16.subSatS,
  psubsw: i16x8.subSatS,
  psubusb: i8x16.subSatU,
  psubusw: i16x8.subSatU,
  pcmpeqb: i8x16.eq,
  pcmpeqw: i16x8.eq,
  pcmpeqd: i32x4.eq,
  pcmpeqq: i64x2.eq,
  pcmpgtb: i8x16.gtS,
  pcmpgtw: i16x8.gtS,
  pcmpgtd: i32x4.gtS,
  pcmpgtq: i64x2.gtS,
  pminub: i8x16.minU,
  pminsb: i8x16.minS,
  pminuw: i16x8.minU,
  pminsw: i16x8.minS,
  pminud: i32x4.minU,
  pminsd: i32x4.minS,
  pmaxub: i8x16.maxU,
  pmaxsb: i8x16.maxS,
  pmaxuw: i16x8.maxU,
  pmaxsw: i16x8.maxS,
  pmaxud: i32x4.maxU,
  pmaxsd: i32x4.maxS,
  pavgb: i8x16.avgrU,
  pavgw: i16x8.avgrU,
  pmullw: i16x8.mul,
  pmulld: i32x4.mul,
  pmulhw: highProducts(i32x4.extmulLowI16x8S, i32x4.extmulHighI16x8S),
  pmulhuw: highProducts(i32x4.extmulLowI16x8U, i32x4.extmulHighI16x8U),
  pmuludq: evenProducts(i64x2.extmulLowI32x4U),
  pmuldq: evenProducts(i64x2.extmulLowI32x4S),
  pmaddwd: i32x4.dotI16x8S,
  pmaddubsw: multiplyAddBytes,
  pmulhrsw: multiplyRound,
  psadbw: sumOfDifferences,
  pand: v128.and,
  por: v128.or,
  pxor: v128.xor,
  andps: v128.and,
  andpd: v128.and,
  orps: v128.or,
  orpd: v128.or,
  xorps: v128.xor,
  xorpd: v128.xor,
};

export const vectorInteger: Record<string, Semantics> = {
  ...Object.fromEntries(Object.entries(binaries).map(([name, op]) => [name, combine(op)])),
  pandn: andnot,
  andnps: andnot,
  andnpd: andnot,
  pabsb: convert(i8x16.abs),
  pabsw: convert(i16x8.abs),
  pabsd: convert(i32x4.abs),
  psignb: applySign(i8x16, 8),
  psignw: applySign(i16x8, 16),
  psignd: applySign(i32x4, 32),
  phaddw: horizontal(2, i16x8.add),
  phaddd: horizontal(4, i32x4.add),
  phaddsw: horizontal(2, i16x8.addSatS),
  phsubw: horizontal(2, i16x8.sub),
  phsubd: horizontal(4, i32x4.sub),
  phsubsw: horizontal(2, i16x8.subSatS),
  phminposuw: convert(minimumPosition),
  mpsadbw: multipleSums,
  ptest: test,
  pmovmskb: moveMask(i8x16.bitmask, 0xff),
  movmskps: moveMask(i32x4.bitmask),
  movmskpd: moveMask(i64x2.bitmask),
};
