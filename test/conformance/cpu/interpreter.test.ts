import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FAMILIES } from './coverage.ts';
import { ProcessorUnderTest } from './processor-under-test.ts';
import { replay } from './replay.ts';
import { readVectors } from './vector-format.ts';

test.each(FAMILIES)('the interpreter agrees with the real processor on every %s vector', (family) => {
  const file = readFileSync(join(import.meta.dirname, 'vectors', `${family}.bin.gz`));
  const reports = replay(readVectors(file), new ProcessorUnderTest());
  const failing = reports.filter(({ failures }) => failures > 0);
  expect(
    failing.map(({ form, cases, failures, example }) => `${form} ${failures}/${cases} ${example}`),
  ).toEqual([]);
});
