import { expect, test } from 'vitest';
import { PAGE_SIZE } from '../hvdef/types.ts';
import { AbsentPages, type PageSource } from './absent-pages.ts';
import { SystemMemory } from './system-memory.ts';

const TABLE_PAGE = 63;

function withSource(contents: number, bad: readonly number[] = []) {
  const memory = new SystemMemory(64 * PAGE_SIZE);
  const absent = new AbsentPages(memory, TABLE_PAGE * PAGE_SIZE);
  const loaded: number[] = [];
  const source: PageSource = {
    load(spn) {
      loaded.push(spn);
      if (bad.includes(spn)) return false;
      memory.bytes.fill(contents, spn * PAGE_SIZE, (spn + 1) * PAGE_SIZE);
      absent.forget(spn, 1);
      return true;
    },
  };
  return { memory, absent, source, loaded };
}

test('a page is absent until it is made present, and is loaded once', () => {
  const { memory, absent, source, loaded } = withSource(7);
  absent.withhold(source, 6, 5);
  expect([5, 6, 10, 11].map((page) => absent.isAbsent(page))).toEqual([false, true, true, false]);
  expect(absent.makePresent(8)).toBe(true);
  expect(absent.makePresent(8)).toBe(true);
  expect(absent.makePresent(5)).toBe(true);
  expect(loaded).toEqual([8]);
  expect(memory.bytes[8 * PAGE_SIZE]).toBe(7);
  expect(absent.count).toBe(4);
});

test('a page that can not be had stays absent', () => {
  const { absent, source } = withSource(7, [6]);
  absent.withhold(source, 6, 2);
  expect(absent.makePresent(6)).toBe(false);
  expect(absent.isAbsent(6)).toBe(true);
  expect(absent.makePresent(7)).toBe(true);
});

test('what is forgotten is not loaded, and counts once', () => {
  const { absent, source, loaded } = withSource(7);
  absent.withhold(source, 0, 16);
  absent.withhold(source, 8, 16);
  expect(absent.count).toBe(24);
  absent.forget(4, 30);
  expect(absent.count).toBe(4);
  expect(absent.makePresent(10)).toBe(true);
  expect(loaded).toEqual([]);
});

test('there is one source at a time', () => {
  const { absent, source } = withSource(7);
  absent.withhold(source, 0, 1);
  expect(() => absent.withhold({ load: () => false }, 1, 1)).toThrow('one source');
  absent.forget(0, 1);
  absent.withhold({ load: () => false }, 1, 1);
  expect(absent.makePresent(1)).toBe(false);
});
