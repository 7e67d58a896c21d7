/**
 * The timer of a local APIC: one-shot, periodic and TSC-deadline (SDM vol. 3 §10.5.4). It owns initial count,
 * divider and deadline; mode, mask and vector stay in the LVT entry, which the local APIC owns and passes in.
 *
 * Nothing ticks: the current count is computed from the time, and `nextDeadline` says when to call `expire`.
 */

import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';
import { TSC_TICKS_PER_APIC_TICK } from './reference-time.ts';

const LVT_MASKED = 1 << 16;
export const TimerMode = { OneShot: 0, Periodic: 1, TscDeadline: 2 } as const;

function modeOf(lvt: number): number {
  return (lvt >>> 17) & 3;
}

export class LocalApicTimer {
  #initialCount = 0;
  #divideConfiguration = 0;
  /** Time (TSC ticks) at which the running count, or the running period, started. */
  #start = 0;
  /** A one-shot or periodic count is running and has not been reported. */
  #armed = false;
  /** TSC deadline as the guest wrote it; both zero: disarmed. */
  #deadlineLow = 0;
  #deadlineHigh = 0;

  get initialCount(): number {
    return this.#initialCount;
  }
  get divideConfiguration(): number {
    return this.#divideConfiguration;
  }
  get deadlineLow(): number {
    return this.#deadlineLow;
  }
  get deadlineHigh(): number {
    return this.#deadlineHigh;
  }

  /** TSC ticks in one tick of the count. */
  #ticksPerCount(): number {
    const encoded = (this.#divideConfiguration & 3) | ((this.#divideConfiguration >>> 1) & 4);
    return TSC_TICKS_PER_APIC_TICK * (encoded === 7 ? 1 : 2 << encoded);
  }

  currentCount(lvt: number, now: number): number {
    if (modeOf(lvt) === TimerMode.TscDeadline || !this.#armed) return 0;
    const elapsed = Math.floor((now - this.#start) / this.#ticksPerCount());
    if (modeOf(lvt) === TimerMode.Periodic) return this.#initialCount - (elapsed % this.#initialCount);
    return Math.max(0, this.#initialCount - elapsed);
  }

  writeInitialCount(lvt: number, value: number, now: number): void {
    if (modeOf(lvt) === TimerMode.TscDeadline) return;
    this.#initialCount = value;
    this.#start = now;
    this.#armed = value !== 0;
  }

  /** The count keeps its value and goes on at the new rate. */
  writeDivideConfiguration(lvt: number, value: number, now: number): void {
    const elapsed = this.#initialCount - this.currentCount(lvt, now);
    this.#divideConfiguration = value & 0xb;
    this.#start = now - elapsed * this.#ticksPerCount();
  }

  /** The LVT entry changes: into or out of deadline mode everything is disarmed. */
  lvtChanged(before: number, after: number, now: number): void {
    const wasDeadline = modeOf(before) === TimerMode.TscDeadline;
    if (wasDeadline !== (modeOf(after) === TimerMode.TscDeadline)) {
      this.#initialCount = 0;
      this.#armed = false;
      this.#deadlineLow = 0;
      this.#deadlineHigh = 0;
      return;
    }
    if (!this.#armed || wasDeadline) return;
    // Periods that passed while the entry was masked are gone, as is a one-shot that ran out.
    const period = this.#initialCount * this.#ticksPerCount();
    if (now < this.#start + period || (before & LVT_MASKED) === 0) return;
    if (modeOf(before) === TimerMode.Periodic)
      this.#start += Math.floor((now - this.#start) / period) * period;
    else this.#armed = false;
  }

  writeDeadline(lvt: number, low: number, high: number): void {
    if (modeOf(lvt) !== TimerMode.TscDeadline) return;
    this.#deadlineLow = low >>> 0;
    this.#deadlineHigh = high >>> 0;
  }

  /** When `expire` is due; `tscOffset` is what the guest's TSC is ahead of `now`'s. */
  nextDeadline(lvt: number, tscOffset: number): number {
    if ((lvt & LVT_MASKED) !== 0) return Infinity;
    if (modeOf(lvt) === TimerMode.TscDeadline) {
      if (this.#deadlineLow === 0 && this.#deadlineHigh === 0) return Infinity;
      return this.#deadlineHigh * 0x1_0000_0000 + this.#deadlineLow - tscOffset;
    }
    return this.#armed ? this.#start + this.#initialCount * this.#ticksPerCount() : Infinity;
  }

  /** True when the timer ran out at or before `now`; it is then disarmed or in its next period. */
  expire(lvt: number, now: number, tscOffset: number): boolean {
    if (this.nextDeadline(lvt, tscOffset) > now) return false;
    if (modeOf(lvt) === TimerMode.TscDeadline) {
      this.#deadlineLow = 0;
      this.#deadlineHigh = 0;
    } else if (modeOf(lvt) === TimerMode.Periodic) {
      const period = this.#initialCount * this.#ticksPerCount();
      this.#start += Math.floor((now - this.#start) / period) * period;
    } else {
      this.#armed = false;
    }
    return true;
  }

  save(): StateRecord {
    return {
      initialCount: this.#initialCount,
      divideConfiguration: this.#divideConfiguration,
      start: this.#start,
      armed: this.#armed,
      deadlineLow: this.#deadlineLow,
      deadlineHigh: this.#deadlineHigh,
    };
  }
  restore(from: StateReader): void {
    this.#initialCount = from.u32('initialCount');
    this.#divideConfiguration = from.integer('divideConfiguration', 0xb) & 0xb;
    this.#start = from.time('start');
    this.#armed = from.flag('armed');
    this.#deadlineLow = from.u32('deadlineLow');
    this.#deadlineHigh = from.u32('deadlineHigh');
  }

  reset(): void {
    this.#initialCount = 0;
    this.#divideConfiguration = 0;
    this.#armed = false;
    this.#deadlineLow = 0;
    this.#deadlineHigh = 0;
  }
}
