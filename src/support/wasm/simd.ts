/** WebAssembly SIMD instructions as value constructors (SIMD proposal, BinarySIMD.md). */
import type { Value, ValueType } from './values.ts';

const leb = (code: number): number[] => (code < 0x80 ? [code] : [(code & 0x7f) | 0x80, code >> 7]);
const make = (type: ValueType, code: number, immediates: number[], operands: Value[]): Value => ({
  type,
  kind: 'op',
  code: [0xfd, ...leb(code), ...immediates],
  operands,
});
const vv =
  (code: number, type: ValueType = 'v128') =>
  (a: Value, b: Value): Value =>
    make(type, code, [], [a, b]);
const v =
  (code: number, type: ValueType = 'v128') =>
  (a: Value): Value =>
    make(type, code, [], [a]);
const extract =
  (code: number, type: ValueType) =>
  (a: Value, lane: number): Value =>
    make(type, code, [lane], [a]);
const replace =
  (code: number) =>
  (a: Value, lane: number, value: Value): Value =>
    make('v128', code, [lane], [a, value]);

const integerCompare = (first: number) => ({
  eq: vv(first),
  ne: vv(first + 1),
  ltS: vv(first + 2),
  ltU: vv(first + 3),
  gtS: vv(first + 4),
  gtU: vv(first + 5),
  leS: vv(first + 6),
  leU: vv(first + 7),
  geS: vv(first + 8),
  geU: vv(first + 9),
});
const floatCompare = (first: number) => ({
  eq: vv(first),
  ne: vv(first + 1),
  lt: vv(first + 2),
  gt: vv(first + 3),
  le: vv(first + 4),
  ge: vv(first + 5),
});

export const v128 = {
  not: v(0x4d),
  and: vv(0x4e),
  /** a & ~b */
  andnot: vv(0x4f),
  or: vv(0x50),
  xor: vv(0x51),
  /** (a & mask) | (b & ~mask) */
  bitselect: (a: Value, b: Value, mask: Value): Value => make('v128', 0x52, [], [a, b, mask]),
  anyTrue: v(0x53, 'i32'),
};
export const i8x16 = {
  /** Lanes 0..15 pick from a, 16..31 from b. */
  shuffle: (a: Value, b: Value, lanes: readonly number[]): Value => make('v128', 0x0d, [...lanes], [a, b]),
  swizzle: vv(0x0e),
  splat: v(0x0f),
  extractS: extract(0x15, 'i32'),
  extractU: extract(0x16, 'i32'),
  replace: replace(0x17),
  ...integerCompare(0x23),
  abs: v(0x60),
  neg: v(0x61),
  popcnt: v(0x62),
  allTrue: v(0x63, 'i32'),
  bitmask: v(0x64, 'i32'),
  narrowI16x8S: vv(0x65),
  narrowI16x8U: vv(0x66),
  shl: vv(0x6b),
  shrS: vv(0x6c),
  shrU: vv(0x6d),
  add: vv(0x6e),
  addSatS: vv(0x6f),
  addSatU: vv(0x70),
  sub: vv(0x71),
  subSatS: vv(0x72),
  subSatU: vv(0x73),
  minS: vv(0x76),
  minU: vv(0x77),
  maxS: vv(0x78),
  maxU: vv(0x79),
  avgrU: vv(0x7b),
};
export const i16x8 = {
  splat: v(0x10),
  extractS: extract(0x18, 'i32'),
  extractU: extract(0x19, 'i32'),
  replace: replace(0x1a),
  ...integerCompare(0x2d),
  extaddPairwiseI8x16S: v(0x7c),
  extaddPairwiseI8x16U: v(0x7d),
  abs: v(0x80),
  neg: v(0x81),
  q15mulrSatS: vv(0x82),
  allTrue: v(0x83, 'i32'),
  bitmask: v(0x84, 'i32'),
  narrowI32x4S: vv(0x85),
  narrowI32x4U: vv(0x86),
  extendLowI8x16S: v(0x87),
  extendHighI8x16S: v(0x88),
  extendLowI8x16U: v(0x89),
  extendHighI8x16U: v(0x8a),
  shl: vv(0x8b),
  shrS: vv(0x8c),
  shrU: vv(0x8d),
  add: vv(0x8e),
  addSatS: vv(0x8f),
  addSatU: vv(0x90),
  sub: vv(0x91),
  subSatS: vv(0x92),
  subSatU: vv(0x93),
  mul: vv(0x95),
  minS: vv(0x96),
  minU: vv(0x97),
  maxS: vv(0x98),
  maxU: vv(0x99),
  avgrU: vv(0x9b),
  extmulLowI8x16S: vv(0x9c),
  extmulHighI8x16S: vv(0x9d),
  extmulLowI8x16U: vv(0x9e),
  extmulHighI8x16U: vv(0x9f),
};
export const i32x4 = {
  splat: v(0x11),
  extract: extract(0x1b, 'i32'),
  replace: replace(0x1c),
  ...integerCompare(0x37),
  extaddPairwiseI16x8S: v(0x7e),
  extaddPairwiseI16x8U: v(0x7f),
  abs: v(0xa0),
  neg: v(0xa1),
  allTrue: v(0xa3, 'i32'),
  bitmask: v(0xa4, 'i32'),
  extendLowI16x8S: v(0xa7),
  extendHighI16x8S: v(0xa8),
  extendLowI16x8U: v(0xa9),
  extendHighI16x8U: v(0xaa),
  shl: vv(0xab),
  shrS: vv(0xac),
  shrU: vv(0xad),
  add: vv(0xae),
  sub: vv(0xb1),
  mul: vv(0xb5),
  minS: vv(0xb6),
  minU: vv(0xb7),
  maxS: vv(0xb8),
  maxU: vv(0xb9),
  dotI16x8S: vv(0xba),
  extmulLowI16x8S: vv(0xbc),
  extmulHighI16x8S: vv(0xbd),
  extmulLowI16x8U: vv(0xbe),
  extmulHighI16x8U: vv(0xbf),
  truncSatF32x4S: v(0xf8),
  truncSatF64x2SZero: v(0xfc),
};
export const i64x2 = {
  splat: v(0x12),
  extract: extract(0x1d, 'i64'),
  replace: replace(0x1e),
  abs: v(0xc0),
  neg: v(0xc1),
  allTrue: v(0xc3, 'i32'),
  bitmask: v(0xc4, 'i32'),
  extendLowI32x4S: v(0xc7),
  extendHighI32x4S: v(0xc8),
  extendLowI32x4U: v(0xc9),
  extendHighI32x4U: v(0xca),
  shl: vv(0xcb),
  shrS: vv(0xcc),
  shrU: vv(0xcd),
  add: vv(0xce),
  sub: vv(0xd1),
  mul: vv(0xd5),
  eq: vv(0xd6),
  ne: vv(0xd7),
  ltS: vv(0xd8),
  gtS: vv(0xd9),
  leS: vv(0xda),
  geS: vv(0xdb),
  extmulLowI32x4S: vv(0xdc),
  extmulHighI32x4S: vv(0xdd),
  extmulLowI32x4U: vv(0xde),
  extmulHighI32x4U: vv(0xdf),
};
export const f32x4 = {
  splat: v(0x13),
  extract: extract(0x1f, 'f32'),
  replace: replace(0x20),
  ...floatCompare(0x41),
  demoteF64x2Zero: v(0x5e),
  ceil: v(0x67),
  floor: v(0x68),
  trunc: v(0x69),
  nearest: v(0x6a),
  abs: v(0xe0),
  neg: v(0xe1),
  sqrt: v(0xe3),
  add: vv(0xe4),
  sub: vv(0xe5),
  mul: vv(0xe6),
  div: vv(0xe7),
  /** b < a ? b : a */
  pmin: vv(0xea),
  /** a < b ? b : a */
  pmax: vv(0xeb),
  convertI32x4S: v(0xfa),
};
export const f64x2 = {
  splat: v(0x14),
  extract: extract(0x21, 'f64'),
  replace: replace(0x22),
  ...floatCompare(0x47),
  promoteLowF32x4: v(0x5f),
  ceil: v(0x74),
  floor: v(0x75),
  trunc: v(0x7a),
  nearest: v(0x94),
  abs: v(0xec),
  neg: v(0xed),
  sqrt: v(0xef),
  add: vv(0xf0),
  sub: vv(0xf1),
  mul: vv(0xf2),
  div: vv(0xf3),
  /** b < a ? b : a */
  pmin: vv(0xf6),
  /** a < b ? b : a */
  pmax: vv(0xf7),
  convertLowI32x4S: v(0xfe),
};
