/**
 * WebAssembly values as plain data: a node is what an instruction yields. Nodes are emitted where a statement
 * of the function builder consumes them, so a node with a load or call in it is evaluated at that point;
 * `FunctionBuilder.let` fixes a value at the moment it is made.
 */
export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

export const TYPE_CODE: Record<ValueType, number> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
};

export type Value = { readonly type: ValueType } & (
  | { readonly kind: 'const'; readonly value: bigint | number }
  | { readonly kind: 'local'; readonly index: number }
  | { readonly kind: 'global'; readonly index: number }
  /** An instruction with operands on the stack; `code` holds the opcode bytes and immediates. */
  | { readonly kind: 'op'; readonly code: readonly number[]; readonly operands: readonly Value[] }
  | {
      readonly kind: 'load';
      readonly code: readonly number[];
      readonly address: Value;
      readonly offset: number;
    }
  | { readonly kind: 'call'; readonly index: number; readonly operands: readonly Value[] }
);

export const i32const = (value: number): Value => ({ type: 'i32', kind: 'const', value: value | 0 });
export const i64const = (value: bigint | number): Value => ({
  type: 'i64',
  kind: 'const',
  value: BigInt.asIntN(64, BigInt(value)),
});
export const f64const = (value: number): Value => ({ type: 'f64', kind: 'const', value });
export const f32const = (value: number): Value => ({ type: 'f32', kind: 'const', value });
/** A vector constant from its 16 bytes. */
export const v128const = (bytes: ArrayLike<number>): Value => ({
  type: 'v128',
  kind: 'op',
  code: [0xfd, 0x0c, ...Array.from(bytes)],
  operands: [],
});

const op = (type: ValueType, code: readonly number[], ...operands: Value[]): Value => ({
  type,
  kind: 'op',
  code,
  operands,
});

export const isConst = (value: Value, wanted?: bigint): boolean =>
  value.kind === 'const' && (wanted === undefined || BigInt(value.value) === wanted);

type Binary = (a: Value, b: Value) => Value;
type Unary = (a: Value) => Value;

const binary =
  (type: ValueType, ...code: number[]): Binary =>
  (a, b) =>
    op(type, code, a, b);
const unary =
  (type: ValueType, ...code: number[]): Unary =>
  (a) =>
    op(type, code, a);

/** Both constant: computed now. Right operand neutral: the left one. */
function folding(
  type: 'i32' | 'i64',
  code: number,
  fold: (a: bigint, b: bigint) => bigint,
  neutral?: bigint,
): Binary {
  const make = type === 'i64' ? i64const : (value: bigint) => i32const(Number(BigInt.asIntN(32, value)));
  return (a, b) => {
    if (b.kind === 'const') {
      if (a.kind === 'const') return make(fold(BigInt(a.value), BigInt(b.value)));
      if (neutral !== undefined && BigInt(b.value) === neutral) return a;
    }
    return op(type, [code], a, b);
  };
}

export const i32 = {
  const: i32const,
  eqz: unary('i32', 0x45),
  eq: binary('i32', 0x46),
  ne: binary('i32', 0x47),
  ltS: binary('i32', 0x48),
  ltU: binary('i32', 0x49),
  gtS: binary('i32', 0x4a),
  gtU: binary('i32', 0x4b),
  leS: binary('i32', 0x4c),
  leU: binary('i32', 0x4d),
  geS: binary('i32', 0x4e),
  geU: binary('i32', 0x4f),
  clz: unary('i32', 0x67),
  ctz: unary('i32', 0x68),
  popcnt: unary('i32', 0x69),
  add: folding('i32', 0x6a, (a, b) => a + b, 0n),
  sub: folding('i32', 0x6b, (a, b) => a - b, 0n),
  mul: folding('i32', 0x6c, (a, b) => a * b, 1n),
  and: folding('i32', 0x71, (a, b) => a & b, -1n),
  or: folding('i32', 0x72, (a, b) => a | b, 0n),
  xor: folding('i32', 0x73, (a, b) => a ^ b, 0n),
  shl: folding('i32', 0x74, (a, b) => a << (b & 31n), 0n),
  shrS: binary('i32', 0x75),
  shrU: binary('i32', 0x76),
  rotl: binary('i32', 0x77),
  rotr: binary('i32', 0x78),
  wrap: unary('i32', 0xa7),
  extend8S: unary('i32', 0xc0),
  extend16S: unary('i32', 0xc1),
  reinterpretF32: unary('i32', 0xbc),
  truncSatF64S: unary('i32', 0xfc, 0x02),
  truncSatF32S: unary('i32', 0xfc, 0x00),
} as const;

export const i64 = {
  const: i64const,
  eqz: unary('i32', 0x50),
  eq: binary('i32', 0x51),
  ne: binary('i32', 0x52),
  ltS: binary('i32', 0x53),
  ltU: binary('i32', 0x54),
  gtS: binary('i32', 0x55),
  gtU: binary('i32', 0x56),
  leS: binary('i32', 0x57),
  leU: binary('i32', 0x58),
  geS: binary('i32', 0x59),
  geU: binary('i32', 0x5a),
  clz: unary('i64', 0x79),
  ctz: unary('i64', 0x7a),
  popcnt: unary('i64', 0x7b),
  add: folding('i64', 0x7c, (a, b) => a + b, 0n),
  sub: folding('i64', 0x7d, (a, b) => a - b, 0n),
  mul: folding('i64', 0x7e, (a, b) => a * b, 1n),
  divS: binary('i64', 0x7f),
  divU: binary('i64', 0x80),
  remS: binary('i64', 0x81),
  remU: binary('i64', 0x82),
  and: folding('i64', 0x83, (a, b) => a & b, -1n),
  or: folding('i64', 0x84, (a, b) => a | b, 0n),
  xor: folding('i64', 0x85, (a, b) => a ^ b, 0n),
  shl: folding('i64', 0x86, (a, b) => a << (b & 63n), 0n),
  shrS: folding('i64', 0x87, (a, b) => a >> (b & 63n), 0n),
  shrU: folding('i64', 0x88, (a, b) => BigInt.asUintN(64, a) >> (b & 63n), 0n),
  rotl: binary('i64', 0x89),
  rotr: binary('i64', 0x8a),
  extendS: unary('i64', 0xac),
  extendU: unary('i64', 0xad),
  extend8S: unary('i64', 0xc2),
  extend16S: unary('i64', 0xc3),
  extend32S: unary('i64', 0xc4),
  reinterpretF64: unary('i64', 0xbd),
  truncSatF64S: unary('i64', 0xfc, 0x06),
  truncSatF64U: unary('i64', 0xfc, 0x07),
  truncSatF32S: unary('i64', 0xfc, 0x04),
} as const;

export const f32 = {
  const: f32const,
  eq: binary('i32', 0x5b),
  ne: binary('i32', 0x5c),
  lt: binary('i32', 0x5d),
  gt: binary('i32', 0x5e),
  le: binary('i32', 0x5f),
  ge: binary('i32', 0x60),
  abs: unary('f32', 0x8b),
  neg: unary('f32', 0x8c),
  ceil: unary('f32', 0x8d),
  floor: unary('f32', 0x8e),
  trunc: unary('f32', 0x8f),
  nearest: unary('f32', 0x90),
  sqrt: unary('f32', 0x91),
  add: binary('f32', 0x92),
  sub: binary('f32', 0x93),
  mul: binary('f32', 0x94),
  div: binary('f32', 0x95),
  convertI32S: unary('f32', 0xb2),
  convertI64S: unary('f32', 0xb4),
  demote: unary('f32', 0xb6),
  reinterpretI32: unary('f32', 0xbe),
} as const;

export const f64 = {
  const: f64const,
  eq: binary('i32', 0x61),
  ne: binary('i32', 0x62),
  lt: binary('i32', 0x63),
  gt: binary('i32', 0x64),
  le: binary('i32', 0x65),
  ge: binary('i32', 0x66),
  abs: unary('f64', 0x99),
  neg: unary('f64', 0x9a),
  ceil: unary('f64', 0x9b),
  floor: unary('f64', 0x9c),
  trunc: unary('f64', 0x9d),
  nearest: unary('f64', 0x9e),
  sqrt: unary('f64', 0x9f),
  add: binary('f64', 0xa0),
  sub: binary('f64', 0xa1),
  mul: binary('f64', 0xa2),
  div: binary('f64', 0xa3),
  convertI32S: unary('f64', 0xb7),
  convertI64S: unary('f64', 0xb9),
  promote: unary('f64', 0xbb),
  reinterpretI64: unary('f64', 0xbf),
} as const;

/** condition ? a : b, both evaluated. */
export const select = (condition: Value, a: Value, b: Value): Value =>
  a.type === 'v128' ? op('v128', [0x1c, 1, 0x7b], a, b, condition) : op(a.type, [0x1b], a, b, condition);

export const localGet = (type: ValueType, index: number): Value => ({ type, kind: 'local', index });

const load =
  (type: ValueType, ...code: number[]) =>
  (address: Value, offset = 0): Value => ({ type, kind: 'load', code, address, offset });

/** Loads: little-endian, any alignment; `offset` is added without wrapping. */
export const loads = {
  i32: load('i32', 0x28, 0),
  i64: load('i64', 0x29, 0),
  f32: load('f32', 0x2a, 0),
  f64: load('f64', 0x2b, 0),
  i32_8s: load('i32', 0x2c, 0),
  i32_8u: load('i32', 0x2d, 0),
  i32_16s: load('i32', 0x2e, 0),
  i32_16u: load('i32', 0x2f, 0),
  i64_8s: load('i64', 0x30, 0),
  i64_8u: load('i64', 0x31, 0),
  i64_16s: load('i64', 0x32, 0),
  i64_16u: load('i64', 0x33, 0),
  i64_32s: load('i64', 0x34, 0),
  i64_32u: load('i64', 0x35, 0),
  v128: load('v128', 0xfd, 0x00, 0),
  v128_32zero: load('v128', 0xfd, 0x5c, 0),
  v128_64zero: load('v128', 0xfd, 0x5d, 0),
} as const;

/** Store opcodes, for FunctionBuilder.store. */
export const stores = {
  i32: [0x36, 0],
  i64: [0x37, 0],
  f32: [0x38, 0],
  f64: [0x39, 0],
  i32_8: [0x3a, 0],
  i32_16: [0x3b, 0],
  i64_8: [0x3c, 0],
  i64_16: [0x3d, 0],
  i64_32: [0x3e, 0],
  v128: [0xfd, 0x0b, 0],
} as const;
export type Store = keyof typeof stores;
