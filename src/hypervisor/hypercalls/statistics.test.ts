import { expect, test } from 'vitest';
import { StatsObject } from '../../hvdef/statistics.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { Machine } from '../virtual-processor-fixture.ts';

const MAP = 0x6c;
const UNMAP = 0x6d;
const TARGET = 300n;
const SELF = 1n << 32n;
/** Architected counters lie behind the first header. */
const counter = (machine: Machine, index: number): number => {
  const { surface } = machine.booted;
  return Number(surface.memory.view.getBigUint64(surface.pageAddress(Number(TARGET)) + index * 8, true));
};
const map = (machine: Machine, type: number, low = 0n, high = 0n, gpn = TARGET) =>
  machine.call(MAP, [BigInt(type), low, high, gpn]).status;
const unmap = (machine: Machine, type: number, low = 0n, high = 0n) =>
  machine.call(UNMAP, [BigInt(type), low, high]).status;

test("the hypervisor's page counts processors, partitions and pages", () => {
  const machine = new Machine({ logicalProcessors: 2 });
  machine.start();
  expect(map(machine, StatsObject.Hypervisor)).toBe(HvStatus.SUCCESS);
  expect([counter(machine, 1), counter(machine, 2), counter(machine, 4)]).toEqual([2, 2, 2]);
});

test("a virtual processor's page follows what it does", () => {
  const machine = new Machine();
  const { processor } = machine.start();
  expect(map(machine, StatsObject.Vp, machine.childId)).toBe(HvStatus.SUCCESS);
  processor.script.push(
    () => 7,
    () => 7,
    () => 3,
  );
  machine.scheduler.runSlice(0);
  // Header, two counters, header: counter n of the second group is word 3 + n.
  expect([counter(machine, 3 + 13), counter(machine, 3 + 9)]).toEqual([2, 1]);
});

test('the page is read-only, and uncovers what lay below', () => {
  const machine = new Machine();
  const { root } = machine.booted.hypervisor;
  const { free } = root.pool;
  map(machine, StatsObject.Hypervisor);
  expect(root.translate(Number(TARGET), 0) >>> 24).toBe(1);
  expect(unmap(machine, StatsObject.Hypervisor)).toBe(HvStatus.SUCCESS);
  expect(root.translate(Number(TARGET), 0)).toBe(Number(TARGET) | (7 << 24));
  expect(root.pool.free).toBe(free);
});

test('the mapping goes with its object', () => {
  const machine = new Machine();
  machine.start();
  const { root } = machine.booted.hypervisor;
  const { free } = root.pool;
  map(machine, StatsObject.Vp, machine.childId);
  map(machine, StatsObject.Partition, machine.childId, 0n, TARGET + 1n);
  machine.call(0x4f, [machine.childId, 0n]);
  expect(root.translate(Number(TARGET), 0) >>> 24).toBe(7);
  machine.call(0x42, [machine.childId]);
  expect(root.translate(Number(TARGET) + 1, 0) >>> 24).toBe(7);
  expect(root.pool.free).toBe(free);
});

test('refusals, each by its row', () => {
  const machine = new Machine();
  machine.start();
  const { childId } = machine;
  expect(map(machine, 3)).toBe(HvStatus.INVALID_PARAMETER);
  expect(map(machine, StatsObject.Hypervisor, 1n)).toBe(HvStatus.INVALID_PARAMETER);
  expect(map(machine, StatsObject.LogicalProcessor, 1n)).toBe(HvStatus.INVALID_PARAMETER);
  expect(map(machine, StatsObject.Partition, 99n)).toBe(HvStatus.INVALID_PARTITION_ID);
  expect(map(machine, StatsObject.Partition, 1n)).toBe(HvStatus.ACCESS_DENIED);
  expect(map(machine, StatsObject.Partition, 1n, SELF)).toBe(HvStatus.SUCCESS);
  expect(map(machine, StatsObject.Partition, 1n, SELF)).toBe(HvStatus.OPERATION_DENIED);
  expect(map(machine, StatsObject.Partition, childId, 1n << 48n)).toBe(HvStatus.INVALID_PARAMETER);
  expect(map(machine, StatsObject.Vp, childId, 5n)).toBe(HvStatus.INVALID_VP_INDEX);
  expect(unmap(machine, StatsObject.Vp, childId)).toBe(HvStatus.OPERATION_DENIED);
  machine.call(0x42, [childId]);
  expect(map(machine, StatsObject.Partition, childId)).toBe(HvStatus.INVALID_PARTITION_STATE);
});
