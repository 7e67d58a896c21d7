import { expect, test } from 'vitest';
import { FAMILIES } from './coverage.ts';
import { ProcessorUnderTest } from './processor-under-test.ts';
import { failuresOf, vectorsOf } from './vector-suite.ts';

/** Each vector is compiled as a module of its own, which takes a minute for all of them. */
test.each(FAMILIES)(
  'the static stage agrees with the real processor on every %s vector',
  { timeout: 300_000 },
  (family) => {
    const machine = new ProcessorUnderTest('in-page', { staticBlockLength: 1 });
    expect(failuresOf(vectorsOf(family), machine)).toEqual([]);
  },
);
