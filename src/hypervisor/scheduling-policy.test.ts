import { expect, test } from 'vitest';
import { PartitionProperty } from '../hvdef/partition-property.ts';
import type { Partition } from './partition.ts';
import { SchedulingPolicy, WINDOW } from './scheduling-policy.ts';

const TURN = 10_000;

interface Settings {
  weight?: number;
  cap?: number;
  reserve?: number;
}
function vp({ weight = 100, cap = 1, reserve = 0 }: Settings): { partition: Partition; time: number } {
  const values = new Map<number, bigint>([
    [PartitionProperty.CpuWeight, BigInt(weight)],
    [PartitionProperty.CpuCap, BigInt(cap * 0x1_0000)],
    [PartitionProperty.CpuReserve, BigInt(reserve * 0x1_0000)],
  ]);
  return { partition: { property: (code: number) => values.get(code) } as unknown as Partition, time: 0 };
}

/** Shares of one logical processor's time after `turns` turns. */
function shares(settings: readonly Settings[], turns = 5000): number[] {
  const policy = new SchedulingPolicy();
  const all = settings.map(vp);
  let now = 0;
  for (let turn = 0; turn < turns; turn++) {
    const ready = all.filter((each) => policy.mayRun(each, now));
    const chosen = ready.length > 0 ? policy.choose(ready, now) : undefined;
    now += TURN;
    if (chosen === undefined) continue;
    chosen.time += TURN;
    policy.ran(chosen, TURN, now);
  }
  return all.map((each) => Math.round((each.time / now) * 100));
}

test('weights of 100, 200 and 700 give 10, 20 and 70 percent (§18.2.3)', () => {
  expect(shares([{ weight: 100 }, { weight: 200 }, { weight: 700 }])).toEqual([10, 20, 70]);
});

test('a cap holds, even when nobody else runs', () => {
  expect(shares([{ cap: 0.5 }])).toEqual([50]);
  expect(shares([{ cap: 0.25, weight: 10_000 }, {}])).toEqual([25, 75]);
});

test('a reserve holds against any weight', () => {
  expect(shares([{ reserve: 0.5, weight: 1 }, { weight: 10_000 }])).toEqual([50, 50]);
});

test('one that slept does not run alone to make up for it', () => {
  const policy = new SchedulingPolicy();
  const [busy, sleeper] = [vp({}), vp({})];
  let now = 0;
  for (; now < 100 * TURN; now += TURN) policy.ran(busy, TURN, now);
  policy.woke(sleeper, [busy, sleeper], now);
  let runs = 0;
  for (let turn = 0; turn < 20; turn++) {
    const chosen = policy.choose([busy, sleeper], now);
    if (chosen === sleeper) runs++;
    now += TURN;
    policy.ran(chosen, TURN, now);
  }
  expect(runs).toBe(10);
  expect(policy.windowEnd(1)).toBe(WINDOW);
});
