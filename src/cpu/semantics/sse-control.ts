/**
 * How SSE floating point is computed. In MXCSR's default control state (round to nearest, all exceptions masked,
 * neither FTZ nor DAZ) WebAssembly's arithmetic gives the very results, except for NaNs, whose choice is made
 * here; MXCSR's sticky exception flags are left as they are then. In any other state microcode does the
 * operation on the bits, with flags and unmasked exceptions (microcode/precise-float.ts), unless rounding is to
 * nearest, inexact results are neither news nor a fault, and operands and result are too ordinary for anything
 * else to matter (sse-calm.ts): programs that set FTZ and DAZ, or unmask exceptions, stay fast.
 *
 * NaN results (SDM vol. 1 table 4-7): the first source's NaN, else the second's, made quiet, else the default
 * NaN, which is negative.
 */
import { f32x4, f64x2, v128 } from '../../support/wasm/simd.ts';
import { f32, f64, i32, i64, loads, type Store, select, type Value } from '../../support/wasm/values.ts';
import { Operation } from '../microcode/operations.ts';
import { PRECISE_OPERATIONS, PreciseArgument } from '../microcode/precise-operations.ts';
import { Access } from '../processor.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';
import { dwords, qwords, readVector, writeVector } from './vector-operands.ts';

/** Rounding control, masks, FTZ, DAZ of MXCSR, and their state after reset. */
const CONTROL_BITS = 0xffc0;
const DEFAULT_CONTROL = 0x1f80;

/** Rounding to nearest, PM and PE set: what sse-calm.ts asks for. */
const CALM_BITS = 0x7020;
const CALM_CONTROL = 0x1020;

const FIRST = S.SCRATCH;
const SECOND = S.SCRATCH + 16;
export const PRECISE_RESULT = S.SCRATCH + 32;

export type Lane = 32 | 64;
export const packedOps = { 32: f32x4, 64: f64x2 } as const;
export const scalarOps = { 32: f32, 64: f64 } as const;
export const STORE_FLOAT = { 32: 'f32', 64: 'f64' } as const;
const LOAD_FLOAT = { 32: loads.f32, 64: loads.f64 } as const;

/** The float in the low lane of operand `k`, or in memory. */
export function readScalar(s: Stage, k: number, lane: Lane): Value {
  if (s.isMemory(k)) {
    const host = s.readable(s.linearAddress(k, lane / 8, Access.Read), lane / 8);
    return s.f.let(LOAD_FLOAT[lane](host));
  }
  const { base, offset } = s.place(k);
  return s.f.let(LOAD_FLOAT[lane](base, offset));
}
export function writeScalar(s: Stage, lane: Lane, value: Value): void {
  const { base, offset } = s.place(0);
  s.f.store(STORE_FLOAT[lane], base, offset, value);
}

const STORE_OF: Record<Value['type'], Store> = {
  i32: 'i32',
  i64: 'i64',
  f32: 'f32',
  f64: 'f64',
  v128: 'v128',
};

/** One operation in its two ways. */
export interface ControlledOperation {
  /** The operand that is not the destination register. */
  source: Value;
  immediate?: Value;
  /** The result by WebAssembly's arithmetic, fixed. */
  compute(): Value;
  write(result: Value): void;
  /** Whether `compute`'s result is right and no flag but PE is due, whatever MXCSR's masks, FTZ and DAZ are (i32). */
  calm?(result: Value): Value;
  /** Takes the microcode's result from PRECISE_RESULT. */
  finish(): void;
}

/** Computes and writes in the default control state or where it is calm; else by the precise operation of this name. */
export function underControl(s: Stage, operation: ControlledOperation): void {
  const { f } = s;
  const { source, immediate, calm } = operation;
  const index = PRECISE_OPERATIONS.indexOf(s.form.mnemonic);
  if (index < 0) throw new Error(`${s.form.mnemonic} is no precise operation`);
  // Stages may compute register places on first use: both branches need them.
  const destination = s.isMemory(0) ? undefined : s.place(0);
  const control = f.let(s.field('i32', S.MXCSR));
  const precise = (): void => {
    if (s.shape(0) === 'x') s.setField('v128', FIRST, loads.v128(destination!.base, destination!.offset));
    s.setField(STORE_OF[source.type], SECOND, source);
    let argument = i32.const(index | (s.bits === 64 ? PreciseArgument.Wide : 0));
    if (immediate) argument = i32.or(argument, i32.shl(immediate, i32.const(PreciseArgument.ImmediateShift)));
    s.microcode(Operation.PreciseFloat, argument);
    operation.finish();
  };
  const unusual = (): void => {
    if (!calm) {
      precise();
      return;
    }
    f.block((done) => {
      f.if(i32.eq(i32.and(control, i32.const(CALM_BITS)), i32.const(CALM_CONTROL)), () => {
        const result = f.let(operation.compute());
        f.if(calm(result), () => {
          operation.write(result);
          f.branch(done);
        });
      });
      precise();
    });
  };
  const isDefault = i32.eq(i32.and(control, i32.const(CONTROL_BITS)), i32.const(DEFAULT_CONTROL));
  f.if(isDefault, () => operation.write(operation.compute()), unusual, 'likely');
}
/** Copies a precise vector result to the destination. */
export const finishVector = (s: Stage) => (): void => writeVector(s, 0, s.field('v128', PRECISE_RESULT));

const QUIET_BITS = {
  32: dwords(0x400000, 0x400000, 0x400000, 0x400000),
  64: qwords(1n << 51n, 1n << 51n),
} as const;
const DEFAULT_NANS = {
  32: dwords(0xffc00000, 0xffc00000, 0xffc00000, 0xffc00000),
  64: qwords(0xfff8n << 48n, 0xfff8n << 48n),
} as const;

/** `result` of an operation on the lanes of a and b, with the NaNs that x86 would choose. All three fixed. */
export function settleNans(s: Stage, lane: Lane, result: Value, a: Value, b: Value): Value {
  const { f } = s;
  const { ne } = packedOps[lane];
  const out = f.variable(result);
  const isNan = f.let(ne(out.get, out.get));
  f.if(
    v128.anyTrue(isNan),
    () => {
      const quiet = (value: Value): Value => v128.or(value, QUIET_BITS[lane]);
      const second = v128.bitselect(quiet(b), DEFAULT_NANS[lane], ne(b, b));
      f.set(out, v128.bitselect(v128.bitselect(quiet(a), second, ne(a, a)), out.get, isNan));
    },
    undefined,
    'unlikely',
  );
  return out.get;
}

const quietScalar = {
  32: (value: Value): Value => f32.reinterpretI32(i32.or(i32.reinterpretF32(value), i32.const(0x400000))),
  64: (value: Value): Value => f64.reinterpretI64(i64.or(i64.reinterpretF64(value), i64.const(1n << 51n))),
} as const;
const defaultScalar = {
  32: f32.reinterpretI32(i32.const(0xffc00000)),
  64: f64.reinterpretI64(i64.const(0xfff8n << 48n)),
} as const;

/** As settleNans, for scalars. */
export function settleScalarNan(s: Stage, lane: Lane, result: Value, a: Value, b: Value): Value {
  const { f } = s;
  const { ne } = scalarOps[lane];
  const out = f.variable(result);
  f.if(
    ne(out.get, out.get),
    () => {
      const second = select(ne(b, b), quietScalar[lane](b), defaultScalar[lane]);
      f.set(out, select(ne(a, a), quietScalar[lane](a), second));
    },
    undefined,
    'unlikely',
  );
  return out.get;
}

type Binary = (a: Value, b: Value) => Value;

/** Whether the lanes of destination, source and result (all vectors) are calm. */
export type CalmLanes = (s: Stage, a: Value, b: Value, result: Value) => Value;

/** destination = op(destination, source) in all lanes; `op` yields a settled vector. */
export const packed =
  (op: (s: Stage, a: Value, b: Value) => Value, calm?: CalmLanes): Semantics =>
  (s) => {
    const source = readVector(s, 1);
    const destination = readVector(s, 0);
    underControl(s, {
      source,
      compute: () => op(s, destination, source),
      write: (result) => writeVector(s, 0, result),
      ...(calm && { calm: (result: Value) => calm(s, destination, source, result) }),
      finish: finishVector(s),
    });
  };

/** As `packed`, in the low lane. */
export const scalar =
  (lane: Lane, op: (s: Stage, a: Value, b: Value) => Value, calm?: CalmLanes): Semantics =>
  (s) => {
    const source = readScalar(s, 1, lane);
    const destination = readScalar(s, 0, lane);
    const { splat } = packedOps[lane];
    underControl(s, {
      source,
      compute: () => op(s, destination, source),
      write: (result) => writeScalar(s, lane, result),
      ...(calm && { calm: (result: Value) => calm(s, splat(destination), splat(source), splat(result)) }),
      finish: finishVector(s),
    });
  };

export const settled =
  (lane: Lane, op: Binary) =>
  (s: Stage, a: Value, b: Value): Value =>
    settleNans(s, lane, op(a, b), a, b);
export const settledScalar =
  (lane: Lane, op: Binary) =>
  (s: Stage, a: Value, b: Value): Value =>
    settleScalarNan(s, lane, op(a, b), a, b);
