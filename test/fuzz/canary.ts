/**
 * Memory that belongs to nobody, filled with eight random bytes over and over. It must not change, and nobody may
 * have read it: those bytes must not turn up anywhere else in system memory, nor in a register. An access at another
 * alignment brings them rotated, a short one half of them.
 */
import type { PhysicalMemory } from '../../src/cpu/processor.ts';
import type { Random } from './random.ts';

const PAGE = 4096;
const PATTERN_BYTES = 8;
const LOW = 0xffff_ffffn;

export interface CanaryRegion {
  page: number;
  pages: number;
}

export class Canary {
  readonly #bytes: Buffer;
  readonly #regions: readonly CanaryRegion[];
  /** The pattern as an access at each alignment reads it. */
  readonly #rotations: readonly Buffer[];
  readonly #words = new Set<bigint>();
  #scans = 0;

  /** `regions` in ascending order. */
  constructor(memory: PhysicalMemory, regions: readonly CanaryRegion[], random: Random) {
    const { buffer } = memory.bytes;
    this.#bytes = Buffer.from(buffer as ArrayBuffer, 0, memory.pageCount * PAGE);
    this.#regions = regions;
    const pattern = Buffer.from(
      Array.from({ length: PATTERN_BYTES }, (_, at) => 16 * (at + 1) + 1 + random.below(14)),
    );
    this.#rotations = Array.from({ length: PATTERN_BYTES }, (_, by) => {
      return Buffer.concat([pattern.subarray(by), pattern.subarray(0, by)]);
    });
    for (const rotation of this.#rotations) {
      const word = rotation.readBigUint64LE();
      this.#words.add(word).add(word & LOW);
    }
    for (const { page, pages } of regions) this.#bytes.fill(pattern, page * PAGE, (page + pages) * PAGE);
  }

  /** Throws where the canary has changed or somebody has read it. Looks for one alignment a call, in turn. */
  check(): void {
    for (const { page, pages } of this.#regions) {
      const region = this.#bytes.subarray(page * PAGE, (page + pages) * PAGE);
      for (let at = 0; at < region.length; at += PAGE) {
        if (!region.subarray(at, at + PATTERN_BYTES).equals(this.#rotations[0]))
          throw changed(page * PAGE + at);
      }
      // Each byte is that of one period before.
      if (!region.subarray(PATTERN_BYTES).equals(region.subarray(0, -PATTERN_BYTES)))
        throw changed(page * PAGE);
    }
    this.#scan(this.#rotations[this.#scans++ % PATTERN_BYTES]);
  }

  /** All alignments, at the end. */
  checkAll(): void {
    for (let turn = 0; turn < PATTERN_BYTES; turn++) this.check();
  }

  /** Throws where a register holds what only the canary holds. */
  checkRegister(value: bigint, what: string): void {
    if (this.#words.has(value)) throw new Error(`${what} holds the canary`);
  }

  /** Throws where `bytes` (a register block) has the pattern in it. */
  checkBytes(bytes: Uint8Array, what: string): void {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.#rotations.some((rotation) => buffer.includes(rotation)))
      throw new Error(`${what} holds the canary`);
  }

  #scan(pattern: Buffer): void {
    let from = 0;
    const ends = [...this.#regions.map(({ page }) => page * PAGE), this.#bytes.length];
    ends.forEach((end, index) => {
      const found = this.#bytes.subarray(from, end).indexOf(pattern);
      if (found >= 0) throw new Error(`the canary was read: it is at byte ${from + found} of system memory`);
      const region = this.#regions[index];
      if (region !== undefined) from = (region.page + region.pages) * PAGE;
    });
  }
}

function changed(address: number): Error {
  return new Error(`memory that was given to nobody has changed, near byte ${address}`);
}
