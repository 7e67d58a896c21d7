/**
 * A partition's time: the reference counter in units of 100 ns and the TSC, both from one monotonic host clock
 * that is injected (TLFS 2.0a §15.1.2, §15.2; §11.7 for the TSC).
 *
 *   running --freeze()--> frozen --resume()--> running       time stands still while frozen
 *
 * Chosen: the TSC runs at exactly 1.0 GHz, so a tick is a nanosecond and TSC, deadlines and host time are one
 * unit, and reference = floor(TSC / 100) holds by construction. Numbers carry it exactly for 104 days (2^53 ns),
 * in steps of 2 ns for the 104 after that.
 */
import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';

export const TSC_FREQUENCY_HZ = 1_000_000_000;
/** TSC ticks in one unit of the reference counter. */
export const TSC_TICKS_PER_REFERENCE_UNIT = 100;
/** Input clock of the local APIC timer, before its divider. */
export const APIC_FREQUENCY_HZ = 200_000_000;
/** TSC ticks in one tick of that input clock. */
export const TSC_TICKS_PER_APIC_TICK = TSC_FREQUENCY_HZ / APIC_FREQUENCY_HZ;

/** Host clock reads that `read()` waits for the next unit before it counts on by itself. */
const CLOCK_PATIENCE = 1000;

export class ReferenceTime {
  readonly #clock: () => number;
  /** Host time (ns) at which the partition's time was zero, not counting frozen spans. */
  #origin: number;
  #frozenAt: number | undefined;
  #lastRead = -1;

  /** `clock`: monotonic host time in units of 100 ns; fractions give the TSC its resolution. */
  constructor(clock: () => number) {
    this.#clock = clock;
    this.#origin = this.#hostNanoseconds();
  }

  #hostNanoseconds(): number {
    return Math.floor(this.#clock() * 100);
  }

  /** Reading of the host's clock, in ns, at which the TSC was 0; holds while time runs. */
  get origin(): number {
    return this.#origin;
  }

  /** TSC ticks since the partition's start: nanoseconds. */
  readTsc(): number {
    return (this.#frozenAt ?? this.#hostNanoseconds()) - this.#origin;
  }

  /** The reference counter. */
  count(): number {
    return Math.floor(this.readTsc() / TSC_TICKS_PER_REFERENCE_UNIT);
  }

  /** The reference counter as its MSR shows it: no two reads give the same value. */
  read(): number {
    let now = this.count();
    for (let i = 0; now <= this.#lastRead && this.#frozenAt === undefined && i < CLOCK_PATIENCE; i++) {
      now = this.count();
    }
    this.#lastRead = Math.max(now, this.#lastRead + 1);
    return this.#lastRead;
  }

  get frozen(): boolean {
    return this.#frozenAt !== undefined;
  }

  /** The last virtual processor was explicitly suspended: time stops. */
  freeze(): void {
    this.#frozenAt ??= this.#hostNanoseconds();
  }

  resume(): void {
    if (this.#frozenAt === undefined) return;
    this.#origin += this.#hostNanoseconds() - this.#frozenAt;
    this.#frozenAt = undefined;
  }

  /** Restores a saved counter; the TSC follows. */
  restore(referenceCount: number): void {
    const ticks = referenceCount * TSC_TICKS_PER_REFERENCE_UNIT;
    this.#origin = (this.#frozenAt ?? this.#hostNanoseconds()) - ticks;
    this.#lastRead = referenceCount - 1;
  }

  save(): StateRecord {
    return { ticks: this.readTsc(), lastRead: this.#lastRead };
  }
  /** Time goes on from the saved tick; the partition is frozen, or runs on from now. */
  restoreState(from: StateReader): void {
    this.#origin = (this.#frozenAt ?? this.#hostNanoseconds()) - from.integer('ticks', 2 ** 53);
    const lastRead = from.time('lastRead');
    if (Number.isInteger(lastRead)) this.#lastRead = lastRead;
    else from.fail('lastRead');
  }

  inspect(): { referenceCount: number; frozen: boolean } {
    return { referenceCount: this.count(), frozen: this.frozen };
  }
}
