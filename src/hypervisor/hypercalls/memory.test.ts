import { describe, expect, test } from 'vitest';
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { ALL_PRIVILEGES } from '../../hvdef/privileges.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { GPA_PAGE_LIMIT, PAGE_SIZE } from '../../hvdef/types.ts';
import { GPA_UNMAPPED, RIGHTS_SHIFT } from '../gpa-map.ts';
import { type CallOptions, Fixture } from '../hypercall-fixture.ts';
import type { Partition } from '../partition.ts';
import type { TraceEvent } from '../trace.ts';
import { memoryGpaHypercalls } from './memory-gpa.ts';
import { memoryPoolHypercalls } from './memory-pool.ts';
import { partitionHypercalls } from './partition.ts';

const ROOT = 1n;
const RW = 3n;
const RWX = 7n;

/** A machine with an active child whose pool has four free pages (40 to 43) and, with its top table, 44. */
class Pair {
  readonly fixture: Fixture;
  readonly id: bigint;
  readonly child: Partition;

  constructor(trace?: (event: TraceEvent) => void) {
    const handlers = [...partitionHypercalls, ...memoryPoolHypercalls, ...memoryGpaHypercalls];
    this.fixture = new Fixture(handlers, { trace });
    this.deposit(ROOT, [32n, 33n]);
    this.id = this.fixture.call(HypercallCode.CreatePartition, [0n, 0n]).output[0];
    this.child = this.fixture.partition(this.id);
    this.deposit(this.id, [44n]);
    this.fixture.call(HypercallCode.InitializePartition, [this.id]);
    this.deposit(this.id, [40n, 41n, 42n, 43n]);
  }

  deposit(id: bigint, pages: bigint[], options: CallOptions = {}): number {
    return this.fixture.call(HypercallCode.DepositMemory, [id, ...pages], { reps: pages.length, ...options })
      .status;
  }
  withdraw(id: bigint, count: number) {
    return this.fixture.call(HypercallCode.WithdrawMemory, [id, 0n], { reps: count, outputWords: count });
  }
  map(gpn: bigint, rights: bigint, pages: bigint[], id = this.id): number {
    return this.fixture.call(HypercallCode.MapGpaPages, [id, gpn, rights, ...pages], { reps: pages.length })
      .status;
  }
  unmap(gpn: bigint, count: number, id = this.id): number {
    return this.fixture.call(HypercallCode.UnmapGpaPages, [id, gpn], { reps: count }).status;
  }
  fill(spn: number): void {
    this.fixture.hypervisor.memory.bytes.fill(0xee, spn * PAGE_SIZE, (spn + 1) * PAGE_SIZE);
  }
}

const lookup = (partition: Partition, gpn: number) => {
  const mapping = partition.gpaMap.lookup(gpn);
  return mapping < 0 ? undefined : { spn: mapping & 0xff_ffff, rights: mapping >>> RIGHTS_SHIFT };
};

describe('HvDepositMemory', () => {
  test("takes the page out of the depositor's reach and forbids changing its mapping", () => {
    const pair = new Pair();
    expect(lookup(pair.fixture.root, 40)).toEqual({ spn: 40, rights: 0 });
    expect(pair.map(40n, RWX, [40n], ROOT)).toBe(HvStatus.OBJECT_IN_USE);
  });

  test('refuses a page twice, one that is unmapped or off limits, and one with fewer rights', () => {
    const pair = new Pair();
    expect(pair.deposit(pair.id, [40n])).toBe(HvStatus.OPERATION_DENIED);
    expect(pair.deposit(pair.id, [BigInt(pair.fixture.hypervisor.reservedStart)])).toBe(
      HvStatus.OPERATION_DENIED,
    );
    expect(pair.deposit(pair.id, [2n ** 60n])).toBe(HvStatus.OPERATION_DENIED);
    expect(pair.map(50n, RW, [50n], ROOT)).toBe(HvStatus.SUCCESS);
    expect(pair.deposit(pair.id, [50n])).toBe(HvStatus.OPERATION_DENIED);
    expect(pair.deposit(pair.id, [0n])).toBe(HvStatus.OBJECT_IN_USE);
  });

  test("refuses a page that a child can access, and takes it once the child can't", () => {
    const pair = new Pair();
    expect(pair.map(7n, 1n, [60n])).toBe(HvStatus.SUCCESS);
    expect(pair.deposit(pair.id, [60n])).toBe(HvStatus.OPERATION_DENIED);
    expect(pair.map(7n, 0n, [60n])).toBe(HvStatus.SUCCESS);
    expect(pair.deposit(pair.id, [60n])).toBe(HvStatus.SUCCESS);
    expect(pair.map(7n, RWX, [60n])).toBe(HvStatus.OPERATION_DENIED);
    expect(pair.unmap(7n, 1)).toBe(HvStatus.OBJECT_IN_USE);
  });

  test('is for the parent, and for the root on itself', () => {
    const pair = new Pair();
    expect(pair.deposit(999n, [60n])).toBe(HvStatus.INVALID_PARTITION_ID);
    pair.child.privileges = ALL_PRIVILEGES;
    expect(pair.map(1n, RWX, [61n, 62n, 63n])).toBe(HvStatus.SUCCESS);
    expect(pair.deposit(pair.id, [3n], { caller: pair.child })).toBe(HvStatus.ACCESS_DENIED);
    expect(pair.deposit(ROOT, [3n], { caller: pair.child })).toBe(HvStatus.ACCESS_DENIED);
  });

  test('by a child that is a parent needs the root to have given up its rights', () => {
    const pair = new Pair();
    pair.child.privileges = ALL_PRIVILEGES;
    pair.map(1n, RWX, [61n, 62n, 63n, 64n]);
    const caller = pair.child;
    const grandchild = pair.fixture.call(HypercallCode.CreatePartition, [0n, 0n], { caller }).output[0];
    expect(pair.deposit(grandchild, [3n], { caller })).toBe(HvStatus.OPERATION_DENIED);
    expect(pair.map(63n, 0n, [63n], ROOT)).toBe(HvStatus.SUCCESS);
    expect(pair.deposit(grandchild, [3n], { caller })).toBe(HvStatus.SUCCESS);
    expect(pair.map(3n, RWX, [65n])).toBe(HvStatus.OBJECT_IN_USE);
    const back = pair.fixture.call(HypercallCode.WithdrawMemory, [grandchild, 0n], { caller, reps: 1 });
    expect(back).toMatchObject({ status: HvStatus.SUCCESS, output: [3n] });
    expect(lookup(caller, 3)).toEqual({ spn: 63, rights: 7 });
    expect(lookup(pair.fixture.root, 63)).toEqual({ spn: 63, rights: 0 });
  });
});

describe('HvWithdrawMemory', () => {
  test('returns pages zeroed, accessible, under the GPA they were deposited with', () => {
    const pair = new Pair();
    pair.fill(50);
    pair.deposit(pair.id, [50n]);
    expect(pair.withdraw(pair.id, 1).output).toEqual([50n]);
    expect(lookup(pair.fixture.root, 50)).toEqual({ spn: 50, rights: 7 });
    const page = pair.fixture.hypervisor.memory.bytes.subarray(50 * PAGE_SIZE, 51 * PAGE_SIZE);
    expect(page.every((byte) => byte === 0)).toBe(true);
  });

  test('ends with NO_RESOURCES and the count where only used pages are left', () => {
    const pair = new Pair();
    expect(pair.withdraw(pair.id, 5)).toMatchObject({ status: HvStatus.NO_RESOURCES, reps: 4 });
    expect(
      pair.fixture.call(HypercallCode.GetMemoryBalance, [pair.id, 0n], { outputWords: 2 }).output,
    ).toEqual([0n, 1n]);
  });
});

describe('HvMapGpaPages', () => {
  test('maps with the rights asked for; illegal combinations and unknown flags are refused', () => {
    const pair = new Pair();
    for (const flags of [0n, 1n, 3n, 5n, 7n]) {
      expect(pair.map(8n, flags, [70n])).toBe(HvStatus.SUCCESS);
      expect(lookup(pair.child, 8)).toEqual({ spn: 70, rights: Number(flags) });
    }
    for (const flags of [2n, 4n, 6n, 8n, 0x8000_0001n]) {
      expect(pair.map(8n, flags, [70n])).toBe(HvStatus.INVALID_PARAMETER);
    }
  });

  test('does what stands before a page that it refuses, wherever that is in the list, and counts it', () => {
    const pair = new Pair();
    const list = [70n, 71n, 90n, 40n, 72n];
    const result = pair.fixture.call(HypercallCode.MapGpaPages, [pair.id, 8n, RWX, ...list], { reps: 5 });
    expect(result).toMatchObject({ status: HvStatus.OPERATION_DENIED, reps: 3 });
    expect([8, 9, 10, 11].map((gpn) => lookup(pair.child, gpn)?.spn)).toEqual([70, 71, 90, undefined]);
    const { spaPages } = pair.fixture.hypervisor;
    expect([70, 71, 90, 40, 72].map((spn) => spaPages.accessibleMappings(spn))).toEqual([1, 1, 1, 0, 0]);
  });

  test('a page that is listed again is counted again, and a superseded one no more', () => {
    const pair = new Pair();
    expect(pair.map(8n, RWX, [70n, 70n, 70n])).toBe(HvStatus.SUCCESS);
    expect(pair.map(9n, 0n, [71n])).toBe(HvStatus.SUCCESS);
    const { spaPages } = pair.fixture.hypervisor;
    expect([70, 71].map((spn) => spaPages.accessibleMappings(spn))).toEqual([2, 0]);
  });

  test("draws tables from the target's pool, and says so when it is empty", () => {
    const pair = new Pair();
    pair.withdraw(pair.id, 4);
    expect(pair.map(0n, RWX, [70n])).toBe(HvStatus.INSUFFICIENT_MEMORY);
    pair.deposit(pair.id, [40n, 41n]);
    expect(pair.map(0n, RWX, [70n])).toBe(HvStatus.SUCCESS);
    expect(pair.child.pool.inspect()).toMatchObject({ free: 0, causes: { 'gpa-map': 3 } });
    expect(pair.map(512n, RWX, [71n])).toBe(HvStatus.INSUFFICIENT_MEMORY);
  });

  test('a page can be mapped twice', () => {
    const pair = new Pair();
    expect(pair.map(0n, RWX, [70n, 70n])).toBe(HvStatus.SUCCESS);
    expect(lookup(pair.child, 0)).toEqual(lookup(pair.child, 1));
  });

  test('addresses outside either space are INVALID_PARAMETER, unmapped sources OPERATION_DENIED', () => {
    const pair = new Pair();
    expect(pair.map(BigInt(GPA_PAGE_LIMIT), RWX, [70n])).toBe(HvStatus.INVALID_PARAMETER);
    expect(pair.map(0n, RWX, [2n ** 63n])).toBe(HvStatus.INVALID_PARAMETER);
    expect(pair.map(0n, RWX, [BigInt(pair.fixture.hypervisor.reservedStart)])).toBe(
      HvStatus.OPERATION_DENIED,
    );
    expect(pair.map(0n, RWX, [40n])).toBe(HvStatus.OPERATION_DENIED);
  });

  test('the root changes only its rights on itself', () => {
    const pair = new Pair();
    expect(pair.map(70n, 1n, [70n, 71n], ROOT)).toBe(HvStatus.SUCCESS);
    expect(lookup(pair.fixture.root, 71)).toEqual({ spn: 71, rights: 1 });
    expect(pair.map(70n, RWX, [71n], ROOT)).toBe(HvStatus.ACCESS_DENIED);
    expect(pair.unmap(70n, 1, ROOT)).toBe(HvStatus.ACCESS_DENIED);
  });

  test('needs an active partition', () => {
    const pair = new Pair();
    pair.fixture.call(HypercallCode.FinalizePartition, [pair.id]);
    expect(pair.map(0n, RWX, [70n])).toBe(HvStatus.INVALID_PARTITION_STATE);
    expect(pair.unmap(0n, 1)).toBe(HvStatus.INVALID_PARTITION_STATE);
  });

  test('shows in the trace as ranges', () => {
    const events: TraceEvent[] = [];
    const pair = new Pair((event) => events.push(event));
    pair.map(0n, RWX, [70n, 71n, 90n]);
    pair.unmap(1n, 4);
    expect(events.filter((event) => event.kind === 'mapping')).toMatchObject([
      { gpn: 0, pages: 2, spn: 70, rights: 'RWX' },
      { gpn: 2, pages: 1, spn: 90, rights: 'RWX' },
      { gpn: 1, pages: 2, rights: 'unmapped' },
    ]);
  });

  test('sparse mappings name each page', () => {
    const pair = new Pair();
    const input = [pair.id, RW, 5n, 70n, 300n, 71n];
    expect(pair.fixture.call(HypercallCode.MapSparseGpaPages, input, { reps: 2 }).status).toBe(
      HvStatus.SUCCESS,
    );
    expect(lookup(pair.child, 300)).toEqual({ spn: 71, rights: 3 });
    expect(lookup(pair.child, 6)).toBeUndefined();
  });
});

describe('HvUnmapGpaPages', () => {
  test('unmaps, ignores what is unmapped already, and minds the bounds', () => {
    const pair = new Pair();
    pair.map(3n, RWX, [70n]);
    expect(pair.unmap(0n, 10)).toBe(HvStatus.SUCCESS);
    expect(pair.child.gpaMap.lookup(3)).toBe(GPA_UNMAPPED);
    expect(pair.child.gpaMap.pagesMapped).toBe(0);
    expect(pair.unmap(BigInt(GPA_PAGE_LIMIT - 1), 2)).toBe(HvStatus.INVALID_PARAMETER);
  });

  test('makes the virtual processors forget translations once per call, and mapping fresh pages does not', () => {
    const pair = new Pair();
    let flushes = 0;
    pair.child.virtualProcessors.set(0, {
      index: 0,
      partition: pair.child,
      processor: undefined,
      parts: undefined as never,
      flushTlb: () => void flushes++,
      flushVirtual: () => {},
      release: () => {},
    });
    pair.map(0n, RWX, [70n, 71n]);
    expect(flushes).toBe(0);
    pair.unmap(0n, 2);
    expect(flushes).toBe(1);
  });
});
