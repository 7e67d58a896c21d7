import { expect, test } from 'vitest';
import { GPA_PAGE_LIMIT } from '../hvdef/types.ts';
import { ChildGpaMap } from './child-gpa-map.ts';
import { GPA_UNMAPPED, RIGHTS_SHIFT } from './gpa-map.ts';
import { Fixture } from './hypercall-fixture.ts';
import { MemoryPool } from './memory-pool.ts';

const RWX = 7;
/** Where the tests write lists of pages. */
const LIST = 8192;

interface MapFixture {
  map: ChildGpaMap;
  pool: MemoryPool;
  fixture: Fixture;
}

function makeMap(pages: number): MapFixture {
  const fixture = new Fixture([], { memoryBytes: 16 * 2 ** 20 });
  const pool = new MemoryPool(fixture.hypervisor, 9);
  for (let page = 0; page < pages; page++) pool.deposit(64 + page, 64 + page, 1);
  const map = new ChildGpaMap(fixture.hypervisor, pool);
  expect(map.allocate()).toBe(pages > 0);
  return { map, pool, fixture };
}

function mapRange({ map, fixture }: MapFixture, gpn: number, spn: number, count: number, rights = RWX): void {
  const { words } = fixture.hypervisor.memory;
  for (let done = 0; done < count; ) {
    for (let page = 0; page < count - done; page++) words.set([spn + done + page, 0], (LIST + 8 * page) / 4);
    const mapped = map.map(gpn + done, { address: LIST, step: 8, count: count - done }, rights);
    expect(mapped).toBeGreaterThan(0);
    done += mapped;
  }
}

test('the last page of the GPA space can be mapped, and nothing is found beyond it', () => {
  const made = makeMap(4);
  const { map } = made;
  mapRange(made, GPA_PAGE_LIMIT - 1, 200, 1);
  expect(map.lookup(GPA_PAGE_LIMIT - 1)).toBe(200 | (RWX << RIGHTS_SHIFT));
  expect(map.lookup(GPA_PAGE_LIMIT)).toBe(GPA_UNMAPPED);
  expect(map.lookup(-1)).toBe(GPA_UNMAPPED);
});

test('512 pages aligned alike become one large mapping, and any change takes it apart without memory', () => {
  const made = makeMap(3);
  const { map, pool } = made;
  mapRange(made, 1024, 2048, 512);
  expect(map.isLarge(1024)).toBe(true);
  expect(map.lookup(1024 + 77)).toBe((2048 + 77) | (RWX << RIGHTS_SHIFT));
  expect(pool.free).toBe(0);
  map.unmap(1100, 1);
  expect(map.isLarge(1024)).toBe(false);
  expect(map.lookup(1100)).toBe(GPA_UNMAPPED);
  expect(map.lookup(1101)).toBe(2125 | (RWX << RIGHTS_SHIFT));
  expect(map.pagesMapped).toBe(511);
});

test('pages with other rights, or another alignment, stay small', () => {
  const made = makeMap(4);
  const { map } = made;
  mapRange(made, 0, 1024, 100);
  mapRange(made, 100, 1124, 412, 1);
  expect(map.isLarge(0)).toBe(false);
  mapRange(made, 512, 1025, 512);
  expect(map.isLarge(512)).toBe(false);
});

test('ranges are contiguous runs with equal rights', () => {
  const made = makeMap(5);
  const { map } = made;
  mapRange(made, 10, 300, 3);
  mapRange(made, 13, 303, 2, 1);
  mapRange(made, 600, 305, 1);
  expect([...map.ranges()]).toEqual([
    { gpn: 10, pages: 3, spn: 300, rights: 7 },
    { gpn: 13, pages: 2, spn: 303, rights: 1 },
    { gpn: 600, pages: 1, spn: 305, rights: 7 },
  ]);
});

test('release returns every table and forgets every mapping', () => {
  const made = makeMap(6);
  const { map, pool, fixture } = made;
  mapRange(made, 0, 300, 5);
  mapRange(made, 600, 300, 1);
  expect(fixture.hypervisor.spaPages.accessibleMappings(300)).toBe(2);
  for (let step = 0; map.releaseNext(); step++) expect(step).toBeLessThan(100);
  expect(pool.inspect()).toEqual({ free: 6, inUse: 0, causes: {} });
  expect(map.pagesMapped).toBe(0);
  expect(fixture.hypervisor.spaPages.accessibleMappings(300)).toBe(0);
  expect(map.lookup(0)).toBe(GPA_UNMAPPED);
});
