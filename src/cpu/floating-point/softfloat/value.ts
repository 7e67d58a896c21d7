/**
 * A floating-point number taken apart. All three formats meet here: the significand is always 64 bits with the
 * leading bit of a normal number at bit 63, so that converting is unpacking one format and rounding to another.
 * A NaN's payload is left-aligned the same way, which is what x86 conversions do with payloads.
 */

export const Kind = {
  Zero: 0,
  /** Normal or denormal (then `denormal` is set and the significand normalized). */
  Finite: 1,
  Infinity: 2,
  QuietNan: 3,
  SignallingNan: 4,
  /** An encoding the x87 rejects: unnormal, pseudo-infinity, pseudo-NaN. */
  Unsupported: 5,
} as const;

export const INTEGER_BIT = 1n << 63n;
export const QUIET_BIT = 1n << 62n;
export const SIGNIFICAND_MASK = (1n << 64n) - 1n;

export class FloatValue {
  kind: number = Kind.Zero;
  sign = 0;
  /** Exponent of bit 63 of the significand. */
  exponent = 0;
  significand = 0n;
  denormal = false;

  setZero(sign: number): void {
    this.kind = Kind.Zero;
    this.sign = sign;
    this.significand = 0n;
    this.denormal = false;
  }

  setInfinity(sign: number): void {
    this.kind = Kind.Infinity;
    this.sign = sign;
    this.significand = INTEGER_BIT;
    this.denormal = false;
  }

  setNan(sign: number, significand: bigint): void {
    this.kind = Kind.QuietNan;
    this.sign = sign;
    this.significand = significand | QUIET_BIT | INTEGER_BIT;
    this.denormal = false;
  }

  /** The "real indefinite": what a masked invalid operation answers. */
  setDefaultNan(): void {
    this.setNan(1, 0n);
  }

  /** A nonzero number as rounding delivers it; bit 63 may be clear where it is denormal in its format. */
  setFinite(sign: number, exponent: number, significand: bigint): void {
    this.kind = Kind.Finite;
    this.sign = sign;
    this.exponent = exponent;
    this.significand = significand;
    this.denormal = false;
  }

  assign(other: FloatValue): void {
    this.kind = other.kind;
    this.sign = other.sign;
    this.exponent = other.exponent;
    this.significand = other.significand;
    this.denormal = other.denormal;
  }

  get isNan(): boolean {
    return this.kind >= Kind.QuietNan;
  }
}

const doubleBits = new DataView(new ArrayBuffer(8));

/** Number of significant bits of `value`, which must be positive and below 2^1023. */
export function bitLength(value: bigint): number {
  const nearest = Number(value);
  doubleBits.setFloat64(0, nearest);
  const exponent = (doubleBits.getUint16(0) >>> 4) - 1023;
  // The conversion rounds: just below a power of two it may have gone up to it.
  return nearest > 9007199254740992 && value >> BigInt(exponent) === 0n ? exponent : exponent + 1;
}

function finishFinite(value: FloatValue, sign: number, exponent: number, significand: bigint): void {
  value.kind = Kind.Finite;
  value.sign = sign;
  if (significand >= INTEGER_BIT) {
    value.exponent = exponent;
    value.significand = significand;
  } else {
    const shift = 64 - bitLength(significand);
    value.exponent = exponent - shift;
    value.significand = significand << BigInt(shift);
  }
}

function finishSpecial(value: FloatValue, sign: number, significand: bigint): void {
  value.sign = sign;
  value.significand = significand;
  if (significand === INTEGER_BIT) value.kind = Kind.Infinity;
  else value.kind = significand & QUIET_BIT ? Kind.QuietNan : Kind.SignallingNan;
}

export function unpackExtended(value: FloatValue, signExponent: number, significand: bigint): void {
  const exponent = signExponent & 0x7fff;
  const sign = signExponent >>> 15;
  value.denormal = false;
  if (exponent === 0) {
    if (significand === 0n) {
      value.setZero(sign);
      return;
    }
    value.denormal = true;
    finishFinite(value, sign, -16382, significand);
  } else if (significand < INTEGER_BIT) {
    value.kind = Kind.Unsupported;
    value.sign = sign;
    value.significand = significand;
  } else if (exponent === 0x7fff) {
    finishSpecial(value, sign, significand);
  } else {
    value.kind = Kind.Finite;
    value.sign = sign;
    value.exponent = exponent - 16383;
    value.significand = significand;
  }
}

export function unpackDouble(value: FloatValue, bits: bigint): void {
  const sign = Number(bits >> 63n);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = (bits & 0xfffffffffffffn) << 11n;
  unpackBinary(value, sign, exponent, fraction, 0x7ff, 1023);
}

export function unpackSingle(value: FloatValue, bits: number): void {
  const fraction = BigInt(bits & 0x7fffff) << 40n;
  unpackBinary(value, bits >>> 31, (bits >>> 23) & 0xff, fraction, 0xff, 127);
}

/** A format with a hidden bit; `fraction` is aligned so that the hidden bit would be bit 63. */
function unpackBinary(
  value: FloatValue,
  sign: number,
  exponent: number,
  fraction: bigint,
  special: number,
  bias: number,
): void {
  value.denormal = false;
  if (exponent === 0) {
    if (fraction === 0n) {
      value.setZero(sign);
      return;
    }
    value.denormal = true;
    finishFinite(value, sign, 1 - bias, fraction);
  } else if (exponent === special) {
    finishSpecial(value, sign, fraction | INTEGER_BIT);
  } else {
    value.kind = Kind.Finite;
    value.sign = sign;
    value.exponent = exponent - bias;
    value.significand = fraction | INTEGER_BIT;
  }
}

/** Sign and biased exponent of a rounded value in a format with this bias; `value.significand` is the rest. */
function biasedExponent(value: FloatValue, bias: number): number {
  switch (value.kind) {
    case Kind.Zero:
      return 0;
    case Kind.Finite:
      return value.significand < INTEGER_BIT ? 0 : value.exponent + bias;
    default:
      return 2 * bias + 1;
  }
}

/** Upper 16 bits of the 80-bit encoding; the lower 64 are `value.significand`. */
export function packExtendedSignExponent(value: FloatValue): number {
  return (value.sign << 15) | biasedExponent(value, 16383);
}

export function packDouble(value: FloatValue): bigint {
  const exponent = (value.sign << 11) | biasedExponent(value, 1023);
  return (BigInt(exponent) << 52n) | ((value.significand & (INTEGER_BIT - 1n)) >> 11n);
}

export function packSingle(value: FloatValue): number {
  const exponent = (value.sign << 8) | biasedExponent(value, 127);
  return ((exponent << 23) | Number((value.significand & (INTEGER_BIT - 1n)) >> 40n)) >>> 0;
}
