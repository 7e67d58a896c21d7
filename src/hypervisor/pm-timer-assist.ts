/**
 * The PM timer assist: IN from the port that the parent named reads the partition's reference time as an ACPI
 * PM timer, without an exit to the parent. TLFS 2.0a §15.1.6. INS is not assisted, nor are the ports around it.
 */
import { PartitionProperty } from '../hvdef/partition-property.ts';
import type { Partition } from './partition.ts';
import { REFERENCE_TIME } from './partition-interrupts.ts';

const PORT_MASK = 0xffffn;
const WIDTH_24 = 1n << 16n;
const ENABLED = 1n << 17n;
/** 3.579545 MHz in ticks of 100 ns. */
const TICKS_PER_REFERENCE_UNIT = 0.3579545;

/** The timer's value for an IN from `port`, or -1 where there is no assist. */
export function assistedPmTimer(partition: Partition, port: number): number {
  const info = partition.property(PartitionProperty.PmTimerAssist);
  if ((info & ENABLED) === 0n || Number(info & PORT_MASK) !== port) return -1;
  const ticks = Math.floor(partition.parts.get(REFERENCE_TIME).count() * TICKS_PER_REFERENCE_UNIT);
  return ticks % ((info & WIDTH_24) !== 0n ? 2 ** 24 : 2 ** 32);
}
