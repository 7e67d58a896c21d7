/**
 * Scalar SSE arithmetic, bit for bit: the precise path for when MXCSR is not the default or a flag matters. All
 * values are bit patterns: numbers for 32 bits, BigInt for 64. A packed instruction does its lanes between one
 * `begin` and one `end`, as the processor looks at the exceptions of all lanes together.
 */
import { add, divide, multiply, squareRoot } from '../softfloat/arithmetic.ts';
import { compare, Relation } from '../softfloat/compare.ts';
import { Double, FloatEnvironment, FloatException, type FloatFormat, Single } from '../softfloat/format.ts';
import { fromInteger, roundToIntegral, toInteger } from '../softfloat/integer.ts';
import { propagateNan } from '../softfloat/nan.ts';
import { roundValue } from '../softfloat/round.ts';
import { FloatValue, Kind, packDouble, packSingle, unpackDouble, unpackSingle } from '../softfloat/value.ts';

export const MXCSR_DEFAULT = 0x1f80;
const DENORMALS_ARE_ZERO = 0x40;
const FLUSH_TO_ZERO = 0x8000;

export type SseBinary = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max';

/** ROUNDSS and its like: bit 2 of the immediate takes MXCSR's rounding mode, bit 3 keeps precision quiet. */
const ROUND_BY_MXCSR = 4;
const ROUND_QUIETLY = 8;

export class SseArithmetic {
  private readonly environment = new FloatEnvironment();
  private readonly a = new FloatValue();
  private readonly b = new FloatValue();
  private readonly result = new FloatValue();
  private denormalsAreZero = false;

  constructor() {
    this.environment.sseNanRule = true;
  }

  /** Starts an instruction under this MXCSR. */
  begin(mxcsr: number): void {
    this.environment.begin((mxcsr >>> 13) & 3, (mxcsr >>> 7) & FloatException.All);
    this.environment.flushToZero = (mxcsr & FLUSH_TO_ZERO) !== 0;
    this.denormalsAreZero = (mxcsr & DENORMALS_ARE_ZERO) !== 0;
  }

  /** Ends it: the exceptions to OR into MXCSR. If one of them is unmasked (`isFault`), no result is written. */
  end(): number {
    return this.environment.settle();
  }

  /** After `end`: #XM (or #UD without CR4.OSXMMEXCPT) is due. */
  get isFault(): boolean {
    return (this.environment.flags & ~this.environment.masks) !== 0;
  }

  private load32(into: FloatValue, bits: number): void {
    unpackSingle(into, bits);
    if (into.denormal && this.denormalsAreZero) into.setZero(into.sign);
  }

  private load64(into: FloatValue, bits: bigint): void {
    unpackDouble(into, bits);
    if (into.denormal && this.denormalsAreZero) into.setZero(into.sign);
  }

  binary32(operation: SseBinary, a: number, b: number): number {
    this.load32(this.a, a);
    this.load32(this.b, b);
    if (operation === 'min' || operation === 'max') {
      return this.choosesFirst(operation) ? this.keep32(this.a, a) : this.keep32(this.b, b);
    }
    this.compute(operation, Single);
    return packSingle(this.result);
  }

  binary64(operation: SseBinary, a: bigint, b: bigint): bigint {
    this.load64(this.a, a);
    this.load64(this.b, b);
    if (operation === 'min' || operation === 'max') {
      return this.choosesFirst(operation) ? this.keep64(this.a, a) : this.keep64(this.b, b);
    }
    this.compute(operation, Double);
    return packDouble(this.result);
  }

  private keep32(value: FloatValue, bits: number): number {
    return value.kind === Kind.Zero ? packSingle(value) : bits;
  }

  private keep64(value: FloatValue, bits: bigint): bigint {
    return value.kind === Kind.Zero ? packDouble(value) : bits;
  }

  private compute(operation: 'add' | 'sub' | 'mul' | 'div', format: FloatFormat): void {
    const { environment: env, a, b, result } = this;
    if (operation === 'add') add(env, format, a, b, 0, result);
    else if (operation === 'sub') add(env, format, a, b, 1, result);
    else if (operation === 'mul') multiply(env, format, a, b, result);
    else divide(env, format, a, b, result);
  }

  /** MIN and MAX answer the second operand unless the first is strictly beyond it; any NaN is invalid. */
  private choosesFirst(operation: 'min' | 'max'): boolean {
    const relation = compare(this.environment, this.a, this.b, true);
    return relation === (operation === 'min' ? Relation.Less : Relation.Greater);
  }

  sqrt32(a: number): number {
    this.load32(this.a, a);
    squareRoot(this.environment, Single, this.a, this.result);
    return packSingle(this.result);
  }

  sqrt64(a: bigint): bigint {
    this.load64(this.a, a);
    squareRoot(this.environment, Double, this.a, this.result);
    return packDouble(this.result);
  }

  /** CMPSS, CMPPS: `predicate` 0..7 is EQ, LT, LE, UNORD, NEQ, NLT, NLE, ORD. */
  compare32(a: number, b: number, predicate: number): boolean {
    this.load32(this.a, a);
    this.load32(this.b, b);
    return this.holds(predicate);
  }

  compare64(a: bigint, b: bigint, predicate: number): boolean {
    this.load64(this.a, a);
    this.load64(this.b, b);
    return this.holds(predicate);
  }

  private holds(predicate: number): boolean {
    const kind = predicate & 3;
    const relation = compare(this.environment, this.a, this.b, kind === 1 || kind === 2);
    const holds = kind === 3 ? relation === Relation.Unordered : relation === Relation.Equal;
    const less = relation === Relation.Less;
    const result = kind === 1 ? less : kind === 2 ? less || holds : holds;
    return result !== predicate >= 4;
  }

  /** COMISS (quiet NaNs are invalid) and UCOMISS: ZF, PF, CF as EFLAGS bits; OF, SF and AF become zero. */
  compareFlags32(a: number, b: number, signalQuiet: boolean): number {
    this.load32(this.a, a);
    this.load32(this.b, b);
    return FLAGS[compare(this.environment, this.a, this.b, signalQuiet)]!;
  }

  compareFlags64(a: bigint, b: bigint, signalQuiet: boolean): number {
    this.load64(this.a, a);
    this.load64(this.b, b);
    return FLAGS[compare(this.environment, this.a, this.b, signalQuiet)]!;
  }

  /** ROUNDSS, ROUNDPS: `immediate` as in the instruction. */
  round32(a: number, immediate: number): number {
    this.load32(this.a, a);
    this.roundIntegral(Single, immediate);
    return packSingle(this.result);
  }

  round64(a: bigint, immediate: number): bigint {
    this.load64(this.a, a);
    this.roundIntegral(Double, immediate);
    return packDouble(this.result);
  }

  private roundIntegral(format: FloatFormat, immediate: number): void {
    const { environment: env } = this;
    const { rounding, flags } = env;
    if (!(immediate & ROUND_BY_MXCSR)) env.rounding = immediate & 3;
    // A denormal operand raises nothing but precision here.
    this.a.denormal = false;
    roundToIntegral(env, format, this.a, this.result);
    env.rounding = rounding;
    if (immediate & ROUND_QUIETLY && !(flags & FloatException.Precision))
      env.flags &= ~FloatException.Precision;
  }

  /** CVTSS2SI, CVTTSS2SI, CVTPS2DQ...: a signed integer of `bits`; the smallest one stands for "invalid". */
  toInteger32(a: number, bits: 32 | 64, truncate: boolean): bigint {
    this.load32(this.a, a);
    return toInteger(this.environment, this.a, bits, truncate) ?? INDEFINITE[bits];
  }

  toInteger64(a: bigint, bits: 32 | 64, truncate: boolean): bigint {
    this.load64(this.a, a);
    return toInteger(this.environment, this.a, bits, truncate) ?? INDEFINITE[bits];
  }

  /** CVTSI2SS and its like, of any signed integer up to 64 bits. */
  fromInteger32(value: bigint): number {
    this.convertInteger(value, Single);
    return packSingle(this.result);
  }

  fromInteger64(value: bigint): bigint {
    this.convertInteger(value, Double);
    return packDouble(this.result);
  }

  private convertInteger(value: bigint, format: FloatFormat): void {
    fromInteger(value, this.a);
    if (this.a.kind === Kind.Zero) this.result.setZero(0);
    else roundValue(this.environment, format, this.a, this.result);
  }

  /** CVTSD2SS. */
  narrow(a: bigint): number {
    this.load64(this.a, a);
    this.convert(Single);
    return packSingle(this.result);
  }

  /** CVTSS2SD. */
  widen(a: number): bigint {
    this.load32(this.a, a);
    this.convert(Double);
    return packDouble(this.result);
  }

  private convert(format: FloatFormat): void {
    const { environment: env, a, result } = this;
    if (a.kind >= Kind.QuietNan) {
      propagateNan(env, a, result);
      return;
    }
    if (a.denormal) env.flags |= FloatException.Denormal;
    if (a.kind === Kind.Finite) roundValue(env, format, a, result);
    else result.assign(a);
  }
}

/** Less, equal, greater, unordered as ZF (0x40), PF (4) and CF (1). */
const FLAGS = [0x01, 0x40, 0x00, 0x45];
const INDEFINITE = { 32: -(1n << 31n), 64: -(1n << 63n) } as const;
