/** What pushes: FLD, FILD, FBLD and the constants. */
import { FloatException, Rounding } from '../softfloat/format.ts';
import { fromInteger } from '../softfloat/integer.ts';
import { propagateNan } from '../softfloat/nan.ts';
import { type FloatValue, Kind } from '../softfloat/value.ts';
import { loadMemory } from './memory-operand.ts';
import { pushNormalDouble } from './normal-double.ts';
import { operation, type X87Operands, type X87Operation } from './operation.ts';
import type { X87Unit } from './unit.ts';

/** True if ST(7), the register a push will use, is free; else the stack overflow has been dealt with. */
function roomToPush(unit: X87Unit): boolean {
  unit.clearC1();
  if (unit.isEmpty(7)) return true;
  if (unit.stackFault(true)) {
    unit.push();
    unit.storeDefaultNan(0);
  }
  return false;
}

function pushValue(unit: X87Unit, value: FloatValue): void {
  unit.push();
  unit.store(0, value);
}

/** FLD m32/m64 converts, so it may meet a signalling NaN or a denormal; FLD m80 and FLD ST(i) just copy. */
function loadReal(bits: number): X87Operation {
  const load = loadMemory(bits, false);
  return operation(
    (unit) => {
      if (!roomToPush(unit) || (bits === 64 && pushNormalDouble(unit))) return;
      const { a } = unit;
      load(unit, a);
      const env = unit.begin();
      if (a.kind >= Kind.QuietNan) propagateNan(env, a, a);
      else if (a.denormal) env.flags |= FloatException.Denormal;
      // A denormal operand is loaded even where its exception is unmasked.
      if (unit.finish() || !(env.flags & FloatException.Invalid)) pushValue(unit, a);
    },
    { reads: bits / 8 },
  );
}

function loadExtended(): X87Operation {
  return operation(
    (unit) => {
      if (!roomToPush(unit)) return;
      unit.push();
      unit.storeBits(0, unit.operandView.getUint16(8, true), unit.operandView.getBigUint64(0, true));
    },
    { reads: 10 },
  );
}

function loadRegister(index: number): X87Operation {
  return operation((unit) => {
    // A missing source counts before missing room.
    if (unit.isEmpty(index)) {
      if (unit.stackFault(false)) {
        unit.push();
        unit.storeDefaultNan(0);
      }
      return;
    }
    if (!roomToPush(unit)) return;
    const signExponent = unit.signExponent(index);
    const significand = unit.significand(index);
    unit.push();
    unit.storeBits(0, signExponent, significand);
  });
}

function loadInteger(bits: number): X87Operation {
  const load = loadMemory(bits, true);
  return operation(
    (unit) => {
      if (!roomToPush(unit)) return;
      load(unit, unit.a);
      pushValue(unit, unit.a);
    },
    { reads: bits / 8 },
  );
}

/** Eighteen decimal digits and a sign. Digits above nine are open; they count as what they are worth. */
function loadDecimal(): X87Operation {
  return operation(
    (unit) => {
      if (!roomToPush(unit)) return;
      let magnitude = 0n;
      for (let index = 8; index >= 0; index--) {
        const byte = unit.operandView.getUint8(index);
        magnitude = magnitude * 100n + BigInt((byte >>> 4) * 10 + (byte & 15));
      }
      fromInteger(magnitude, unit.a);
      unit.a.sign = unit.operandView.getUint8(9) >>> 7;
      pushValue(unit, unit.a);
    },
    { reads: 10 },
  );
}

export function loadOperation(mnemonic: string, operands: X87Operands): X87Operation | undefined {
  const { memoryBits, destination } = operands;
  switch (mnemonic) {
    case 'fld':
      if (memoryBits === 0) return loadRegister(destination);
      return memoryBits === 80 ? loadExtended() : loadReal(memoryBits);
    case 'fild':
      return loadInteger(memoryBits);
    case 'fbld':
      return loadDecimal();
    default:
      return undefined;
  }
}

/**
 * The constants as truncated significand and how far up each rounding mode goes: the processor holds more bits
 * than 64 and rounds by the control word, without raising precision.
 */
function loadConstant(signExponent: number, truncated: bigint, nearestIsUp: boolean): X87Operation {
  return operation((unit) => {
    if (!roomToPush(unit)) return;
    const rounding = (unit.control >>> 10) & 3;
    const up = rounding === Rounding.Up || (rounding === Rounding.Nearest && nearestIsUp);
    unit.push();
    unit.storeBits(0, signExponent, up ? truncated + 1n : truncated);
  });
}

function loadExact(signExponent: number, significand: bigint): X87Operation {
  return operation((unit) => {
    if (!roomToPush(unit)) return;
    unit.push();
    unit.storeBits(0, signExponent, significand);
  });
}

export const constantOperations: Readonly<Record<string, () => X87Operation>> = {
  fld1: () => loadExact(0x3fff, 0x8000000000000000n),
  fldz: () => loadExact(0, 0n),
  fldl2t: () => loadConstant(0x4000, 0xd49a784bcd1b8afen, false),
  fldl2e: () => loadConstant(0x3fff, 0xb8aa3b295c17f0bbn, true),
  fldpi: () => loadConstant(0x4000, 0xc90fdaa22168c234n, true),
  fldlg2: () => loadConstant(0x3ffd, 0x9a209a84fbcff798n, true),
  fldln2: () => loadConstant(0x3ffe, 0xb17217f7d1cf79abn, true),
};
