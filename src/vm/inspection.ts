/** The hypervisor's state as plain data for people: `partita inspect`. Part of the composition root. */
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Partition } from '../hypervisor/partition.ts';
import { rightsText } from '../hypervisor/trace.ts';
import { VirtualProcessor } from '../hypervisor/virtual-processor.ts';
import { plain } from './plain-data.ts';

const MAX_RANGES = 1000;

export function inspectHypervisor(hypervisor: Hypervisor): unknown {
  return plain({
    clock: hypervisor.clock(),
    systemPages: hypervisor.memory.pageCount,
    partitions: [...hypervisor.partitions.values()].map(inspectPartition),
  });
}

function inspectPartition(partition: Partition): unknown {
  return {
    id: partition.id,
    parent: partition.parent?.id,
    state: partition.state,
    privileges: partition.privileges,
    pool: partition.pool.inspect(),
    gpaMap: gpaRanges(partition),
    overlays: partition.overlays.list().map(({ kind, vp, gpn, spn, rights }) => ({
      kind,
      vp,
      gpa: gpn * PAGE_SIZE,
      spn,
      rights: rightsText(rights),
    })),
    virtualProcessors: [...partition.virtualProcessors.values()].map((vp) =>
      vp instanceof VirtualProcessor ? vp.inspect() : { index: vp.index, state: 'host' },
    ),
    parts: partition.parts.inspect(),
  };
}

function gpaRanges(partition: Partition): unknown[] {
  const shown: unknown[] = [];
  for (const range of partition.gpaMap.ranges()) {
    const { gpn, pages, spn, rights } = range;
    shown.push({ gpa: gpn * PAGE_SIZE, pages, spn, rights: rightsText(rights) });
    if (shown.length === MAX_RANGES) break;
  }
  return shown;
}
