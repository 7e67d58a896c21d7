/**
 * A hypervisor page that a guest places in its GPA space by an MSR of the shape { page number, bits 11:1, enable }:
 * SIM, SIEF, hypercall, reference TSC and VP assist pages (TLFS 2.0a §4.12, §13.3.4.1, §14.6.3, §14.6.4, §15.4.1;
 * overlays §8.1.3).
 *
 * The page is drawn from the partition's pool when its owner is created and keeps its contents while it is
 * disabled or moved; only reset clears it. Bits 11:1 are kept as written ("should be preserved"). An address
 * beyond the GPA space is kept in the register, but nothing is placed: "will not be accessible to the guest".
 */
import type { PhysicalMemory } from '../cpu/processor.ts';
import { PageMsrBit } from '../hvdef/msr.ts';
import type { StateReader, StateRecord } from '../support/saved-state/state-value.ts';
import type { OverlayKind } from './overlay-map.ts';

/** What a page that is placed by a register needs of its partition. */
export interface OverlayHost {
  readonly memory: PhysicalMemory;
  /** Page number of a zeroed page out of the partition's pool, or -1 when the pool has none. */
  allocatePage(cause: string): number;
  freePage(spn: number): void;
  /** Covers guest page `gpn` with `spn`; `rights` are `Access` bits. False when gpn is beyond the GPA space. */
  placeOverlay(kind: OverlayKind, gpn: number, spn: number, rights: number): boolean;
  removeOverlay(kind: OverlayKind): void;
}

const PAGE_SIZE = 4096;

export class OverlayRegister {
  readonly #host: OverlayHost;
  readonly #kind: OverlayKind;
  readonly #rights: number;
  /** System physical page number of the page itself. */
  readonly spn: number;
  #low = 0;
  #high = 0;
  #placedGpn = -1;

  private constructor(host: OverlayHost, kind: OverlayKind, spn: number, rights: number) {
    this.#host = host;
    this.#kind = kind;
    this.spn = spn;
    this.#rights = rights;
  }

  /** Undefined when the pool has no page. */
  static create(host: OverlayHost, kind: OverlayKind, rights: number): OverlayRegister | undefined {
    const spn = host.allocatePage(kind);
    return spn < 0 ? undefined : new OverlayRegister(host, kind, spn, rights);
  }

  get low(): number {
    return this.#low;
  }
  get high(): number {
    return this.#high;
  }
  get enabled(): boolean {
    return (this.#low & PageMsrBit.Enable) !== 0;
  }
  /** Byte address of the page in system physical memory. */
  get address(): number {
    return this.spn * PAGE_SIZE;
  }
  /** The guest page it covers now, or -1. */
  get placedGpn(): number {
    return this.#placedGpn;
  }

  /** Takes a new value (two unsigned halves). False when enabled and beyond the GPA space; the value is kept. */
  write(low: number, high: number): boolean {
    this.#low = low >>> 0;
    this.#high = high >>> 0;
    const gpn = this.enabled ? pageNumber(this.#low, this.#high) : -1;
    if (gpn === this.#placedGpn) return true;
    this.#withdraw();
    if (gpn < 0) return true;
    if (!this.#host.placeOverlay(this.#kind, gpn, this.spn, this.#rights)) return false;
    this.#placedGpn = gpn;
    return true;
  }

  /** As after creation: disabled, contents zero. */
  reset(): void {
    this.write(0, 0);
    const start = this.address;
    this.#host.memory.bytes.fill(0, start, start + PAGE_SIZE);
    this.#host.memory.noteWritten(this.spn);
  }

  save(): StateRecord {
    const { bytes } = this.#host.memory;
    return {
      low: this.#low,
      high: this.#high,
      contents: bytes.slice(this.address, this.address + PAGE_SIZE),
    };
  }
  restore(from: StateReader): void {
    this.write(from.u32('low'), from.u32('high'));
    this.#host.memory.bytes.set(from.bytes('contents', PAGE_SIZE), this.address);
    this.#host.memory.noteWritten(this.spn);
  }

  release(): void {
    this.#withdraw();
    this.#host.freePage(this.spn);
  }

  inspect(): { enabled: boolean; gpn: number; spn: number } {
    return { enabled: this.enabled, gpn: this.#placedGpn, spn: this.spn };
  }

  #withdraw(): void {
    if (this.#placedGpn >= 0) this.#host.removeOverlay(this.#kind);
    this.#placedGpn = -1;
  }
}

/** Bits 63:12 of a register value. */
export function pageNumber(low: number, high: number): number {
  return high * 0x10_0000 + (low >>> 12);
}
