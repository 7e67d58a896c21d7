/** The transcendental instructions, partial remainders, FSCALE and FXTRACT: ST(0), often with ST(1) or a push. */

import { arcTangentOfPoint } from '../softfloat/arc-tangent.ts';
import { powerOfTwoMinusOne, yLog2, yLog2Plus1 } from '../softfloat/exponential.ts';
import type { FloatEnvironment } from '../softfloat/format.ts';
import { extract, partialRemainder, scale } from '../softfloat/remainder.ts';
import { cosineOf, isAngleOutOfRange, sineOf, tangentOf } from '../softfloat/trigonometric.ts';
import { type FloatValue, INTEGER_BIT } from '../softfloat/value.ts';
import { operation, type X87Operation } from './operation.ts';
import { Status, type X87Unit } from './unit.ts';

/** True if ST(0) is there; else the stack underflow has been dealt with. */
function hasOperand(unit: X87Unit): boolean {
  unit.clearC1();
  if (!unit.isEmpty(0)) return true;
  if (unit.stackFault(false)) unit.storeDefaultNan(0);
  return false;
}

function oneOperand(compute: (env: FloatEnvironment, a: FloatValue, out: FloatValue) => void): X87Operation {
  return operation((unit) => {
    if (!hasOperand(unit)) return;
    unit.load(0, unit.a);
    compute(unit.begin(), unit.a, unit.result);
    if (unit.finish()) unit.store(0, unit.result);
  });
}

/** ST(1) = f(ST(1), ST(0)), then a pop. */
function intoSecond(
  compute: (env: FloatEnvironment, y: FloatValue, x: FloatValue, out: FloatValue) => void,
): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    if (unit.isEmpty(0) || unit.isEmpty(1)) {
      if (!unit.stackFault(false)) return;
      unit.storeDefaultNan(1);
      unit.pop();
      return;
    }
    unit.load(1, unit.a);
    unit.load(0, unit.b);
    compute(unit.begin(), unit.a, unit.b, unit.result);
    if (!unit.finish()) return;
    unit.store(1, unit.result);
    unit.pop();
  });
}

/** C2 tells that an angle is too large; then nothing else changes. */
function angleInRange(unit: X87Unit): boolean {
  unit.load(0, unit.a);
  if (!isAngleOutOfRange(unit.a)) return true;
  unit.status |= Status.C2;
  return false;
}

function angle(compute: (env: FloatEnvironment, a: FloatValue, out: FloatValue) => void): X87Operation {
  return operation((unit) => {
    unit.status &= ~Status.C2;
    if (!hasOperand(unit) || !angleInRange(unit)) return;
    compute(unit.begin(), unit.a, unit.result);
    if (unit.finish()) unit.store(0, unit.result);
  });
}

/** Replaces ST(0) by `result` and pushes `second`. */
function replaceAndPush(unit: X87Unit): void {
  unit.store(0, unit.result);
  unit.push();
  unit.store(0, unit.second);
}

/** For instructions that push a second result: true if both operand and room are there. */
function hasOperandAndRoom(unit: X87Unit): boolean {
  unit.clearC1();
  const empty = unit.isEmpty(0);
  if (!empty && unit.isEmpty(7)) return true;
  if (unit.stackFault(!empty)) {
    unit.storeDefaultNan(0);
    unit.push();
    unit.storeDefaultNan(0);
  }
  return false;
}

function tangent(): X87Operation {
  return operation((unit) => {
    unit.status &= ~Status.C2;
    if (!hasOperandAndRoom(unit) || !angleInRange(unit)) return;
    tangentOf(unit.begin(), unit.a, unit.result);
    if (unit.result.isNan) unit.second.assign(unit.result);
    else unit.second.setFinite(0, 0, INTEGER_BIT);
    if (unit.finish()) replaceAndPush(unit);
  });
}

function sineAndCosine(): X87Operation {
  return operation((unit) => {
    unit.status &= ~Status.C2;
    if (!hasOperandAndRoom(unit) || !angleInRange(unit)) return;
    const env = unit.begin();
    cosineOf(env, unit.a, unit.second);
    sineOf(env, unit.a, unit.result);
    if (unit.finish()) replaceAndPush(unit);
  });
}

function takeApart(): X87Operation {
  return operation((unit) => {
    if (!hasOperandAndRoom(unit)) return;
    unit.load(0, unit.a);
    extract(unit.begin(), unit.a, unit.result, unit.second);
    if (unit.finish()) replaceAndPush(unit);
  });
}

/** Condition codes of the quotient's low bits: bit 2 in C0, bit 1 in C3, bit 0 in C1. */
function quotientConditions(quotient: number): number {
  return (quotient & 4 ? Status.C0 : 0) | (quotient & 2 ? Status.C3 : 0) | (quotient & 1 ? Status.C1 : 0);
}

function remainder(nearest: boolean): X87Operation {
  return operation((unit) => {
    unit.status &= ~(Status.C1 | Status.C2);
    if (unit.isEmpty(0) || unit.isEmpty(1)) {
      if (unit.stackFault(false)) unit.storeDefaultNan(0);
      return;
    }
    unit.load(0, unit.a);
    unit.load(1, unit.b);
    const quotient = partialRemainder(unit.begin(), unit.a, unit.b, nearest, unit.result);
    if (!unit.finish()) return;
    if (!unit.result.isNan) unit.setConditions(quotient < 0 ? Status.C2 : quotientConditions(quotient));
    unit.store(0, unit.result);
  });
}

function scaleByPower(): X87Operation {
  return operation((unit) => {
    unit.clearC1();
    if (unit.isEmpty(0) || unit.isEmpty(1)) {
      if (unit.stackFault(false)) unit.storeDefaultNan(0);
      return;
    }
    unit.load(0, unit.a);
    unit.load(1, unit.b);
    scale(unit.begin(), unit.a, unit.b, unit.result);
    if (unit.finish()) unit.store(0, unit.result);
  });
}

export const functionOperations: Readonly<Record<string, () => X87Operation>> = {
  f2xm1: () => oneOperand(powerOfTwoMinusOne),
  fyl2x: () => intoSecond(yLog2),
  fyl2xp1: () => intoSecond(yLog2Plus1),
  fpatan: () => intoSecond(arcTangentOfPoint),
  fsin: () => angle(sineOf),
  fcos: () => angle(cosineOf),
  fptan: tangent,
  fsincos: sineAndCosine,
  fxtract: takeApart,
  fprem: () => remainder(false),
  fprem1: () => remainder(true),
  fscale: scaleByPower,
};
