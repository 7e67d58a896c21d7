/**
 * A virtual processor of a child partition (TLFS 2.0a §10, §11): one architectural processor, whose host this is,
 * and around it what the hypervisor adds: suspension, intercepts, pending interruption, local APIC, SynIC,
 * synthetic timers. Its state lies in pages of the partition's pool.
 *
 *                     explicit suspend          intercept suspend           TLB flush wait
 *                  (HvSetVpRegisters both)    (hypervisor sets, parent    (§12.1.4: until the other
 *                                               clears)                    VP's inhibit bit clears)
 *                           └───────────────── any of them: suspended ────────────┘
 *   activity:  active ──HLT──▶ halted ──interrupt that can be taken──▶ active
 *                     ──guest idle MSR──▶ idle ──any interrupt──▶ active       (§10.1.4)
 *              waiting-for-sipi ──SIPI, HvCallStartVirtualProcessor──▶ active; INIT leads back
 *
 * A VP runs when it is not suspended, its partition is active and its activity is "active". How it runs, on this
 * thread or on one of its own, is in execution.ts; what enters it between two instructions in event-injection.ts.
 * All of this is on one thread: other threads execute instructions and nothing else. Whoever reads or changes
 * registers from outside calls `stand()` first.
 */
import { Attention, Exit, type Processor, type ProcessorHost, Segment } from '../cpu/processor.ts';
import { PendingInterruption, SuspendBit } from '../hvdef/registers.ts';
import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';
import { EventInjection } from './event-injection.ts';
import { logExit, logProcessor } from './event-log-sources.ts';
import { Execution } from './execution.ts';
import { ExitCounters } from './exit-counters.ts';
import type { CpuidExitContext } from './exit-cpuid.ts';
import { handleCpuidExit } from './exit-cpuid.ts';
import { type HypercallExitContext, handleHypercallExit } from './exit-hypercall.ts';
import { handleMemoryExit } from './exit-memory.ts';
import { handleMsrRead, handleMsrWrite, type MsrExitContext } from './exit-msr.ts';
import { ArchitecturalMsrs } from './exit-msr-architectural.ts';
import { handlePortExit } from './exit-port.ts';
import { RIGHTS_SHIFT } from './gpa-map.ts';
import { type HypercallEntry, type HypercallRequest, hypercallRequest } from './hypercall-request.ts';
import { hypervisorCpuid } from './hypervisor-cpuid.ts';
import { type CpuidAnswer, InterceptMessage } from './intercept-message.ts';
import { INTERCEPTS, type InterceptTable } from './intercept-table.ts';
import type { LocalApic } from './local-apic.ts';
import { LocalApicRegisters } from './local-apic-registers.ts';
import { deliverIntercept } from './message-delivery-of-intercepts.ts';
import { GPA_EMULATED } from './overlay-map.ts';
import type { Partition, VirtualProcessorCore } from './partition.ts';
import { APIC_BUS, overlayHost, REFERENCE_TIME, SYNICS, SYNTHETIC_PAGES } from './partition-interrupts.ts';
import { Parts } from './parts.ts';
import type { ReferenceTime } from './reference-time.ts';
import { restoreProcessor, saveProcessor } from './saved-state/processor-state.ts';
import { STATS_REGISTERS } from './stats-registers.ts';
import type { Synic } from './synic.ts';
import type { SyntheticMsrs } from './synthetic-msr.ts';
import type { SyntheticTimers } from './synthetic-timer.ts';
import { MAXIMUM_VIRTUAL_PROCESSORS } from './virtual-processor-limits.ts';
import { isRunnableState } from './virtual-processor-state-check.ts';
import {
  makeLocalApic,
  makeProcessor,
  makeSynic,
  makeSyntheticMsrs,
  makeTimers,
} from './virtual-processor-wiring.ts';
import { VpAssistPage } from './vp-assist-page.ts';

export type Activity = 'active' | 'halted' | 'idle' | 'waiting-for-sipi';
/** TLFS 2.0a §10.1.3, with the reasons kept apart. */
export type RunState =
  | 'explicitly-suspended'
  | 'intercept-suspended'
  | 'waiting-for-tlb-flush'
  | 'waiting-for-sipi'
  | 'halted'
  | 'idle'
  | 'running'
  | 'ready';

/** Why HvCreateVp makes no virtual processor. */
export type Refusal = 'insufficient-memory' | 'no-resources';

interface OwnParts {
  statePage: number;
  processor: Processor;
  synic: Synic;
  assistPage: VpAssistPage;
}

export class VirtualProcessor
  implements VirtualProcessorCore, ProcessorHost, HypercallExitContext, MsrExitContext, CpuidExitContext
{
  readonly index: number;
  readonly partition: Partition;
  readonly processor: Processor;
  readonly parts: Parts<VirtualProcessorCore>;
  readonly counters = new ExitCounters();
  readonly message: InterceptMessage;
  readonly intercepts: InterceptTable;
  readonly hypercalls: HypercallEntry;
  readonly request: HypercallRequest;
  readonly localApic: LocalApic;
  readonly apicRegisters: LocalApicRegisters;
  readonly synic: Synic;
  readonly timers: SyntheticTimers;
  readonly assistPage: VpAssistPage;
  readonly architecturalMsrs = new ArchitecturalMsrs();
  readonly syntheticMsrs: SyntheticMsrs;
  /** The same registers as the parent reaches them: the child's privileges don't count. */
  readonly parentMsrs: SyntheticMsrs;
  /** HvX64RegisterInitialApicId: what CPUID reports. */
  initialApicId: number;
  activity: Activity;
  /** HvRegisterInterceptSuspend: `SuspendBit`s. */
  interceptSuspend = 0;
  /** Set until the scheduler gives it another turn. */
  yielding = false;
  longSpinWaits = 0;
  /** HvX64RegisterPendingInterruption: its two words. */
  pendingInterruption = 0;
  pendingErrorCode = 0;
  /** Registers were set from outside since the last run: check them together before the next. */
  registersChanged = false;
  readonly #time: ReferenceTime;
  readonly #statePage: number;
  #explicitlySuspended = true;
  #waitingForTlbFlush = false;
  #released = false;
  readonly #events: EventInjection;
  readonly #execution: Execution;
  #apicPageGpn = -1;

  /** A VP, or why there is none: its partition's pool is too small, or the machine has no more processors. */
  static create(partition: Partition, index: number, hypercalls: HypercallEntry): VirtualProcessor | Refusal {
    if (!partition.parts.get(SYNTHETIC_PAGES).ensure()) return 'insufficient-memory';
    const time = partition.parts.get(REFERENCE_TIME);
    let vp: VirtualProcessor | undefined;
    const synic = makeSynic(partition, index, time, (vector, autoEoi) => {
      vp?.localApic.requestInterrupt(vector, false, autoEoi);
    });
    const assistPage = synic && VpAssistPage.create(overlayHost(partition, index));
    const statePage = assistPage ? partition.pool.draw('virtual-processor') : -1;
    const processor = statePage < 0 ? undefined : makeProcessor(partition, statePage, () => vp);
    if (synic === undefined || assistPage === undefined || processor === undefined) {
      if (statePage >= 0) partition.pool.release(statePage);
      assistPage?.release();
      synic?.release();
      return statePage < 0 ? 'insufficient-memory' : 'no-resources';
    }
    vp = new VirtualProcessor(partition, index, hypercalls, { statePage, processor, synic, assistPage });
    partition.virtualProcessors.set(index, vp);
    partition.parts.get(SYNICS).add(synic);
    partition.parts.get(APIC_BUS).add(vp.localApic);
    vp.apicBaseChanged();
    vp.#settleTime();
    vp.#trace('created');
    return vp;
  }

  private constructor(partition: Partition, index: number, hypercalls: HypercallEntry, pages: OwnParts) {
    this.partition = partition;
    this.index = index;
    this.initialApicId = index;
    this.hypercalls = hypercalls;
    this.#statePage = pages.statePage;
    this.synic = pages.synic;
    this.assistPage = pages.assistPage;
    this.#time = partition.parts.get(REFERENCE_TIME);
    this.intercepts = partition.parts.get(INTERCEPTS);
    this.activity = index === 0 ? 'active' : 'waiting-for-sipi';
    this.parts = new Parts<VirtualProcessorCore>(this);
    this.request = hypercallRequest(partition, index);
    this.processor = pages.processor;
    this.processor.exceptionIntercepts = this.intercepts.exceptionVectors;
    this.message = new InterceptMessage(BigInt(partition.id), index, this.processor);
    this.localApic = makeLocalApic(this, this.#time);
    this.apicRegisters = new LocalApicRegisters(this.localApic);
    this.timers = makeTimers(this, this.#time);
    this.syntheticMsrs = makeSyntheticMsrs(this, this.#time, false);
    this.parentMsrs = makeSyntheticMsrs(this, this.#time, true);
    this.#events = new EventInjection(this);
    this.#execution = new Execution(this, partition.machine.clock);
  }

  // What the processor asks of its host

  translateGpa(gpn: number, access: number): number {
    const target = this.partition.translate(gpn, this.index);
    return target >= 0 && ((target >>> RIGHTS_SHIFT) & access) !== 0 ? target : -1;
  }

  readTsc(): number {
    return this.#time.readTsc();
  }

  tscOrigin(): number {
    return this.#time.origin;
  }

  // State

  get runState(): RunState {
    if (this.#explicitlySuspended) return 'explicitly-suspended';
    if ((this.interceptSuspend & SuspendBit.Suspended) !== 0) return 'intercept-suspended';
    if (this.#waitingForTlbFlush) return 'waiting-for-tlb-flush';
    if (this.activity !== 'active') return this.activity;
    return this.#execution.running ? 'running' : 'ready';
  }

  get explicitlySuspended(): boolean {
    return this.#explicitlySuspended;
  }

  get apicEnabled(): boolean {
    return this.localApic.globallyEnabled;
  }

  /** §12.1.4: flush hypercalls that reach this VP have to wait. */
  get tlbFlushInhibited(): boolean {
    return (this.interceptSuspend & SuspendBit.TlbFlushInhibit) !== 0;
  }

  /** Time spent executing, in 100 ns. */
  get runTime(): number {
    return this.#execution.runTime;
  }

  /** HvRegisterExplicitSuspend. The partition's time stands still while all its VPs are suspended by it. */
  setExplicitSuspend(suspended: boolean): void {
    if (this.#explicitlySuspended === suspended) return;
    this.#explicitlySuspended = suspended;
    this.#settleTime();
    if (suspended) {
      this.kick();
      this.stand();
    }
    this.#trace(suspended ? 'explicitly-suspended' : 'resumed');
  }

  /** Clears bits of HvRegisterInterceptSuspend; VPs that waited for a flush try again. */
  clearInterceptSuspend(bits: number): void {
    const inhibited = this.tlbFlushInhibited;
    this.interceptSuspend &= ~bits;
    if (!inhibited || this.tlbFlushInhibited) return;
    for (const other of this.partition.virtualProcessors.values()) {
      if (other instanceof VirtualProcessor) other.#waitingForTlbFlush = false;
    }
  }

  /** The VP executes its flush hypercall again once an inhibit bit of the partition is cleared (§12.1.4). */
  waitForTlbFlush(): void {
    this.#waitingForTlbFlush = true;
  }

  suspendForIntercept(): void {
    this.stand();
    this.interceptSuspend |= SuspendBit.Suspended;
    this.counters.countInterceptMessage(this.message.type);
    deliverIntercept(this);
  }

  /** The VP gives the rest of its turn away (§18.5.1, §20.1.6). */
  yieldTurn(): void {
    this.longSpinWaits++;
    this.yielding = true;
  }

  /** Something that may wake or interrupt the VP has happened. The one call that other threads may make. */
  kick(): void {
    if (this.#execution.running) this.processor.raiseAttention(Attention.Stop);
  }

  /** On an instruction boundary when this returns; it may run on as soon as the scheduler lets it. */
  stand(): void {
    this.#execution.stop();
  }

  flushTlb(): void {
    this.processor.flushTlb();
  }
  flushVirtual(): void {
    this.processor.flushVirtual();
  }

  hypervisorCpuid(leaf: number): CpuidAnswer {
    const pages = this.partition.parts.get(SYNTHETIC_PAGES);
    return hypervisorCpuid(leaf, {
      privileges: this.partition.privileges,
      guestIdentified: pages.hypercallPage?.identified ?? false,
      maximumVps: MAXIMUM_VIRTUAL_PROCESSORS,
    });
  }

  apicBaseChanged(): void {
    const gpn = this.localApic.pageGpn;
    if (gpn === this.#apicPageGpn) return;
    this.#apicPageGpn = gpn;
    const { overlays } = this.partition;
    if (gpn < 0) overlays.remove('local-apic', this.index);
    else {
      const place = { kind: 'local-apic', vp: this.index, gpn, spn: GPA_EMULATED, rights: 0 } as const;
      overlays.place({ ...place, isPrivate: true });
    }
  }

  // Events from outside

  requestNmi(): void {
    this.#events.nmiPending = true;
    this.kick();
  }

  requestInit(): void {
    this.stand();
    this.processor.init();
    this.localApic.init();
    this.pendingInterruption = 0;
    this.#events.nmiPending = false;
    this.processor.nmiMasked = false;
    this.activity = this.index === 0 ? 'active' : 'waiting-for-sipi';
    this.kick();
  }

  /** SIPI: real mode at vector * 4096. Ignored unless the VP waits for it. */
  requestStartup(vector: number): void {
    if (this.activity !== 'waiting-for-sipi') return;
    const cs = this.processor.getSegment(Segment.CS);
    this.processor.setSegment(Segment.CS, { ...cs, selector: vector << 8, base: BigInt(vector << 12) });
    this.processor.setRip(0n);
    this.start();
  }

  /** HV_X64_MSR_GUEST_IDLE was read: the VP sleeps until any interrupt arrives (§10.1.4). */
  enterGuestIdle(): void {
    this.activity = 'idle';
  }

  /** Leaves "waiting for SIPI" with the registers as they are. */
  start(): void {
    this.activity = 'active';
    this.#trace('started');
    this.kick();
  }

  /** As after creation, but for explicit suspension and counters. */
  reset(): void {
    this.stand();
    this.processor.reset();
    this.localApic.reset();
    this.apicBaseChanged();
    this.synic.reset();
    this.timers.reset();
    this.assistPage.reset();
    this.parts.get(STATS_REGISTERS).reset();
    this.architecturalMsrs.reset();
    this.clearInterceptSuspend(SuspendBit.Suspended | SuspendBit.TlbFlushInhibit);
    this.pendingInterruption = 0;
    this.#events.nmiPending = false;
    this.processor.nmiMasked = false;
    this.#waitingForTlbFlush = false;
    this.activity = this.index === 0 ? 'active' : 'waiting-for-sipi';
    this.#trace('reset');
  }

  // Saved state (§17.1.5)

  save(): StateRecord {
    const { processor, partition } = this;
    return {
      index: this.index,
      initialApicId: this.initialApicId,
      activity: this.activity,
      interceptSuspend: this.interceptSuspend,
      pendingInterruption: this.pendingInterruption >>> 0,
      pendingErrorCode: this.pendingErrorCode >>> 0,
      nmiMasked: this.processor.nmiMasked,
      nmiPending: this.#events.nmiPending,
      waitingForTlbFlush: this.#waitingForTlbFlush,
      runTime: this.runTime,
      processor: saveProcessor(processor, partition.machine.memory),
      architecturalMsrs: this.architecturalMsrs.save(),
      localApic: this.localApic.save(),
      synic: this.synic.save(),
      timers: this.timers.save(),
      assistPage: this.assistPage.register.save(),
      statistics: this.parts.get(STATS_REGISTERS).save(),
    };
  }

  /** The VP stays explicitly suspended. The reader may fail: the caller then restores what was there before. */
  restore(from: StateReader): void {
    this.initialApicId = from.integer('initialApicId', 0xff);
    this.activity = from.choice('activity', ['active', 'halted', 'idle', 'waiting-for-sipi']);
    this.interceptSuspend = from.integer(
      'interceptSuspend',
      SuspendBit.Suspended | SuspendBit.TlbFlushInhibit,
    );
    const word = from.u32('pendingInterruption');
    if ((word & PendingInterruption.ReservedMask) !== 0 || word >>> PendingInterruption.VectorShift > 0xff) {
      from.fail('pendingInterruption');
    }
    this.pendingInterruption = word;
    this.pendingErrorCode = from.u32('pendingErrorCode');
    this.processor.nmiMasked = from.flag('nmiMasked');
    this.#events.nmiPending = from.flag('nmiPending');
    this.#waitingForTlbFlush = from.flag('waitingForTlbFlush');
    this.#execution.runTime = from.time('runTime');
    restoreProcessor(this.processor, this.partition.machine.memory, from.record('processor'));
    this.architecturalMsrs.restore(from.record('architecturalMsrs'));
    this.localApic.restore(from.record('localApic'));
    this.apicBaseChanged();
    this.synic.restore(from.record('synic'));
    this.timers.restore(from.record('timers'));
    this.assistPage.register.restore(from.record('assistPage'));
    this.parts.get(STATS_REGISTERS).restore(from.record('statistics'));
    this.registersChanged = true;
  }

  release(): void {
    this.#trace('deleted');
    this.#released = true;
    this.kick();
    this.stand();
    this.clearInterceptSuspend(SuspendBit.TlbFlushInhibit);
    const { partition } = this;
    partition.virtualProcessors.delete(this.index);
    partition.parts.get(SYNICS).remove(this.synic);
    partition.parts.get(APIC_BUS).remove(this.localApic);
    this.parts.release();
    this.synic.release();
    this.assistPage.release();
    partition.overlays.removeOwner(this.index);
    this.processor.release();
    partition.pool.release(this.#statePage);
  }

  // Time

  /** TSC ticks of the partition at which something is due for this VP; Infinity when nothing is. */
  nextDeadline(): number {
    return Math.min(this.localApic.nextDeadline(), this.timers.nextDeadline(), this.synic.nextDeadline());
  }

  /** Lets timers fire that are due. */
  expireTimers(): void {
    const now = this.#time.readTsc();
    if (now < this.nextDeadline()) return;
    this.localApic.expire(now);
    this.timers.expire(now);
    this.synic.expire(now);
  }

  // Running

  /** True when run() would execute instructions; wakes a sleeping VP for which there is reason to. */
  isReady(): boolean {
    if (this.#released || this.#explicitlySuspended || this.#waitingForTlbFlush) return false;
    if ((this.interceptSuspend & SuspendBit.Suspended) !== 0) return false;
    if (this.activity === 'active') return this.partition.state === 'active';
    if (this.activity === 'waiting-for-sipi' || !this.#hasReasonToWake()) return false;
    this.activity = 'active';
    return this.partition.state === 'active';
  }

  #hasReasonToWake(): boolean {
    if (this.#events.hasReasonToWake) return true;
    return this.localApic.hasDeliverable() && (this.activity === 'idle' || this.processor.interruptible);
  }

  get running(): boolean {
    return this.#execution.running;
  }
  /** Executes on this thread; see execution.ts. */
  run(maxInstructions: number): number {
    return this.#execution.run(maxInstructions);
  }
  /** Executes on the processor's own thread, until `collect` is true. */
  begin(): boolean {
    return this.#execution.begin();
  }
  collect(): boolean {
    return this.#execution.collect();
  }

  prepare(): 'ready' | 'again' | 'suspended' {
    if (this.registersChanged && !this.#registersAgree()) return 'suspended';
    this.#events.deliver();
    return this.#events.settle() ? 'ready' : 'again';
  }

  finish(exit: Exit): void {
    this.#handleExit(exit);
    this.#events.settle();
  }

  #handleExit(exit: Exit): void {
    const { processor } = this;
    const { eventLog } = this.partition.machine;
    if (eventLog.active) logExit(eventLog, this.partition.id, this.index, processor, exit);
    switch (exit) {
      case Exit.Budget:
      case Exit.Attention:
      case Exit.InterruptWindow:
        return;
      case Exit.Halt:
        this.activity = 'halted';
        return;
      case Exit.Port:
        handlePortExit(this);
        return;
      case Exit.MsrRead:
        handleMsrRead(this);
        return;
      case Exit.MsrWrite:
        handleMsrWrite(this);
        return;
      case Exit.Cpuid:
        handleCpuidExit(this);
        return;
      case Exit.Hypercall:
        handleHypercallExit(this);
        return;
      case Exit.Memory:
        handleMemoryExit(this);
        return;
      case Exit.TripleFault:
        this.message.unrecoverableException();
        this.suspendForIntercept();
        return;
      case Exit.Exception:
        this.message.exception();
        this.suspendForIntercept();
        return;
    }
  }

  /** False: the VP is suspended for an invalid register value (§10.1.2). */
  #registersAgree(): boolean {
    this.registersChanged = false;
    if (isRunnableState(this.processor)) return true;
    this.message.invalidRegisterValue();
    this.suspendForIntercept();
    return false;
  }

  /** §15.1.2: partition time stands still while every VP is explicitly suspended. */
  #settleTime(): void {
    for (const vp of this.partition.virtualProcessors.values()) {
      if (vp instanceof VirtualProcessor && !vp.#explicitlySuspended) {
        this.#time.resume();
        return;
      }
    }
    this.#time.freeze();
  }

  #trace(state: string): void {
    const { partition, index } = this;
    const { eventLog } = partition.machine;
    if (eventLog.active) logProcessor(eventLog, partition.id, index, state);
    const fields = { kind: 'virtual-processor', partition: partition.id, vp: index, state } as const;
    partition.machine.trace.sink?.({ ...fields, details: {} });
  }

  inspect(): unknown {
    const { processor } = this;
    return {
      index: this.index,
      state: this.runState,
      rip: processor.getRip(),
      instructions: processor.instructionsRetired,
      exits: this.counters.exitsByName(),
      runTime: this.runTime,
      localApic: this.localApic.inspect(),
      synic: this.synic.inspect(),
      timers: this.timers.inspect(),
      parts: this.parts.inspect(),
    };
  }
}
