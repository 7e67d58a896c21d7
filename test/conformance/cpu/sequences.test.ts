import { expect, test } from 'vitest';
import { ProcessorUnderTest } from './processor-under-test.ts';
import type { Vector } from './vector-format.ts';
import { failuresOf, vectorsOf } from './vector-suite.ts';

test('the interpreter agrees with the real processor on sequences of instructions', () => {
  expect(failuresOf(vectorsOf('sequences'), new ProcessorUnderTest())).toEqual([]);
});

function* someSequences(): Generator<Vector> {
  let count = 0;
  for (const vector of vectorsOf('sequences')) if (count++ % 4 === 0) yield vector;
}

test('the static stage agrees with the real processor on sequences of instructions', () => {
  const machine = new ProcessorUnderTest('in-page', { staticBlockLength: 64 });
  expect(failuresOf(someSequences(), machine)).toEqual([]);
});

test('translated regions agree with the real processor on sequences of instructions', () => {
  const machine = new ProcessorUnderTest('in-page', { translate: 'always' });
  expect(failuresOf(someSequences(), machine)).toEqual([]);
});
