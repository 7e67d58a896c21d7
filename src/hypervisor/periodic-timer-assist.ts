/**
 * The periodic timer assist (TLFS 2.0a §15.1.5): interrupts at a period, to a local APIC destination, that the
 * parent sets by two partition properties and the hypervisor keeps up without it.
 *
 *   off --control with Enabled, period > 0--> running --period 0, Enabled cleared--> off
 *
 * It catches up as the non-lazy periodic timers do (§15.1.4): at half the period while ticks are missing; more than
 * 16 missed ones are skipped. A change of either property while running starts a new period. Periods below
 * 100 us count as 100 us, so that a guest can't keep its host busy.
 */
import { PartitionProperty } from '../hvdef/partition-property.ts';
import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';
import { Shorthand } from './local-apic.ts';
import type { Partition } from './partition.ts';
import { APIC_BUS, REFERENCE_TIME } from './partition-interrupts.ts';
import { type Part, partKey } from './parts.ts';
import { TSC_TICKS_PER_REFERENCE_UNIT } from './reference-time.ts';

const VECTOR_MASK = 0xff;
const MODE_SHIFT = 8;
const MODE_MASK = 7;
const LOGICAL = 1 << 11;
const ENABLED = 1n << 12n;
const DESTINATION_SHIFT = 56n;
const SHORTEST_PERIOD = 1000;
const MAX_CATCH_UP = 16;
const LONGEST_PERIOD = 2 ** 52;

export class PeriodicTimerAssist implements Part {
  readonly #partition: Partition;
  /** In 100 ns; 0: off. */
  #period = 0;
  #dueAt = 0;
  #signalAt = 0;

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** Runs after either property was set. */
  configure(): void {
    const partition = this.#partition;
    const period = partition.property(PartitionProperty.EmulatedTimerPeriod);
    const control = partition.property(PartitionProperty.EmulatedTimerControl);
    if (period === 0n) partition.setProperty(PartitionProperty.EmulatedTimerControl, control & ~ENABLED);
    const on = period !== 0n && (control & ENABLED) !== 0n;
    const before = this.#period;
    this.#period = on ? Math.min(Math.max(Number(period), SHORTEST_PERIOD), LONGEST_PERIOD) : 0;
    // Another destination or vector takes effect at once, without a new period.
    if (!on || before === this.#period) return;
    this.#dueAt = partition.parts.get(REFERENCE_TIME).count() + this.#period;
    this.#signalAt = this.#dueAt;
  }

  /** In TSC ticks; Infinity when off. */
  nextDeadline(): number {
    return this.#period === 0 ? Infinity : this.#signalAt * TSC_TICKS_PER_REFERENCE_UNIT;
  }

  /** Interrupts if a tick is due at `now` (TSC ticks). */
  expire(now: number): void {
    const reference = Math.floor(now / TSC_TICKS_PER_REFERENCE_UNIT);
    if (this.#period === 0 || reference < this.#signalAt) return;
    this.#dueAt += this.#period;
    const missed = Math.floor((reference - this.#dueAt) / this.#period);
    if (missed > MAX_CATCH_UP) this.#dueAt += missed * this.#period;
    this.#signalAt = this.#dueAt > reference ? this.#dueAt : reference + this.#period / 2;
    this.#interrupt();
  }

  #interrupt(): void {
    const value = this.#partition.property(PartitionProperty.EmulatedTimerControl);
    const low = Number(value & 0xffff_ffffn);
    this.#partition.parts.get(APIC_BUS).deliver({
      mode: (low >>> MODE_SHIFT) & MODE_MASK,
      vector: low & VECTOR_MASK,
      levelTriggered: false,
      logical: (low & LOGICAL) !== 0,
      destination: Number(value >> DESTINATION_SHIFT),
      shorthand: Shorthand.None,
    });
  }

  /** The properties are the assist's state as much as its next tick (§17.1.5). */
  save(): StateRecord {
    const { EmulatedTimerPeriod, EmulatedTimerControl, PmTimerAssist } = PartitionProperty;
    return {
      period: this.#partition.property(EmulatedTimerPeriod),
      control: this.#partition.property(EmulatedTimerControl),
      pmTimer: this.#partition.property(PmTimerAssist),
      dueAt: this.#dueAt,
      signalAt: this.#signalAt,
    };
  }

  restore(from: StateReader): void {
    const partition = this.#partition;
    partition.setProperty(PartitionProperty.EmulatedTimerPeriod, from.u64('period'));
    partition.setProperty(PartitionProperty.EmulatedTimerControl, from.u64('control'));
    partition.setProperty(PartitionProperty.PmTimerAssist, from.u64('pmTimer'));
    this.#period = 0;
    this.configure();
    this.#dueAt = from.time('dueAt');
    this.#signalAt = from.time('signalAt');
  }

  inspect(): unknown {
    return { period: this.#period, dueAt: this.#dueAt };
  }
}

export const PERIODIC_TIMER = partKey<Partition, PeriodicTimerAssist>(
  'periodic-timer-assist',
  (partition) => new PeriodicTimerAssist(partition),
);
