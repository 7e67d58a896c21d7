/**
 * The four synthetic timers of a virtual processor (TLFS 2.0a §15.1.3, §15.1.4, §15.3; direct mode: current
 * TLFS). Nothing ticks: `nextDeadline` says when to call `expire`.
 *
 *   stopped --count≠0 and enabled--> running --due--> signalled: one-shot stops, periodic runs on
 *
 * Chosen where the TLFS leaves it open:
 * - A periodic timer that is late catches up at half its period; if it missed more than 16, they are skipped.
 * - A lazy one signals once, and not at all when less than a quarter of the period is left.
 * - No period is shorter than 100 us in effect, so that a guest can't keep its host busy.
 * - A message whose predecessor has not been received follows when that one is delivered.
 * - Direct mode with a vector below 16 disables the timer, as SINT 0 does in message mode.
 */
import { SyntheticMsr } from '../hvdef/msr.ts';
import { StimerBit, SYNTHETIC_TIMER_COUNT } from '../hvdef/synic.ts';
import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';
import { TSC_TICKS_PER_REFERENCE_UNIT } from './reference-time.ts';

const MAX_CATCH_UP = 16;
/** In 100 ns. */
const SHORTEST_PERIOD = 1000;
const FIRST_LEGAL_VECTOR = 16;

export interface SyntheticTimerHost {
  /** The reference counter, in 100 ns. */
  referenceCount(): number;
  /** Sends the expiration message; false while the timer's last one has not been delivered. */
  postTimer(index: number, sint: number, expirationTime: number): boolean;
  /** Direct mode. */
  requestInterrupt(vector: number): void;
  /** `nextDeadline()` may have become earlier. */
  deadlineChanged(): void;
}

interface SyntheticTimer {
  config: number;
  countLow: number;
  countHigh: number;
  running: boolean;
  /** When the running expiration is due by the timer's schedule, and when it is signalled; in 100 ns. */
  dueAt: number;
  signalAt: number;
  /** An expiration whose message waits for its buffer. */
  waitingExpiration: number | undefined;
}

function stopped(): SyntheticTimer {
  return {
    config: 0,
    countLow: 0,
    countHigh: 0,
    running: false,
    dueAt: 0,
    signalAt: 0,
    waitingExpiration: undefined,
  };
}

export class SyntheticTimers {
  readonly #host: SyntheticTimerHost;
  readonly #timers = Array.from({ length: SYNTHETIC_TIMER_COUNT }, stopped);
  /** Result of the last `readMsr`. */
  low = 0;
  high = 0;

  constructor(host: SyntheticTimerHost) {
    this.#host = host;
  }

  readMsr(msr: number): boolean {
    const index = msr - SyntheticMsr.Stimer0Config;
    const timer = this.#timers[index >> 1];
    const isCount = (index & 1) === 1;
    this.low = isCount ? timer.countLow : timer.config;
    this.high = isCount ? timer.countHigh : 0;
    return true;
  }

  /** False: #GP (a reserved bit of the configuration). */
  writeMsr(msr: number, low: number, high: number): boolean {
    const index = msr - SyntheticMsr.Stimer0Config;
    const timer = this.#timers[index >> 1];
    if ((index & 1) === 1) this.#writeCount(timer, low >>> 0, high >>> 0);
    else if (high !== 0 || (low & StimerBit.Reserved) !== 0) return false;
    else this.#writeConfig(timer, low >>> 0);
    this.#host.deadlineChanged();
    return true;
  }

  #writeConfig(timer: SyntheticTimer, value: number): void {
    timer.config = hasTarget(value) ? value : value & ~StimerBit.Enable;
    timer.waitingExpiration = undefined;
    this.#start(timer);
  }

  #writeCount(timer: SyntheticTimer, low: number, high: number): void {
    timer.countLow = low;
    timer.countHigh = high;
    if (low === 0 && high === 0) timer.config &= ~StimerBit.Enable;
    else if ((timer.config & StimerBit.AutoEnable) !== 0 && hasTarget(timer.config)) {
      timer.config |= StimerBit.Enable;
    }
    this.#start(timer);
  }

  #start(timer: SyntheticTimer): void {
    const count = timer.countHigh * 0x1_0000_0000 + timer.countLow;
    timer.running = (timer.config & StimerBit.Enable) !== 0 && count !== 0;
    if (!timer.running) return;
    timer.dueAt = (timer.config & StimerBit.Periodic) !== 0 ? this.#host.referenceCount() + count : count;
    timer.signalAt = timer.dueAt;
  }

  /** In TSC ticks; Infinity when none is running. */
  nextDeadline(): number {
    let earliest = Infinity;
    for (const timer of this.#timers) {
      if (timer.running && timer.signalAt < earliest) earliest = timer.signalAt;
    }
    return earliest * TSC_TICKS_PER_REFERENCE_UNIT;
  }

  /** Signals what is due at `now` (TSC ticks). */
  expire(now: number): void {
    const reference = Math.floor(now / TSC_TICKS_PER_REFERENCE_UNIT);
    for (let index = 0; index < SYNTHETIC_TIMER_COUNT; index++) {
      const timer = this.#timers[index];
      if (!timer.running || reference < timer.signalAt) continue;
      const { dueAt } = timer;
      if ((timer.config & StimerBit.Periodic) === 0) {
        timer.running = false;
        timer.config &= ~StimerBit.Enable;
        this.#signal(index, timer, dueAt);
      } else if (this.#advance(timer, reference)) {
        this.#signal(index, timer, dueAt);
      }
    }
  }

  /** Sets a periodic timer's next expiration; false when this one is skipped. */
  #advance(timer: SyntheticTimer, reference: number): boolean {
    const period = timer.countHigh * 0x1_0000_0000 + timer.countLow;
    const late = reference - timer.dueAt;
    const missed = Math.floor(late / period);
    if ((timer.config & StimerBit.Lazy) !== 0 || missed > MAX_CATCH_UP) {
      timer.dueAt += missed * period;
    }
    const lateInPeriod = reference - timer.dueAt;
    timer.dueAt += period;
    timer.signalAt = Math.max(timer.dueAt, reference + Math.max(Math.ceil(period / 2), SHORTEST_PERIOD));
    return (timer.config & StimerBit.Lazy) === 0 || lateInPeriod <= period * 0.75;
  }

  #signal(index: number, timer: SyntheticTimer, expiration: number): void {
    if ((timer.config & StimerBit.DirectMode) !== 0) {
      this.#host.requestInterrupt((timer.config >>> StimerBit.VectorShift) & 0xff);
      return;
    }
    const sint = (timer.config >>> StimerBit.SintShift) & 0xf;
    timer.waitingExpiration = this.#host.postTimer(index, sint, expiration) ? undefined : expiration;
  }

  /** Timer `index`'s last message was delivered: one that waits for its buffer follows. */
  messageDelivered(index: number): void {
    const timer = this.#timers[index];
    if (timer.waitingExpiration !== undefined) this.#signal(index, timer, timer.waitingExpiration);
  }

  save(): StateRecord {
    return {
      timers: this.#timers.map((timer) => {
        const { waitingExpiration, ...rest } = timer;
        return waitingExpiration === undefined ? rest : { ...rest, waitingExpiration };
      }),
    };
  }
  restore(from: StateReader): void {
    from.records('timers', SYNTHETIC_TIMER_COUNT, true).forEach((each, index) => {
      const config = each.u32('config');
      if ((config & StimerBit.Reserved) !== 0) each.fail('config');
      const running = each.flag('running');
      const countLow = each.u32('countLow');
      const countHigh = each.u32('countHigh');
      // A timer that runs has a target and, being periodic, a period.
      if (running && (!hasTarget(config) || (countLow === 0 && countHigh === 0))) each.fail('running');
      const waitingExpiration = each.has('waitingExpiration') ? each.time('waitingExpiration') : undefined;
      const [dueAt, signalAt] = [each.time('dueAt'), each.time('signalAt')];
      this.#timers[index] = { config, countLow, countHigh, running, dueAt, signalAt, waitingExpiration };
    });
  }

  reset(): void {
    for (let index = 0; index < SYNTHETIC_TIMER_COUNT; index++) this.#timers[index] = stopped();
  }

  inspect(): unknown {
    return this.#timers.map((timer) => ({
      config: timer.config,
      running: timer.running,
      dueAt: timer.running ? timer.dueAt : undefined,
    }));
  }
}

/** A timer needs somewhere to signal: a legal vector, or a SINT other than 0. */
function hasTarget(config: number): boolean {
  if ((config & StimerBit.DirectMode) !== 0) {
    return ((config >>> StimerBit.VectorShift) & 0xff) >= FIRST_LEGAL_VECTOR;
  }
  return ((config >>> StimerBit.SintShift) & 0xf) !== 0;
}
