/**
 * CPU reserves (TLFS 2.0a §18.2.1): a share of a logical processor for each virtual processor of a partition. All
 * of them together can't exceed the logical processors that there are; who would make them is refused.
 */
import { PartitionProperty } from '../hvdef/partition-property.ts';
import type { Partition } from './partition.ts';
import { LOGICAL_PROCESSORS } from './virtual-processor-limits.ts';

/** A whole logical processor, as HvPartitionPropertyCpuReserve counts. */
const WHOLE = 0x1_0000n;

/** True if `partition` may have so many processors with this reserve each, beside what the others have. */
export function reserveFits(
  partitions: Iterable<Partition>,
  partition: Partition,
  processors: number,
  reserve: bigint,
): boolean {
  if (reserve === 0n) return true;
  let total = BigInt(processors) * reserve;
  for (const other of partitions) {
    if (other === partition) continue;
    total += BigInt(other.virtualProcessors.size) * other.property(PartitionProperty.CpuReserve);
  }
  return total <= BigInt(LOGICAL_PROCESSORS) * WHOLE;
}
