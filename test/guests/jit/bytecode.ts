/**
 * What the guest's compiler compiles: functions of one 64-bit number as bytes (an operation, then 32 bits), and what
 * they compute, told by an evaluator of our own.
 */
import { Random } from '../../fuzz/random.ts';

export const Operation = {
  End: 0,
  Add: 1,
  Multiply: 2,
  ExclusiveOr: 3,
  Rotate: 4,
  Repeat: 5,
  Again: 6,
} as const;
export type Operation = (typeof Operation)[keyof typeof Operation];

export interface Step {
  operation: Operation;
  /** 31 bits; of a rotation 6, of a repeat the count. */
  operand: number;
}

const mask = (value: bigint): bigint => BigInt.asUintN(64, value);

export function evaluate(steps: readonly Step[], argument: bigint): bigint {
  let value = argument;
  let left = 0;
  let start = 0;
  for (let at = 0; at < steps.length; at++) {
    const { operation, operand } = steps[at]!;
    const number = BigInt(operand);
    if (operation === Operation.Add) value = mask(value + number);
    else if (operation === Operation.Multiply) value = mask(value * number);
    else if (operation === Operation.ExclusiveOr) value ^= number;
    else if (operation === Operation.Rotate) value = mask((value << number) | (value >> (64n - number)));
    else if (operation === Operation.Repeat) {
      left = operand;
      start = at;
    } else if (operation === Operation.Again && --left > 0) at = start;
  }
  return value;
}

export function encodeSteps(steps: readonly Step[]): number[] {
  return [...steps, { operation: Operation.End, operand: 0 }].flatMap(({ operation, operand }) => [
    operation,
    ...[0, 8, 16, 24].map((shift) => (operand >>> shift) & 0xff),
  ]);
}

/** Functions drawn from a seed; every other one has a loop. */
export function randomFunctions(seed: number, count: number): Step[][] {
  const random = new Random(seed);
  const operations = [Operation.Add, Operation.Multiply, Operation.ExclusiveOr, Operation.Rotate];
  const some = (): Step[] =>
    Array.from({ length: 1 + random.below(5) }, () => {
      const operation = operations[random.below(operations.length)]!;
      const operand = operation === Operation.Rotate ? 1 + random.below(63) : 1 + random.below(0x7fff_fffe);
      return { operation, operand };
    });
  return Array.from({ length: count }, (_, k) =>
    k % 2 === 0
      ? some()
      : [
          ...some(),
          { operation: Operation.Repeat, operand: 1 + random.below(30) },
          ...some(),
          { operation: Operation.Again, operand: 0 },
          ...some(),
        ],
  );
}
