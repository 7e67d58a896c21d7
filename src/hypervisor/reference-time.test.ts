import { describe, expect, test } from 'vitest';
import { ReferenceTime } from './reference-time.ts';
import { ReferenceTscPage, tscScale } from './reference-tsc-page.ts';
import { FakePool } from './synic-fixture.ts';

describe('reference time', () => {
  test('starts at zero and counts 100 ns units', () => {
    let host = 5000.25;
    const time = new ReferenceTime(() => host);
    expect(time.count()).toBe(0);
    host += 12.5;
    expect(time.count()).toBe(12);
    expect(time.readTsc()).toBe(1250);
  });

  test('two reads never give the same value', () => {
    const time = new ReferenceTime(() => 7);
    expect([time.read(), time.read(), time.read()]).toEqual([0, 1, 2]);
  });

  test('stands still while frozen and goes on where it stopped', () => {
    let host = 0;
    const time = new ReferenceTime(() => host);
    host = 100;
    time.freeze();
    host = 900;
    expect(time.count()).toBe(100);
    time.resume();
    expect(time.count()).toBe(100);
    host = 950;
    expect(time.count()).toBe(150);
  });

  test('a restored counter takes the TSC along', () => {
    const time = new ReferenceTime(() => 40);
    time.restore(1_000_000);
    expect(time.count()).toBe(1_000_000);
    expect(time.readTsc()).toBe(100_000_000);
  });
});

describe('reference TSC page', () => {
  const guestReads = (pool: FakePool, spn: number, tsc: bigint): bigint => {
    const scale = pool.memory.view.getBigUint64(spn * 4096 + 8, true);
    return ((tsc * scale) >> 64n) + pool.memory.view.getBigInt64(spn * 4096 + 16, true);
  };

  test("the guest's product is exactly the reference counter", () => {
    const pool = new FakePool();
    const page = ReferenceTscPage.create(pool)!;
    for (const tsc of [0, 99, 100, 101, 123_456_789_099, 2 ** 52 + 99, 2 ** 53 - 1]) {
      expect(guestReads(pool, page.register.spn, BigInt(tsc))).toBe(BigInt(Math.floor(tsc / 100)));
    }
    expect(tscScale(100)).toBe((1n << 64n) / 100n + 1n);
  });

  test('is placed by its register and starts with a valid sequence', () => {
    const pool = new FakePool();
    const page = ReferenceTscPage.create(pool)!;
    page.register.write(0x5001, 0);
    expect(pool.placed.get('reference-tsc')).toBe(5);
    expect(pool.memory.view.getUint32(page.register.address, true)).toBe(1);
    page.register.write(0x5000, 0);
    expect(pool.placed.size).toBe(0);
  });

  test('a new scale changes the sequence, invalidation zeroes it', () => {
    const pool = new FakePool();
    const page = ReferenceTscPage.create(pool)!;
    page.update(tscScale(250), -7n);
    expect(pool.memory.view.getUint32(page.register.address, true)).toBe(2);
    expect(guestReads(pool, page.register.spn, 2500n)).toBe(3n);
    page.invalidate();
    expect(pool.memory.view.getUint32(page.register.address, true)).toBe(0);
  });
});
