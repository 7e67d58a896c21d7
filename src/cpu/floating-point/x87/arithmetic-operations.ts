/** FADD, FSUB, FMUL, FDIV in their register, memory, integer and popping forms; FSQRT and other one-operand forms. */
import { add, divide, multiply, squareRoot } from '../softfloat/arithmetic.ts';
import { Extended, type FloatEnvironment, type FloatFormat } from '../softfloat/format.ts';
import { roundToIntegral } from '../softfloat/integer.ts';
import type { FloatValue } from '../softfloat/value.ts';
import { loadMemory } from './memory-operand.ts';
import { operation, type X87Operands, type X87Operation } from './operation.ts';
import type { X87Unit } from './unit.ts';

type Binary = (
  env: FloatEnvironment,
  format: FloatFormat,
  a: FloatValue,
  b: FloatValue,
  out: FloatValue,
) => void;

const sum: Binary = (env, format, a, b, out) => add(env, format, a, b, 0, out);
const difference: Binary = (env, format, a, b, out) => add(env, format, a, b, 1, out);
const reverseDifference: Binary = (env, format, a, b, out) => add(env, format, b, a, 1, out);
const quotient: Binary = (env, format, a, b, out) => divide(env, format, a, b, out);
const reverseQuotient: Binary = (env, format, a, b, out) => divide(env, format, b, a, out);

const BINARY: Readonly<Record<string, Binary>> = {
  add: sum,
  sub: difference,
  subr: reverseDifference,
  mul: multiply,
  div: quotient,
  divr: reverseQuotient,
};

/** Makes `destination = destination op source`, then a pop where asked. */
function registerForm(compute: Binary, destination: number, source: number, pops: boolean): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    if (unit.isEmpty(destination) || unit.isEmpty(source)) {
      if (!unit.stackFault(false)) return;
      unit.storeDefaultNan(destination);
      if (pops) unit.pop();
      return;
    }
    unit.load(destination, unit.a);
    unit.load(source, unit.b);
    compute(unit.begin(), unit.format, unit.a, unit.b, unit.result);
    if (!unit.finish()) return;
    unit.store(destination, unit.result);
    if (pops) unit.pop();
  });
}

function memoryForm(compute: Binary, bits: number, integer: boolean): X87Operation {
  const load = loadMemory(bits, integer);
  return operation(
    (unit) => {
      unit.clearC1();
      if (unit.isEmpty(0)) {
        if (unit.stackFault(false)) unit.storeDefaultNan(0);
        return;
      }
      unit.load(0, unit.a);
      load(unit, unit.b);
      compute(unit.begin(), unit.format, unit.a, unit.b, unit.result);
      if (unit.finish()) unit.store(0, unit.result);
    },
    { reads: bits / 8 },
  );
}

/** fadd, faddp, fiadd, fsub, ...; undefined if it is none of them. */
export function binaryOperation(mnemonic: string, operands: X87Operands): X87Operation | undefined {
  const parts = /^f(i?)(add|subr?|mul|divr?)(p?)$/.exec(mnemonic);
  if (parts === null) return undefined;
  const compute = BINARY[parts[2]!]!;
  if (operands.memoryBits > 0) return memoryForm(compute, operands.memoryBits, parts[1] === 'i');
  return registerForm(compute, operands.destination, operands.source, parts[3] === 'p');
}

type Unary = (env: FloatEnvironment, format: FloatFormat, a: FloatValue, out: FloatValue) => void;

function unaryForm(compute: Unary, format: (unit: X87Unit) => FloatFormat): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    if (unit.isEmpty(0)) {
      if (unit.stackFault(false)) unit.storeDefaultNan(0);
      return;
    }
    unit.load(0, unit.a);
    compute(unit.begin(), format(unit), unit.a, unit.result);
    if (unit.finish()) unit.store(0, unit.result);
  });
}

/** FCHS and FABS work on the sign bit alone, whatever the register holds. */
function signForm(change: (signExponent: number) => number): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    if (unit.isEmpty(0)) {
      if (unit.stackFault(false)) unit.storeDefaultNan(0);
      return;
    }
    unit.storeBits(0, change(unit.signExponent(0)), unit.significand(0));
  });
}

export const unaryOperations: Readonly<Record<string, () => X87Operation>> = {
  fsqrt: () => unaryForm(squareRoot, (unit) => unit.format),
  frndint: () => unaryForm(roundToIntegral, () => Extended),
  fchs: () => signForm((signExponent) => signExponent ^ 0x8000),
  fabs: () => signForm((signExponent) => signExponent & 0x7fff),
};
