import { describe, expect, test } from 'vitest';
import { HypercallCode } from '../hvdef/hypercalls.ts';
import { HvStatus } from '../hvdef/status.ts';
import { Fixture } from './hypercall-fixture.ts';
import { memoryPoolHypercalls } from './hypercalls/memory-pool.ts';
import { partitionHypercalls } from './hypercalls/partition.ts';
import { ProximityDomains } from './proximity-domain.ts';

const ROOT = 1n;
/** Two nodes of 4 MiB; the IDs are any 32-bit values. */
const NEAR = 7n;
const FAR = 0xffff_fff0n;
const FAR_PAGE = 1024;
const proximity = [
  { id: Number(NEAR), firstPage: 0, pages: FAR_PAGE },
  { id: Number(FAR), firstPage: FAR_PAGE, pages: 1024 },
];
const required = (domain: bigint) => domain | (0x8000_0000n << 32n);
const preferred = (domain: bigint) => domain | (0x8000_0001n << 32n);
const domainOf = (gpn: bigint) => (gpn < FAR_PAGE ? NEAR : FAR);

function machine() {
  const fixture = new Fixture([...partitionHypercalls, ...memoryPoolHypercalls], { proximity });
  return {
    fixture,
    deposit: (partition: bigint, pages: bigint[]) =>
      fixture.call(HypercallCode.DepositMemory, [partition, ...pages], { reps: pages.length }).status,
    balance: (partition: bigint, domain: bigint) =>
      fixture.call(HypercallCode.GetMemoryBalance, [partition, domain], { outputWords: 2 }),
    withdraw: (partition: bigint, domain: bigint, pages: number) =>
      fixture.call(HypercallCode.WithdrawMemory, [partition, domain], { reps: pages, outputWords: pages }),
    create: (domain: bigint) => fixture.call(HypercallCode.CreatePartition, [0n, domain]),
  };
}

describe('HvGetMemoryBalance', () => {
  test('counts the named domain alone, or the whole pool', () => {
    const { deposit, balance } = machine();
    deposit(ROOT, [32n, 33n, 1100n]);
    expect(balance(ROOT, 0n).output).toEqual([3n, 0n]);
    expect(balance(ROOT, required(NEAR)).output).toEqual([2n, 0n]);
    expect(balance(ROOT, preferred(FAR)).output).toEqual([1n, 0n]);
  });

  test('refuses a required domain that does not exist; a preferred one means any', () => {
    const { deposit, balance } = machine();
    deposit(ROOT, [32n]);
    expect(balance(ROOT, required(0n)).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(balance(ROOT, preferred(0n)).output).toEqual([1n, 0n]);
    expect(balance(ROOT, 2n << 32n).status).toBe(HvStatus.INVALID_PARAMETER);
  });
});

describe('HvWithdrawMemory', () => {
  test('takes only pages of a required domain, and says so when they are gone', () => {
    const { deposit, withdraw } = machine();
    deposit(ROOT, [32n, 33n, 1100n]);
    const result = withdraw(ROOT, required(NEAR), 3);
    expect(result.status).toBe(HvStatus.NO_RESOURCES);
    expect(result.reps).toBe(2);
    expect(result.output.slice(0, 2).map(domainOf)).toEqual([NEAR, NEAR]);
  });

  test('takes pages of a preferred domain first, then others', () => {
    const { deposit, withdraw } = machine();
    deposit(ROOT, [32n, 1100n, 33n]);
    const result = withdraw(ROOT, preferred(FAR), 3);
    expect(result.status).toBe(HvStatus.SUCCESS);
    expect(result.output.map(domainOf)).toEqual([FAR, NEAR, NEAR]);
  });
});

describe('HvCreatePartition', () => {
  test("fails when the required domain has no page in the caller's pool, whatever others have", () => {
    const { deposit, create, balance } = machine();
    deposit(ROOT, [32n, 33n]);
    expect(create(required(FAR)).status).toBe(HvStatus.INSUFFICIENT_MEMORY);
    deposit(ROOT, [1100n]);
    expect(create(required(FAR)).status).toBe(HvStatus.SUCCESS);
    expect(balance(ROOT, required(FAR)).output).toEqual([0n, 1n]);
    expect(create(preferred(FAR)).status).toBe(HvStatus.SUCCESS);
    expect(balance(ROOT, required(NEAR)).output).toEqual([1n, 1n]);
  });

  test("decides where initialization draws the child's tables, preferentially", () => {
    const { fixture, deposit, create, balance } = machine();
    deposit(ROOT, [32n]);
    const child = create(preferred(FAR)).output[0];
    deposit(child, [40n, 1100n, 41n]);
    expect(fixture.call(HypercallCode.InitializePartition, [child]).status).toBe(HvStatus.SUCCESS);
    expect(balance(child, required(FAR)).output).toEqual([0n, 1n]);
    expect(balance(child, required(NEAR)).output).toEqual([2n, 0n]);
  });
});

test('a released page goes back to its own domain', () => {
  const { fixture, deposit, create, balance } = machine();
  deposit(ROOT, [32n, 1100n]);
  const child = create(required(FAR)).output[0];
  fixture.call(HypercallCode.DeletePartition, [child]);
  expect(balance(ROOT, required(FAR)).output).toEqual([1n, 0n]);
  expect(fixture.root.pool.account()).toEqual({
    totals: [
      { action: 'deposit', cause: 'deposit', pages: 2 },
      { action: 'draw', cause: 'partition', pages: 1 },
      { action: 'release', cause: 'partition', pages: 1 },
    ],
    domains: [
      { id: Number(NEAR), free: 1, inUse: 0 },
      { id: Number(FAR), free: 1, inUse: 0 },
    ],
  });
});

test('domains with a gap, with one ID twice or of the wrong size are refused', () => {
  const domains =
    (...list: [id: number, firstPage: number, pages: number][]) =>
    () =>
      new ProximityDomains(
        list.map(([id, firstPage, pages]) => ({ id, firstPage, pages })),
        100,
      );
  expect(domains([0, 0, 40], [1, 50, 50])).toThrow('follow one another');
  expect(domains([0, 0, 40], [0, 40, 60])).toThrow('one ID');
  expect(domains([0, 0, 40])).toThrow('end at page 40');
});
