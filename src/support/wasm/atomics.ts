/** WebAssembly atomic accesses (threads proposal): naturally aligned, sequentially consistent; others trap. */
import type { Value, ValueType } from './values.ts';

const op = (type: ValueType, code: number, alignment: number, offset: number, operands: Value[]): Value => {
  if (offset < 0 || offset > 0x3fff) throw new RangeError(`offset ${offset} of an atomic access`);
  const place = offset < 0x80 ? [offset] : [(offset & 0x7f) | 0x80, offset >> 7];
  return { type, kind: 'op', code: [0xfe, code, alignment, ...place], operands };
};

export type AtomicBits = 8 | 16 | 32 | 64;
const ALIGNMENT = { 8: 0, 16: 1, 32: 2, 64: 3 } as const;
const LOAD = { 8: 0x14, 16: 0x15, 32: 0x16, 64: 0x11 } as const;
const COMPARE_EXCHANGE = { 8: 0x4c, 16: 0x4d, 32: 0x4e, 64: 0x49 } as const;

export const atomics = {
  load32: (address: Value, offset = 0): Value => op('i32', 0x10, 2, offset, [address]),
  /** Of `bits` bits, zero-extended to i64. */
  load: (bits: AtomicBits, address: Value, offset = 0): Value =>
    op('i64', LOAD[bits], ALIGNMENT[bits], offset, [address]),
  /** What was there before, zero-extended to i64; `expected` is zero-extended too. */
  compareExchange: (
    bits: AtomicBits,
    address: Value,
    expected: Value,
    replacement: Value,
    offset = 0,
  ): Value => op('i64', COMPARE_EXCHANGE[bits], ALIGNMENT[bits], offset, [address, expected, replacement]),
} as const;
