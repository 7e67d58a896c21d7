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
import { SPN_MASK } from '../gpa-map.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOf, childOrRootSelf, isStatus } from '../hypercall-target.ts';
import { MappingRun } from '../mapping-run.ts';
import type { Partition } from '../partition.ts';

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
    status = mapPage(call.caller, target, base + call.rep, call.elementNumber(0), rights, run);
    if (status === HvStatus.SUCCESS) call.repDone();
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
    status = mapPage(call.caller, target, call.elementNumber(0), call.elementNumber(8), rights, run);
    if (status === HvStatus.SUCCESS) call.repDone();
  }
  run.end();
  return status;
}

/** One page of either call. */
function mapPage(
  caller: Partition,
  target: Partition,
  gpn: number,
  source: number,
  rights: number,
  run: MappingRun,
): number {
  if (gpn >= GPA_PAGE_LIMIT || source >= GPA_PAGE_LIMIT) return HvStatus.INVALID_PARAMETER;
  const mapping = caller.gpaMap.lookup(source);
  const spn = mapping & SPN_MASK;
  if (target.isRoot) {
    if (gpn !== source || mapping < 0) return HvStatus.ACCESS_DENIED;
  } else if (mapping < 0 || inPool(caller, spn)) {
    return HvStatus.OPERATION_DENIED;
  }
  const superseded = target.gpaMap.lookup(gpn);
  if (superseded >= 0 && inPool(target, superseded & SPN_MASK)) return HvStatus.OBJECT_IN_USE;

  const status = target.gpaMap.map(gpn, spn, rights);
  if (status === HvStatus.SUCCESS) run.add(gpn, spn, rights);
  return status;
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
    status = unmapPage(target, base + call.rep, run);
    if (status === HvStatus.SUCCESS) call.repDone();
  }
  run.end();
  return status;
}

function unmapPage(target: Partition, gpn: number, run: MappingRun): number {
  if (gpn >= GPA_PAGE_LIMIT) return HvStatus.INVALID_PARAMETER;
  const mapping = target.gpaMap.lookup(gpn);
  if (mapping < 0) return HvStatus.SUCCESS;
  if (inPool(target, mapping & SPN_MASK)) return HvStatus.OBJECT_IN_USE;
  const status = target.gpaMap.unmap(gpn);
  if (status === HvStatus.SUCCESS) run.remove(gpn);
  return status;
}

function inPool(partition: Partition, spn: number): boolean {
  return partition.machine.spaPages.poolOwner(spn) !== 0;
}

export const memoryGpaHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.MapGpaPages, handle: mapGpaPages },
  { code: HypercallCode.UnmapGpaPages, handle: unmapGpaPages },
  { code: HypercallCode.MapSparseGpaPages, handle: mapSparseGpaPages },
];
