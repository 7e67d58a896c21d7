/**
 * A virtual machine as its user sees it: made from a configuration, run once, fed with input, looked at. The
 * work is done elsewhere: assembly.ts builds it, state-driver.ts runs it, host.ts is the hypervisor below.
 */
import { type AssembledVm, assemble, type BootPlan, planBoot } from './assembly.ts';
import type { DebugTarget } from './debugger/debug-target.ts';
import { VmDebugger } from './debugger/vm-debugger.ts';
import { createHost, type DebugConnection, type Host } from './host.ts';
import { addHypercalls } from './hypercall-counts.ts';
import { handleIntercepts, unexpectedMessage } from './intercepts/dispatch.ts';
import { MessagePump } from './parent/message-pump.ts';
import { plain } from './plain-data.ts';
import type { CreateProcessor } from './processors.ts';
import { RequestQueue, type SnapshotRequest } from './request-queue.ts';
import { restoredConfig } from './snapshot/restored-config.ts';
import { StateDriver } from './state-driver.ts';
import type { VmConfig } from './vm-config.ts';
import type { VmOutcome, VmSummary } from './vm-outcome.ts';

/** A plain record with a `kind`; values may be BigInt. One JSON line of `--trace`. */
export type TraceRecord = Readonly<Record<string, unknown>>;

export interface VmIo {
  /** Called with what the guest wrote to COM1, in order, from the run loop; bytes are the callee's to keep. */
  serialOutput(bytes: Uint8Array): void;
  /** Everything that crosses the public surface of the hypervisor, as it happens. */
  trace?: (record: TraceRecord) => void;
  /** Makes guest debugging available (TLFS 2.0a ch. 20). */
  debugConnection?: DebugConnection;
}

/** What is there while the guest runs. */
interface Running {
  host: Host;
  vm: AssembledVm;
  driver: StateDriver;
  debugged: VmDebugger;
}

export class VirtualMachine {
  readonly #config: VmConfig;
  readonly #io: VmIo;
  readonly #plan: BootPlan;
  readonly #createProcessor: CreateProcessor | undefined;
  readonly #queue = new RequestQueue();
  #running: Running | undefined;
  #started = false;
  #serialBytes: number[] = [];
  #secondsToFirstSerial: number | undefined;
  /** What was told last before the partition was destroyed. */
  #lastSummary: VmSummary | undefined;
  #lastInspection: unknown;

  private constructor(
    config: VmConfig,
    io: VmIo,
    plan: BootPlan,
    createProcessor: CreateProcessor | undefined,
  ) {
    this.#config = config;
    this.#io = io;
    this.#plan = plan;
    this.#createProcessor = createProcessor;
  }

  /**
   * Throws ConfigurationError when the machine cannot be built from `config`. Processors are src/cpu's unless
   * others are given.
   */
  static create(config: VmConfig, io: VmIo, createProcessor?: CreateProcessor): VirtualMachine {
    const whole = restoredConfig(config);
    return new VirtualMachine(whole, io, planBoot(whole), createProcessor);
  }

  /** Runs the guest to its end; resolves once, never rejects. Yields to the event loop every few ms. */
  async run(): Promise<VmOutcome> {
    if (this.#started) return { kind: 'error', error: new Error('a virtual machine runs once') };
    this.#started = true;
    try {
      const running = this.#build();
      this.#running = running;
      const outcome = await running.driver.run(
        running.vm,
        running.debugged,
        this.#config.holdAtStart === true,
      );
      this.#flushSerial(running.driver);
      this.#lastSummary = this.#summarize(running);
      this.#lastInspection = outcome.kind === 'error' ? undefined : this.#inspectRunning(running);
      this.#running = undefined;
      if (outcome.kind !== 'error') running.vm.partition.destroy();
      running.host.close();
      return outcome;
    } catch (error) {
      this.#running = undefined;
      return { kind: 'error', error: error instanceof Error ? error : new Error(String(error)) };
    }
  }

  /** Bytes for the guest's COM1 receiver; may be called at any time, wakes an idle guest. */
  serialInput(bytes: Uint8Array): void {
    this.#queue.enqueue({ kind: 'serial-input', bytes });
  }

  /** Presses the power button; what follows is the guest's decision. */
  pressPowerButton(): void {
    this.#queue.enqueue({ kind: 'power-button' });
  }

  /** Takes a snapshot between two slices. Answered through the request, also when the machine has ended. */
  snapshot(request: SnapshotRequest): void {
    if (this.#running === undefined) request.done('the machine is not running');
    else this.#queue.enqueue({ kind: 'snapshot', request });
  }

  /** Calls `serve` between two slices, as soon as the machine runs; never when it has ended. */
  debug(serve: (debugged: DebugTarget) => void): void {
    this.#queue.enqueue({ kind: 'debug', serve });
  }

  /** Ends the run with `stopped` at the next slice. */
  stop(): void {
    this.#queue.enqueue({ kind: 'stop' });
  }

  /** While it runs and afterwards; before, everything is zero. */
  summary(): VmSummary {
    if (this.#running !== undefined) return this.#summarize(this.#running);
    return this.#lastSummary ?? emptySummary();
  }

  /** Plain data (no BigInt): partitions, pools, GPA map ranges with rights, overlays, VPs, devices. */
  inspect(): unknown {
    if (this.#running !== undefined) return this.#inspectRunning(this.#running);
    return this.#lastInspection ?? { state: 'created' };
  }

  #build(): Running {
    const { memoryBytes, vpCount, numa, timeoutSeconds } = this.#config;
    const trace = this.#io.trace;
    const host = createHost({
      guestBytes: memoryBytes,
      nodeBytes: numa?.nodeBytes,
      vpCount,
      createProcessor: this.#createProcessor,
      trace,
      debugConnection: this.#io.debugConnection,
    });
    const driver: StateDriver = new StateDriver(
      host,
      this.#queue,
      () => this.#flushSerial(driver),
      timeoutSeconds,
    );
    const vm = assemble(host.surface, this.#config, this.#plan, {
      transmit: (byte) => this.#serialBytes.push(byte),
      powerOff: () => driver.end({ kind: 'power-off' }),
      reset: () => driver.end({ kind: 'reset' }),
      exit: (value) => driver.end({ kind: 'exit-port', value, status: ((value << 1) | 1) & 0xff }),
    });
    const pump = new MessagePump(host.surface, vm.rootMemory, (message) => crash(unexpectedMessage(message)));
    const debugged = new VmDebugger({
      partition: vm.partition,
      vpCount: vm.vpCount,
      pump,
      end: (outcome) => driver.end(outcome),
    });
    const crash = (text: string) => {
      const end = () => driver.end({ kind: 'crash', text });
      if (!debugged.crashed(text, end)) end();
    };
    const reset = () => driver.end({ kind: 'reset' });
    handleIntercepts(pump, { partition: vm.partition, chipset: vm.chipset, memory: vm.memory, crash, reset });
    return { host, vm, driver, debugged };
  }

  #flushSerial(driver: StateDriver): void {
    if (this.#serialBytes.length === 0) return;
    this.#secondsToFirstSerial ??= driver.seconds;
    const bytes = Uint8Array.from(this.#serialBytes);
    this.#serialBytes = [];
    this.#io.serialOutput(bytes);
  }

  #summarize({ host, vm, driver }: Running): VmSummary {
    const { instructions, exits, hypercalls, profile, firstInstruction } = host.statistics();
    addHypercalls(hypercalls, vm.page.counts);
    const { available, inUse } = vm.partition.memoryBalance();
    return {
      instructions,
      exits,
      hypercalls,
      profile,
      pool: { deposited: available + inUse, available },
      pagesMapped: vm.memory.pages,
      millisecondsToFirstInstruction: firstInstruction,
      firstInstructionUnixMs: firstInstruction && performance.timeOrigin + firstInstruction,
      snapshot: vm.lazy?.account(),
      secondsToFirstSerial: this.#secondsToFirstSerial,
      seconds: driver.seconds,
    };
  }

  #inspectRunning({ host, vm, driver }: Running): unknown {
    return plain({
      state: driver.outcome === undefined ? 'running' : 'ended',
      outcome: driver.outcome?.kind,
      kernel: this.#plan.kind === 'boot' ? this.#plan.image.kind : 'snapshot',
      hypervisor: host.inspect(),
      devices: vm.chipset.inspect(),
    });
  }
}

function emptySummary(): VmSummary {
  return {
    instructions: 0,
    exits: {},
    hypercalls: {},
    pool: { deposited: 0, available: 0 },
    pagesMapped: 0,
    secondsToFirstSerial: undefined,
    seconds: 0,
  };
}
