/**
 * AES rounds and carry-less multiplication (FIPS 197; SDM vol. 2 "AESENC", "PCLMULQDQ"). The state's byte i is in
 * row i mod 4, column i div 4. SubBytes is sixteen swizzles, one a row of the table: a byte of another row makes
 * an index beyond 15, which swizzle answers with zero.
 */
import { i8x16, i32x4, i64x2, v128 } from '../../support/wasm/simd.ts';
import { i32, i64, loads, type Value } from '../../support/wasm/values.ts';
import type { Semantics, Stage } from '../stage.ts';
import {
  bytes,
  combine,
  convert,
  dwords,
  immediateByte,
  readVector,
  writeVector,
} from './vector-operands.ts';

/** Multiplication by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
const double = (value: number): number => ((value << 1) ^ (value & 0x80 ? 0x11b : 0)) & 0xff;

function buildBox(): Uint8Array {
  const box = new Uint8Array(256);
  // p runs through the powers of 3, q through their inverses.
  let [p, q] = [1, 1];
  do {
    p ^= double(p);
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q = (q ^ (q & 0x80 ? 0x09 : 0)) & 0xff;
    const rotated = [1, 2, 3, 4].map((k) => (q << k) | (q >> (8 - k)));
    box[p] = rotated.reduce((sum, value) => sum ^ value, q) ^ 0x63;
  } while (p !== 1);
  box[0] = 0x63;
  return box;
}
const BOX = buildBox();
const INVERSE_BOX = new Uint8Array(256);
BOX.forEach((value, k) => {
  INVERSE_BOX[value] = k;
});

function substitute(s: Stage, box: Uint8Array, value: Value): Value {
  const state = s.f.let(value);
  let result = i8x16.swizzle(bytes(...box.subarray(0, 16)), state);
  for (let row = 1; row < 16; row++) {
    const within = v128.xor(state, i8x16.splat(i32.const(16 * row)));
    result = v128.or(result, i8x16.swizzle(bytes(...box.subarray(16 * row, 16 * row + 16)), within));
  }
  return s.f.let(result);
}

/** Byte of row r, column c from column c + `step` * r. */
function shiftRows(value: Value, step: 1 | -1): Value {
  const places = Array.from({ length: 16 }, (_, i) => (i & 3) + 4 * (((i >> 2) + step * (i & 3)) & 3));
  return i8x16.shuffle(value, value, places);
}
/** Each column turned by `rows`. */
function turn(value: Value, rows: number): Value {
  const places = Array.from({ length: 16 }, (_, i) => (i & 12) + ((i + rows) & 3));
  return i8x16.shuffle(value, value, places);
}
function doubled(s: Stage, value: Value): Value {
  const fixed = s.f.let(value);
  const reduce = v128.and(i8x16.shrS(fixed, i32.const(7)), i8x16.splat(i32.const(0x1b)));
  return v128.xor(i8x16.shl(fixed, i32.const(1)), reduce);
}
function mixColumns(s: Stage, value: Value): Value {
  const state = s.f.let(value);
  const next = s.f.let(turn(state, 1));
  const rest = v128.xor(turn(state, 2), turn(state, 3));
  return v128.xor(v128.xor(doubled(s, v128.xor(state, next)), next), rest);
}
/** The inverse matrix is the matrix itself times a simpler one. */
function mixColumnsBack(s: Stage, value: Value): Value {
  const state = s.f.let(value);
  const correction = doubled(s, doubled(s, v128.xor(state, turn(state, 2))));
  return mixColumns(s, v128.xor(state, correction));
}

const encrypt = (s: Stage, state: Value): Value => substitute(s, BOX, shiftRows(state, 1));
const decrypt = (s: Stage, state: Value): Value => substitute(s, INVERSE_BOX, shiftRows(state, -1));

/** AESKEYGENASSIST: the source's odd words substituted, and these turned and combined with the round constant. */
const assistKey: Semantics = (s) => {
  const constant = immediateByte(s, 2);
  const words = substitute(s, BOX, readVector(s, 1));
  const places = [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12];
  const constants = v128.and(i32x4.splat(constant), dwords(0, 0xff, 0, 0xff));
  writeVector(s, 0, v128.xor(i8x16.shuffle(words, words, places), constants));
};

/** PCLMULQDQ: one addition for each set bit of the second factor. */
const multiplyCarryless: Semantics = (s) => {
  const { f } = s;
  const control = immediateByte(s, 2);
  const source = readVector(s, 1);
  const { base, offset } = s.place(0);
  const high = (bit: number): Value => i32.and(i32.shrU(control, i32.const(bit)), i32.const(1));
  const first = f.let(loads.i64(i32.add(base, i32.shl(high(0), i32.const(3))), offset));
  const second = f.variable(i64x2.extract(source, 0));
  f.if(high(4), () => f.set(second, i64x2.extract(source, 1)));
  const [low, top] = [f.variable(i64.const(0)), f.variable(i64.const(0))];
  f.block((end) =>
    f.loop((again) => {
      f.branchIf(end, i64.eqz(second.get));
      const k = f.let(i64.ctz(second.get));
      f.set(low, i64.xor(low.get, i64.shl(first, k)));
      f.set(top, i64.xor(top.get, i64.shrU(i64.shrU(first, i64.const(1)), i64.sub(i64.const(63), k))));
      f.set(second, i64.and(second.get, i64.sub(second.get, i64.const(1))));
      f.branch(again);
    }),
  );
  f.store('i64', base, offset, low.get);
  f.store('i64', base, offset + 8, top.get);
};

export const vectorCrypto: Record<string, Semantics> = {
  aesenc: combine((state, key, s) => v128.xor(mixColumns(s, encrypt(s, state)), key)),
  aesenclast: combine((state, key, s) => v128.xor(encrypt(s, state), key)),
  aesdec: combine((state, key, s) => v128.xor(mixColumnsBack(s, decrypt(s, state)), key)),
  aesdeclast: combine((state, key, s) => v128.xor(decrypt(s, state), key)),
  aesimc: convert((key, s) => mixColumnsBack(s, key)),
  aeskeygenassist: assistKey,
  pclmulqdq: multiplyCarryless,
};
