/**
 * Breakpoints by INT3 in guest memory. They are kept by guest physical address, so that every mapping of the byte is
 * one breakpoint and reads through any of them show the guest's own byte. What the guest overwrites is the guest's:
 * a byte that is no INT3 any more is left alone when the breakpoint goes.
 */
import type { ChildPartition } from '../parent/child-partition.ts';

const INT3 = 0xcc;

export class SoftwareBreakpoints {
  readonly #partition: ChildPartition;
  /** The guest's byte by GPA. */
  readonly #bytes = new Map<number, number>();

  constructor(partition: ChildPartition) {
    this.#partition = partition;
  }

  get size(): number {
    return this.#bytes.size;
  }

  at(gpa: number): boolean {
    return this.#bytes.has(gpa);
  }

  /** False where there is no memory. */
  insert(vp: number, gpa: number): boolean {
    if (this.#bytes.has(gpa)) return true;
    const byte = this.#partition.readGpa(vp, gpa, 1)?.[0];
    if (byte === undefined || !this.#partition.writeGpa(vp, gpa, Uint8Array.of(INT3))) return false;
    this.#bytes.set(gpa, byte);
    return true;
  }

  /** False when there was none. */
  remove(vp: number, gpa: number): boolean {
    const known = this.#bytes.has(gpa);
    this.lift(vp, gpa);
    this.#bytes.delete(gpa);
    return known;
  }

  removeAll(vp: number): void {
    for (const gpa of [...this.#bytes.keys()]) this.remove(vp, gpa);
  }

  /** The guest's byte is back for a while. */
  lift(vp: number, gpa: number): void {
    const byte = this.#bytes.get(gpa);
    if (byte === undefined || this.#partition.readGpa(vp, gpa, 1)?.[0] !== INT3) return;
    this.#partition.writeGpa(vp, gpa, Uint8Array.of(byte));
  }

  /** After `lift`; the guest may have changed the byte in between. */
  lower(vp: number, gpa: number): void {
    const byte = this.#partition.readGpa(vp, gpa, 1)?.[0];
    if (!this.#bytes.has(gpa) || byte === undefined || byte === INT3) return;
    this.#bytes.set(gpa, byte);
    this.#partition.writeGpa(vp, gpa, Uint8Array.of(INT3));
  }

  /** Shows the guest's bytes in what was read at `gpa`. */
  hideIn(gpa: number, bytes: Uint8Array): void {
    if (this.#bytes.size === 0) return;
    for (let at = 0; at < bytes.length; at++) {
      const byte = this.#bytes.get(gpa + at);
      if (byte !== undefined && bytes[at] === INT3) bytes[at] = byte;
    }
  }

  /** What is written where a breakpoint is becomes the guest's byte; the breakpoint stays. */
  keepIn(gpa: number, bytes: Uint8Array): void {
    if (this.#bytes.size === 0) return;
    for (let at = 0; at < bytes.length; at++) {
      if (!this.#bytes.has(gpa + at)) continue;
      this.#bytes.set(gpa + at, bytes[at]);
      bytes[at] = INT3;
    }
  }
}
