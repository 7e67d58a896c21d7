/** FCOM, FUCOM, FICOM, FCOMI and kin, FTST, FXAM, FCMOVcc. */
import { compare, Relation } from '../softfloat/compare.ts';
import { type FloatValue, Kind } from '../softfloat/value.ts';
import { loadMemory } from './memory-operand.ts';
import { operation, type X87Operands, type X87Operation } from './operation.ts';
import { Status, type X87Unit } from './unit.ts';

/** Condition codes by relation: less, equal, greater, unordered. */
const CONDITIONS = [Status.C0, Status.C3, 0, Status.C0 | Status.C2 | Status.C3];
/** The same as ZF (0x40), PF (4) and CF (1). */
const FLAGS = [0x01, 0x40, 0x00, 0x45];

interface Comparison {
  signalQuiet: boolean;
  /** Into EFLAGS instead of the condition codes. */
  toFlags: boolean;
  pops: number;
}

/** The processor sets condition codes or EFLAGS even where an unmasked exception keeps the stack as it is. */
function deliver(unit: X87Unit, how: Comparison, relation: number, allowed: boolean): void {
  if (how.toFlags) unit.comparison = FLAGS[relation]!;
  else unit.setConditions(CONDITIONS[relation]!);
  if (!allowed) return;
  for (let count = how.pops; count > 0; count--) unit.pop();
}

/** Compares ST(0) in `unit.a` with `unit.b`. */
function compareLoaded(unit: X87Unit, how: Comparison): void {
  const relation = compare(unit.begin(), unit.a, unit.b, how.signalQuiet);
  deliver(unit, how, relation, unit.finish());
}

function compareEmpty(unit: X87Unit, how: Comparison): void {
  deliver(unit, how, Relation.Unordered, unit.stackFault(false));
}

function startComparison(unit: X87Unit, how: Comparison): void {
  unit.comparison = -1;
  if (!how.toFlags) unit.clearC1();
}

function compareRegister(index: number, how: Comparison): X87Operation {
  return operation(
    (unit) => {
      startComparison(unit, how);
      if (unit.isEmpty(0) || unit.isEmpty(index)) {
        compareEmpty(unit, how);
        return;
      }
      unit.load(0, unit.a);
      unit.load(index, unit.b);
      compareLoaded(unit, how);
    },
    { setsFlags: how.toFlags },
  );
}

function compareMemory(bits: number, integer: boolean, how: Comparison): X87Operation {
  const load = loadMemory(bits, integer);
  return operation(
    (unit) => {
      startComparison(unit, how);
      if (unit.isEmpty(0)) {
        compareEmpty(unit, how);
        return;
      }
      unit.load(0, unit.a);
      load(unit, unit.b);
      compareLoaded(unit, how);
    },
    { reads: bits / 8 },
  );
}

export function compareOperation(mnemonic: string, operands: X87Operands): X87Operation | undefined {
  const parts = /^f(i|u?)com(i?)(p{0,2})$/.exec(mnemonic);
  if (parts === null) return undefined;
  const how = { signalQuiet: parts[1] !== 'u', toFlags: parts[2] === 'i', pops: parts[3]!.length };
  if (operands.memoryBits > 0) return compareMemory(operands.memoryBits, parts[1] === 'i', how);
  return compareRegister(how.pops === 2 ? 1 : Math.max(operands.destination, operands.source), how);
}

function testZero(): X87Operation {
  const how = { signalQuiet: true, toFlags: false, pops: 0 };
  return operation((unit) => {
    startComparison(unit, how);
    if (unit.isEmpty(0)) {
      compareEmpty(unit, how);
      return;
    }
    unit.load(0, unit.a);
    unit.b.setZero(0);
    compareLoaded(unit, how);
  });
}

function classOf(value: FloatValue): number {
  switch (value.kind) {
    case Kind.Unsupported:
      return 0;
    case Kind.Zero:
      return Status.C3;
    case Kind.Infinity:
      return Status.C2 | Status.C0;
    case Kind.Finite:
      return value.denormal ? Status.C3 | Status.C2 : Status.C2;
    default:
      return Status.C0;
  }
}

function examine(): X87Operation {
  return operation((unit) => {
    const sign = unit.signExponent(0) & 0x8000 ? Status.C1 : 0;
    if (unit.isEmpty(0)) {
      unit.setConditions(Status.C3 | Status.C0 | sign);
      return;
    }
    unit.load(0, unit.a);
    unit.setConditions(classOf(unit.a) | sign);
  });
}

export const testOperations: Readonly<Record<string, () => X87Operation>> = {
  ftst: testZero,
  fxam: examine,
};

/** FCMOVcc checks the stack whether or not it moves; C1 changes only for a stack fault. */
export function conditionalMove(mnemonic: string, operands: X87Operands): X87Operation | undefined {
  if (!mnemonic.startsWith('fcmov')) return undefined;
  const { source } = operands;
  return operation(
    (unit) => {
      if (unit.isEmpty(0) || unit.isEmpty(source)) {
        if (unit.stackFault(false)) unit.storeDefaultNan(0);
        return;
      }
      if (unit.condition) unit.storeBits(0, unit.signExponent(source), unit.significand(source));
    },
    { needsCondition: true },
  );
}
