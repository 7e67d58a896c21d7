/**
 * Deposits, withdrawals and balances of memory pools: TLFS 2.0a §7.3. They keep the invariants of §7.1.1
 * together with the map hypercalls (memory-gpa.ts), by the columns of the SPA page table.
 *
 * Chosen where the text is open:
 * - A page that the caller itself maps twice is refused with OPERATION_DENIED like one that another partition
 *   can access: afterwards nobody may reach it.
 * - System physical page 0 ends the pools' free lists, so it can't be deposited: OBJECT_IN_USE.
 * - Pages that follow one another are checked and taken as a run; the answer is that of page after page.
 * - A child whose page the root can still access (the root sees all RAM unless it gave up its rights) can't
 *   deposit it; the text makes no exception for the root.
 */
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { GPA_PAGE_LIMIT, MAP_GPA_RIGHTS } from '../../hvdef/types.ts';
import { GPA_UNMAPPED, RIGHTS_SHIFT, SPN_MASK } from '../gpa-map.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOrRootSelf, isStatus } from '../hypercall-target.ts';
import { placementAt } from './placement.ts';

/** §7.3.1 */
function depositMemory(call: HypercallCall): number {
  const target = childOrRootSelf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active' && target.state !== 'uninitialized') return HvStatus.INVALID_PARTITION_STATE;

  while (call.hasRep()) {
    const gpn = call.elementNumber(0);
    const { gpaMap } = call.caller;
    const mapping = gpn < GPA_PAGE_LIMIT ? gpaMap.lookup(gpn) : GPA_UNMAPPED;
    if (mapping < 0 || mapping >>> RIGHTS_SHIFT !== MAP_GPA_RIGHTS) return HvStatus.OPERATION_DENIED;
    const spn = mapping & SPN_MASK;
    if (spn === 0) return HvStatus.OBJECT_IN_USE;
    const listed = gpaMap.runLength(gpn, Math.min(call.risingElements(), GPA_PAGE_LIMIT - gpn));
    const pages = call.hypervisor.spaPages.accessibleOnce(spn, listed);
    if (pages === 0) return HvStatus.OPERATION_DENIED;
    gpaMap.setRights(gpn, pages, 0);
    target.pool.deposit(spn, gpn, pages);
    call.repDone(pages);
  }
  return HvStatus.SUCCESS;
}

/** §7.3.2 */
function withdrawMemory(call: HypercallCall): number {
  const target = childOrRootSelf(call);
  if (isStatus(target)) return target;
  const placement = placementAt(call, 8);
  if (placement === undefined) return HvStatus.INVALID_PARAMETER;

  while (call.hasRep()) {
    const gpn = target.pool.withdraw(placement);
    if (gpn < 0) return HvStatus.NO_RESOURCES;
    call.caller.gpaMap.setRights(gpn, 1, MAP_GPA_RIGHTS);
    call.putElementU64(0, gpn);
    call.repDone();
  }
  return HvStatus.SUCCESS;
}

/** §7.3.3 */
function getMemoryBalance(call: HypercallCall): number {
  const target = childOrRootSelf(call);
  if (isStatus(target)) return target;
  const placement = placementAt(call, 8);
  if (placement === undefined) return HvStatus.INVALID_PARAMETER;
  const { free, inUse } = target.pool.balance(placement);
  call.putU64(0, free);
  call.putU64(8, inUse);
  return HvStatus.SUCCESS;
}

export const memoryPoolHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.DepositMemory, handle: depositMemory },
  { code: HypercallCode.WithdrawMemory, handle: withdrawMemory },
  { code: HypercallCode.GetMemoryBalance, handle: getMemoryBalance },
];
