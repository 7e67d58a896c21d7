/**
 * Runs the virtual processors of all child partitions, and the root partition's interrupts between them (TLFS 2.0a
 * §18). Processors with threads of their own get their turns from parallel-turns.ts. The others all run on this
 * thread: in each round every logical processor that is not parked gives one virtual processor
 * a turn, the one that scheduling-policy.ts chooses by weight, reserve and cap over measured run time.
 *
 * A turn is a number of instructions, not of milliseconds, so that a run can be repeated. A VP whose intercept
 * the parent completes at once goes on within its turn: that round trip is what port and MMIO emulation costs.
 */
import { ProfileSource } from '../hvdef/system-property.ts';
import { logContextSwitch, logSample } from './event-log-sources.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { LogicalProcessor } from './logical-processors.ts';
import { ParallelTurns, type ThreadBell } from './parallel-turns.ts';
import { PORTS, REFERENCE_TIME } from './partition-interrupts.ts';
import { PERIODIC_TIMER } from './periodic-timer-assist.ts';
import { TSC_TICKS_PER_REFERENCE_UNIT } from './reference-time.ts';
import type { RootProcessor } from './root-processor.ts';
import { SchedulingPolicy } from './scheduling-policy.ts';
import { VirtualProcessor } from './virtual-processor.ts';

/** About a millisecond of interpreted code. */
const TURN_INSTRUCTIONS = 100_000;
/** What a turn that was given away counts for, in 100 ns. */
const YIELDED_TURN = 10_000;
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
  readonly #policy = new SchedulingPolicy();
  /** VPs that were ready in the last round. */
  readonly #wasReady = new WeakSet<VirtualProcessor>();
  #capped = false;
  /** Guest cycles since the profiler's last sample. */
  #unsampled = 0;
  readonly #parallel: ParallelTurns | undefined;

  /** With `bell`, every VP has a thread of its own. */
  constructor(hypervisor: Hypervisor, root: RootProcessor, bell?: ThreadBell) {
    this.#hypervisor = hypervisor;
    this.#root = root;
    if (bell === undefined) return;
    this.#parallel = new ParallelTurns(hypervisor, root, this.#policy, bell, {
      expire: () => this.#expire(),
      candidates: (now) => this.#candidates(now),
      nextDeadline: () => this.nextDeadline(),
    });
  }

  /** Gives VPs turns until none may run or the time is up; a VP's turn is not cut short. */
  runSlice(maxMilliseconds: number): Slice {
    const { clock, statistics } = this.#hypervisor;
    const end = clock() + maxMilliseconds * CLOCK_UNITS_PER_MILLISECOND;
    if (this.#parallel !== undefined) {
      const ran = this.#parallel.runUntil(end);
      statistics.refresh();
      return { ran, nextDeadline: this.nextDeadline() };
    }
    let ran = false;
    let again = true;
    // However short the slice, there are as many turns as VPs were ready.
    let owed = this.#candidates(clock()).length;
    while (again) {
      again = this.#runRound();
      this.#root.serve();
      ran ||= again;
      if (--owed <= 0 && clock() >= end) break;
    }
    statistics.refresh();
    return { ran, nextDeadline: this.nextDeadline() };
  }

  /** A turn on each logical processor; false when no VP may run. */
  #runRound(): boolean {
    const { clock, logicalProcessors } = this.#hypervisor;
    this.#expire();
    let waiting = this.#candidates(clock());
    if (waiting.length === 0) return false;
    for (const processor of logicalProcessors.unparked) {
      if (waiting.length === 0) break;
      const vp = this.#policy.choose(waiting, clock());
      waiting = waiting.filter((other) => other !== vp);
      logicalProcessors.current = processor;
      this.#runTurn(vp, processor);
    }
    return true;
  }

  /** Time's events of all partitions. */
  #expire(): void {
    for (const partition of this.#hypervisor.partitions.values()) {
      if (partition.virtualProcessors.size === 0) continue;
      const now = partition.parts.get(REFERENCE_TIME).readTsc();
      partition.parts.peek(PORTS)?.expire(now);
      partition.parts.peek(PERIODIC_TIMER)?.expire(now);
    }
  }

  /** VPs that are ready and that their cap allows to run; `#capped` says whether a cap holds one back. */
  #candidates(now: number): VirtualProcessor[] {
    const ready: VirtualProcessor[] = [];
    this.#capped = false;
    for (const partition of this.#hypervisor.partitions.values()) {
      for (const vp of partition.virtualProcessors.values()) {
        if (!(vp instanceof VirtualProcessor)) continue;
        vp.expireTimers();
        if (vp.running) continue;
        if (!vp.isReady()) this.#wasReady.delete(vp);
        else if (this.#policy.mayRun(vp, now)) ready.push(vp);
        else this.#capped = true;
      }
    }
    for (const vp of ready) {
      if (this.#wasReady.has(vp)) continue;
      this.#wasReady.add(vp);
      this.#policy.woke(vp, ready, now);
    }
    return ready;
  }

  /** The earliest deadline of any partition whose time runs, as a reading of the hypervisor's clock. */
  nextDeadline(): number | undefined {
    const now = this.#hypervisor.clock();
    // A cap ends with its window.
    const uncapped = this.#capped ? this.#policy.windowEnd(now) : Infinity;
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
    earliest = Math.min(earliest, uncapped);
    return earliest === Infinity ? undefined : earliest;
  }

  #runTurn(vp: VirtualProcessor, processor: LogicalProcessor): void {
    const { clock, eventLog } = this.#hypervisor;
    const start = clock();
    const guestTime = vp.runTime;
    if (processor.last !== vp) {
      processor.last = vp;
      processor.contextSwitches++;
      if (eventLog.active) logContextSwitch(eventLog, vp.partition.id, vp.index);
    }
    let left = TURN_INSTRUCTIONS;
    vp.yielding = false;
    while (left > 0 && !vp.yielding && vp.isReady()) {
      // At least one, so that a VP that can't run ends its turn.
      left -= Math.max(vp.run(left), 1);
      if (this.#root.hasPendingInterrupt) this.#root.deliverInterrupts();
    }
    const now = clock();
    const guest = vp.runTime - guestTime;
    processor.guestTime += guest;
    processor.hypervisorTime += Math.max(0, now - start - guest);
    // Who gives way to a lock's holder waits as if it had had its whole turn.
    this.#policy.ran(vp, vp.yielding ? Math.max(guest, YIELDED_TURN) : guest, now);
    if (eventLog.profiling) this.#sample(vp, guest);
  }

  /** A profiler's sample for each period of guest time, at the end of the turn: there is no interrupt within it. */
  #sample(vp: VirtualProcessor, guestTime: number): void {
    const { profile, eventLog } = this.#hypervisor;
    if (profile.source !== ProfileSource.CyclesNotHalted) return;
    this.#unsampled += guestTime * TSC_TICKS_PER_REFERENCE_UNIT;
    const period = Number(profile.period);
    if (this.#unsampled < period) return;
    this.#unsampled %= period;
    logSample(eventLog, vp.partition.id, vp.index, vp.processor);
  }
}
