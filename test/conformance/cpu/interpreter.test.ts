import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { decode } from '../../../src/cpu/instructions/decode.ts';
import { FAMILIES } from './coverage.ts';
import { type Placement, ProcessorUnderTest } from './processor-under-test.ts';
import { replay } from './replay.ts';
import { readVectors, type Vector } from './vector-format.ts';

const vectorsOf = (family: string): Iterable<Vector> =>
  readVectors(readFileSync(join(import.meta.dirname, 'vectors', `${family}.bin.gz`)));

function failuresOf(vectors: Iterable<Vector>, placement: Placement): string[] {
  // MXCSR's sticky flags: see src/cpu/semantics/sse-control.ts.
  return replay(vectors, new ProcessorUnderTest(placement), { stickyFlags: 'unless-default' })
    .filter(({ failures }) => failures > 0)
    .map(({ form, cases, failures, example }) => `${form} ${failures}/${cases} ${example}`);
}

test.each(FAMILIES)('the interpreter agrees with the real processor on every %s vector', (family) => {
  expect(failuresOf(vectorsOf(family), 'in-page')).toEqual([]);
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
  expect(failuresOf(movableVectors(), 'crossing')).toEqual([]);
});
