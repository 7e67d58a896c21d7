/**
 * What the hypervisor knows of each system physical page: whose pool it is in, through which GPA page it was
 * deposited, the root partition's rights to it, and how many child GPA pages can access it. These columns are
 * what the three pool invariants of TLFS 2.0a §7.1.1 are checked against. They lie in reserved memory, so that
 * every thread sees the same ones.
 */
import type { PhysicalMemory } from '../cpu/processor.ts';

const OFF_LIMITS = 1;

/** Bytes of the columns for one page. */
const BYTES_PER_PAGE = 14;

export class SpaPageTable {
  readonly pageCount: number;
  /** Partition whose pool holds the page; 0 = in no pool. */
  readonly #poolOwner: Uint32Array;
  /** GPA page number, in the depositor's space, through which the page was deposited. */
  readonly #depositGpn: Uint32Array;
  /** Accessible mappings of the page in GPA spaces other than the root's. */
  readonly #accessibleMappings: Uint32Array;
  /** `Access` bits the root partition has; the root's GPA map is the identity. */
  readonly #rootRights: Uint8Array;
  readonly #flags: Uint8Array;

  static bytesNeeded(pageCount: number): number {
    return pageCount * BYTES_PER_PAGE;
  }

  constructor(memory: PhysicalMemory, address: number) {
    const pages = memory.pageCount;
    const buffer = memory.memory.buffer;
    this.pageCount = pages;
    this.#poolOwner = new Uint32Array(buffer, address, pages);
    this.#depositGpn = new Uint32Array(buffer, address + pages * 4, pages);
    this.#accessibleMappings = new Uint32Array(buffer, address + pages * 8, pages);
    this.#rootRights = new Uint8Array(buffer, address + pages * 12, pages);
    this.#flags = new Uint8Array(buffer, address + pages * 13, pages);
    this.#rootRights.fill(7);
  }

  /** Withholds `count` pages from every partition, the root included. */
  setOffLimits(spn: number, count: number): void {
    for (let page = spn; page < spn + count; page++) {
      this.#flags[page] |= OFF_LIMITS;
      this.#rootRights[page] = 0;
    }
  }

  /** True for RAM that partitions may have. */
  isRam(spn: number): boolean {
    return spn >= 0 && spn < this.pageCount && (this.#flags[spn] & OFF_LIMITS) === 0;
  }

  poolOwner(spn: number): number {
    return this.#poolOwner[spn];
  }

  depositGpn(spn: number): number {
    return this.#depositGpn[spn];
  }

  setDeposited(spn: number, owner: number, gpn: number): void {
    this.#poolOwner[spn] = owner;
    this.#depositGpn[spn] = gpn;
  }

  setWithdrawn(spn: number): void {
    this.#poolOwner[spn] = 0;
    this.#depositGpn[spn] = 0;
  }

  rootRights(spn: number): number {
    return this.#rootRights[spn];
  }

  setRootRights(spn: number, rights: number): void {
    this.#rootRights[spn] = rights;
  }

  accessibleMappings(spn: number): number {
    return this.#accessibleMappings[spn];
  }

  addAccessibleMapping(spn: number): void {
    this.#accessibleMappings[spn]++;
  }

  removeAccessibleMapping(spn: number): void {
    this.#accessibleMappings[spn]--;
  }
}
