/**
 * The hypercall page and the guest OS identity that opens it (TLFS 2.0a §3.6, §4.12). One per partition.
 *
 * Without an identity the enable bit stays zero even if one is written; zeroing the identity disables the page.
 * The locked bit (current TLFS, bit 1) makes the MSR immutable until reset: later writes are ignored. A page
 * beyond the GPA space is a #GP and leaves the MSR as it was.
 */
import { Access } from '../cpu/processor.ts';
import { PageMsrBit } from '../hvdef/msr.ts';
import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';
import { type OverlayHost, OverlayRegister, pageNumber } from './overlay-register.ts';

/** The instruction that enters the hypervisor, then a near return. */
const CODE = {
  intel: [0x0f, 0x01, 0xc1, 0xc3],
  amd: [0x0f, 0x01, 0xd9, 0xc3],
} as const;
export type HypercallFlavour = keyof typeof CODE;

export class HypercallPage {
  readonly register: OverlayRegister;
  readonly #host: OverlayHost;
  readonly #flavour: HypercallFlavour;
  #guestOsIdLow = 0;
  #guestOsIdHigh = 0;

  private constructor(host: OverlayHost, register: OverlayRegister, flavour: HypercallFlavour) {
    this.#host = host;
    this.register = register;
    this.#flavour = flavour;
    this.#writeCode();
  }

  /** Undefined when the pool has no page. */
  static create(host: OverlayHost, flavour: HypercallFlavour): HypercallPage | undefined {
    const register = OverlayRegister.create(host, 'hypercall-page', Access.Read | Access.Execute);
    return register && new HypercallPage(host, register, flavour);
  }

  get guestOsIdLow(): number {
    return this.#guestOsIdLow;
  }
  get guestOsIdHigh(): number {
    return this.#guestOsIdHigh;
  }
  get identified(): boolean {
    return this.#guestOsIdLow !== 0 || this.#guestOsIdHigh !== 0;
  }
  get enabled(): boolean {
    return this.register.enabled;
  }

  writeGuestOsId(low: number, high: number): void {
    this.#guestOsIdLow = low >>> 0;
    this.#guestOsIdHigh = high >>> 0;
    if (!this.identified && this.enabled) {
      this.register.write(this.register.low & ~PageMsrBit.Enable, this.register.high);
    }
  }

  /** False: #GP. */
  write(low: number, high: number): boolean {
    if ((this.register.low & PageMsrBit.HypercallLocked) !== 0) return true;
    const wanted = this.identified ? low : low & ~PageMsrBit.Enable;
    const { low: oldLow, high: oldHigh } = this.register;
    if (this.register.write(wanted, high)) return true;
    this.register.write(oldLow, oldHigh);
    return false;
  }

  reset(): void {
    this.#guestOsIdLow = 0;
    this.#guestOsIdHigh = 0;
    this.register.reset();
    this.#writeCode();
  }

  save(): StateRecord {
    const { low, high } = this.register;
    return { guestOsIdLow: this.#guestOsIdLow, guestOsIdHigh: this.#guestOsIdHigh, low, high };
  }
  /** The page's contents are this machine's own. */
  restore(from: StateReader): void {
    this.#guestOsIdLow = from.u32('guestOsIdLow');
    this.#guestOsIdHigh = from.u32('guestOsIdHigh');
    this.register.write(from.u32('low'), from.u32('high'));
  }

  release(): void {
    this.register.release();
  }

  inspect(): unknown {
    return {
      ...this.register.inspect(),
      flavour: this.#flavour,
      locked: (this.register.low & PageMsrBit.HypercallLocked) !== 0,
      page: pageNumber(this.register.low, this.register.high),
    };
  }

  #writeCode(): void {
    this.#host.memory.bytes.set(CODE[this.#flavour], this.register.address);
    this.#host.memory.noteWritten(this.register.spn);
  }
}
