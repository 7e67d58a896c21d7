/**
 * The VP assist page, which 2.0a calls virtual APIC assist page (TLFS 2.0a §13.3.4.1). One per virtual processor.
 * Its first dword's bit 0, "no EOI required", lets a guest end an interrupt without entering the hypervisor; the
 * local APIC decides when to set it and derives later, from whether it is still set, that the guest did.
 */
import { Access } from '../cpu/processor.ts';
import { type OverlayHost, OverlayRegister } from './overlay-register.ts';

const EOI_ASSIST = 0;

/** What the local APIC needs of the page. */
export interface EoiAssist {
  readonly enabled: boolean;
  /** The "no EOI required" bit. */
  get(): boolean;
  /** Answers what the bit was; the guest may clear it at any time. */
  set(required: boolean): boolean;
}

export class VpAssistPage implements EoiAssist {
  readonly register: OverlayRegister;
  readonly #host: OverlayHost;

  private constructor(host: OverlayHost, register: OverlayRegister) {
    this.#host = host;
    this.register = register;
  }

  /** Undefined when the pool has no page. */
  static create(host: OverlayHost): VpAssistPage | undefined {
    const register = OverlayRegister.create(host, 'vp-assist', Access.Read | Access.Write);
    return register && new VpAssistPage(host, register);
  }

  get enabled(): boolean {
    return this.register.placedGpn >= 0;
  }

  get(): boolean {
    return (this.#host.memory.bytes[this.register.address + EOI_ASSIST] & 1) !== 0;
  }

  set(required: boolean): boolean {
    const at = this.register.address + EOI_ASSIST;
    const { bytes } = this.#host.memory;
    const before = required ? Atomics.or(bytes, at, 1) : Atomics.and(bytes, at, ~1);
    return (before & 1) !== 0;
  }

  write(low: number, high: number): void {
    this.register.write(low, high);
  }

  reset(): void {
    this.register.reset();
  }

  release(): void {
    this.register.release();
  }

  inspect(): unknown {
    return this.register.inspect();
  }
}
