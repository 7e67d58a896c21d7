/**
 * Operands of MMX and SSE instructions. A vector value is always a v128: MMX registers and narrow memory operands
 * come zero-extended, so that one semantics serves the 64-bit and the 128-bit form of an instruction.
 *
 * An MMX register is the significand of a physical x87 register; a write makes sign and exponent all ones, and
 * every MMX instruction but EMMS marks all registers in use and clears TOP (SDM vol. 1 §9.6, vol. 3 §12.2).
 */
import { i16x8, i64x2 } from '../../support/wasm/simd.ts';
import { i32, i64, loads, type Value, v128const } from '../../support/wasm/values.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { Access } from '../processor.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';

const STATUS_SUMMARY = 0x80;
const TOP_FIELD = 0x3800;

export const ZERO = v128const(new Uint8Array(16));
const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
/** Vector constants, low lane first. */
export const bytes = (...lanes: number[]): Value => v128const(Uint8Array.from(lanes));
export const words = (...lanes: number[]): Value => v128const(bytesOf(Uint16Array.from(lanes)));
export const dwords = (...lanes: number[]): Value => v128const(bytesOf(Uint32Array.from(lanes)));
export const qwords = (...lanes: bigint[]): Value => v128const(bytesOf(BigUint64Array.from(lanes)));

/** 8 for the MMX form of an instruction, 16 for the XMM form. */
export const vectorBytes = (s: Stage): 8 | 16 => (s.form.shapes.includes('mm') ? 8 : 16);

/** Linear address of vector operand `k`; one of 128 bits must be aligned unless `unaligned`. */
export function vectorAddress(s: Stage, k: number, access: number, unaligned = false): Value {
  const width: number = s.width(k);
  const va = s.f.let(s.linearAddress(k, width / 8, access));
  if (width === 128 && !unaligned) s.raiseIf(i32.and(i32.wrap(va), i32.const(15)), VECTOR.GP, 0);
  return va;
}

/** Operand `k`, fixed now. */
export function readVector(s: Stage, k: number, unaligned = false): Value {
  const { f } = s;
  if (!s.isMemory(k)) {
    const { base, offset } = s.place(k);
    return f.let(s.shape(k) === 'mm' ? loads.v128_64zero(base, offset) : loads.v128(base, offset));
  }
  const width: number = s.width(k);
  const host = s.readable(vectorAddress(s, k, Access.Read, unaligned), width / 8);
  switch (width) {
    case 16:
      return f.let(i16x8.replace(ZERO, 0, loads.i32_16u(host)));
    case 32:
      return f.let(loads.v128_32zero(host));
    case 64:
      return f.let(loads.v128_64zero(host));
    default:
      return f.let(loads.v128(host));
  }
}

export function writeVector(s: Stage, k: number, value: Value, unaligned = false): void {
  const { f } = s;
  if (s.isMemory(k)) {
    const va = vectorAddress(s, k, Access.Write, unaligned);
    const width: number = s.width(k);
    if (width === 128) s.storeVector(va, value);
    else s.store(width === 64 ? 64 : 32, va, i64x2.extract(value, 0));
    return;
  }
  const { base, offset } = s.place(k);
  if (s.shape(k) === 'mm') {
    f.store('i64', base, offset, i64x2.extract(value, 0));
    f.store('i32_16', base, offset + 8, i32.const(0xffff));
  } else f.store('v128', base, offset, value);
}

/** The immediate byte of operand `k` (i32); a constant where the stage knows it. */
export function immediateByte(s: Stage, k: number): Value {
  const value = s.immediate(k);
  if (value.kind === 'const') return i32.const(Number(BigInt(value.value) & 0xffn));
  return s.f.let(i32.and(i32.wrap(value), i32.const(0xff)));
}

/** destination = change(destination, source), both vectors. */
export const combine =
  (change: (a: Value, b: Value, s: Stage) => Value): Semantics =>
  (s) => {
    const source = readVector(s, 1);
    writeVector(s, 0, change(readVector(s, 0), source, s));
  };
/** destination = change(source). */
export const convert =
  (change: (a: Value, s: Stage) => Value): Semantics =>
  (s) =>
    writeVector(s, 0, change(readVector(s, 1), s));

const setMmxState = (s: Stage, tags: number): void => {
  s.setField(
    'i32_16',
    S.FPU_STATUS,
    i32.and(s.field('i32_16u', S.FPU_STATUS), i32.const(0xffff & ~TOP_FIELD)),
  );
  s.setField('i32_8', S.FPU_TAG, i32.const(tags));
};
const reportPending = (s: Stage): void =>
  s.raiseIf(i32.and(s.field('i32_16u', S.FPU_STATUS), i32.const(STATUS_SUMMARY)), VECTOR.MF);

/** Behind #XM the registers are MMX registers already. (Stores that fault leave them alone, here always.) */
function setStateBehindFault(s: Stage): void {
  const fault = i32.eq(s.field('i32', S.FAULT_VECTOR), i32.const(VECTOR.XM + 1));
  s.f.if(fault, () => setMmxState(s, 0xff));
}

/** Makes semantics right for forms that touch an MMX register: pending x87 exceptions first, state after. */
const mmxAware =
  (body: Semantics): Semantics =>
  (s) => {
    if (!s.form.shapes.includes('mm')) {
      body(s);
      return;
    }
    reportPending(s);
    if (s.form.mnemonic.startsWith('cvt'))
      s.guarded(
        () => body(s),
        () => setStateBehindFault(s),
      );
    else body(s);
    setMmxState(s, 0xff);
  };
export const mmxAwareAll = (map: Record<string, Semantics>): Record<string, Semantics> =>
  Object.fromEntries(Object.entries(map).map(([name, body]) => [name, mmxAware(body)]));

export const emms: Semantics = (s) => {
  reportPending(s);
  setMmxState(s, 0);
};

/** Zero-extends an i32 condition or value, for fields and writes. */
export const extend = (value: Value): Value => i64.extendU(value);
