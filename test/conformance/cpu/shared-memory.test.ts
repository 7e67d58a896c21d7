/** Processors that share memory with other threads: their locked instructions are other code, with the same results. */
import { expect, test } from 'vitest';
import { decode } from '../../../src/cpu/instructions/decode.ts';
import { ProcessorUnderTest } from './processor-under-test.ts';
import type { Vector } from './vector-format.ts';
import { failuresOf, vectorsOf } from './vector-suite.ts';

const LOCKABLE =
  /^(add|adc|and|btc|btr|bts|cmpxchg|cmpxchg8b|dec|inc|neg|not|or|sbb|sub|xor|xadd|xchg)\..*m\d/;

/** Of every lockable form on memory: vectors with LOCK and without. */
function* lockableVectors(): Generator<Vector> {
  for (const vector of vectorsOf('integer')) if (LOCKABLE.test(vector.form)) yield vector;
}

test('there are locked vectors', () => {
  const isLocked = ({ bytes, before }: Vector): boolean => {
    const result = decode(bytes, 0, bytes.length, before.cpu.code);
    return result.kind === 'ok' && result.instruction.lock;
  };
  expect([...lockableVectors()].filter(isLocked).length).toBeGreaterThan(100);
});

test.each(['never', 'hot'] as const)(
  'locked and exchanging instructions agree with the real processor (translated: %s)',
  (translate) => {
    const machine = new ProcessorUnderTest('in-page', { translate }, true);
    expect(failuresOf(lockableVectors(), machine)).toEqual([]);
  },
);

test('they do as translated regions', () => {
  const machine = new ProcessorUnderTest('in-page', { translate: 'always' }, true);
  const some = [...lockableVectors()].filter((_, index) => index % 8 === 0);
  expect(failuresOf(some, machine)).toEqual([]);
});
