/**
 * Small objects in pages of a partition's pool: what the TLFS says takes memory (ports, connections) occupies a
 * 64-byte cell of a drawn page. A page goes back when its last cell is free.
 */
import type { PhysicalMemory } from '../cpu/processor.ts';

export const CELL_SIZE = 64;
const CELLS_PER_PAGE = 4096 / CELL_SIZE;

export interface SlabHost {
  readonly memory: PhysicalMemory;
  /** Page number of a zeroed page out of the pool, or -1. */
  allocatePage(cause: string): number;
  freePage(spn: number): void;
}

export class PoolSlab {
  readonly #host: SlabHost;
  readonly #cause: string;
  /** Per page, the free cells. */
  readonly #freeCells = new Map<number, number[]>();

  constructor(host: SlabHost, cause: string) {
    this.#host = host;
    this.#cause = cause;
  }

  /** Byte address of a zeroed cell, or -1 when the pool has no page. */
  allocate(): number {
    for (const [spn, cells] of this.#freeCells) {
      if (cells.length > 0) return this.#take(spn, cells);
    }
    const spn = this.#host.allocatePage(this.#cause);
    if (spn < 0) return -1;
    const cells = Array.from({ length: CELLS_PER_PAGE }, (_, index) => CELLS_PER_PAGE - 1 - index);
    this.#freeCells.set(spn, cells);
    return this.#take(spn, cells);
  }

  #take(spn: number, cells: number[]): number {
    const address = spn * 4096 + cells.pop()! * CELL_SIZE;
    this.#host.memory.bytes.fill(0, address, address + CELL_SIZE);
    return address;
  }

  free(address: number): void {
    const spn = Math.floor(address / 4096);
    const cells = this.#freeCells.get(spn);
    if (cells === undefined) throw new Error(`address ${address} is not of the slab for ${this.#cause}`);
    cells.push((address % 4096) / CELL_SIZE);
    if (cells.length < CELLS_PER_PAGE) return;
    this.#freeCells.delete(spn);
    this.#host.freePage(spn);
  }
}
