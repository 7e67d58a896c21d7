/** A machine with a test guest (test/guests) and somebody who debugs it through `VirtualMachine.debug`. */
import type { DebugTarget, StopEvent, VpAction } from '../../../src/vm/debugger/debug-target.ts';
import { registerIndex } from '../../../src/vm/debugger/register-table.ts';
import { elfImage } from '../../../src/vm/loaders/hand-made-images.ts';
import { VirtualMachine } from '../../../src/vm/virtual-machine.ts';
import type { VmOutcome } from '../../../src/vm/vm-outcome.ts';
import type { GuestImage } from '../guest-image.ts';

const MEMORY_BYTES = 16 * 2 ** 20;

export interface Ended {
  outcome: VmOutcome;
  output: string;
}

export class DebuggedMachine {
  output = '';
  readonly end: Promise<Ended>;
  readonly #machine: VirtualMachine;
  readonly #stops: StopEvent[] = [];
  #waiting: ((event: StopEvent | undefined) => void) | undefined;
  #over = false;

  constructor(image: GuestImage, holdAtStart = true) {
    const kernel = elfImage(false, BigInt(image.labels('entry32')), [
      { physicalAddress: image.origin, bytes: image.bytes },
    ]);
    this.#machine = VirtualMachine.create(
      {
        kernel: { name: 'guest', bytes: kernel },
        modules: [],
        commandLine: '',
        memoryBytes: MEMORY_BYTES,
        vpCount: 1,
        timeoutSeconds: 120,
        holdAtStart,
      },
      {
        serialOutput: (bytes) => {
          this.output += Buffer.from(bytes).toString('latin1');
        },
      },
    );
    this.end = this.#machine.run().then((outcome) => {
      this.#over = true;
      this.#waiting?.(undefined);
      return { outcome, output: this.output };
    });
  }

  /** Does something between two slices. */
  with<T>(action: (target: DebugTarget) => T): Promise<T> {
    return new Promise((resolve) => this.#machine.debug((target) => resolve(action(target))));
  }

  attach(): Promise<void> {
    return this.with((target) =>
      target.attach((event) => {
        if (this.#waiting === undefined) this.#stops.push(event);
        else this.#waiting(event);
        this.#waiting = undefined;
      }),
    );
  }

  /** Lets the processor go, and answers its next stop; undefined when the machine has ended instead. */
  async go(action: VpAction): Promise<StopEvent | undefined> {
    await this.with((target) => target.resume([action]));
    const ready = this.#stops.shift();
    if (ready !== undefined || this.#over) return ready;
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  register(name: string): Promise<bigint> {
    return this.with((target) => target.readRegisters(0)[registerIndex(name)]);
  }
}
