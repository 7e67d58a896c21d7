/**
 * Changes of the GPA map: TLFS 2.0a §8.3. A parent maps pages of its own GPA space into a child's; the root
 * may change its rights to its own pages.
 *
 * Checks per element: bounds (INVALID_PARAMETER); for the root on itself: identity and RAM (ACCESS_DENIED);
 * the source (OPERATION_DENIED); the page that is superseded (OBJECT_IN_USE); memory for tables
 * (INSUFFICIENT_MEMORY).
 */
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { GPA_PAGE_LIMIT, MAP_GPA_RIGHTS, rightsAreLegal } from '../../hvdef/types.ts';
import { type PageList, SPN_MASK } from '../gpa-map.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOf, childOrRootSelf, isStatus } from '../hypercall-target.ts';
import { MappingRun } from '../mapping-run.ts';
import type { Partition } from '../partition.ts';

/** The elements in turn; reused. */
const list: PageList = { address: 0, step: 0, count: 0 };

function rightsOf(mapFlags: number): number {
  const legal = (mapFlags & ~MAP_GPA_RIGHTS) === 0 && rightsAreLegal(mapFlags);
  return legal ? mapFlags : -1;
}

/** §8.3.1 */
function mapGpaPages(call: HypercallCall): number {
  const target = childOrRootSelf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const base = call.number(8);
  const rights = rightsOf(call.u32(16));
  if (rights < 0) return HvStatus.INVALID_PARAMETER;

  const run = new MappingRun(target);
  let status: number = HvStatus.SUCCESS;
  while (status === HvStatus.SUCCESS && call.hasRep()) {
    const limit = call.repCount - call.rep;
    status = mapElements(call, target, base + call.rep, 0, limit, rights, run);
  }
  run.end();
  return status;
}

/** §8.3.3 */
function mapSparseGpaPages(call: HypercallCall): number {
  const target = childOrRootSelf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const rights = rightsOf(call.u32(8));
  if (rights < 0) return HvStatus.INVALID_PARAMETER;

  const run = new MappingRun(target);
  let status: number = HvStatus.SUCCESS;
  while (status === HvStatus.SUCCESS && call.hasRep()) {
    const limit = call.risingElements();
    status = mapElements(call, target, call.elementNumber(0), 8, limit, rights, run);
  }
  run.end();
  return status;
}

/**
 * Either call's elements from the one in turn on, at most `limit`, as many as can be done at once: guest page `gpn`
 * and those behind it, to the caller's pages that field `field` of the elements names. Where not even the first one
 * can be done, its refusal is the answer.
 */
function mapElements(
  call: HypercallCall,
  target: Partition,
  gpn: number,
  field: number,
  limit: number,
  rights: number,
  trace: MappingRun,
): number {
  if (gpn >= GPA_PAGE_LIMIT) return HvStatus.INVALID_PARAMETER;
  list.address = call.elementAddress + field;
  list.step = call.definition.inputElement.size;
  list.count = Math.min(limit, GPA_PAGE_LIMIT - gpn);
  call.caller.gpaMap.resolve(list);
  const mapped = list.count === 0 ? 0 : target.gpaMap.map(gpn, list, rights);
  if (mapped === 0) return refusal(call, target, gpn, call.elementNumber(field));
  trace.add(gpn, list, mapped, rights);
  call.repDone(mapped);
  return HvStatus.SUCCESS;
}

/** Why page `source` of the caller can't be mapped at page `gpn` of the target. */
function refusal(call: HypercallCall, target: Partition, gpn: number, source: number): HvStatus {
  if (source >= GPA_PAGE_LIMIT) return HvStatus.INVALID_PARAMETER;
  const { spaPages } = call.hypervisor;
  const mapping = call.caller.gpaMap.lookup(source);
  if (target.isRoot) {
    if (gpn !== source || mapping < 0) return HvStatus.ACCESS_DENIED;
  } else if (mapping < 0 || spaPages.inPool(mapping & SPN_MASK)) {
    return HvStatus.OPERATION_DENIED;
  }
  const superseded = target.gpaMap.lookup(gpn);
  if (superseded >= 0 && spaPages.inPool(superseded & SPN_MASK)) return HvStatus.OBJECT_IN_USE;
  return HvStatus.INSUFFICIENT_MEMORY;
}

/** §8.3.2 */
function unmapGpaPages(call: HypercallCall): number {
  const target = childOf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const base = call.number(8);

  const run = new MappingRun(target);
  let status: number = HvStatus.SUCCESS;
  while (status === HvStatus.SUCCESS && call.hasRep()) {
    status = unmapRun(call, target, base + call.rep, run);
  }
  run.end();
  return status;
}

function unmapRun(call: HypercallCall, target: Partition, gpn: number, trace: MappingRun): number {
  if (gpn >= GPA_PAGE_LIMIT) return HvStatus.INVALID_PARAMETER;
  const limit = trace.isWanted ? 1 : Math.min(call.repCount - call.rep, GPA_PAGE_LIMIT - gpn);
  if (
    target.gpaMap.lookup(gpn) >= 0 &&
    call.hypervisor.spaPages.inPool(target.gpaMap.lookup(gpn) & SPN_MASK)
  ) {
    return HvStatus.OBJECT_IN_USE;
  }
  trace.remove(gpn);
  const done = target.gpaMap.unmap(gpn, limit);
  call.repDone(done);
  return HvStatus.SUCCESS;
}

export const memoryGpaHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.MapGpaPages, handle: mapGpaPages },
  { code: HypercallCode.UnmapGpaPages, handle: unmapGpaPages },
  { code: HypercallCode.MapSparseGpaPages, handle: mapSparseGpaPages },
];
