/**
 * The synthetic MSRs of the root's virtual processor: SynIC, synthetic timers, VP index and reference counter.
 * It executes no instructions, so those that concern instructions or the local APIC (hypercall page, APIC
 * accelerators, VP assist, crash) don't exist for it: #GP.
 */
import { SyntheticMsr } from '../hvdef/msr.ts';
import type { ReferenceTime } from './reference-time.ts';
import type { MsrBank } from './root-processor.ts';
import type { Synic } from './synic.ts';
import type { SyntheticTimers } from './synthetic-timer.ts';

const TWO_32 = 2 ** 32;

export class RootMsrs implements MsrBank {
  readonly #synic: Synic;
  readonly #timers: SyntheticTimers;
  readonly #time: ReferenceTime;
  low = 0;
  high = 0;

  constructor(synic: Synic, timers: SyntheticTimers, time: ReferenceTime) {
    this.#synic = synic;
    this.#timers = timers;
    this.#time = time;
  }

  handles(msr: number): boolean {
    return (
      this.#isSynic(msr) ||
      this.#isTimer(msr) ||
      msr === SyntheticMsr.VpIndex ||
      msr === SyntheticMsr.TimeRefCount
    );
  }

  read(msr: number): boolean {
    if (this.#isSynic(msr))
      return this.#synic.readMsr(msr) && this.#answer(this.#synic.low, this.#synic.high);
    if (this.#isTimer(msr))
      return this.#timers.readMsr(msr) && this.#answer(this.#timers.low, this.#timers.high);
    if (msr === SyntheticMsr.VpIndex) return this.#answer(0, 0);
    if (msr !== SyntheticMsr.TimeRefCount) return false;
    const count = this.#time.read();
    return this.#answer(count % TWO_32, Math.floor(count / TWO_32));
  }

  write(msr: number, low: number, high: number): boolean {
    if (this.#isSynic(msr)) return this.#synic.writeMsr(msr, low, high);
    return this.#isTimer(msr) && this.#timers.writeMsr(msr, low, high);
  }

  #isSynic(msr: number): boolean {
    return msr >= SyntheticMsr.Scontrol && msr <= SyntheticMsr.Sint15;
  }

  #isTimer(msr: number): boolean {
    return msr >= SyntheticMsr.Stimer0Config && msr <= SyntheticMsr.Stimer3Count;
  }

  #answer(low: number, high: number): true {
    this.low = low;
    this.high = high;
    return true;
  }
}
