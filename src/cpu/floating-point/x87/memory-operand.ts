/** Memory operands as values: real of 32 and 64 bits, integers of 16, 32 and 64. */
import { fromInteger } from '../softfloat/integer.ts';
import { type FloatValue, unpackDouble, unpackSingle } from '../softfloat/value.ts';
import type { X87Unit } from './unit.ts';

export type LoadMemory = (unit: X87Unit, into: FloatValue) => void;

const loadSingle: LoadMemory = (unit, into) => unpackSingle(into, unit.operandView.getUint32(0, true));
const loadDouble: LoadMemory = (unit, into) => unpackDouble(into, unit.operandView.getBigUint64(0, true));
const loadInt16: LoadMemory = (unit, into) => fromInteger(BigInt(unit.operandView.getInt16(0, true)), into);
const loadInt32: LoadMemory = (unit, into) => fromInteger(BigInt(unit.operandView.getInt32(0, true)), into);
const loadInt64: LoadMemory = (unit, into) => fromInteger(unit.operandView.getBigInt64(0, true), into);

/** The reader for an operand of `bits`, exact in every case. */
export function loadMemory(bits: number, integer: boolean): LoadMemory {
  if (!integer) return bits === 32 ? loadSingle : loadDouble;
  if (bits === 16) return loadInt16;
  return bits === 32 ? loadInt32 : loadInt64;
}
