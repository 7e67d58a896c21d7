import { expect, test } from 'vitest';
import { HypercallPage } from './hypercall-page.ts';
import { FakePool } from './synic-fixture.ts';

const ENABLE_AT_9 = 0x9001;

function identified(pool: FakePool, flavour: 'intel' | 'amd' = 'intel'): HypercallPage {
  const page = HypercallPage.create(pool, flavour)!;
  page.writeGuestOsId(0x1234, 0x8100_0000);
  return page;
}

test('the enable bit stays zero until the guest told its identity', () => {
  const pool = new FakePool();
  const page = HypercallPage.create(pool, 'intel')!;
  expect(page.write(ENABLE_AT_9, 0)).toBe(true);
  expect(page.enabled).toBe(false);
  page.writeGuestOsId(0, 1);
  page.write(ENABLE_AT_9, 0);
  expect(pool.placed.get('hypercall-page')).toBe(9);
});

test('clearing the identity disables the page', () => {
  const pool = new FakePool();
  const page = identified(pool);
  page.write(ENABLE_AT_9, 0);
  page.writeGuestOsId(0, 0);
  expect(page.enabled).toBe(false);
  expect(pool.placed.size).toBe(0);
});

test('holds the entry instruction of the vendor and a near return', () => {
  const pool = new FakePool();
  const code = (page: HypercallPage) => [
    ...pool.memory.bytes.subarray(page.register.address, page.register.address + 4),
  ];
  expect(code(identified(pool))).toEqual([0x0f, 0x01, 0xc1, 0xc3]);
  expect(code(identified(pool, 'amd'))).toEqual([0x0f, 0x01, 0xd9, 0xc3]);
});

test('a page beyond the GPA space is refused and the old place stays', () => {
  const pool = new FakePool();
  const page = identified(pool);
  page.write(ENABLE_AT_9, 0);
  expect(page.write(1, 0x1000)).toBe(false);
  expect(page.register.low).toBe(ENABLE_AT_9);
  expect(pool.placed.get('hypercall-page')).toBe(9);
});

test('the locked bit makes the register immutable until reset', () => {
  const pool = new FakePool();
  const page = identified(pool);
  page.write(ENABLE_AT_9 | 2, 0);
  page.write(0xa001, 0);
  expect(pool.placed.get('hypercall-page')).toBe(9);
  page.reset();
  expect(page.enabled).toBe(false);
  page.writeGuestOsId(1, 1);
  page.write(0xa001, 0);
  expect(pool.placed.get('hypercall-page')).toBe(10);
});

test('an empty pool gives no page', () => {
  expect(HypercallPage.create(new FakePool(0), 'intel')).toBeUndefined();
});
