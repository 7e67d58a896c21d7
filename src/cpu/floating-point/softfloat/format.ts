/**
 * The vocabulary of IEEE arithmetic as x86 speaks it: formats, rounding modes, exception flags, and the
 * environment an operation runs in. x87 and SSE number rounding modes and exceptions alike, so one set serves
 * both (SDM vol. 1 §4.8, §8.1.5, §10.2.3).
 */

/** What a result is rounded to. Exponents are those of the leading bit, unbiased. */
export interface FloatFormat {
  readonly precision: number;
  readonly minExponent: number;
  readonly maxExponent: number;
  /** Added to (or taken from) the exponent of an unmasked underflow (overflow); 0: no result is delivered. */
  readonly rebias: number;
}

export const Single: FloatFormat = { precision: 24, minExponent: -126, maxExponent: 127, rebias: 0 };
export const Double: FloatFormat = { precision: 53, minExponent: -1022, maxExponent: 1023, rebias: 0 };
export const Extended: FloatFormat = {
  precision: 64,
  minExponent: -16382,
  maxExponent: 16383,
  rebias: 24576,
};
/** Register formats under precision control: a shorter significand, the exponent range of the register. */
const ExtendedTo24: FloatFormat = { ...Extended, precision: 24 };
const ExtendedTo53: FloatFormat = { ...Extended, precision: 53 };
/** Indexed by the precision-control field; the reserved value 1 behaves as 64 bits. */
export const PRECISION_CONTROL: readonly FloatFormat[] = [ExtendedTo24, Extended, ExtendedTo53, Extended];

export const Rounding = { Nearest: 0, Down: 1, Up: 2, Zero: 3 } as const;

export const FloatException = {
  Invalid: 0x01,
  Denormal: 0x02,
  ZeroDivide: 0x04,
  Overflow: 0x08,
  Underflow: 0x10,
  Precision: 0x20,
  All: 0x3f,
  /** Found before anything is computed: unmasked, they keep the destination as it was. */
  BeforeComputing: 0x07,
} as const;

/** How one operation is to be done (set before) and what happened in it (read after). */
export class FloatEnvironment {
  rounding: number = Rounding.Nearest;
  /** A set bit masks the exception of the same bit in `FloatException`. */
  masks: number = FloatException.All;
  /** Of two NaNs: the x87 picks the larger significand, SSE the first operand. */
  sseNanRule = false;
  /** MXCSR.FTZ: a tiny result becomes zero while underflow is masked. */
  flushToZero = false;

  /** Exceptions raised so far, masked or not. */
  flags = 0;
  /** The last rounding made the magnitude larger (x87 C1). */
  roundedUp = false;

  begin(rounding: number, masks: number): void {
    this.rounding = rounding;
    this.masks = masks;
    this.flags = 0;
    this.roundedUp = false;
  }

  /**
   * Drops what an earlier unmasked exception keeps from being looked at: an unmasked invalid operation, zero
   * divide or denormal operand ends the operation before it could overflow, underflow or be inexact.
   */
  settle(): number {
    if (this.flags & FloatException.BeforeComputing & ~this.masks) {
      this.flags &= FloatException.BeforeComputing;
    }
    return this.flags;
  }
}
