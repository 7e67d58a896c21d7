import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { x87Forms } from './forms.ts';
import { describeRecord, replayRecord } from './replay.ts';
import { replaySse, sseOperations } from './sse-replay.ts';
import { LAYOUTS, unpackVectors } from './vectors.ts';

const read = (name: string): Uint8Array[] =>
  unpackVectors(readFileSync(new URL(`vectors/${name}.bin.br`, import.meta.url)), LAYOUTS[name]!);

describe('results of the real processor', () => {
  const records = read('x87');

  test('are there for every x87 form, fifty each', () => {
    const counts = new Array<number>(x87Forms.length).fill(0);
    for (const record of records) counts[record[0]! | (record[1]! << 8)]!++;
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(50);
  });

  test('are what the x87 unit computes: state, memory and flags', () => {
    const wrong = records.flatMap((record) => {
      const differences = replayRecord(record);
      return differences.length === 0 ? [] : [`${describeRecord(record)}: ${differences.join('; ')}`];
    });
    expect(wrong.slice(0, 5)).toEqual([]);
  });

  test('are what the precise SSE arithmetic computes, under every rounding mode, DAZ and FTZ', () => {
    const sse = read('sse');
    const covered = new Set(sse.map((record) => record[0]!));
    expect(covered.size).toBe(sseOperations.length);
    const wrong = sse
      .map((record) => replaySse(new DataView(record.buffer), 0))
      .filter((text) => text !== '');
    expect(wrong.slice(0, 5)).toEqual([]);
  });
});
