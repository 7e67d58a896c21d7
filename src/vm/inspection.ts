/** The hypervisor's state as plain data for people: `partita inspect`. Part of the composition root. */
import { PAGE_SIZE } from '../hvdef/types.ts';
import { ChildGpaMap } from '../hypervisor/child-gpa-map.ts';
import type { GpaRange } from '../hypervisor/gpa-map.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Partition } from '../hypervisor/partition.ts';
import { rightsText } from '../hypervisor/trace.ts';
import { VirtualProcessor } from '../hypervisor/virtual-processor.ts';
import { plain } from './plain-data.ts';

const MAX_RANGES = 1000;
const LARGE_PAGES = 512;

export function inspectHypervisor(hypervisor: Hypervisor): unknown {
  return plain({
    clock: hypervisor.clock(),
    systemPages: hypervisor.memory.pageCount,
    proximity: hypervisor.proximity.list,
    partitions: [...hypervisor.partitions.values()].map(inspectPartition),
  });
}

function inspectPartition(partition: Partition): unknown {
  return {
    id: partition.id,
    parent: partition.parent?.id,
    state: partition.state,
    privileges: partition.privileges,
    pool: { ...partition.pool.inspect(), ...partition.pool.account() },
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
    for (const { gpn, pages, spn, rights, large } of byMappingSize(partition, range)) {
      shown.push({ gpa: gpn * PAGE_SIZE, pages, spn, rights: rightsText(rights), large });
    }
    if (shown.length >= MAX_RANGES) break;
  }
  return shown;
}

/** The range in pieces that 2 MiB mappings serve, and others. */
function byMappingSize({ gpaMap }: Partition, range: GpaRange): (GpaRange & { large: boolean })[] {
  const pieces: (GpaRange & { large: boolean })[] = [];
  const end = range.gpn + range.pages;
  for (let gpn = range.gpn; gpn < end; ) {
    const next = Math.min(end, (Math.floor(gpn / LARGE_PAGES) + 1) * LARGE_PAGES);
    const large = gpaMap instanceof ChildGpaMap && gpaMap.isLarge(gpn);
    const last = pieces.at(-1);
    if (last?.large === large) last.pages += next - gpn;
    else pieces.push({ ...range, gpn, spn: range.spn + gpn - range.gpn, pages: next - gpn, large });
    gpn = next;
  }
  return pieces;
}
