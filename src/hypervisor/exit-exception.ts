/**
 * Exceptions that the hypervisor finds for an instruction of the guest, instead of the processor: a hypercall from the
 * wrong mode, an MSR that is not there, an overlay's rights, a page fault of INS or OUTS. They are the instruction's
 * exceptions all the same, so a parent that intercepts the vector hears of them first (TLFS 2.0a §9, §11.12), with the
 * message that it gets of one that the processor raises (§16.5.4) and nothing delivered.
 *
 * Events that the parent or an interrupt source delivers (HvX64RegisterPendingInterruption, NMI) are not the guest's
 * doing: they go past this.
 */
import { type ExitContext, Vector } from './exit-context.ts';

/**
 * With its error code, if the vector has one. `parameter`: of a page fault, CR2's new value when it is delivered; of a
 * debug exception DR6, which is set already.
 */
export function raiseException(
  vp: ExitContext,
  vector: (typeof Vector)[keyof typeof Vector],
  errorCode?: number,
  parameter = 0n,
): void {
  const { processor } = vp;
  if (vp.intercepts.interceptsException(vector)) {
    const exit = processor.exceptionExit;
    exit.vector = vector;
    exit.errorCode = errorCode;
    exit.parameter = parameter;
    vp.message.exception();
    vp.suspendForIntercept();
    return;
  }
  if (vector === Vector.PageFault) processor.setControl(2, parameter);
  processor.injectException(vector, errorCode);
}
