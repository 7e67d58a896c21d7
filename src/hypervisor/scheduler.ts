/**
 * Runs the virtual processors of all child partitions on the host's one thread, in turn, and the root partition's
 * interrupts between them (TLFS 2.0a §18: policy is the implementation's; chosen: round robin, equal turns).
 *
 * A turn is a number of instructions, not of milliseconds, so that a run can be repeated. A VP whose intercept
 * the parent completes at once goes on within its turn: that round trip is what port and MMIO emulation costs.
 *
 * With a worker thread per VP this class keeps the timers and the root's interrupts only: a worker loops over
 * VirtualProcessor.run(), waits (Atomics.wait) where isReady() is false, and is woken by kick() or by the
 * deadline that nextDeadline() gave.
 */
import type { Hypervisor } from './hypervisor.ts';
import type { Partition } from './partition.ts';
import { PORTS, REFERENCE_TIME } from './partition-interrupts.ts';
import { PERIODIC_TIMER } from './periodic-timer-assist.ts';
import { TSC_TICKS_PER_REFERENCE_UNIT } from './reference-time.ts';
import type { RootProcessor } from './root-processor.ts';
import { VirtualProcessor } from './virtual-processor.ts';

/** About a millisecond of interpreted code. */
const TURN_INSTRUCTIONS = 100_000;
const CLOCK_UNITS_PER_MILLISECOND = 10_000;

export interface Slice {
  /** Some virtual processor executed something. */
  ran: boolean;
  /**
   * When a timer is due next, as a reading of the hypervisor's clock (100 ns units); undefined when none is set.
   * A driver may sleep until then when `ran` is false and nothing else (console, device) asks for attention.
   */
  nextDeadline: number | undefined;
}

export class Scheduler {
  readonly #hypervisor: Hypervisor;
  readonly #root: RootProcessor;

  constructor(hypervisor: Hypervisor, root: RootProcessor) {
    this.#hypervisor = hypervisor;
    this.#root = root;
  }

  /** Gives every runnable VP turns until none is left or the time is up; a VP's turn is not cut short. */
  runSlice(maxMilliseconds: number): Slice {
    const { clock } = this.#hypervisor;
    const end = clock() + maxMilliseconds * CLOCK_UNITS_PER_MILLISECOND;
    let ran = false;
    let again = true;
    while (again) {
      again = false;
      for (const partition of this.#hypervisor.partitions.values()) {
        if (this.#runPartition(partition)) again = true;
      }
      this.#root.serve();
      ran ||= again;
      if (clock() >= end) break;
    }
    return { ran, nextDeadline: this.nextDeadline() };
  }

  /** The earliest deadline of any partition whose time runs, as a reading of the hypervisor's clock. */
  nextDeadline(): number | undefined {
    const now = this.#hypervisor.clock();
    let earliest = now + this.#root.nanosecondsToDeadline() / TSC_TICKS_PER_REFERENCE_UNIT;
    for (const partition of this.#hypervisor.partitions.values()) {
      const time = partition.parts.peek(REFERENCE_TIME);
      if (time === undefined || time.frozen) continue;
      let deadline = partition.parts.peek(PORTS)?.nextDeadline() ?? Infinity;
      deadline = Math.min(deadline, partition.parts.peek(PERIODIC_TIMER)?.nextDeadline() ?? Infinity);
      for (const vp of partition.virtualProcessors.values()) {
        if (vp instanceof VirtualProcessor) deadline = Math.min(deadline, vp.nextDeadline());
      }
      if (deadline === Infinity) continue;
      const wait = Math.max(deadline - time.readTsc(), 0) / TSC_TICKS_PER_REFERENCE_UNIT;
      earliest = Math.min(earliest, now + wait);
    }
    return earliest === Infinity ? undefined : earliest;
  }

  #runPartition(partition: Partition): boolean {
    if (partition.virtualProcessors.size === 0) return false;
    const now = partition.parts.get(REFERENCE_TIME).readTsc();
    partition.parts.peek(PORTS)?.expire(now);
    partition.parts.peek(PERIODIC_TIMER)?.expire(now);
    let ran = false;
    for (const vp of partition.virtualProcessors.values()) {
      if (vp instanceof VirtualProcessor && this.#runTurn(vp)) ran = true;
    }
    return ran;
  }

  #runTurn(vp: VirtualProcessor): boolean {
    vp.expireTimers();
    let left = TURN_INSTRUCTIONS;
    let ran = false;
    while (left > 0 && vp.isReady()) {
      const before = vp.processor.instructionsRetired;
      vp.run(left);
      ran = true;
      // One more than executed, so that a VP that only exits uses up its turn.
      left -= vp.processor.instructionsRetired - before + 1;
      if (this.#root.hasPendingInterrupt) this.#root.deliverInterrupts();
    }
    return ran;
  }
}
