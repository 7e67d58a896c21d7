/** Stack and control instructions: FXCH, FFREE, FINCSTP, FLDCW, FNSTSW, FNINIT, FNCLEX, FWAIT and their like. */
import { environmentBytes, loadEnvironment, storeEnvironment } from './environment.ts';
import { operation, type X87Operands, type X87Operation } from './operation.ts';
import { resetX87 } from './reset.ts';
import type { X87Unit } from './unit.ts';

const SAVED_REGISTER_BYTES = 10;

/** Masked, an empty register takes part as the indefinite value. */
function exchange(index: number): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    if (unit.isEmpty(0) || unit.isEmpty(index)) {
      if (!unit.stackFault(false)) return;
      if (unit.isEmpty(0)) unit.storeDefaultNan(0);
      if (unit.isEmpty(index)) unit.storeDefaultNan(index);
    }
    const signExponent = unit.signExponent(0);
    const significand = unit.significand(0);
    unit.storeBits(0, unit.signExponent(index), unit.significand(index));
    unit.storeBits(index, signExponent, significand);
  });
}

function turnStack(by: number): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    unit.top = unit.top + by;
  });
}

function loadControl(): X87Operation {
  return operation(
    (unit) => {
      unit.control = unit.operandView.getUint16(0, true);
      unit.updateSummary();
    },
    { reads: 2, recordsPointers: false },
  );
}

function storeWord(read: (unit: X87Unit) => number): X87Operation {
  return operation(
    (unit) => {
      unit.stored = true;
      unit.operandView.setUint16(0, read(unit), true);
    },
    { writes: 2, waiting: false, recordsPointers: false },
  );
}

/** Exception flags (with SF, ES and B) go; condition codes and TOP stay. */
function clearExceptions(): X87Operation {
  return operation(
    (unit) => {
      unit.status &= 0x7f00;
    },
    { waiting: false, recordsPointers: false },
  );
}

function saveState(bits: number): X87Operation {
  const offset = environmentBytes(bits);
  return operation(
    (unit) => {
      unit.stored = true;
      storeEnvironment(unit, bits);
      for (let index = 0; index < 8; index++) {
        const at = offset + index * SAVED_REGISTER_BYTES;
        unit.operandView.setBigUint64(at, unit.significand(index), true);
        unit.operandView.setUint16(at + 8, unit.signExponent(index), true);
      }
      resetX87(unit.view, unit.base);
    },
    { writes: offset + 8 * SAVED_REGISTER_BYTES, waiting: false, recordsPointers: false },
  );
}

function restoreState(bits: number): X87Operation {
  const offset = environmentBytes(bits);
  return operation(
    (unit) => {
      loadEnvironment(unit, bits);
      const { tags } = unit;
      for (let index = 0; index < 8; index++) {
        const at = offset + index * SAVED_REGISTER_BYTES;
        const significand = unit.operandView.getBigUint64(at, true);
        unit.storeBits(index, unit.operandView.getUint16(at + 8, true), significand);
      }
      unit.tags = tags;
    },
    { reads: offset + 8 * SAVED_REGISTER_BYTES, recordsPointers: false },
  );
}

/** Storing the environment masks all exceptions afterwards, so that a handler can compute. */
function storeEnvironmentOperation(bits: number): X87Operation {
  return operation(
    (unit) => {
      unit.stored = true;
      storeEnvironment(unit, bits);
      unit.control = unit.control | 0x3f;
      unit.updateSummary();
    },
    { writes: environmentBytes(bits), waiting: false, recordsPointers: false },
  );
}

/** With its waiting forms FINIT = FWAIT + FNINIT and so on, which are two instructions. */
export function controlOperation(mnemonic: string, operands: X87Operands): X87Operation | undefined {
  const { destination, environmentBits } = operands;
  switch (mnemonic) {
    case 'fxch':
      return exchange(destination);
    case 'ffree':
      return operation((unit) => {
        unit.clearC1();
        unit.markEmpty(destination);
      });
    case 'ffreep':
      return operation((unit) => {
        unit.clearC1();
        unit.markEmpty(destination);
        unit.pop();
      });
    case 'fincstp':
      return turnStack(1);
    case 'fdecstp':
      return turnStack(-1);
    case 'fnop':
      return operation(() => {});
    case 'fwait':
    case 'wait':
      return operation(() => {}, { recordsPointers: false });
    case 'fldcw':
      return loadControl();
    case 'fnstcw':
      return storeWord((unit) => unit.control);
    case 'fnstsw':
      return storeWord((unit) => unit.status);
    case 'fnclex':
      return clearExceptions();
    case 'fninit':
      return operation((unit) => resetX87(unit.view, unit.base), { waiting: false, recordsPointers: false });
    case 'fnstenv':
      return storeEnvironmentOperation(environmentBits);
    case 'fldenv':
      return operation((unit) => loadEnvironment(unit, environmentBits), {
        reads: environmentBytes(environmentBits),
        recordsPointers: false,
      });
    case 'fnsave':
      return saveState(environmentBits);
    case 'frstor':
      return restoreState(environmentBits);
    default:
      return undefined;
  }
}
