import { expect, test } from 'vitest';
import { decode } from '../../../src/cpu/instructions/decode.ts';
import { FAMILIES } from './coverage.ts';
import { ProcessorUnderTest } from './processor-under-test.ts';
import type { Vector } from './vector-format.ts';
import { failuresOf, vectorsOf } from './vector-suite.ts';

test.each(FAMILIES)('the interpreter agrees with the real processor on every %s vector', (family) => {
  expect(failuresOf(vectorsOf(family), new ProcessorUnderTest())).toEqual([]);
});

/** Vectors whose result doesn't depend on where the instruction lies, every fifth of them. */
function* movableVectors(): Generator<Vector> {
  let count = 0;
  for (const vector of vectorsOf('integer')) {
    const result = decode(vector.bytes, 0, vector.bytes.length, 64);
    if (result.kind !== 'ok' || vector.bytes.length < 2) continue;
    const { row, operands } = result.instruction;
    const isRipRelative = operands.some((operand) => operand.kind === 'memory' && operand.base === 16);
    if (isRipRelative || /^(jmp|call|ret|ud)/.test(row.mnemonic)) continue;
    if (count++ % 5 === 0) yield vector;
  }
}

test('an instruction that crosses a page does what it does within one', () => {
  expect(failuresOf(movableVectors(), new ProcessorUnderTest('crossing'))).toEqual([]);
});
