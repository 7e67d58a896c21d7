import { describe, expect, test } from 'vitest';
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { PartitionProperty } from '../../hvdef/partition-property.ts';
import { ALL_PRIVILEGES, DEFAULT_CHILD_PRIVILEGES } from '../../hvdef/privileges.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { Fixture } from '../hypercall-fixture.ts';
import { memoryGpaHypercalls } from './memory-gpa.ts';
import { memoryPoolHypercalls } from './memory-pool.ts';
import { partitionHypercalls } from './partition.ts';

const ROOT = 1n;

function machine(): Fixture {
  return new Fixture([...partitionHypercalls, ...memoryPoolHypercalls, ...memoryGpaHypercalls]);
}

function deposit(fixture: Fixture, id: bigint, pages: bigint[]): void {
  const result = fixture.call(HypercallCode.DepositMemory, [id, ...pages], { reps: pages.length });
  expect(result.status).toBe(HvStatus.SUCCESS);
}

/** A machine with one child in the given state; the root's pool has pages 32 to 39, the child's 40 to 47. */
function withChild(state: 'uninitialized' | 'active' | 'finalized'): { fixture: Fixture; child: bigint } {
  const fixture = machine();
  deposit(fixture, ROOT, [32n, 33n, 34n, 35n, 36n, 37n, 38n, 39n]);
  const child = fixture.call(HypercallCode.CreatePartition, [0n, 0n]).output[0];
  if (state === 'uninitialized') return { fixture, child };
  deposit(fixture, child, [40n, 41n, 42n, 43n, 44n, 45n, 46n, 47n]);
  expect(fixture.call(HypercallCode.InitializePartition, [child]).status).toBe(HvStatus.SUCCESS);
  if (state === 'finalized') expect(fixture.call(HypercallCode.FinalizePartition, [child]).status).toBe(0);
  return { fixture, child };
}

describe('HvCreatePartition', () => {
  test('takes its memory from the creator: an empty pool is INSUFFICIENT_MEMORY, a deposit repairs it', () => {
    const fixture = machine();
    expect(fixture.call(HypercallCode.CreatePartition, [0n, 0n]).status).toBe(HvStatus.INSUFFICIENT_MEMORY);
    deposit(fixture, ROOT, [32n]);
    const result = fixture.call(HypercallCode.CreatePartition, [0n, 0n]);
    expect(result.status).toBe(HvStatus.SUCCESS);
    expect(fixture.partition(result.output[0]).state).toBe('uninitialized');
    expect(fixture.root.pool.inspect()).toEqual({ free: 0, inUse: 1, causes: { partition: 1 } });
  });

  test('refuses flags and a proximity domain that does not exist', () => {
    const fixture = machine();
    const required = (domain: bigint) => domain | (0x8000_0000n << 32n);
    expect(fixture.call(HypercallCode.CreatePartition, [1n, 0n]).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(fixture.call(HypercallCode.CreatePartition, [0n, required(1n)]).status).toBe(
      HvStatus.INVALID_PARAMETER,
    );
    expect(fixture.call(HypercallCode.CreatePartition, [0n, 2n << 32n]).status).toBe(
      HvStatus.INVALID_PARAMETER,
    );
    expect(fixture.call(HypercallCode.CreatePartition, [0n, required(0n)]).status).toBe(
      HvStatus.INSUFFICIENT_MEMORY,
    );
  });

  test('needs the privilege', () => {
    const { fixture, child } = withChild('active');
    const caller = fixture.partition(child);
    expect(fixture.call(HypercallCode.CreatePartition, [0n, 0n], { caller }).status).toBe(
      HvStatus.ACCESS_DENIED,
    );
  });
});

describe('the life of a partition', () => {
  test('initialization needs memory in its own pool', () => {
    const { fixture, child } = withChild('uninitialized');
    const initialize = () => fixture.call(HypercallCode.InitializePartition, [child]).status;
    expect(initialize()).toBe(HvStatus.INSUFFICIENT_MEMORY);
    deposit(fixture, child, [40n]);
    expect(initialize()).toBe(HvStatus.SUCCESS);
    expect(initialize()).toBe(HvStatus.INVALID_PARTITION_STATE);
  });

  test('an uninitialized partition can be deleted at once, and its ID then names nobody', () => {
    const { fixture, child } = withChild('uninitialized');
    const free = fixture.root.pool.free;
    expect(fixture.call(HypercallCode.DeletePartition, [child]).status).toBe(HvStatus.SUCCESS);
    expect(fixture.root.pool.free).toBe(free + 1);
    expect(fixture.call(HypercallCode.DeletePartition, [child]).status).toBe(HvStatus.INVALID_PARTITION_ID);
  });

  test('an active partition is finalized, drained, and only then deleted', () => {
    const { fixture, child } = withChild('active');
    const code = HypercallCode;
    expect(fixture.call(code.DeletePartition, [child]).status).toBe(HvStatus.INVALID_PARTITION_STATE);
    expect(fixture.call(code.MapGpaPages, [child, 0n, 7n, 100n, 101n], { reps: 2 }).status).toBe(0);
    expect(fixture.call(code.FinalizePartition, [child]).status).toBe(HvStatus.SUCCESS);
    expect(fixture.partition(child).pool.inspect()).toMatchObject({ inUse: 0, free: 8 });
    expect(fixture.call(code.FinalizePartition, [child]).status).toBe(HvStatus.INVALID_PARTITION_STATE);
    expect(fixture.call(code.DeletePartition, [child]).status).toBe(HvStatus.OPERATION_DENIED);
    const withdrawn = fixture.call(code.WithdrawMemory, [child, 0n], { reps: 8, outputWords: 8 });
    expect(withdrawn.reps).toBe(8);
    expect([...withdrawn.output].sort()).toEqual([40n, 41n, 42n, 43n, 44n, 45n, 46n, 47n]);
    expect(fixture.call(code.DeletePartition, [child]).status).toBe(HvStatus.SUCCESS);
  });

  test('finalization that runs out of time shows "finalizing" and ends by continuation', () => {
    let now = 0;
    let step = 0;
    const fixture = new Fixture([...partitionHypercalls, ...memoryPoolHypercalls, ...memoryGpaHypercalls], {
      clock: () => (now += step),
    });
    deposit(fixture, ROOT, [32n]);
    const child = fixture.call(HypercallCode.CreatePartition, [0n, 0n]).output[0];
    deposit(fixture, child, [40n, 41n, 42n, 43n]);
    fixture.call(HypercallCode.InitializePartition, [child]);
    fixture.call(HypercallCode.MapGpaPages, [child, 0n, 7n, 100n], { reps: 1 });
    step = 1000;
    expect(fixture.call(HypercallCode.FinalizePartition, [child]).status).toBe(HvStatus.SUCCESS);
    expect(fixture.partition(child).state).toBe('finalized');
    expect(fixture.partition(child).pool.inUse).toBe(0);
  });

  test("the root is nobody's child", () => {
    const fixture = machine();
    for (const code of [0x41, 0x42, 0x43])
      expect(fixture.call(code, [ROOT]).status).toBe(HvStatus.ACCESS_DENIED);
  });

  test('a partition with children cannot be finalized', () => {
    const { fixture, child } = withChild('active');
    const parent = fixture.partition(child);
    parent.privileges = ALL_PRIVILEGES;
    fixture.call(HypercallCode.MapGpaPages, [child, 1n, 7n, 101n, 102n], { reps: 2 });
    expect(fixture.call(HypercallCode.CreatePartition, [0n, 0n], { caller: parent }).status).toBe(0);
    expect(fixture.call(HypercallCode.FinalizePartition, [child]).status).toBe(HvStatus.OPERATION_DENIED);
  });
});

describe('partition properties', () => {
  const get = (fixture: Fixture, id: bigint, code: number) =>
    fixture.call(HypercallCode.GetPartitionProperty, [id, BigInt(code)]);
  const set = (fixture: Fixture, id: bigint, code: number, value: bigint) =>
    fixture.call(HypercallCode.SetPartitionProperty, [id, BigInt(code), value]).status;

  test('a child starts with the default privileges and gets what its parent sets', () => {
    const { fixture, child } = withChild('active');
    expect(get(fixture, child, PartitionProperty.PrivilegeFlags).output[0]).toBe(DEFAULT_CHILD_PRIVILEGES);
    const wanted = DEFAULT_CHILD_PRIVILEGES | (1n << 9n) | (1n << 36n);
    expect(set(fixture, child, PartitionProperty.PrivilegeFlags, wanted)).toBe(HvStatus.SUCCESS);
    expect(fixture.partition(child).privileges).toBe(wanted);
  });

  test("reserved privilege bits, root-only privileges and the root's own are refused", () => {
    const { fixture, child } = withChild('active');
    const code = PartitionProperty.PrivilegeFlags;
    expect(set(fixture, child, code, 1n << 31n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(set(fixture, child, code, 1n << 44n)).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE);
    expect(set(fixture, ROOT, code, 0n)).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE);
  });

  test('the reserve stays below the cap and the weight in its range', () => {
    const { fixture, child } = withChild('active');
    expect(set(fixture, child, PartitionProperty.CpuCap, 0x8000n)).toBe(HvStatus.SUCCESS);
    expect(set(fixture, child, PartitionProperty.CpuReserve, 0x8001n)).toBe(
      HvStatus.PROPERTY_VALUE_OUT_OF_RANGE,
    );
    expect(set(fixture, child, PartitionProperty.CpuWeight, 0n)).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE);
    expect(set(fixture, child, PartitionProperty.CpuWeight, 10_000n)).toBe(HvStatus.SUCCESS);
  });

  test('a debug channel belongs to one partition', () => {
    const { fixture, child } = withChild('active');
    expect(set(fixture, ROOT, PartitionProperty.DebugChannelId, 5n)).toBe(HvStatus.SUCCESS);
    expect(set(fixture, child, PartitionProperty.DebugChannelId, 5n)).toBe(HvStatus.OBJECT_IN_USE);
  });

  test('an unknown property, a finalized partition and a stranger are told apart', () => {
    const { fixture, child } = withChild('finalized');
    expect(get(fixture, child, PartitionProperty.CpuCap).status).toBe(HvStatus.INVALID_PARTITION_STATE);
    expect(get(fixture, ROOT, 0x99).status).toBe(HvStatus.UNKNOWN_PROPERTY);
    expect(get(fixture, 77n, PartitionProperty.CpuCap).status).toBe(HvStatus.INVALID_PARTITION_ID);
  });
});

describe('enumeration', () => {
  test('children come in the order of their creation, then the invalid ID', () => {
    const { fixture, child } = withChild('active');
    const second = fixture.call(HypercallCode.CreatePartition, [0n, 0n]).output[0];
    const next = (previous: bigint) => fixture.call(HypercallCode.GetNextChildPartition, [ROOT, previous]);
    expect(next(0n).output[0]).toBe(child);
    expect(next(child).output[0]).toBe(second);
    expect(next(second).output[0]).toBe(0n);
    expect(next(99n).status).toBe(HvStatus.INVALID_PARTITION_ID);
  });

  test("HvGetPartitionId answers the caller's own", () => {
    expect(machine().call(HypercallCode.GetPartitionId, []).output[0]).toBe(ROOT);
  });
});
