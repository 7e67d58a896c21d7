/**
 * What a parent has asked to intercept in one child partition (TLFS 2.0a §9.1.1): I/O ports, MSRs that nobody
 * virtualizes, CPUID leaves, exception vectors. The partition owns the table; its virtual processors read it on
 * every exit, so each question is one array or bit lookup. Unsolicited intercepts (unmapped GPA, triple fault,
 * ...) are always on and not kept here.
 *
 * Only CPUID intercepts may fail for want of memory (§9.3.1): each 512 of them take a page of the partition's
 * pool, which holds them. The other tables are part of the partition itself.
 */
import { InterceptAccessMask } from '../hvdef/intercepts.ts';
import type { Partition } from './partition.ts';
import { type Part, partKey } from './parts.ts';

/** Where the table draws pages from: system physical page numbers, -1 when the pool is empty. */
export interface InterceptPageSource {
  allocatePage(): number;
  freePage(spn: number): void;
}

const LEAVES_PER_PAGE = 512;
const PORTS = 0x10000;
const EXCEPTION_VECTORS = 32;

export class InterceptTable implements Part {
  /** `InterceptAccessMask` bits by port. */
  readonly #ports = new Uint8Array(PORTS);
  readonly #cpuidLeaves = new Set<number>();
  readonly #leafPages: number[] = [];
  readonly #pages: InterceptPageSource;
  /** `InterceptAccessMask` bits for all unvirtualized MSRs. */
  msrAccess = 0;
  /** Bit v: exceptions with vector v exit. */
  exceptionVectors = 0;

  constructor(pages: InterceptPageSource) {
    this.#pages = pages;
  }

  setPort(port: number, access: number): void {
    this.#ports[port] = access;
  }

  /** Whether any of the `size` ports from `port` on is intercepted (§16.5.3); ports wrap at 64 Ki. */
  interceptsPort(port: number, size: number, write: boolean): boolean {
    const wanted = write ? InterceptAccessMask.Write : InterceptAccessMask.Read;
    const ports = this.#ports;
    for (let offset = 0; offset < size; offset++) {
      if ((ports[(port + offset) & 0xffff] & wanted) !== 0) return true;
    }
    return false;
  }

  interceptsMsr(write: boolean): boolean {
    return (this.msrAccess & (write ? InterceptAccessMask.Write : InterceptAccessMask.Read)) !== 0;
  }

  /** False when the pool has no page left for it. */
  setCpuid(leaf: number, intercept: boolean): boolean {
    if (!intercept) {
      if (this.#cpuidLeaves.delete(leaf) && this.#pagesNeeded() < this.#leafPages.length) {
        this.#pages.freePage(this.#leafPages.pop()!);
      }
      return true;
    }
    if (this.#cpuidLeaves.has(leaf)) return true;
    if (this.#cpuidLeaves.size === this.#leafPages.length * LEAVES_PER_PAGE) {
      const spn = this.#pages.allocatePage();
      if (spn < 0) return false;
      this.#leafPages.push(spn);
    }
    this.#cpuidLeaves.add(leaf);
    return true;
  }

  interceptsCpuid(leaf: number): boolean {
    return this.#cpuidLeaves.size > 0 && this.#cpuidLeaves.has(leaf);
  }

  /** False for a vector that is no exception. */
  setException(vector: number, intercept: boolean): boolean {
    if (vector >= EXCEPTION_VECTORS) return false;
    const bit = 1 << vector;
    this.exceptionVectors = (intercept ? this.exceptionVectors | bit : this.exceptionVectors & ~bit) >>> 0;
    return true;
  }

  interceptsException(vector: number): boolean {
    return ((this.exceptionVectors >>> vector) & 1) !== 0;
  }

  /** Gives everything back. */
  release(): void {
    this.#ports.fill(0);
    this.#cpuidLeaves.clear();
    for (const spn of this.#leafPages.splice(0)) this.#pages.freePage(spn);
    this.msrAccess = 0;
    this.exceptionVectors = 0;
  }

  inspect(): {
    ports: [number, number][];
    msrAccess: number;
    cpuidLeaves: number[];
    exceptionVectors: number;
  } {
    return {
      ports: this.#portRanges(),
      msrAccess: this.msrAccess,
      cpuidLeaves: [...this.#cpuidLeaves].sort((a, b) => a - b),
      exceptionVectors: this.exceptionVectors,
    };
  }

  #pagesNeeded(): number {
    return Math.ceil(this.#cpuidLeaves.size / LEAVES_PER_PAGE);
  }

  /** First and last port of each run of intercepted ports. */
  #portRanges(): [number, number][] {
    const ranges: [number, number][] = [];
    for (let port = 0; port < PORTS; port++) {
      if (this.#ports[port] === 0) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === port - 1) last[1] = port;
      else ranges.push([port, port]);
    }
    return ranges;
  }
}

export const INTERCEPTS = partKey<Partition, InterceptTable>(
  'intercepts',
  (partition) =>
    new InterceptTable({
      allocatePage: () => partition.pool.draw('intercepts'),
      freePage: (spn) => partition.pool.release(spn),
    }),
);
