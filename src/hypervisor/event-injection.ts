/**
 * What enters a virtual processor between two instructions: the pending interruption, then an NMI, then the local
 * APIC's choice (TLFS 2.0a §10.3.4). An event whose delivery met a page that can't be accessed becomes the pending
 * interruption again; the parent hears of the access as of any other (§9, §16.3).
 */
import { Attention, Exit, type FailedDelivery, type Processor } from '../cpu/processor.ts';
import { PendingInterruptionType } from '../hvdef/intercepts.ts';
import { PendingInterruption } from '../hvdef/registers.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { ExitCounters } from './exit-counters.ts';
import { handleMemoryExit, type MemoryExitContext } from './exit-memory.ts';
import type { LocalApic } from './local-apic.ts';
import { GPA_EMULATED } from './overlay-map.ts';

const NMI_VECTOR = 2;
/** Machine checks about machine checks end here. */
const DEEPEST_INJECTION = 4;

/** The virtual processor that events enter. */
export interface InjectionTarget extends MemoryExitContext {
  readonly processor: Processor;
  readonly counters: ExitCounters;
  readonly localApic: LocalApic;
  /** HvX64RegisterPendingInterruption: its two words. */
  pendingInterruption: number;
  pendingErrorCode: number;
}

export class EventInjection {
  nmiPending = false;
  readonly #vp: InjectionTarget;
  #windowAsked = false;

  constructor(vp: InjectionTarget) {
    this.#vp = vp;
  }

  /** True when an event waits that ends a halt. */
  get hasReasonToWake(): boolean {
    const { processor, pendingInterruption } = this.#vp;
    return (
      (this.nmiPending && !processor.nmiMasked) || (pendingInterruption & PendingInterruption.Pending) !== 0
    );
  }

  /** Injects what is due, and asks for a window where the processor is not willing yet. */
  deliver(): void {
    const { processor, localApic, counters } = this.#vp;
    if (this.#windowAsked) {
      processor.clearAttention(Attention.InterruptWindow);
      this.#windowAsked = false;
    }
    if ((this.#vp.pendingInterruption & PendingInterruption.Pending) !== 0) this.#injectPending();
    else if (this.nmiPending && !processor.nmiMasked && !processor.interruptShadow) {
      this.nmiPending = false;
      processor.injectException(NMI_VECTOR);
    } else if (localApic.hasDeliverable() && processor.interruptible) {
      const vector = localApic.acceptInterrupt();
      if (vector >= 0) {
        processor.injectInterrupt(vector);
        counters.interruptsDelivered++;
      }
    }
    if (localApic.hasDeliverable()) {
      processor.raiseAttention(Attention.InterruptWindow);
      this.#windowAsked = true;
    }
  }

  #injectPending(): void {
    const { processor, pendingInterruption: word, pendingErrorCode } = this.#vp;
    this.#vp.pendingInterruption = 0;
    const vector = (word >>> PendingInterruption.VectorShift) & 0xff;
    const type = (word >>> PendingInterruption.TypeShift) & PendingInterruption.TypeMask;
    if (type === PendingInterruptionType.Interrupt) processor.injectInterrupt(vector);
    else if (type === PendingInterruptionType.Nmi) processor.injectException(NMI_VECTOR);
    else if ((word & PendingInterruption.DeliverErrorCode) !== 0) {
      processor.injectException(vector, pendingErrorCode);
    } else processor.injectException(vector);
  }

  /** True when what was injected has been delivered; else the VP is suspended. */
  settle(): boolean {
    const vp = this.#vp;
    const { processor, message } = vp;
    for (let depth = 0; depth < DEEPEST_INJECTION; depth++) {
      const failed = processor.takeFailedDelivery();
      if (failed === undefined) return depth === 0;
      if (failed.exit !== Exit.Memory) break;
      const { gpa, access } = processor.memoryExit;
      const overlay = vp.partition.overlays.at(Math.floor(gpa / PAGE_SIZE), vp.index);
      if (overlay?.spn === GPA_EMULATED) break;
      // A machine check supersedes the event that met an overlay's rights.
      if (overlay === undefined || (overlay.rights & access) !== 0) this.#keepPending(failed);
      message.interruptionPending = true;
      handleMemoryExit(vp);
      message.interruptionPending = false;
    }
    message.unrecoverableException();
    vp.suspendForIntercept();
    return false;
  }

  #keepPending({ external, vector, errorCode }: FailedDelivery): void {
    const { Interrupt, Nmi, Exception } = PendingInterruptionType;
    const type = external ? Interrupt : vector === NMI_VECTOR ? Nmi : Exception;
    const typeBits = type << PendingInterruption.TypeShift;
    const vectorBits = vector << PendingInterruption.VectorShift;
    const errorBit = errorCode === undefined ? 0 : PendingInterruption.DeliverErrorCode;
    this.#vp.pendingInterruption = PendingInterruption.Pending | typeBits | errorBit | vectorBits;
    this.#vp.pendingErrorCode = errorCode ?? 0;
  }
}
