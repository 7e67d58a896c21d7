/**
 * Refused guest physical accesses (TLFS 2.0a §11.8): the local APIC's page is emulated; an overlay that forbids
 * the access faults in the guest; an unmapped page or a right that is missing suspends the VP and tells the
 * parent. A page that has become accessible meanwhile just runs again.
 *
 * The hypercall page is the one overlay with a fault of its own: writing to it is #GP (§4.12), where other
 * overlays raise a machine check (§11.8).
 */
import { Access } from '../cpu/processor.ts';
import { InterceptAccessMask } from '../hvdef/intercepts.ts';
import { MessageType } from '../hvdef/messages.ts';
import { SuspendBit } from '../hvdef/registers.ts';
import { type ApicPageContext, emulateApicPageAccess } from './exit-apic-page.ts';
import { Vector } from './exit-context.ts';
import { raiseException } from './exit-exception.ts';
import { RIGHTS_SHIFT } from './gpa-map.ts';
import { GPA_EMULATED } from './overlay-map.ts';

export interface MemoryExitContext extends ApicPageContext {
  /** Bits of HvRegisterInterceptSuspend. */
  interceptSuspend: number;
}

const PAGE = 4096;

export function handleMemoryExit(vp: MemoryExitContext): void {
  const exit = vp.processor.memoryExit;
  const gva = exit.gvaValid ? exit.gva : undefined;
  refuseMemoryAccess(vp, exit.gpa, gva, exit.access);
}

/** The consequence of an access at `gpa` by the VP, or by the hypervisor for it (hypercall parameters). */
export function refuseMemoryAccess(
  vp: MemoryExitContext,
  gpa: number,
  gva: bigint | undefined,
  access: number,
): void {
  const gpn = Math.floor(gpa / PAGE);
  const overlay = vp.partition.overlays.at(gpn, vp.index);
  if (overlay !== undefined) {
    if (overlay.spn === GPA_EMULATED) emulateApicPageAccess(vp, gpa, access);
    else if ((overlay.rights & access) !== 0) return;
    else if (overlay.kind === 'hypercall-page') raiseException(vp, Vector.GeneralProtection, 0);
    else raiseException(vp, Vector.MachineCheck);
    return;
  }
  const mapping = vp.partition.gpaMap.lookup(gpn);
  if (mapping >= 0 && ((mapping >>> RIGHTS_SHIFT) & access) !== 0) return;
  const type = mapping < 0 ? MessageType.UnmappedGpa : MessageType.GpaIntercept;
  vp.message.memory(type, gpa, gva, interceptAccess(access));
  // §12.1.4: the parent completes the instruction undisturbed by TLB flushes.
  vp.interceptSuspend |= SuspendBit.TlbFlushInhibit;
  vp.suspendForIntercept();
}

function interceptAccess(access: number): number {
  if ((access & Access.Execute) !== 0) return InterceptAccessMask.Execute;
  return (access & Access.Write) !== 0 ? InterceptAccessMask.Write : InterceptAccessMask.Read;
}
