/**
 * The registers with which a guest maps its own statistics pages (TLFS 2.0a §21.3.3): retail and internal page of
 * the partition, retail and internal page of the virtual processor. One set per VP.
 *
 * Chosen: retail and internal pages show the same counters, as there is no internal build. A page is drawn from the
 * partition's pool when a register is enabled; if there is none, or the address is beyond the GPA space, the page
 * isn't accessible and the register keeps what was written.
 */

import { PageMsrBit } from '../hvdef/msr.ts';
import { type StateReader, type StateRecord, wordBytes } from '../support/saved-state/state-value.ts';
import type { VirtualProcessorCore } from './partition.ts';
import { type Part, partKey } from './parts.ts';

const COUNT = 4;
const PAGES_IN_HIGH_WORD = 2 ** 20;

export class StatsRegisters implements Part {
  readonly #vp: VirtualProcessorCore;
  readonly #low = new Uint32Array(COUNT);
  readonly #high = new Uint32Array(COUNT);

  constructor(vp: VirtualProcessorCore) {
    this.#vp = vp;
  }

  low(register: number): number {
    return this.#low[register];
  }
  high(register: number): number {
    return this.#high[register];
  }

  write(register: number, low: number, high: number): void {
    const { index, partition } = this.#vp;
    const { statistics } = partition.machine;
    if ((this.#low[register] & PageMsrBit.Enable) !== 0) statistics.hide(partition.id, index, register);
    this.#low[register] = low;
    this.#high[register] = high;
    if ((low & PageMsrBit.Enable) === 0) return;
    statistics.show(partition.id, index, register, (high >>> 0) * PAGES_IN_HIGH_WORD + (low >>> 12));
  }

  reset(): void {
    for (let register = 0; register < COUNT; register++) this.write(register, 0, 0);
  }

  save(): StateRecord {
    return { low: wordBytes(this.#low), high: wordBytes(this.#high) };
  }
  restore(from: StateReader): void {
    const low = from.words('low', COUNT);
    const high = from.words('high', COUNT);
    for (let register = 0; register < COUNT; register++) this.write(register, low[register], high[register]);
  }

  release(): void {
    this.reset();
  }

  inspect(): unknown {
    return [...this.#low].map(
      (low, register) => `0x${((BigInt(this.#high[register]) << 32n) | BigInt(low)).toString(16)}`,
    );
  }
}

export const STATS_REGISTERS = partKey<VirtualProcessorCore, StatsRegisters>(
  'stats-registers',
  (vp) => new StatsRegisters(vp),
);
