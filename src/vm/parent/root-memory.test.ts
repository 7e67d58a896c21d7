import { expect, test } from 'vitest';
import type { ParentSurface } from '../../hypervisor/root-surface.ts';
import { RootMemory } from './root-memory.ts';

const memory = () => new RootMemory({ ramPages: [{ gpn: 0, pages: 2048 }] } as unknown as ParentSurface);

test('page zero is never given out, and alignment is kept', () => {
  const root = memory();
  expect(root.allocate(1)).toBe(1);
  expect(root.allocate(1024, 512)).toBe(512);
  expect(root.allocate(1)).toBe(2);
});

test('what is freed in any order can be given out again as one piece', () => {
  const root = memory();
  const all = root.freePages;
  const pages = Array.from({ length: 8 }, () => root.allocate(1));
  for (const page of [3, 1, 0, 2, 7, 5, 6, 4]) root.free(pages[page], 1);
  expect(root.freePages).toBe(all);
  expect(root.allocate(2047)).toBe(1);
  expect(root.allocate(1)).toBe(-1);
});
