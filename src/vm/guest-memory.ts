/**
 * A guest's RAM as the root sees it: one run of the root's own pages, mapped into the guest from GPA 0 upward.
 * The stack reads and writes it here; every write tells whoever caches code.
 */
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { ParentSurface } from '../hypervisor/root-surface.ts';

export class GuestMemory {
  readonly #surface: ParentSurface;
  /** First of the root's pages that are the guest's RAM. */
  readonly rootGpn: number;
  readonly bytes: number;

  constructor(surface: ParentSurface, rootGpn: number, bytes: number) {
    this.#surface = surface;
    this.rootGpn = rootGpn;
    this.bytes = bytes;
  }

  get pages(): number {
    return this.bytes / PAGE_SIZE;
  }

  contains(gpa: number, bytes: number): boolean {
    return gpa >= 0 && gpa + bytes <= this.bytes;
  }

  /** The caller checked `contains`. */
  write(gpa: number, data: Uint8Array): void {
    if (data.length === 0) return;
    const { memory } = this.#surface;
    memory.bytes.set(data, this.rootGpn * PAGE_SIZE + gpa);
    const last = Math.floor((gpa + data.length - 1) / PAGE_SIZE);
    for (let page = Math.floor(gpa / PAGE_SIZE); page <= last; page++)
      memory.noteWritten(this.rootGpn + page);
  }

  /** True for a page of RAM that holds nothing but zeros. */
  isZero(gpn: number): boolean {
    const { words } = this.#surface.memory;
    const start = ((this.rootGpn + gpn) * PAGE_SIZE) / 4;
    for (let at = start; at < start + PAGE_SIZE / 4; at++) if (words[at] !== 0) return false;
    return true;
  }

  /** A copy, cut at the end of RAM. */
  read(gpa: number, bytes: number): Uint8Array {
    if (gpa < 0 || gpa >= this.bytes) return new Uint8Array(0);
    const start = this.rootGpn * PAGE_SIZE + gpa;
    return this.#surface.memory.bytes.slice(start, start + Math.min(bytes, this.bytes - gpa));
  }
}
