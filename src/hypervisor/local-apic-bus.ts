/**
 * Who receives an interrupt: the local APICs of one partition as one another sees them (SDM vol. 3 §10.6.2).
 * IPIs, HvAssertVirtualInterrupt and the cluster IPI hypercalls all go through here.
 */
import { DeliveryMode, type InterruptRequest, type LocalApic, Shorthand } from './local-apic.ts';

export class LocalApicBus {
  readonly #apics: LocalApic[] = [];

  add(apic: LocalApic): void {
    this.#apics.push(apic);
  }
  remove(apic: LocalApic): void {
    const index = this.#apics.indexOf(apic);
    if (index >= 0) this.#apics.splice(index, 1);
  }

  /** The local APIC of a virtual processor. */
  ofVp(vpIndex: number): LocalApic | undefined {
    return this.#apics.find((apic) => apic.vpIndex === vpIndex);
  }

  inspect(): unknown {
    return this.#apics.map((apic) => ({ vp: apic.vpIndex, apicId: apic.apicId }));
  }

  ofApicId(apicId: number): LocalApic | undefined {
    return this.#apics.find((apic) => apic.apicId === apicId);
  }

  /** Delivers `request`; returns how many local APICs it addressed. `source` is the sender of an IPI. */
  deliver(request: InterruptRequest, source?: LocalApic): number {
    const targets = this.#apics.filter((apic) => isTarget(request, apic, source));
    if (request.mode === DeliveryMode.LowestPriority && targets.length > 1) {
      // Ties go to the lowest VP index, so that a run can be repeated.
      targets.sort((a, b) => a.processorPriority - b.processorPriority || a.vpIndex - b.vpIndex);
      targets.length = 1;
    }
    for (const apic of targets) apic.receive(request.mode, request.vector, request.levelTriggered);
    return targets.length;
  }

  /** Withdraws level-triggered requests at a destination; returns how many local APICs it addressed. */
  withdraw(destination: number, logical: boolean): number {
    const targets = this.#apics.filter((apic) => apic.matches(destination, logical));
    for (const apic of targets) apic.withdrawLevelRequests();
    return targets.length;
  }
}

function isTarget(request: InterruptRequest, apic: LocalApic, source: LocalApic | undefined): boolean {
  switch (request.shorthand) {
    case Shorthand.Self:
      return apic === source;
    case Shorthand.AllIncludingSelf:
      return true;
    case Shorthand.AllExcludingSelf:
      return apic !== source;
    default:
      return apic.matches(request.destination, request.logical);
  }
}
