/** A short run of what test/fuzz/translated-code.ts does at length, and programs of the kinds that found something. */
import { expect, test } from 'vitest';
import { CodeComparison } from './code-comparison.ts';

const PROGRAMS = 400;

/** ENTER and other microcode that stores into the region it runs in; 16-bit branches across IP 0 in a region. */
const FINDINGS = [12, 302, 336, 652, 1239, 2117, 2669].map((k) => `enter ${k}`);

test('random programs end alike interpreted, translated and in static blocks', () => {
  const comparison = new CodeComparison();
  for (let k = 0; k < PROGRAMS; k++) comparison.run(`test ${k}`);
  for (const seed of FINDINGS) comparison.run(seed);
  expect(comparison.result.differences).toEqual([]);
  // Most programs end, and they end in different ways.
  expect(comparison.result.endless).toBeLessThan(PROGRAMS / 4);
  expect(comparison.result.vectors.size).toBeGreaterThan(3);
});
