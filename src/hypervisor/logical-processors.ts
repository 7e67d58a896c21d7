/**
 * The logical processors that virtual processors are scheduled on (TLFS 2.0a §6.1.2, §6.3.3, §6.4). What one is here: a
 * place for a virtual processor's turn. Processors with threads of their own have turns at once; all others take turns
 * on the root's thread. The root's virtual processor 0 is bound to number 0, which therefore never stays parked
 * alone: if every processor is parked, number 0 goes on.
 */

export class LogicalProcessor {
  readonly index: number;
  parked = false;
  /** In 100 ns. */
  guestTime = 0;
  hypervisorTime = 0;
  contextSwitches = 0;
  halts = 0;
  timerInterrupts = 0;
  /** Who ran last, so that a switch is noticed. */
  last: object | undefined;

  constructor(index: number) {
    this.index = index;
  }

  /** §6.3.3: time in which it executed guest or hypervisor code. */
  get runTime(): number {
    return this.guestTime + this.hypervisorTime;
  }
}

export class LogicalProcessors {
  readonly all: readonly LogicalProcessor[];
  /** The one that executes now: whose log an event goes to. */
  current: LogicalProcessor;
  #unparked: readonly LogicalProcessor[];

  constructor(count: number) {
    this.all = Array.from({ length: count }, (_, index) => new LogicalProcessor(index));
    this.current = this.all[0];
    this.#unparked = this.all;
  }

  /** Bit n: number n is to be parked, others are not. Bits without a processor mean nothing. */
  park(mask: bigint): void {
    for (const each of this.all) each.parked = ((mask >> BigInt(each.index)) & 1n) !== 0n;
    const left = this.all.filter((each) => !each.parked);
    this.#unparked = left.length > 0 ? left : [this.all[0]];
  }

  /** Those that virtual processors are scheduled on. */
  get unparked(): readonly LogicalProcessor[] {
    return this.#unparked;
  }

  inspect(): unknown {
    return this.all.map(({ index, parked, guestTime, hypervisorTime, contextSwitches }) => {
      return { index, parked, guestTime, hypervisorTime, contextSwitches };
    });
  }
}
