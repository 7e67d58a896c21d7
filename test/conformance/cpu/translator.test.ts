import { expect, test } from 'vitest';
import { FAMILIES, type Family } from './coverage.ts';
import { ProcessorUnderTest } from './processor-under-test.ts';
import type { Vector } from './vector-format.ts';
import { failuresOf, vectorsOf } from './vector-suite.ts';

/** Each vector is compiled as a region of its own: of every form, the first few unless all are asked for. */
const CASES_PER_FORM = process.env.ALL_VECTORS === undefined ? 4 : 50;

function* someVectors(family: Family): Generator<Vector> {
  let form = '';
  let count = 0;
  for (const vector of vectorsOf(family)) {
    // A branch into the region runs on there: sequences.test.ts has these.
    if (/\.rel$/.test(vector.form)) continue;
    count = vector.form === form ? count + 1 : 1;
    form = vector.form;
    if (count <= CASES_PER_FORM) yield vector;
  }
}

test.each(FAMILIES)(
  'code translated from its first execution agrees with the real processor on %s vectors',
  (family) => {
    const machine = new ProcessorUnderTest('in-page', { translate: 'always' });
    expect(failuresOf(someVectors(family), machine)).toEqual([]);
  },
);
