/**
 * How a virtual processor's instructions are executed: on the hypervisor's own thread (`run`), or on a thread of the
 * processor's (`begin`, then `collect` when it has stopped). What comes before and after is the same.
 *
 *   standing ──run──▶ prepare ─▶ execute ─▶ handle the exit ─▶ ... ─▶ standing
 *   standing ──begin──▶ prepare ─▶ running ──exit──▶ collect: handle it ─▶ standing
 *                                     └──stop()──▶ standing on an instruction boundary, the exit undone
 *
 * Nothing of an instruction that exits is done, so an exit that `stop` meets is dropped: executed again, the instruction
 * exits again. A halt and exceptions are handled at once, as they would not come again.
 */
import { Attention, Exit, type Processor } from '../cpu/processor.ts';
import type { ExitCounters } from './exit-counters.ts';
import type { Clock } from './machine.ts';

/** What an exit costs of a budget of instructions; it takes one to five microseconds. */
const EXIT_INSTRUCTIONS = 100;
/** Of a processor with a thread: it is stopped from outside. */
const ENDLESS = 0x7fff_0000;
/** An event whose delivery fails suspends the VP or is followed by another: this ends. */
const MOST_TRIES = 8;
const NS_PER_CLOCK_UNIT = 100;

export interface ExecutedProcessor {
  readonly processor: Processor;
  readonly counters: ExitCounters;
  readonly yielding: boolean;
  isReady(): boolean;
  /** Checks registers and lets events in; 'suspended' or 'again' where nothing is to be executed now. */
  prepare(): 'ready' | 'again' | 'suspended';
  /** Acts on an exit; the VP may be suspended or halted afterwards. */
  finish(exit: Exit): void;
}

export class Execution {
  readonly #vp: ExecutedProcessor;
  readonly #clock: Clock;
  running = false;
  #inlineTime = 0;
  /** A restored VP's. */
  #earlierTime = 0;

  constructor(vp: ExecutedProcessor, clock: Clock) {
    this.#vp = vp;
    this.#clock = clock;
  }

  /** Time spent executing, in 100 ns. */
  get runTime(): number {
    const { thread } = this.#vp.processor;
    return this.#earlierTime + (thread ? thread.runTime / NS_PER_CLOCK_UNIT : this.#inlineTime);
  }
  set runTime(time: number) {
    this.#earlierTime = 0;
    this.#earlierTime = time - this.runTime;
  }

  /**
   * Executes about `maxInstructions`, less when the VP is suspended or has nothing to do. Answers what it used of
   * them, exits included: instructions that only exit and run again use up a turn too.
   */
  run(maxInstructions: number): number {
    const vp = this.#vp;
    const { processor } = vp;
    const start = this.#clock();
    let left = maxInstructions;
    while (left > 0 && !vp.yielding && vp.isReady()) {
      const prepared = vp.prepare();
      if (prepared === 'suspended') break;
      if (prepared === 'again') {
        left--;
        continue;
      }
      const before = processor.instructionsRetired;
      this.running = true;
      const exit = processor.run(left);
      this.running = false;
      // An exit takes as long as many instructions: a guest that only exits must not hold its turn for seconds.
      left -= processor.instructionsRetired - before + (exit === Exit.Budget ? 1 : EXIT_INSTRUCTIONS);
      this.#handle(exit);
    }
    this.#inlineTime += this.#clock() - start;
    return maxInstructions - left;
  }

  /** Lets the processor's thread execute; false when there is nothing to execute now. */
  begin(): boolean {
    const vp = this.#vp;
    for (let tries = 0; ; tries++) {
      const prepared = vp.isReady() ? vp.prepare() : 'suspended';
      if (prepared === 'suspended' || tries === MOST_TRIES) return false;
      if (prepared === 'ready') break;
    }
    this.running = true;
    vp.processor.thread!.begin(ENDLESS);
    return true;
  }

  /** Handles the exit if the thread has stopped; false while it executes. */
  collect(): boolean {
    if (!this.running) return true;
    const exit = this.#vp.processor.thread!.takeExit();
    if (exit === undefined) return false;
    this.running = false;
    this.#handle(exit);
    return true;
  }

  /** Brings a processor that executes on its thread to an instruction boundary. */
  stop(): void {
    const { thread } = this.#vp.processor;
    if (!this.running || thread === undefined) return;
    thread.stop();
    const exit = thread.takeExit();
    this.running = false;
    if (exit === Exit.Halt || exit === Exit.Exception || exit === Exit.TripleFault) this.#handle(exit);
  }

  #handle(exit: Exit): void {
    const { counters, processor } = this.#vp;
    counters.exits[exit]++;
    if (exit === Exit.Attention) processor.clearAttention(Attention.Stop);
    this.#vp.finish(exit);
  }
}
