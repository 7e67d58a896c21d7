/** A short run of what test/fuzz/translated-code.ts does at length, with seeds that once found something. */
import { expect, test } from 'vitest';
import { CodeComparison } from './code-comparison.ts';

const PROGRAMS = 600;

test('random programs end alike interpreted, translated and in static blocks', () => {
  const comparison = new CodeComparison();
  for (let k = 0; k < PROGRAMS; k++) comparison.run(`test ${k}`);
  expect(comparison.result.differences).toEqual([]);
  // Most programs end, and they end in different ways.
  expect(comparison.result.endless).toBeLessThan(PROGRAMS / 4);
  expect(comparison.result.vectors.size).toBeGreaterThan(3);
});
