/**
 * A stream of saved state on its way between the hypervisor and a parent, call by call (TLFS 2.0a §17.1.6). It lies in
 * pages of the caller's pool, one transfer at a time per saved partition (or per caller, for the system's summary).
 *
 *             START                      last chunk, error, START again, finalization
 *   none ──────────────▶ saving/restoring ────────────────────────────────────────────▶ none
 */
import { PAGE_SIZE } from '../../hvdef/types.ts';
import type { Partition } from '../partition.ts';
import { type Part, partKey } from '../parts.ts';

const CAUSE = 'saved-state';

export type Direction = 'save' | 'restore';

export class Transfer implements Part {
  direction: Direction | undefined;
  /** Whether START came with SUMMARY. */
  summary = false;
  #payer: Partition | undefined;
  readonly #pages: number[] = [];
  /** Bytes in the pages, and how many of them have been handed over. */
  length = 0;
  position = 0;

  begin(direction: Direction, summary: boolean, payer: Partition): void {
    this.release();
    this.direction = direction;
    this.summary = summary;
    this.#payer = payer;
  }

  /** Appends bytes; false, with nothing appended, when the payer's pool has too few pages. */
  append(bytes: Uint8Array): boolean {
    const payer = this.#payer;
    if (payer === undefined) return false;
    const needed = Math.ceil((this.length + bytes.length) / PAGE_SIZE) - this.#pages.length;
    if (needed > payer.pool.free) return false;
    for (let page = 0; page < needed; page++) this.#pages.push(payer.pool.draw(CAUSE));
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + PAGE_SIZE - (this.length % PAGE_SIZE));
      payer.machine.memory.bytes.set(part, this.#address(this.length));
      this.length += part.length;
      done += part.length;
    }
    return true;
  }

  /** A copy of `length` bytes from `start`. */
  read(start: number, length: number): Uint8Array {
    const copy = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = start + done;
      const part = Math.min(length - done, PAGE_SIZE - (at % PAGE_SIZE));
      const address = this.#address(at);
      copy.set(this.#payer!.machine.memory.bytes.subarray(address, address + part), done);
      done += part;
    }
    return copy;
  }

  #address(offset: number): number {
    return this.#pages[Math.floor(offset / PAGE_SIZE)] * PAGE_SIZE + (offset % PAGE_SIZE);
  }

  release(): void {
    for (const page of this.#pages.splice(0)) this.#payer?.pool.release(page);
    this.direction = undefined;
    this.#payer = undefined;
    this.length = 0;
    this.position = 0;
  }

  inspect(): unknown {
    return { direction: this.direction, bytes: this.length, position: this.position };
  }
}

/** Of the partition that is saved or restored. */
export const TRANSFER = partKey<Partition, Transfer>('saved-state-transfer', () => new Transfer());
/** Of a caller that asks for the system's summary. */
export const SYSTEM_TRANSFER = partKey<Partition, Transfer>('system-state-transfer', () => new Transfer());
