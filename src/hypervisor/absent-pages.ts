/**
 * System pages whose contents are still elsewhere: a machine that goes on from a snapshot starts without its memory,
 * and each page comes when somebody first reaches for it. Owned by the hypervisor; the parent withholds pages of its
 * own and says where they come from (root-surface.ts).
 *
 *           withhold                makePresent: the source puts the contents there
 *   present ────────▶ absent ─────────────────────────────────────────────────────▶ present
 *                       │     forget: somebody overwrites all of it, or a pool takes it
 *                       └─────────────────────────────────────────────────────────▶ present
 *
 * `Partition.translate` makes a page present, so whoever goes from a guest physical page to its bytes passes here:
 * processors on a miss of their TLB (page walks included), hypercall parameters, port strings, HvReadGpa. The parent's
 * own view of its RAM does not, and asks first (vm/guest-memory.ts). A page that is present stays so, so caches of
 * translations are never wrong about it.
 *
 * The bitmap lies in reserved memory, where every thread could look. The root partition's thread alone asks and loads (it
 * keeps the count): a processor on another thread has its pages translated there.
 */
import type { PhysicalMemory } from '../cpu/processor.ts';

/** Where the contents of absent pages come from. */
export interface PageSource {
  /**
   * Puts the contents of system page `spn` in its place; of neighbours too, as it likes, each of them absent before
   * and noted by `forget` afterwards. False: they can't be had, and the page stays absent.
   */
  load(spn: number): boolean;
}

export class AbsentPages {
  /** Bit n of byte m: page 8m + n is absent. */
  readonly #bits: Uint8Array;
  #count = 0;
  #source: PageSource | undefined;

  static bytesNeeded(pageCount: number): number {
    return Math.ceil(pageCount / 8);
  }

  constructor(memory: PhysicalMemory, address: number) {
    this.#bits = new Uint8Array(memory.memory.buffer, address, AbsentPages.bytesNeeded(memory.pageCount));
  }

  /** Pages that are absent. */
  get count(): number {
    return this.#count;
  }

  /** Pages from `spn` on are absent from now on; nobody has touched them. There is one source at a time. */
  withhold(source: PageSource, spn: number, pages: number): void {
    if (this.#count > 0 && this.#source !== source) throw new Error('absent pages come from one source');
    this.#source = source;
    for (let page = spn; page < spn + pages; page++) {
      if (this.isAbsent(page)) continue;
      this.#bits[page >>> 3] |= 1 << (page & 7);
      this.#count++;
    }
  }

  isAbsent(spn: number): boolean {
    return this.#count !== 0 && ((this.#bits[spn >>> 3] >>> (spn & 7)) & 1) !== 0;
  }

  /** What the source has for these pages is not wanted, or in place. */
  forget(spn: number, pages: number): void {
    if (this.#count === 0) return;
    for (let page = spn; page < spn + pages; page++) {
      if (!this.isAbsent(page)) continue;
      this.#bits[page >>> 3] &= ~(1 << (page & 7));
      this.#count--;
    }
  }

  /** False when the page's contents can't be had. */
  makePresent(spn: number): boolean {
    return !this.isAbsent(spn) || this.#source!.load(spn);
  }
}
