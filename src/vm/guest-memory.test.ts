import { expect, test } from 'vitest';
import type { ParentSurface } from '../hypervisor/root-surface.ts';
import { GuestMemory } from './guest-memory.ts';

/** Two nodes of two pages each, the second one lower in the root. */
function memoryInTwoRuns() {
  const bytes = new Uint8Array(16 * 4096);
  const written: number[] = [];
  const memory = {
    bytes,
    words: new Uint32Array(bytes.buffer),
    noteWritten: (page: number) => written.push(page),
  };
  const absentPages = { count: 0, isAbsent: () => false };
  const surface = { memory, absentPages } as unknown as ParentSurface;
  const runs = [
    { gpn: 0, rootGpn: 8, pages: 2 },
    { gpn: 2, rootGpn: 3, pages: 2 },
  ];
  return { guest: new GuestMemory(surface, runs), bytes, written };
}

test('a write over the border of two nodes lands in both, and tells of each page', () => {
  const { guest, bytes, written } = memoryInTwoRuns();
  guest.write(2 * 4096 - 2, Uint8Array.of(1, 2, 3, 4));
  expect([...bytes.subarray(10 * 4096 - 2, 10 * 4096)]).toEqual([1, 2]);
  expect([...bytes.subarray(3 * 4096, 3 * 4096 + 2)]).toEqual([3, 4]);
  expect(written).toEqual([9, 3]);
  expect([...guest.read(2 * 4096 - 3, 6)]).toEqual([0, 1, 2, 3, 4, 0]);
});

test('pages are known as zero or not in either node; reads end with RAM', () => {
  const { guest } = memoryInTwoRuns();
  guest.write(3 * 4096, Uint8Array.of(9));
  expect([0, 1, 2, 3].map((gpn) => guest.isZero(gpn))).toEqual([true, true, true, false]);
  expect(guest.bytes).toBe(4 * 4096);
  expect(guest.read(4 * 4096 - 1, 10)).toHaveLength(1);
  expect(guest.read(4 * 4096, 1)).toHaveLength(0);
});
