/**
 * Turns of virtual processors whose instructions run on threads of their own: as many at once as there are unparked
 * logical processors. This thread gives turns, handles exits, and sleeps while all turns go on.
 *
 *   candidate ──begin──▶ has a turn ──exit──▶ handled; candidate again, at once if nobody else waits
 *                            └── turn over while others wait, cap reached: kick, then as any exit
 *
 * Nothing runs and nothing is due: the slice ends, and nobody spends time until the next deadline.
 */
import { logContextSwitch } from './event-log-sources.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { LogicalProcessor } from './logical-processors.ts';
import type { RootProcessor } from './root-processor.ts';
import type { SchedulingPolicy } from './scheduling-policy.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

const CLOCK_UNITS_PER_MILLISECOND = 10_000;
/** How long a turn may last while others wait, in 100 ns. */
const TURN = 10_000;
/** What a turn that was given away counts for. */
const YIELDED_TURN = 10_000;

/** Where the threads make themselves heard (cpu/threads/processor-threads.ts). */
export interface ThreadBell {
  readonly doorbell: number;
  /** Sleeps until the bell has rung since it read `seen`, at most so long; answers what threads ask. */
  wait(seen: number, milliseconds: number): void;
}

/** The scheduler, as far as turns depend on it. */
export interface TurnSource {
  /** Time's events of all partitions. */
  expire(): void;
  /** VPs that are ready, may run by their cap and do not run. */
  candidates(now: number): VirtualProcessor[];
  nextDeadline(): number | undefined;
}

interface Turn {
  vp: VirtualProcessor;
  processor: LogicalProcessor;
  start: number;
  /** Up to when it has been charged for. */
  charged: number;
  guestTime: number;
}

export class ParallelTurns {
  readonly #hypervisor: Hypervisor;
  readonly #root: RootProcessor;
  readonly #policy: SchedulingPolicy;
  readonly #bell: ThreadBell;
  readonly #source: TurnSource;
  #turns: Turn[] = [];

  constructor(
    hypervisor: Hypervisor,
    root: RootProcessor,
    policy: SchedulingPolicy,
    bell: ThreadBell,
    source: TurnSource,
  ) {
    this.#hypervisor = hypervisor;
    this.#root = root;
    this.#policy = policy;
    this.#bell = bell;
    this.#source = source;
  }

  /** Gives turns and handles exits until `end`, or until nothing runs; true if something ran. */
  runUntil(end: number): boolean {
    const { clock } = this.#hypervisor;
    let ran = false;
    for (;;) {
      const seen = this.#bell.doorbell;
      this.#source.expire();
      this.#collect();
      this.#root.serve();
      const waiting = this.#dispatch();
      ran ||= this.#turns.length > 0;
      const now = clock();
      const more = this.#root.hasPendingInterrupt;
      if ((this.#turns.length === 0 && !more) || now >= end) return ran;
      if (!more) this.#bell.wait(seen, this.#patience(now, end, waiting));
    }
  }

  /** Milliseconds that this thread may sleep. */
  #patience(now: number, end: number, waiting: boolean): number {
    let until = Math.min(end, this.#source.nextDeadline() ?? Infinity);
    if (waiting || this.#turns.some(({ vp }) => this.#policy.isCapped(vp)))
      until = Math.min(until, now + TURN);
    return Math.max(0, until - now) / CLOCK_UNITS_PER_MILLISECOND;
  }

  /** Handles the exits of turns that have ended. */
  #collect(): void {
    const { clock, logicalProcessors } = this.#hypervisor;
    const going: Turn[] = [];
    for (const turn of this.#turns) {
      const { vp, processor } = turn;
      logicalProcessors.current = processor;
      if (vp.running && !vp.collect()) going.push(turn);
      else this.#close(turn, clock());
    }
    this.#turns = going;
  }

  #close(turn: Turn, now: number): void {
    const { vp, processor } = turn;
    const guest = vp.runTime - turn.guestTime;
    processor.guestTime += guest;
    processor.hypervisorTime += Math.max(0, now - turn.start - guest);
    this.#charge(turn, now);
    // Who gives way to a lock's holder waits as if it had had its whole turn.
    if (vp.yielding) this.#policy.ran(vp, YIELDED_TURN, now);
  }

  #charge(turn: Turn, now: number): void {
    this.#policy.ran(turn.vp, now - turn.charged, now);
    turn.charged = now;
  }

  /** Gives free logical processors to candidates; true when some are left waiting. */
  #dispatch(): boolean {
    const { clock, logicalProcessors } = this.#hypervisor;
    const now = clock();
    let waiting = this.#source.candidates(now);
    for (const processor of logicalProcessors.unparked) {
      if (waiting.length === 0) break;
      if (this.#turns.some((turn) => turn.processor === processor)) continue;
      const vp = this.#policy.choose(waiting, now);
      waiting = waiting.filter((other) => other !== vp);
      this.#begin(vp, processor);
    }
    for (const turn of this.#turns) {
      if (now - turn.charged >= TURN) this.#charge(turn, now);
      const isOver = waiting.length > 0 && now - turn.start >= TURN;
      if (isOver || !this.#policy.mayRun(turn.vp, now)) turn.vp.kick();
    }
    return waiting.length > 0;
  }

  #begin(vp: VirtualProcessor, processor: LogicalProcessor): void {
    const { clock, eventLog, logicalProcessors } = this.#hypervisor;
    logicalProcessors.current = processor;
    const start = clock();
    const guestTime = vp.runTime;
    vp.yielding = false;
    if (!vp.begin()) return;
    this.#turns.push({ vp, processor, start, charged: start, guestTime });
    if (processor.last === vp) return;
    processor.last = vp;
    processor.contextSwitches++;
    if (eventLog.active) logContextSwitch(eventLog, vp.partition.id, vp.index);
  }
}
