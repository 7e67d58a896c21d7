/** SSE floating-point comparisons: masks by a predicate in the immediate, and flags. See sse-control.ts. */
import { i32x4, v128 } from '../../support/wasm/simd.ts';
import { i32, i64, select, type Value } from '../../support/wasm/values.ts';
import type { Semantics, Stage } from '../stage.ts';
import { FLAG_AUX, FLAG_RESULT } from '../state-layout.ts';
import { unpackArithmetic } from './flags.ts';
import { calmOperands } from './sse-calm.ts';
import {
  finishVector,
  type Lane,
  PRECISE_RESULT,
  packedOps,
  readScalar,
  scalarOps,
  underControl,
} from './sse-control.ts';
import { immediateByte, readVector, writeVector, ZERO } from './vector-operands.ts';

interface Relations {
  eq(a: Value, b: Value): Value;
  ne(a: Value, b: Value): Value;
  lt(a: Value, b: Value): Value;
  le(a: Value, b: Value): Value;
}

/** Predicate bits 0 and 1: equal, less, less or equal, unordered; bit 2 (not looked at here) negates. */
function relation(
  ops: Relations,
  or: (a: Value, b: Value) => Value,
  control: Value,
  a: Value,
  b: Value,
): Value {
  const answers = [ops.eq(a, b), ops.lt(a, b), ops.le(a, b), or(ops.ne(a, a), ops.ne(b, b))] as const;
  if (control.kind === 'const') return answers[Number(control.value) & 3]!;
  const bit = (k: number): Value => i32.and(control, i32.const(k));
  return select(bit(2), select(bit(1), answers[3], answers[2]), select(bit(1), answers[1], answers[0]));
}

/** All ones (i32) where the predicate negates. */
const negation = (control: Value): Value =>
  i32.sub(i32.const(0), i32.and(i32.shrU(control, i32.const(2)), i32.const(1)));

function calmScalars(s: Stage, lane: Lane, a: Value, b: Value): Value {
  const { splat } = packedOps[lane];
  return calmOperands(lane)(s, splat(a), splat(b), ZERO);
}

const comparePacked =
  (lane: Lane): Semantics =>
  (s) => {
    const control = immediateByte(s, 2);
    const source = readVector(s, 1);
    const destination = readVector(s, 0);
    underControl(s, {
      source,
      immediate: control,
      compute: () => {
        const answer = relation(packedOps[lane], v128.or, control, destination, source);
        return v128.xor(answer, i32x4.splat(negation(control)));
      },
      write: (result) => writeVector(s, 0, result),
      calm: () => calmOperands(lane)(s, destination, source, source),
      finish: finishVector(s),
    });
  };

const compareScalar =
  (lane: Lane): Semantics =>
  (s) => {
    const control = immediateByte(s, 2);
    const source = readScalar(s, 1, lane);
    const destination = readScalar(s, 0, lane);
    underControl(s, {
      source,
      immediate: control,
      compute: () => {
        const answer = relation(scalarOps[lane], i32.or, control, destination, source);
        return i64.extendS(i32.xor(i32.sub(i32.const(0), answer), negation(control)));
      },
      write: (mask) => {
        const { base, offset } = s.place(0);
        s.f.store(lane === 32 ? 'i64_32' : 'i64', base, offset, mask);
      },
      calm: () => calmScalars(s, lane, destination, source),
      finish: finishVector(s),
    });
  };

/** COMIS, UCOMIS: unordered ZF PF CF, equal ZF, less CF. The lazy encoding of flags.ts directly. */
const compareFlags =
  (lane: Lane): Semantics =>
  (s) => {
    const source = readScalar(s, 1, lane);
    const first = readScalar(s, 0, lane);
    const { lt, gt, eq, ge } = scalarOps[lane];
    underControl(s, {
      source,
      compute: () => {
        const carry = i32.mul(i32.eqz(ge(first, source)), i32.const(0xc0000000));
        return i32.or(carry, i32.shl(eq(first, source), i32.const(8)));
      },
      write: (aux) => {
        s.setField('i32', FLAG_AUX, aux);
        s.setField('i64', FLAG_RESULT, i64.extendU(i32.or(lt(first, source), gt(first, source))));
      },
      calm: () => calmScalars(s, lane, first, source),
      finish: () => unpackArithmetic(s, s.field('i32', PRECISE_RESULT)),
    });
  };

export const sseCompare: Record<string, Semantics> = {
  cmpps: comparePacked(32),
  cmppd: comparePacked(64),
  cmpss: compareScalar(32),
  cmpsd: compareScalar(64),
  comiss: compareFlags(32),
  comisd: compareFlags(64),
  ucomiss: compareFlags(32),
  ucomisd: compareFlags(64),
};
