/** What the guest of jit-guest.ts is to print: each of its scenarios, computed here. */
import { evaluate, Operation, type Step } from './bytecode.ts';

/** What each scenario begins with. */
export const SEED = 0x1234_5678_9abc_def0n;

/** How much of everything. */
export interface Amounts {
  rounds: number;
  calls: number;
  rewrites: number;
  patches: number;
  loops: number;
  mixedCalls: number;
}
/** 1/4 for stages that make a module of every few instructions, 5 for the others. */
export const amounts = (scale: number): Amounts => ({
  rounds: Math.ceil(scale),
  calls: Math.ceil(12 * scale),
  rewrites: Math.ceil(20 * scale),
  patches: 200 * scale,
  loops: 500 * scale,
  mixedCalls: 4000 * scale,
});
/** The function whose first constant is rewritten: it begins with ADD RAX, imm32. */
export const PATCHED: readonly Step[] = [
  { operation: Operation.Add, operand: 1 },
  { operation: Operation.Rotate, operand: 13 },
  { operation: Operation.ExclusiveOr, operand: 0x1357_9bdf },
];
const withConstant = (constant: number): Step[] => [
  { operation: Operation.Add, operand: constant },
  ...PATCHED.slice(1),
];

const mask = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotate = (value: bigint, by: bigint): bigint => mask((value << by) | (value >> (64n - by)));

function patchesResult(rounds: number, calls: number): bigint {
  let value = SEED;
  for (let constant = rounds; constant > 0; constant--)
    for (let call = 0; call < calls; call++) value = evaluate(withConstant(constant), value);
  return value;
}

function mixedResult(calls: number): bigint {
  const table = new Array<bigint>(8).fill(0n);
  let value = SEED;
  for (let counter = 1; counter <= calls; counter++) {
    const entry = rotate(mask(table[counter & 7]! + value), 5n);
    table[counter & 7] = entry;
    value ^= entry;
  }
  return value;
}

function loopResult(
  loops: number,
  first: bigint,
  step: (value: bigint, left: bigint, before: bigint) => bigint,
): bigint {
  let value = SEED;
  let before = first;
  for (let left = BigInt(loops); left > 0n; left--) {
    value = step(value, left, before);
    before = left;
  }
  return value;
}

function crossingResult(patches: number): bigint {
  let value = SEED;
  let constant = 0x1234_5678n;
  const call = (): void => {
    value = rotate(mask(value + constant), 9n);
  };
  for (let left = BigInt(patches); left > 0n; left--) {
    constant = (constant & 0xffffn) | (left << 16n);
    call();
    call();
    constant = (constant & ~0xffffn) | left;
    call();
  }
  return value;
}

function functionsResult(given: readonly (readonly Step[])[], { rounds, calls }: Amounts): bigint {
  let value = SEED;
  for (let round = 0; round < rounds; round++)
    for (const steps of given) for (let call = 0; call < calls; call++) value = evaluate(steps, value);
  return value;
}

/** What jitGuest prints. */
export function expectedOutput(given: readonly (readonly Step[])[], scale: number): string {
  const amount = amounts(scale);
  const { patches, loops } = amount;
  const lines: [string, bigint][] = [
    ['functions', functionsResult(given, amount)],
    ['patches', patchesResult(patches, 1)],
    ['rare patches', patchesResult(patches, 50)],
    ['virtual alias', patchesResult(patches, 3)],
    ['physical alias', patchesResult(patches, 3)],
    [
      'loop',
      loopResult(loops, 0x1111_1111n, (value, left, before) => rotate(mask(value + before) ^ left, 7n)),
    ],
    ['aliased loop', loopResult(loops, 0x1111_1111n, (value, _, before) => rotate(mask(value + before), 7n))],
    ['mixed', mixedResult(amount.mixedCalls)],
    ['crossing', crossingResult(patches)],
    ['two pages', loopResult(loops, 0n, (value, left) => mask(rotate(value, 3n) + left))],
    ['parent', patchesResult(amount.rewrites, 20)],
    ['awaited', 1n],
  ];
  return lines.map(([name, value]) => `${name} ${value.toString(16).padStart(16, '0')}\n`).join('');
}
