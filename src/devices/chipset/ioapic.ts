/**
 * I/O APIC (Intel 82093AA, with the EOI register of version 0x20). Lines arrive as "asserted" whatever the
 * programmed polarity is: polarity describes a wire that does not exist here. As the data sheet has it, an
 * edge on a masked pin is lost.
 */
import { type StateReader, type StateRecord, wordBytes } from '../../support/saved-state/state-value.ts';
import type { MmioDevice } from './device.ts';
import { IOAPIC_ADDRESS, IOAPIC_ID, IOAPIC_PIN_COUNT, IOAPIC_SIZE } from './platform.ts';

const Register = { Index: 0x00, Data: 0x10, Eoi: 0x40 } as const;
const IndexId = 0;
const IndexVersion = 1;
const IndexArbitration = 2;
const FirstRedirection = 0x10;
const VERSION = 0x20;

const MODE_SHIFT = 8;
const LOGICAL = 1 << 11;
const REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15;
const MASKED = 1 << 16;
/** Bits of the low word that the guest can write: all but delivery status and remote IRR. */
const WRITABLE_LOW = 0x1_afff;

/** Delivery modes (also HV_INTERRUPT_TYPE's values for the first five). */
export const DeliveryMode = { Fixed: 0, LowestPriority: 1, Smi: 2, Nmi: 4, Init: 5, ExtInt: 7 } as const;

/** An interrupt message as it leaves the I/O APIC. */
export interface ApicInterrupt {
  vector: number;
  deliveryMode: number;
  logicalDestination: boolean;
  destination: number;
  level: boolean;
}

export class IoApic implements MmioDevice {
  readonly name = 'ioapic';
  readonly firstGpa = IOAPIC_ADDRESS;
  readonly bytes = IOAPIC_SIZE;
  readonly #deliver: (interrupt: ApicInterrupt) => void;
  readonly #low = new Uint32Array(IOAPIC_PIN_COUNT);
  readonly #high = new Uint32Array(IOAPIC_PIN_COUNT);
  readonly #asserted = new Uint8Array(IOAPIC_PIN_COUNT);
  #index = 0;
  #id = IOAPIC_ID;

  constructor(deliver: (interrupt: ApicInterrupt) => void) {
    this.#deliver = deliver;
    this.reset();
  }

  /** Lines keep their level: they belong to the devices. */
  reset(): void {
    this.#low.fill(MASKED);
    this.#high.fill(0);
    this.#index = 0;
    this.#id = IOAPIC_ID;
  }

  inspect(): Record<string, unknown> {
    const pins = [];
    for (let pin = 0; pin < IOAPIC_PIN_COUNT; pin++) {
      const low = this.#low[pin];
      if ((low & MASKED) !== 0 && this.#asserted[pin] === 0) continue;
      pins.push({
        pin,
        vector: low & 0xff,
        level: (low & LEVEL) !== 0,
        masked: (low & MASKED) !== 0,
        remoteIrr: (low & REMOTE_IRR) !== 0,
        asserted: this.#asserted[pin] !== 0,
        destination: this.#high[pin] >>> 24,
      });
    }
    return { id: this.#id, pins };
  }

  save(): StateRecord {
    return {
      low: wordBytes(this.#low),
      high: wordBytes(this.#high),
      asserted: this.#asserted.slice(),
      index: this.#index,
      id: this.#id,
    };
  }

  restore(from: StateReader): void {
    this.#low.set(from.words('low', IOAPIC_PIN_COUNT).map((low) => low & (WRITABLE_LOW | REMOTE_IRR)));
    this.#high.set(from.words('high', IOAPIC_PIN_COUNT));
    this.#asserted.set(from.bytes('asserted', IOAPIC_PIN_COUNT));
    this.#index = from.integer('index', 0xff);
    this.#id = from.integer('id', 0xf);
  }

  /** The device side. An edge is a change to asserted. */
  setPin(pin: number, asserted: boolean): void {
    const rose = asserted && this.#asserted[pin] === 0;
    this.#asserted[pin] = asserted ? 1 : 0;
    if ((this.#low[pin] & LEVEL) !== 0) this.#serviceLevel(pin);
    else if (rose && (this.#low[pin] & MASKED) === 0) this.#send(pin);
  }

  /** A local APIC finished a level-triggered interrupt with this vector. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < IOAPIC_PIN_COUNT; pin++) {
      const low = this.#low[pin];
      if ((low & 0xff) !== vector || (low & REMOTE_IRR) === 0) continue;
      this.#low[pin] = low & ~REMOTE_IRR;
      this.#serviceLevel(pin);
    }
  }

  #serviceLevel(pin: number): void {
    const low = this.#low[pin];
    if (this.#asserted[pin] === 0 || (low & (MASKED | REMOTE_IRR)) !== 0 || (low & LEVEL) === 0) return;
    this.#low[pin] = low | REMOTE_IRR;
    this.#send(pin);
  }

  #send(pin: number): void {
    const low = this.#low[pin];
    this.#deliver({
      vector: low & 0xff,
      deliveryMode: (low >> MODE_SHIFT) & 7,
      logicalDestination: (low & LOGICAL) !== 0,
      destination: this.#high[pin] >>> 24,
      level: (low & LEVEL) !== 0,
    });
  }

  readMemory(offset: number, size: number): bigint {
    const word = offset & ~3;
    let value = 0;
    if (word === Register.Index) value = this.#index;
    else if (word === Register.Data) value = this.#readIndexed();
    const shifted = BigInt(value >>> 0) >> BigInt((offset & 3) * 8);
    return shifted & ((1n << BigInt(size * 8)) - 1n);
  }

  /** Registers are 32 bits wide; the index register also takes a byte, as its upper bits are reserved. */
  writeMemory(offset: number, size: number, value: bigint): void {
    const word = Number(value & 0xffff_ffffn);
    if (offset === Register.Index) this.#index = word & 0xff;
    else if (size < 4) return;
    else if (offset === Register.Data) this.#writeIndexed(word);
    else if (offset === Register.Eoi) this.endOfInterrupt(word & 0xff);
  }

  #readIndexed(): number {
    if (this.#index === IndexId || this.#index === IndexArbitration) return this.#id << 24;
    if (this.#index === IndexVersion) return VERSION | ((IOAPIC_PIN_COUNT - 1) << 16);
    const pin = (this.#index - FirstRedirection) >> 1;
    if (pin < 0 || pin >= IOAPIC_PIN_COUNT) return 0;
    return (this.#index & 1) === 0 ? this.#low[pin] : this.#high[pin];
  }

  #writeIndexed(value: number): void {
    if (this.#index === IndexId) {
      this.#id = (value >>> 24) & 0xf;
      return;
    }
    const pin = (this.#index - FirstRedirection) >> 1;
    if (pin < 0 || pin >= IOAPIC_PIN_COUNT) return;
    if ((this.#index & 1) === 1) {
      this.#high[pin] = value & 0xff00_0000;
      return;
    }
    // Changing to edge drops the remote IRR; Linux relies on that to clear a stuck one.
    const kept = (value & LEVEL) !== 0 ? this.#low[pin] & REMOTE_IRR : 0;
    this.#low[pin] = (value & WRITABLE_LOW) | kept;
    this.#serviceLevel(pin);
  }
}
