import { describe, expect, test } from 'vitest';
import { checkNuma, numaLayout, planDomains } from './numa.ts';
import type { VmConfig } from './vm-config.ts';

const MIB = 2 ** 20;
const config = (nodeBytes: number[], vpCount: number): VmConfig => ({
  kernel: { name: 'k', bytes: new Uint8Array(0) },
  modules: [],
  commandLine: '',
  memoryBytes: nodeBytes.reduce((sum, bytes) => sum + bytes, 0),
  vpCount,
  numa: { nodeBytes },
});

describe('the layout that a guest is told', () => {
  test('nodes follow one another in guest physical memory; processors are dealt out in blocks', () => {
    expect(numaLayout(config([64 * MIB, 32 * MIB], 3))).toEqual({
      nodes: [
        { id: 0, gpa: 0, bytes: 64 * MIB, vps: [0, 1] },
        { id: 1, gpa: 64 * MIB, bytes: 32 * MIB, vps: [2] },
      ],
      distances: [
        [10, 20],
        [20, 10],
      ],
    });
  });

  test('there may be more nodes than processors', () => {
    expect(numaLayout(config([2 * MIB, 2 * MIB, 2 * MIB], 1))?.nodes.map(({ vps }) => vps)).toEqual([
      [0],
      [],
      [],
    ]);
  });
});

test('every domain has room for its aligned guest RAM and for deposits; the last one has the reserved region', () => {
  const { memoryBytes, domains } = planDomains([64 * MIB, 32 * MIB], 7 * MIB, 96 * MIB);
  expect(domains).toEqual([
    { id: 0, firstPage: 0, pages: (68 * MIB) / 4096 },
    { id: 1, firstPage: (68 * MIB) / 4096, pages: (132 * MIB) / 4096 },
  ]);
  expect(memoryBytes).toBe(200 * MIB);
});

describe('refused, with the reason', () => {
  test.each([
    [{ nodeBytes: [] }, '0 nodes'],
    [{ nodeBytes: new Array<number>(17).fill(2 * MIB) }, '17 nodes'],
    [{ nodeBytes: [3 * MIB, 61 * MIB] }, 'multiple of 2 MiB'],
    [{ nodeBytes: [0, 64 * MIB] }, 'multiple of 2 MiB'],
    [{ nodeBytes: [32 * MIB] }, '32 MiB together, the machine 64'],
    [
      {
        nodeBytes: [32 * MIB, 32 * MIB],
        distances: [
          [10, 10],
          [20, 10],
        ],
      },
      'distances',
    ],
  ])('%j', (numa, problem) => {
    expect(() => checkNuma(numa, 64 * MIB)).toThrow(problem);
  });
});
