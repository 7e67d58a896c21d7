/**
 * The x87 of one virtual processor: a window on the floating-point part of its state page, with the scratch an
 * instruction needs. The page owns the state (FPU_* of state-layout.ts); nothing lasts here between two
 * instructions, so one unit may serve any number of state pages in turn.
 *
 * FPU_REGISTER holds physical registers; ST(i) is register (TOP + i) & 7. FPU_TAG has a bit per physical
 * register, 1 = in use.
 */
import * as layout from '../../state-layout.ts';
import {
  FloatEnvironment,
  FloatException,
  type FloatFormat,
  PRECISION_CONTROL,
} from '../softfloat/format.ts';
import { FloatValue, packExtendedSignExponent, unpackExtended } from '../softfloat/value.ts';

export const Status = {
  StackFault: 0x0040,
  /** An unmasked exception is pending (ES), and its historical twin (B). */
  Summary: 0x8080,
  C0: 0x0100,
  C1: 0x0200,
  C2: 0x0400,
  C3: 0x4000,
  Conditions: 0x4700,
} as const;

/** FLDCW keeps these bits; bit 6 reads as one. */
const CONTROL_WRITABLE = 0x1f3f;
const CONTROL_ALWAYS = 0x0040;

/** Room for the largest memory operand, FNSAVE's. */
const OPERAND_BYTES = 112;

export class X87Unit {
  view: DataView;
  /** Byte address of the state page in `view`. */
  base: number;

  /** The memory operand: the caller fills it before an instruction that reads, and takes it after one that writes. */
  readonly operand: Uint8Array;
  readonly operandView: DataView;
  /** For FCMOVcc: whether its condition holds in EFLAGS. Set by the caller. */
  condition = false;
  /** After FCOMI and its kin: ZF, PF and CF as EFLAGS bits, or -1 if EFLAGS stay. OF, SF and AF become zero. */
  comparison = -1;
  /** After an instruction with a memory destination: false if an unmasked exception kept it from storing. */
  stored = true;

  readonly environment = new FloatEnvironment();
  readonly a = new FloatValue();
  readonly b = new FloatValue();
  readonly result = new FloatValue();
  readonly second = new FloatValue();

  constructor(view: DataView, base: number) {
    this.view = view;
    this.base = base;
    this.operand = new Uint8Array(OPERAND_BYTES);
    this.operandView = new DataView(this.operand.buffer);
  }

  get control(): number {
    return this.view.getUint16(this.base + layout.FPU_CONTROL, true);
  }
  set control(value: number) {
    const kept = (value & CONTROL_WRITABLE) | CONTROL_ALWAYS;
    this.view.setUint16(this.base + layout.FPU_CONTROL, kept, true);
  }

  get status(): number {
    return this.view.getUint16(this.base + layout.FPU_STATUS, true);
  }
  set status(value: number) {
    this.view.setUint16(this.base + layout.FPU_STATUS, value, true);
  }

  get tags(): number {
    return this.view.getUint8(this.base + layout.FPU_TAG);
  }
  set tags(value: number) {
    this.view.setUint8(this.base + layout.FPU_TAG, value);
  }

  get top(): number {
    return (this.status >>> 11) & 7;
  }
  set top(value: number) {
    this.status = (this.status & ~0x3800) | ((value & 7) << 11);
  }

  /** An unmasked exception waits to be reported. */
  get pending(): boolean {
    return (this.status & Status.Summary) !== 0;
  }

  /** Makes ES and B say what flags and masks say; needed after either changed. */
  updateSummary(): void {
    const status = this.status & ~Status.Summary;
    this.status = status & ~this.control & FloatException.All ? status | Status.Summary : status;
  }

  setConditions(value: number): void {
    this.status = (this.status & ~Status.Conditions) | value;
  }

  clearC1(): void {
    this.status &= ~Status.C1;
  }

  isMasked(exception: number): boolean {
    return (this.control & exception) === exception;
  }

  // Registers

  private physical(index: number): number {
    return (this.top + index) & 7;
  }

  /** Byte address of ST(index). */
  private address(index: number): number {
    return this.base + layout.FPU_REGISTER + this.physical(index) * layout.FPU_REGISTER_SIZE;
  }

  isEmpty(index: number): boolean {
    return ((this.tags >>> this.physical(index)) & 1) === 0;
  }

  markEmpty(index: number): void {
    this.tags &= ~(1 << this.physical(index));
  }

  significand(index: number): bigint {
    return this.view.getBigUint64(this.address(index), true);
  }

  signExponent(index: number): number {
    return this.view.getUint16(this.address(index) + 8, true);
  }

  /** The significand's halves. */
  upperWord(index: number): number {
    return this.view.getUint32(this.address(index) + 4, true);
  }

  lowerWord(index: number): number {
    return this.view.getUint32(this.address(index), true);
  }

  load(index: number, into: FloatValue): void {
    const address = this.address(index);
    unpackExtended(into, this.view.getUint16(address + 8, true), this.view.getBigUint64(address, true));
  }

  /** Writes ST(index) and marks it in use. */
  storeBits(index: number, signExponent: number, significand: bigint): void {
    const physical = this.physical(index);
    const address = this.base + layout.FPU_REGISTER + physical * layout.FPU_REGISTER_SIZE;
    this.view.setBigUint64(address, significand, true);
    this.view.setUint16(address + 8, signExponent, true);
    this.tags |= 1 << physical;
  }

  /** As `storeBits`, by halves. */
  storeWords(index: number, signExponent: number, upper: number, lower: number): void {
    const physical = this.physical(index);
    const address = this.base + layout.FPU_REGISTER + physical * layout.FPU_REGISTER_SIZE;
    this.view.setUint32(address, lower, true);
    this.view.setUint32(address + 4, upper, true);
    this.view.setUint16(address + 8, signExponent, true);
    this.tags |= 1 << physical;
  }

  store(index: number, value: FloatValue): void {
    this.storeBits(index, packExtendedSignExponent(value), value.significand);
  }

  storeDefaultNan(index: number): void {
    this.storeBits(index, 0xffff, 0xc000000000000000n);
  }

  push(): void {
    this.top = this.top - 1;
  }

  pop(): void {
    this.markEmpty(0);
    this.top = this.top + 1;
  }

  // Exceptions

  /** The rounding target of FADD and its like: precision control shortens the significand. */
  get format(): FloatFormat {
    return PRECISION_CONTROL[(this.control >>> 8) & 3];
  }

  /** Readies the environment for one operation. */
  begin(): FloatEnvironment {
    const control = this.control;
    this.environment.begin((control >>> 10) & 3, control & FloatException.All);
    return this.environment;
  }

  /** Enters exceptions into the status word. */
  raise(flags: number): void {
    if (flags === 0) return;
    this.status |= flags;
    this.updateSummary();
  }

  /** A stack overflow or underflow; true if it is masked, so that the indefinite value is to be stored. */
  stackFault(overflow: boolean): boolean {
    this.status = (this.status & ~Status.C1) | Status.StackFault | (overflow ? Status.C1 : 0);
    this.raise(FloatException.Invalid);
    return this.isMasked(FloatException.Invalid);
  }

  /** Enters what the operation raised, with C1; false if the result must not be written. */
  finish(): boolean {
    const { environment } = this;
    const flags = environment.settle();
    if (flags === 0) return true;
    this.raise(flags);
    if (flags & FloatException.Precision && environment.roundedUp) this.status |= Status.C1;
    return (flags & FloatException.BeforeComputing & ~environment.masks) === 0;
  }

  /** As `finish`, for a memory destination, which also needs overflow and underflow to be masked. */
  finishStore(): boolean {
    const prevents = FloatException.BeforeComputing | FloatException.Overflow | FloatException.Underflow;
    const { environment } = this;
    const flags = environment.settle();
    if (flags & prevents & ~environment.masks) {
      this.raise(flags & ~FloatException.Precision);
      return false;
    }
    return this.finish();
  }
}
