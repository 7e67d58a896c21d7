/** What the suites share: the vector files, and a replay's failures as lines to be compared with none. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Family } from './coverage.ts';
import type { CpuUnderTest } from './cpu-state.ts';
import { replay } from './replay.ts';
import { readVectors, type Vector } from './vector-format.ts';

export const vectorsOf = (family: Family | 'sequences'): Iterable<Vector> =>
  readVectors(readFileSync(join(import.meta.dirname, 'vectors', `${family}.bin.gz`)));

/** Forms that fail, each with its first example. Sticky MXCSR flags: see src/cpu/semantics/sse-control.ts. */
export function failuresOf(vectors: Iterable<Vector>, machine: CpuUnderTest): string[] {
  return replay(vectors, machine, { stickyFlags: 'unless-default' })
    .filter(({ failures }) => failures > 0)
    .map(({ form, cases, failures, example }) => `${form} ${failures}/${cases} ${example}`);
}
