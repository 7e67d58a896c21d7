import { expect, test } from 'vitest';
import { HypercallCode } from '../hvdef/hypercalls.ts';
import { PartitionProperty } from '../hvdef/partition-property.ts';
import { HvStatus } from '../hvdef/status.ts';
import { assistedPmTimer } from './pm-timer-assist.ts';
import { Machine } from './virtual-processor-fixture.ts';

const PORT = 0x608n;
const WIDTH_24 = 1n << 16n;
const ENABLED = 1n << 17n;

function assisted(info: bigint): Machine {
  const machine = new Machine();
  machine.start();
  const code = BigInt(PartitionProperty.PmTimerAssist);
  const result = machine.call(HypercallCode.SetPartitionProperty, [machine.childId, code, info]);
  expect(result.status).toBe(HvStatus.SUCCESS);
  return machine;
}

test('the assisted port reads the reference time at 3.579545 MHz', () => {
  const machine = assisted(PORT | ENABLED);
  machine.now += 10_000_000;
  expect(assistedPmTimer(machine.child, 0x608)).toBe(3_579_545);
  expect(assistedPmTimer(machine.child, 0x609)).toBe(-1);
});

test('a 24-bit timer wraps at 2^24', () => {
  const machine = assisted(PORT | WIDTH_24 | ENABLED);
  machine.now += 100_000_000;
  expect(assistedPmTimer(machine.child, 0x608)).toBe(35_795_450 % 2 ** 24);
});

test('without the enable bit there is no assist, and reserved bits are refused', () => {
  const machine = assisted(PORT);
  expect(assistedPmTimer(machine.child, 0x608)).toBe(-1);
  const input = [machine.childId, BigInt(PartitionProperty.PmTimerAssist), 1n << 20n];
  expect(machine.call(HypercallCode.SetPartitionProperty, input).status).toBe(HvStatus.INVALID_PARAMETER);
});
