/**
 * SSE floating point on the bits, for any MXCSR: rounding, denormals, exception flags and unmasked exceptions.
 * Operands and results are in SCRATCH as precise-operations.ts says. An unmasked exception leaves the destination
 * alone, sets MXCSR's flags, and is #XM, or #UD without CR4.OSXMMEXCPT (SDM vol. 1 §11.5).
 */
import { CR4 } from '../../x86/control-registers.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { SseArithmetic, type SseBinary } from '../floating-point/sse/scalar.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import { PRECISE_OPERATIONS, PreciseArgument } from './precise-operations.ts';

const FIRST = S.SCRATCH;
const SECOND = S.SCRATCH + 16;
const RESULT = S.SCRATCH + 32;

const unit = new SseArithmetic();

/** Lanes of one format in the operands of the operation at hand. */
interface Format<T> {
  bytes: 4 | 8;
  get(at: number): T;
  set(at: number, value: T): void;
  binary(operation: SseBinary, a: T, b: T): T;
  sqrt(a: T): T;
  round(a: T, immediate: number): T;
  compare(a: T, b: T, predicate: number): boolean;
  flags(a: T, b: T, signalQuiet: boolean): number;
  toInteger(a: T, bits: 32 | 64, truncate: boolean): bigint;
  fromInteger(value: bigint): T;
  zero: T;
  ones: T;
}

let view: DataView;
let base = 0;

const single: Format<number> = {
  bytes: 4,
  get: (at) => view.getUint32(base + at, true),
  set: (at, value) => view.setUint32(base + at, value, true),
  binary: (operation, a, b) => unit.binary32(operation, a, b),
  sqrt: (a) => unit.sqrt32(a),
  round: (a, immediate) => unit.round32(a, immediate),
  compare: (a, b, predicate) => unit.compare32(a, b, predicate),
  flags: (a, b, signalQuiet) => unit.compareFlags32(a, b, signalQuiet),
  toInteger: (a, bits, truncate) => unit.toInteger32(a, bits, truncate),
  fromInteger: (value) => unit.fromInteger32(value),
  zero: 0,
  ones: 0xffffffff,
};
const double: Format<bigint> = {
  bytes: 8,
  get: (at) => view.getBigUint64(base + at, true),
  set: (at, value) => view.setBigUint64(base + at, value, true),
  binary: (operation, a, b) => unit.binary64(operation, a, b),
  sqrt: (a) => unit.sqrt64(a),
  round: (a, immediate) => unit.round64(a, immediate),
  compare: (a, b, predicate) => unit.compare64(a, b, predicate),
  flags: (a, b, signalQuiet) => unit.compareFlags64(a, b, signalQuiet),
  toInteger: (a, bits, truncate) => unit.toInteger64(a, bits, truncate),
  fromInteger: (value) => unit.fromInteger64(value),
  zero: 0n,
  ones: 0xffffffffffffffffn,
};

type Run = (immediate: number, wide: boolean) => void;

/** result lane = compute(destination lane, source lane), in the low lane or in all. */
function lanewise<T>(
  format: Format<T>,
  scalar: boolean,
  compute: (a: T, b: T, immediate: number, lane: number) => T,
): Run {
  const count = scalar ? 1 : 16 / format.bytes;
  return (immediate) => {
    for (let k = 0; k < count; k++) {
      const at = k * format.bytes;
      format.set(RESULT + at, compute(format.get(FIRST + at), format.get(SECOND + at), immediate, k));
    }
  };
}

/** Neighbours of the destination, then of the source. */
function horizontal<T>(format: Format<T>, operation: 'add' | 'sub'): Run {
  const count = 16 / format.bytes;
  return () => {
    for (let k = 0; k < count; k++) {
      const pair = (k < count / 2 ? FIRST : SECOND - 16) + 2 * k * format.bytes;
      format.set(
        RESULT + k * format.bytes,
        format.binary(operation, format.get(pair), format.get(pair + format.bytes)),
      );
    }
  };
}

/** Exceptions of the products come before those of the sums. Each lane adds in the order that chooses its NaN. */
function dotProduct<T>(format: Format<T>): Run {
  const count = 16 / format.bytes;
  const lanes = Array.from({ length: count }, (_, k) => k);
  return (immediate) => {
    const products = lanes.map((k) => {
      const at = k * format.bytes;
      if (!(immediate & (0x10 << k))) return format.zero;
      return format.binary('mul', format.get(FIRST + at), format.get(SECOND + at));
    });
    if (unit.isFault) return;
    const first = count === 2 ? 0 : 1;
    const pairs = lanes.map((k) => format.binary('add', products[k ^ first]!, products[k ^ first ^ 1]!));
    const sums = count === 2 ? pairs : lanes.map((k) => format.binary('add', pairs[k]!, pairs[k ^ 2]!));
    for (const k of lanes)
      format.set(RESULT + k * format.bytes, immediate & (1 << k) ? sums[k]! : format.zero);
  };
}

function arithmeticRuns<T>(format: Format<T>, suffix: 's' | 'd'): Record<string, Run> {
  const runs: Record<string, Run> = {};
  const both = (name: string, compute: (a: T, b: T, immediate: number, lane: number) => T): void => {
    runs[`${name}p${suffix}`] = lanewise(format, false, compute);
    runs[`${name}s${suffix}`] = lanewise(format, true, compute);
  };
  for (const name of ['add', 'sub', 'mul', 'div', 'min', 'max'] as const) {
    both(name, (a, b) => format.binary(name, a, b));
  }
  both('sqrt', (_, b) => format.sqrt(b));
  both('round', (_, b, immediate) => format.round(b, immediate));
  both('cmp', (a, b, immediate) => (format.compare(a, b, immediate & 7) ? format.ones : format.zero));
  runs[`addsubp${suffix}`] = lanewise(format, false, (a, b, _, lane) =>
    format.binary(lane & 1 ? 'add' : 'sub', a, b),
  );
  runs[`haddp${suffix}`] = horizontal(format, 'add');
  runs[`hsubp${suffix}`] = horizontal(format, 'sub');
  runs[`dpp${suffix}`] = dotProduct(format);
  const flags =
    (signalQuiet: boolean): Run =>
    () =>
      view.setUint32(base + RESULT, format.flags(format.get(FIRST), format.get(SECOND), signalQuiet), true);
  runs[`comis${suffix}`] = flags(true);
  runs[`ucomis${suffix}`] = flags(false);
  for (const truncate of [false, true]) {
    runs[`cvt${truncate ? 't' : ''}s${suffix}2si`] = (_, wide) => {
      const value = format.toInteger(format.get(SECOND), wide ? 64 : 32, truncate);
      view.setBigUint64(base + RESULT, BigInt.asUintN(64, value), true);
    };
    const packed: Run = () => {
      for (let k = 0; k < 16 / format.bytes; k++) {
        const value = format.toInteger(format.get(SECOND + k * format.bytes), 32, truncate);
        view.setInt32(base + RESULT + 4 * k, Number(value), true);
      }
      if (format.bytes === 8) view.setBigUint64(base + RESULT + 8, 0n, true);
    };
    runs[`cvt${truncate ? 't' : ''}p${suffix}2dq`] = packed;
  }
  runs[`cvtsi2s${suffix}`] = () =>
    format.set(RESULT, format.fromInteger(view.getBigInt64(base + SECOND, true)));
  return runs;
}

/** To MMX: only the two low lanes of a vector count. */
function singlesToMmx(truncate: boolean): Run {
  return () => {
    for (const at of [0, 4])
      view.setInt32(
        base + RESULT + at,
        Number(single.toInteger(single.get(SECOND + at), 32, truncate)),
        true,
      );
  };
}
const integersToSingles =
  (count: number): Run =>
  () => {
    for (let k = 0; k < count; k++) {
      single.set(RESULT + 4 * k, single.fromInteger(BigInt(view.getInt32(base + SECOND + 4 * k, true))));
    }
  };
const widen =
  (count: number): Run =>
  () => {
    for (let k = 0; k < count; k++) double.set(RESULT + 8 * k, unit.widen(single.get(SECOND + 4 * k)));
  };
const narrow =
  (count: number): Run =>
  () => {
    for (let k = 0; k < count; k++) single.set(RESULT + 4 * k, unit.narrow(double.get(SECOND + 8 * k)));
    if (count === 2) view.setBigUint64(base + RESULT + 8, 0n, true);
  };

const singles = arithmeticRuns(single, 's');
const doubles = arithmeticRuns(double, 'd');
const byName: Record<string, Run> = {
  ...singles,
  ...doubles,
  cvtpd2pi: doubles.cvtpd2dq!,
  cvttpd2pi: doubles.cvttpd2dq!,
  cvtps2pi: singlesToMmx(false),
  cvttps2pi: singlesToMmx(true),
  cvtdq2ps: integersToSingles(4),
  cvtpi2ps: integersToSingles(2),
  cvtps2pd: widen(2),
  cvtss2sd: widen(1),
  cvtpd2ps: narrow(2),
  cvtsd2ss: narrow(1),
};
const runs: readonly Run[] = PRECISE_OPERATIONS.map((name) => {
  const run = byName[name];
  if (run === undefined) throw new Error(`no precise ${name}`);
  return run;
});

/** Operation.PreciseFloat on the state page at `state`; `argument` as precise-operations.ts says. */
export function preciseFloat(memory: DataView, state: number, argument: number): number {
  view = memory;
  base = state;
  // What the operation leaves alone stays as in the destination.
  view.setBigUint64(base + RESULT, view.getBigUint64(base + FIRST, true), true);
  view.setBigUint64(base + RESULT + 8, view.getBigUint64(base + FIRST + 8, true), true);
  const mxcsr = view.getUint32(base + S.MXCSR, true);
  unit.begin(mxcsr);
  const immediate = (argument >>> PreciseArgument.ImmediateShift) & 0xff;
  runs[argument & 0xffff]!(immediate, (argument & PreciseArgument.Wide) !== 0);
  view.setUint32(base + S.MXCSR, mxcsr | unit.end(), true);
  if (!unit.isFault) return Status.Next;
  const reported = view.getUint32(base + S.CR4, true) & CR4.OSXMMEXCPT;
  view.setUint32(base + S.FAULT_VECTOR, (reported ? VECTOR.XM : VECTOR.UD) + 1, true);
  view.setInt32(base + S.FAULT_ERROR, -1, true);
  return Status.Leave;
}
