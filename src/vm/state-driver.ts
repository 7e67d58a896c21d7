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
import { halt, start, stateOf } from './assembly.ts';
import type { Host } from './host.ts';
import type { RequestQueue, SaveRequest, VmRequest } from './request-queue.ts';
import { savedMachineBytes } from './saved-machine.ts';
import type { VmOutcome } from './vm-outcome.ts';

const SLICE_MILLISECONDS = 4;
/** Longest sleep: Node's timers count in 31 bits. */
const LONGEST_SLEEP_MILLISECONDS = 60_000;
const CLOCK_UNITS_PER_MILLISECOND = 10_000;

export class StateDriver {
  readonly #host: Host;
  readonly #queue: RequestQueue;
  readonly #flush: () => void;
  readonly #timeoutSeconds: number | undefined;
  #vm: AssembledVm | undefined;
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
    this.#outcome = outcome;
    if (this.#vm !== undefined) halt(this.#vm);
  }

  async run(vm: AssembledVm): Promise<VmOutcome> {
    this.#vm = vm;
    this.#startedAt = performance.now();
    try {
      start(vm);
      while (this.#outcome === undefined) await this.#turn(vm);
    } catch (error) {
      this.#outcome = { kind: 'error', error: error instanceof Error ? error : new Error(String(error)) };
    }
    this.#lasted = performance.now() - this.#startedAt;
    return this.#outcome;
  }

  async #turn(vm: AssembledVm): Promise<void> {
    for (const request of this.#queue.takeAll()) this.#serve(vm, request);
    vm.chipset.advance();
    const { ran, nextDeadline } = this.#host.runSlice(SLICE_MILLISECONDS);
    this.#flush();
    if (this.#timeoutSeconds !== undefined && this.seconds >= this.#timeoutSeconds) {
      this.end({ kind: 'timeout', seconds: this.#timeoutSeconds });
    }
    if (this.#outcome !== undefined) return;
    const wait = ran ? 0 : this.#millisecondsToWait(vm, nextDeadline);
    await (wait < 1 ? new Promise<void>((resolve) => setImmediate(resolve)) : this.#sleep(wait));
  }

  #serve(vm: AssembledVm, request: VmRequest): void {
    if (request.kind === 'serial-input') vm.chipset.serial.receive(request.bytes);
    else if (request.kind === 'power-button') vm.chipset.power.pressPowerButton();
    else if (request.kind === 'save') this.#save(vm, request.request);
    else this.end({ kind: 'stopped' });
  }

  /** Stops the processors, lets what they are waiting for be answered, and saves (TLFS 2.0a §17.1.7). */
  #save(vm: AssembledVm, request: SaveRequest): void {
    let problem: string | undefined;
    halt(vm);
    this.#host.runSlice(0);
    this.#flush();
    try {
      request.write(savedMachineBytes(stateOf(vm), vm.memory));
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    request.done(problem);
    if (problem === undefined && !request.goOn) this.end({ kind: 'saved' });
    else start(vm);
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
