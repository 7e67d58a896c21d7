/**
 * FLD m64 and FST m64 of normal numbers by 32-bit words: the bulk of what compiled code does with the x87, ten
 * times faster than through BigInt. Everything unusual is left to the general path.
 */
import { FloatException, Rounding } from '../softfloat/format.ts';
import { Status, type X87Unit } from './unit.ts';

/** Difference of the exponent biases, 16383 - 1023. */
const REBIAS = 15360;

/** Pushes the operand if it is a normal number; the caller has made sure of room. */
export function pushNormalDouble(unit: X87Unit): boolean {
  const high = unit.operandView.getUint32(4, true);
  const exponent = (high >>> 20) & 0x7ff;
  if (exponent === 0 || exponent === 0x7ff) return false;
  const low = unit.operandView.getUint32(0, true);
  unit.push();
  const upper = (0x80000000 | ((high & 0xfffff) << 11) | (low >>> 21)) >>> 0;
  unit.storeWords(0, ((high >>> 16) & 0x8000) | (exponent + REBIAS), upper, (low << 11) >>> 0);
  return true;
}

/**
 * Writes ST(0) as the operand if it is normal in both formats and either exact or rounded to nearest with the
 * precision exception masked.
 */
export function writeNormalDouble(unit: X87Unit): boolean {
  const signExponent = unit.signExponent(0);
  const upper = unit.upperWord(0);
  let exponent = (signExponent & 0x7fff) - REBIAS;
  // The largest exponent might overflow by rounding.
  if (exponent <= 0 || exponent >= 0x7fe || upper < 0x80000000) return false;
  const lower = unit.lowerWord(0);
  const dropped = lower & 0x7ff;
  let high = (upper >>> 11) & 0xfffff;
  let low = ((upper << 21) | (lower >>> 11)) >>> 0;
  if (dropped !== 0) {
    const { control } = unit;
    if (((control >>> 10) & 3) !== Rounding.Nearest || !(control & FloatException.Precision)) return false;
    const up = dropped > 0x400 || (dropped === 0x400 && (low & 1) === 1);
    if (up) {
      low = (low + 1) >>> 0;
      if (low === 0) high++;
      if (high === 0x100000) {
        high = 0;
        exponent++;
      }
    }
    unit.status |= FloatException.Precision | (up ? Status.C1 : 0);
  }
  unit.operandView.setUint32(0, low, true);
  unit.operandView.setUint32(4, ((signExponent & 0x8000) << 16) | (exponent << 20) | high, true);
  return true;
}
