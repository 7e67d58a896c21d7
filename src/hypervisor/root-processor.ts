/**
 * The root partition's virtual processor 0. It executes no guest instructions: it is the virtualization stack,
 * TypeScript in the host. It has a SynIC like any other VP, and an "interrupt" for it is a vector that waits
 * here until the host delivers it between two slices of the other VPs, as hardware would between two
 * instructions. Delivery also ends the interrupt (there is no EOI to write).
 */
import type { Partition, VirtualProcessorCore } from './partition.ts';
import { Parts } from './parts.ts';

export type InterruptHandler = (vector: number) => void;

/** The synthetic MSRs of this VP, by the class that also serves guests. */
export interface MsrBank {
  handles(msr: number): boolean;
  /** False: #GP. The value is left in `low` and `high`. */
  read(msr: number): boolean;
  readonly low: number;
  readonly high: number;
  /** False: #GP. */
  write(msr: number, low: number, high: number): boolean;
}

/** Something of this VP that time drives; times in TSC ticks of the root partition (nanoseconds). */
export interface Timed {
  nextDeadline(): number;
  expire(now: number): void;
}

export class RootProcessor implements VirtualProcessorCore {
  readonly index = 0;
  readonly partition: Partition;
  readonly processor = undefined;
  readonly parts: Parts<VirtualProcessorCore>;
  /** Set at boot. */
  msrs: MsrBank | undefined;
  /** Called when a vector becomes pending: wakes a host that waits for something to do. */
  onPending: (() => void) | undefined;
  /** Set at boot: SynIC and timers, and the root partition's time. */
  timed: readonly Timed[] = [];
  readTime: () => number = () => 0;
  #handler: InterruptHandler | undefined;
  readonly #pending = new Set<number>();
  #delivering = false;

  constructor(partition: Partition) {
    this.partition = partition;
    this.parts = new Parts<VirtualProcessorCore>(this);
  }

  set interruptHandler(handler: InterruptHandler | undefined) {
    this.#handler = handler;
  }

  get hasPendingInterrupt(): boolean {
    return this.#pending.size > 0;
  }

  requestInterrupt(vector: number): void {
    this.#pending.add(vector);
    this.onPending?.();
  }

  /** Hands over what is pending now, the highest vector first. What becomes pending meanwhile waits its turn. */
  deliverInterrupts(): void {
    if (this.#delivering || this.#handler === undefined) return;
    this.#delivering = true;
    try {
      const vectors = [...this.#pending].sort((a, b) => b - a);
      for (const vector of vectors) {
        this.#pending.delete(vector);
        this.#handler(vector);
      }
    } finally {
      this.#delivering = false;
    }
  }

  /** Nanoseconds until `serve` has something to do: 0 now, Infinity if nothing is due. */
  nanosecondsToDeadline(): number {
    if (this.hasPendingInterrupt) return 0;
    let deadline = Infinity;
    for (const each of this.timed) deadline = Math.min(deadline, each.nextDeadline());
    return deadline === Infinity ? Infinity : Math.max(0, deadline - this.readTime());
  }

  /** Lets timers expire and delivers interrupts. */
  serve(): void {
    const now = this.readTime();
    for (const each of this.timed) if (each.nextDeadline() <= now) each.expire(now);
    this.deliverInterrupts();
  }

  flushTlb(): void {}
  flushVirtual(): void {}

  release(): void {
    this.parts.release();
  }
}
