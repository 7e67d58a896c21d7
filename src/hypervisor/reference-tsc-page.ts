/**
 * The reference TSC page (TLFS 2.0a §15.4): sequence, scale and offset with which a guest computes the reference
 * counter from its TSC without asking. One per partition; its page comes from the partition's pool.
 *
 * Scale is 2^64 / ticks per unit, rounded up: with 100 ticks a unit the rounding error stays below one unit in
 * 5.8 years of TSC, so the guest's product equals the reference counter exactly. Sequence 0 means "do not use";
 * 0xFFFFFFFF is not valid either, so counting wraps from 0xFFFFFFFE to 1.
 */
import { Access } from '../cpu/processor.ts';
import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';
import { type OverlayHost, OverlayRegister } from './overlay-register.ts';
import { TSC_TICKS_PER_REFERENCE_UNIT } from './reference-time.ts';

const Layout = { Sequence: 0, Scale: 8, Offset: 16 } as const;
const LAST_SEQUENCE = 0xffff_fffe;

/** 64.64 fixed point: units of reference time per tick. */
export function tscScale(ticksPerUnit: number): bigint {
  const ticks = BigInt(ticksPerUnit);
  return ((1n << 64n) + ticks - 1n) / ticks;
}

export class ReferenceTscPage {
  readonly register: OverlayRegister;
  readonly #host: OverlayHost;
  #sequence = 0;

  private constructor(host: OverlayHost, register: OverlayRegister) {
    this.#host = host;
    this.register = register;
    this.update(tscScale(TSC_TICKS_PER_REFERENCE_UNIT), 0n);
  }

  /** Undefined when the pool has no page. */
  static create(host: OverlayHost): ReferenceTscPage | undefined {
    const register = OverlayRegister.create(host, 'reference-tsc', Access.Read);
    return register && new ReferenceTscPage(host, register);
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** New scale or offset (after a migration): the guest sees no mixture of old and new. */
  update(scale: bigint, offset: bigint): void {
    const next = this.#sequence >= LAST_SEQUENCE ? 1 : this.#sequence + 1;
    const { view } = this.#host.memory;
    const at = this.register.address;
    view.setUint32(at + Layout.Sequence, 0, true);
    view.setBigUint64(at + Layout.Scale, scale, true);
    view.setBigInt64(at + Layout.Offset, offset, true);
    view.setUint32(at + Layout.Sequence, next, true);
    this.#sequence = next;
    this.#host.memory.noteWritten(this.register.spn);
  }

  /** The TSC is no reliable source any more: guests fall back to the counter's MSR. */
  invalidate(): void {
    this.#host.memory.view.setUint32(this.register.address + Layout.Sequence, 0, true);
    this.#host.memory.noteWritten(this.register.spn);
  }

  reset(): void {
    this.register.reset();
    this.update(tscScale(TSC_TICKS_PER_REFERENCE_UNIT), 0n);
  }

  save(): StateRecord {
    return { sequence: this.#sequence, page: this.register.save() };
  }
  /** The partition's TSC goes on where it stood, so what the page says stays true (§15.4.3.3 is for when it doesn't). */
  restore(from: StateReader): void {
    this.register.restore(from.record('page'));
    this.#sequence = from.integer('sequence', LAST_SEQUENCE);
  }

  release(): void {
    this.register.release();
  }

  inspect(): unknown {
    return { ...this.register.inspect(), sequence: this.#sequence };
  }
}
