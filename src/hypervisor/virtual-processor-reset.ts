/**
 * A guest's wish to be reset (HV_X64_MSR_RESET, TLFS 2.0a §6.3.5). The hypervisor has no message for it: a child
 * is suspended where it stands, and whoever drives the partition (its virtualization stack) asks here or is told.
 */
import type { Partition, VirtualProcessorCore } from './partition.ts';
import { type Part, partKey } from './parts.ts';

interface Suspendable {
  setExplicitSuspend(suspended: boolean): void;
}

export class ResetRequest implements Part {
  readonly #partition: Partition;
  /** VP that asked, until `acknowledge()`. */
  requestedBy: number | undefined;
  onRequest: (() => void) | undefined;

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** Every VP of the partition stops; the listener decides what comes next. */
  request(vpIndex: number): void {
    this.requestedBy = vpIndex;
    for (const vp of this.#partition.virtualProcessors.values()) {
      if (isSuspendable(vp)) vp.setExplicitSuspend(true);
    }
    this.onRequest?.();
  }

  acknowledge(): void {
    this.requestedBy = undefined;
  }

  inspect(): { requestedBy: number | undefined } {
    return { requestedBy: this.requestedBy };
  }
}

function isSuspendable(vp: VirtualProcessorCore): vp is VirtualProcessorCore & Suspendable {
  return 'setExplicitSuspend' in vp;
}

export const RESET_REQUEST = partKey<Partition, ResetRequest>(
  'reset-request',
  (partition) => new ResetRequest(partition),
);
