import { describe, expect, test } from 'vitest';
import { InterceptTable } from './intercept-table.ts';

function table(pageCount = 8) {
  const free = Array.from({ length: pageCount }, (_, index) => index + 1);
  const pages = { allocatePage: () => free.pop() ?? -1, freePage: (spn: number) => void free.push(spn) };
  return { table: new InterceptTable(pages), free };
}

describe('intercept table', () => {
  test('a wide access is intercepted when any of its ports is', () => {
    const { table: intercepts } = table();
    intercepts.setPort(0x3fb, 3);
    expect(intercepts.interceptsPort(0x3f8, 4, true)).toBe(true);
    expect(intercepts.interceptsPort(0x3f8, 2, true)).toBe(false);
    intercepts.setPort(0, 3);
    expect(intercepts.interceptsPort(0xffff, 2, false)).toBe(true);
  });

  test('CPUID intercepts draw pages and give them back', () => {
    const { table: intercepts, free } = table(1);
    for (let leaf = 0; leaf < 512; leaf++) expect(intercepts.setCpuid(leaf, true)).toBe(true);
    expect(free).toHaveLength(0);
    expect(intercepts.setCpuid(512, true)).toBe(false);
    expect(intercepts.setCpuid(3, true)).toBe(true);
    for (let leaf = 0; leaf < 512; leaf++) intercepts.setCpuid(leaf, false);
    expect(free).toHaveLength(1);
  });

  test('exception intercepts are bits and vectors past 31 are refused', () => {
    const { table: intercepts } = table();
    expect(intercepts.setException(31, true)).toBe(true);
    expect(intercepts.exceptionVectors).toBe(0x8000_0000);
    expect(intercepts.setException(32, true)).toBe(false);
    intercepts.setException(31, false);
    expect(intercepts.exceptionVectors).toBe(0);
  });
});
