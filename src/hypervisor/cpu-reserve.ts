/**
 * CPU reserves (TLFS 2.0a §18.2.1): a share of a logical processor for each virtual processor of a partition. All
 * of them together can't exceed the logical processors that there are; who would make them is refused.
 */
import { PartitionProperty } from '../hvdef/partition-property.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { Partition } from './partition.ts';

/** A whole logical processor, as HvPartitionPropertyCpuReserve counts. */
const WHOLE = 0x1_0000n;

/** True if `partition` may have so many processors with this reserve each, beside what the others have. */
export function reserveFits(
  hypervisor: Hypervisor,
  partition: Partition,
  processors: number,
  reserve: bigint,
): boolean {
  if (reserve === 0n) return true;
  let total = BigInt(processors) * reserve;
  for (const other of hypervisor.partitions.values()) {
    if (other === partition) continue;
    total += BigInt(other.virtualProcessors.size) * other.property(PartitionProperty.CpuReserve);
  }
  return total <= BigInt(hypervisor.logicalProcessors.all.length) * WHOLE;
}
