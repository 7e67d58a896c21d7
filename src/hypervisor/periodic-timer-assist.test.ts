import { expect, test } from 'vitest';
import { PartitionProperty } from '../hvdef/partition-property.ts';
import { Machine } from './virtual-processor-fixture.ts';

const VECTOR = 0x60n;
const ENABLED = 1n << 12n;
const PERIOD = 10_000n;

function assisted(): { machine: Machine; ticks: () => number } {
  const machine = new Machine();
  const { vp } = machine.start();
  vp.localApic.writeSpurious(0x1ff);
  set(machine, PartitionProperty.EmulatedTimerPeriod, PERIOD);
  set(machine, PartitionProperty.EmulatedTimerControl, VECTOR | ENABLED);
  const ticks = () => {
    const due = vp.localApic.irr.has(Number(VECTOR)) ? 1 : 0;
    vp.localApic.irr.clear();
    return due;
  };
  return { machine, ticks };
}
const set = (machine: Machine, code: number, value: bigint): number =>
  machine.call(0x45, [machine.childId, BigInt(code), value]).status;
const runTo = (machine: Machine, time: number): void => {
  machine.now = time;
  machine.scheduler.runSlice(0);
};

test('interrupts once a period, at its destination', () => {
  const { machine, ticks } = assisted();
  runTo(machine, 9_999);
  expect(ticks()).toBe(0);
  runTo(machine, 10_000);
  expect(ticks()).toBe(1);
  runTo(machine, 19_999);
  expect(ticks()).toBe(0);
  runTo(machine, 20_000);
  expect(ticks()).toBe(1);
});

test('catches up on ticks that were missed, at half the period', () => {
  const { machine, ticks } = assisted();
  runTo(machine, 40_000);
  expect(ticks()).toBe(1);
  runTo(machine, 45_000);
  expect(ticks()).toBe(1);
});

test('a period of zero clears Enabled', () => {
  const { machine, ticks } = assisted();
  set(machine, PartitionProperty.EmulatedTimerPeriod, 0n);
  expect(machine.child.property(PartitionProperty.EmulatedTimerControl) & ENABLED).toBe(0n);
  runTo(machine, 100_000);
  expect(ticks()).toBe(0);
});
