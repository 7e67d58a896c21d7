import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hostNodes } from './host-topology.ts';
import { memoryOfNuma, numaConfig, parseNuma } from './numa-option.ts';
import { parseMemory, parseRunOptions } from './run-options.ts';

const MIB = 2 ** 20;
const parse = (text: string) => parseNuma(text, parseMemory);

test('a number divides the memory evenly in pieces of 2 MiB, with nothing lost', () => {
  expect(numaConfig(parse('2'), 256 * MIB)).toEqual({ nodeBytes: [128 * MIB, 128 * MIB] });
  expect(numaConfig(parse('3'), 256 * MIB)?.nodeBytes.map((bytes) => bytes / MIB)).toEqual([86, 84, 86]);
});

test('sizes are the memory, unless --memory says it too', () => {
  expect(memoryOfNuma(parse('256M,1G'))).toBe(1280 * MIB);
  expect(parseRunOptions(['--kernel', 'k', '--numa', '64M,64M']).memoryBytes).toBe(128 * MIB);
  expect(parseRunOptions(['--kernel', 'k', '--numa', '2']).memoryBytes).toBe(512 * MIB);
});

test.each(['', '0', '1.5', '256M,', 'two', '256M;256M', '256,256'])('%j is refused by name', (text) => {
  expect(() => parse(text)).toThrow(`--numa ${text}`);
});

test("host takes the nodes that have memory, in proportion, with the host's distances", () => {
  const host = {
    memory: [3 * 2 ** 30, 2 ** 30],
    distances: [
      [10, 21],
      [21, 10],
    ],
  };
  expect(numaConfig(parse('host'), 256 * MIB, () => host)).toEqual({
    nodeBytes: [192 * MIB, 64 * MIB],
    distances: host.distances,
  });
  expect(() => numaConfig(parse('host'), 256 * MIB, () => undefined)).toThrow('does not tell');
});

test('the topology is read as Linux writes it; a node without memory is left out', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nodes-'));
  try {
    const nodes = [
      ['node0', 8873760, '10 20 30'],
      ['node1', 0, '20 10 40'],
      ['node10', 4096, '30 40 10'],
    ] as const;
    for (const [name, kilobytes, distance] of nodes) {
      mkdirSync(join(folder, name));
      writeFileSync(
        join(folder, name, 'meminfo'),
        `Node 0 MemTotal:     ${kilobytes} kB\nNode 0 MemFree: 1 kB\n`,
      );
      writeFileSync(join(folder, name, 'distance'), `${distance}\n`);
    }
    writeFileSync(join(folder, 'online'), '0-1,10\n');
    expect(hostNodes(folder)).toEqual({
      memory: [8873760 * 1024, 4096 * 1024],
      distances: [
        [10, 30],
        [30, 10],
      ],
    });
    expect(hostNodes(join(folder, 'nothing'))).toBeUndefined();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
