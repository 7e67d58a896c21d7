/**
 * Owns a VM's life. Everybody else enqueues requests; this alone acts on the machine, between two slices.
 *
 *   assembled ──run()──▶ running ──outcome──▶ ended (partition destroyed, memory back with the root)
 *
 * The first outcome counts. A slice lasts a few milliseconds; then the event loop gets a turn, so that input
 * arrives. With nothing to run the driver sleeps until the next timer of the hypervisor or of a device, or until
 * a request comes.
 */
import type { AssembledVm } from './assembly.ts';
import { halt, memoryOf, start, stateOf } from './assembly.ts';
import type { VmDebugger } from './debugger/vm-debugger.ts';
import type { Host } from './host.ts';
import type { RequestQueue, SnapshotRequest, VmRequest } from './request-queue.ts';
import type { SnapshotSink } from './snapshot/snapshot-file.ts';
import { writeSnapshot } from './snapshot/write-snapshot.ts';
import type { VmOutcome } from './vm-outcome.ts';

const SLICE_MILLISECONDS = 4;
/** Longest sleep: Node's timers count in 31 bits. */
const LONGEST_SLEEP_MILLISECONDS = 60_000;
/** The event loop waits no longer while a snapshot is written. */
const LONGEST_STEP_MILLISECONDS = 20;
const CLOCK_UNITS_PER_MILLISECOND = 10_000;

export class StateDriver {
  readonly #host: Host;
  readonly #queue: RequestQueue;
  readonly #flush: () => void;
  readonly #timeoutSeconds: number | undefined;
  #vm: AssembledVm | undefined;
  #debugged: VmDebugger | undefined;
  #outcome: VmOutcome | undefined;
  #wake: (() => void) | undefined;
  #startedAt = 0;
  /** Milliseconds that the run took, once it is over. */
  #lasted: number | undefined;

  /** `flush` is called after each slice, for output that was collected. */
  constructor(host: Host, queue: RequestQueue, flush: () => void, timeoutSeconds: number | undefined) {
    this.#host = host;
    this.#queue = queue;
    this.#flush = flush;
    this.#timeoutSeconds = timeoutSeconds;
    queue.onArrival = () => this.#wake?.();
  }

  get outcome(): VmOutcome | undefined {
    return this.#outcome;
  }

  /** Seconds since `run()`, up to its end. */
  get seconds(): number {
    if (this.#startedAt === 0) return 0;
    return (this.#lasted ?? performance.now() - this.#startedAt) / 1000;
  }

  /** The machine has come to its end; called by devices and intercepts, from within a slice. */
  end(outcome: VmOutcome): void {
    if (this.#outcome !== undefined) return;
    this.#conclude(outcome);
    if (this.#vm !== undefined) halt(this.#vm);
  }

  #conclude(outcome: VmOutcome): void {
    // What looks like the guest's doing may be memory that it never got.
    const problem = this.#vm?.lazy?.problem;
    this.#outcome = problem === undefined ? outcome : { kind: 'snapshot-damaged', text: problem };
  }

  /** `debugged`: the machine's debugger. `holdAtStart`: nothing runs until one lets it. */
  async run(vm: AssembledVm, debugged: VmDebugger, holdAtStart: boolean): Promise<VmOutcome> {
    this.#vm = vm;
    this.#debugged = debugged;
    this.#startedAt = performance.now();
    try {
      if (holdAtStart) debugged.holdAtStart();
      else start(vm);
      while (this.#outcome === undefined) await this.#turn(vm);
    } catch (error) {
      this.#conclude({ kind: 'error', error: error instanceof Error ? error : new Error(String(error)) });
    }
    this.#lasted = performance.now() - this.#startedAt;
    return this.#outcome!;
  }

  async #turn(vm: AssembledVm): Promise<void> {
    for (const request of this.#queue.takeAll()) await this.#serve(vm, request);
    vm.chipset.advance();
    const { ran, nextDeadline } = this.#host.runSlice(SLICE_MILLISECONDS);
    this.#flush();
    if (vm.lazy?.problem !== undefined) this.end({ kind: 'snapshot-damaged', text: vm.lazy.problem });
    if (this.#timeoutSeconds !== undefined && this.seconds >= this.#timeoutSeconds) {
      this.end({ kind: 'timeout', seconds: this.#timeoutSeconds });
    }
    if (this.#outcome !== undefined) return;
    const wait = ran ? 0 : this.#millisecondsToWait(vm, nextDeadline);
    await (wait < 1 ? new Promise<void>((resolve) => setImmediate(resolve)) : this.#sleep(wait));
  }

  async #serve(vm: AssembledVm, request: VmRequest): Promise<void> {
    if (request.kind === 'serial-input') vm.chipset.serial.receive(request.bytes);
    else if (request.kind === 'power-button') vm.chipset.power.pressPowerButton();
    else if (request.kind === 'debug') request.serve(this.#debugged!);
    else if (request.kind === 'snapshot') await this.#snapshot(vm, request.request);
    else this.end({ kind: 'stopped' });
  }

  /**
   * Stops the processors, lets what they are waiting for be answered, and writes the machine (TLFS 2.0a §17.1.7). It
   * stands still until all of it is written; that it is on the disk, only a machine that ends waits for.
   */
  async #snapshot(vm: AssembledVm, request: SnapshotRequest): Promise<void> {
    if (this.#debugged?.attached || this.#debugged?.stopped) {
      request.done('a debugger has the machine: let it detach first');
      return;
    }
    halt(vm);
    this.#host.runSlice(0);
    this.#flush();
    if (this.#outcome !== undefined) {
      request.done('the machine has ended');
      return;
    }
    let sink: SnapshotSink | undefined;
    try {
      sink = request.open();
      await this.#write(vm, sink, request);
      if (request.goOn) {
        start(vm);
        void commit(sink, request);
        return;
      }
      await sink.commit();
    } catch (error) {
      sink?.abandon();
      start(vm);
      request.done(reasonOf(error));
      return;
    }
    request.done(undefined);
    this.end({ kind: 'saved' });
  }

  /** Throws where it can't be done or is not wanted any more. Gives the event loop turns. */
  async #write(vm: AssembledVm, sink: SnapshotSink, request: SnapshotRequest): Promise<void> {
    let turn = performance.now();
    for (const progress of writeSnapshot(stateOf(vm), memoryOf(vm), sink)) {
      if (performance.now() - turn < LONGEST_STEP_MILLISECONDS) continue;
      request.progress(progress);
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.#queue.isStopping) throw new Error('the machine was stopped');
      if (request.cancelled) throw new Error('it was cancelled');
      turn = performance.now();
    }
  }

  #millisecondsToWait(vm: AssembledVm, hypervisorDeadline: number | undefined): number {
    const untilDevice = vm.chipset.untilDeadline();
    const untilTimer = hypervisorDeadline === undefined ? Infinity : hypervisorDeadline - this.#host.clock();
    let wait = Math.min(untilDevice, untilTimer) / CLOCK_UNITS_PER_MILLISECOND;
    if (this.#timeoutSeconds !== undefined)
      wait = Math.min(wait, (this.#timeoutSeconds - this.seconds) * 1000);
    return Math.min(wait, LONGEST_SLEEP_MILLISECONDS);
  }

  #sleep(milliseconds: number): Promise<void> {
    if (!this.#queue.isEmpty) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

async function commit(sink: SnapshotSink, request: SnapshotRequest): Promise<void> {
  try {
    await sink.commit();
    request.done(undefined);
  } catch (error) {
    sink.abandon();
    request.done(reasonOf(error));
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
