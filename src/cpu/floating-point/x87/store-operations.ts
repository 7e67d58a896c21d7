/** What stores: FST, FSTP, FIST, FISTP, FISTTP, FBSTP. An unmasked exception keeps memory and stack as they are. */
import { Double, type FloatFormat, Single } from '../softfloat/format.ts';
import { toDecimal, toInteger } from '../softfloat/integer.ts';
import { propagateNan } from '../softfloat/nan.ts';
import { roundValue } from '../softfloat/round.ts';
import { Kind, packDouble, packSingle } from '../softfloat/value.ts';
import { writeNormalDouble } from './normal-double.ts';
import { operation, type X87Operands, type X87Operation } from './operation.ts';
import type { X87Unit } from './unit.ts';

/**
 * A store to memory: `convert` brings ST(0) into the operand and tells whether it may be stored; `indefinite`
 * writes the answer to a masked stack underflow.
 */
function storeForm(
  bytes: number,
  pops: boolean,
  convert: (unit: X87Unit) => boolean,
  indefinite: (unit: X87Unit) => void,
): X87Operation {
  return operation(
    (unit) => {
      unit.clearC1();
      unit.stored = true;
      if (unit.isEmpty(0)) {
        unit.stored = unit.stackFault(false);
        if (unit.stored) indefinite(unit);
      } else {
        unit.stored = convert(unit);
      }
      if (unit.stored && pops) unit.pop();
    },
    { writes: bytes },
  );
}

function writeReal(unit: X87Unit, bits: number): void {
  if (bits === 32) unit.operandView.setUint32(0, packSingle(unit.result), true);
  else unit.operandView.setBigUint64(0, packDouble(unit.result), true);
}

function roundForStore(unit: X87Unit, format: FloatFormat): void {
  const { a, result } = unit;
  unit.load(0, a);
  const env = unit.begin();
  if (a.kind >= Kind.QuietNan) {
    propagateNan(env, a, result);
    return;
  }
  // A denormal register is no denormal operand here: storing raises underflow for it instead.
  if (a.kind === Kind.Finite) roundValue(env, format, a, result);
  else result.assign(a);
}

function storeReal(bits: number, pops: boolean): X87Operation {
  const format = bits === 32 ? Single : Double;
  return storeForm(
    bits / 8,
    pops,
    (unit) => {
      if (bits === 64 && writeNormalDouble(unit)) return true;
      roundForStore(unit, format);
      const stored = unit.finishStore();
      if (stored) writeReal(unit, bits);
      return stored;
    },
    (unit) => {
      unit.result.setDefaultNan();
      writeReal(unit, bits);
    },
  );
}

function storeExtended(): X87Operation {
  const write = (unit: X87Unit, signExponent: number, significand: bigint): void => {
    unit.operandView.setBigUint64(0, significand, true);
    unit.operandView.setUint16(8, signExponent, true);
  };
  return storeForm(
    10,
    true,
    (unit) => {
      write(unit, unit.signExponent(0), unit.significand(0));
      return true;
    },
    (unit) => write(unit, 0xffff, 0xc000000000000000n),
  );
}

function writeInteger(unit: X87Unit, bits: number, value: bigint): void {
  if (bits === 16) unit.operandView.setInt16(0, Number(value), true);
  else if (bits === 32) unit.operandView.setInt32(0, Number(value), true);
  else unit.operandView.setBigInt64(0, value, true);
}

function storeInteger(bits: number, pops: boolean, truncate: boolean): X87Operation {
  const indefinite = -(1n << BigInt(bits - 1));
  return storeForm(
    bits / 8,
    pops,
    (unit) => {
      unit.load(0, unit.a);
      const value = toInteger(unit.begin(), unit.a, bits, truncate);
      const stored = unit.finishStore();
      if (stored) writeInteger(unit, bits, value ?? indefinite);
      return stored;
    },
    (unit) => writeInteger(unit, bits, indefinite),
  );
}

function writeDecimal(unit: X87Unit, sign: number, magnitude: bigint): void {
  let rest = magnitude;
  for (let index = 0; index < 9; index++) {
    const pair = Number(rest % 100n);
    rest /= 100n;
    unit.operandView.setUint8(index, (Math.floor(pair / 10) << 4) | (pair % 10));
  }
  unit.operandView.setUint8(9, sign << 7);
}

function writeDecimalIndefinite(unit: X87Unit): void {
  unit.operandView.setBigUint64(0, 0xc000000000000000n, true);
  unit.operandView.setUint16(8, 0xffff, true);
}

function storeDecimal(): X87Operation {
  return storeForm(
    10,
    true,
    (unit) => {
      unit.load(0, unit.a);
      const { sign } = unit.a;
      const magnitude = toDecimal(unit.begin(), unit.a);
      const stored = unit.finishStore();
      if (!stored) return false;
      if (magnitude === undefined) writeDecimalIndefinite(unit);
      else writeDecimal(unit, sign, magnitude);
      return true;
    },
    writeDecimalIndefinite,
  );
}

/** FST ST(i) copies bits; the destination may be empty. */
function storeRegister(index: number, pops: boolean): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    if (unit.isEmpty(0)) {
      if (!unit.stackFault(false)) return;
      unit.storeDefaultNan(index);
    } else {
      unit.storeBits(index, unit.signExponent(0), unit.significand(0));
    }
    if (pops) unit.pop();
  });
}

/** FSTPNCE, the undocumented D9 /3: as FSTP ST(i), but an empty ST(0) is no fault and only popped. */
function storeRegisterUnchecked(index: number): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    if (!unit.isEmpty(0)) unit.storeBits(index, unit.signExponent(0), unit.significand(0));
    unit.pop();
  });
}

export function storeOperation(mnemonic: string, operands: X87Operands): X87Operation | undefined {
  const { memoryBits, destination } = operands;
  switch (mnemonic) {
    case 'fst':
    case 'fstp':
      if (memoryBits === 0) return storeRegister(destination, mnemonic === 'fstp');
      return memoryBits === 80 ? storeExtended() : storeReal(memoryBits, mnemonic === 'fstp');
    case 'fstpnce':
      return storeRegisterUnchecked(destination);
    case 'fist':
    case 'fistp':
      return storeInteger(memoryBits, mnemonic === 'fistp', false);
    case 'fisttp':
      return storeInteger(memoryBits, true, true);
    case 'fbstp':
      return storeDecimal();
    default:
      return undefined;
  }
}
