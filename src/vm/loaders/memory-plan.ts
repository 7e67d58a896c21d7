/**
 * Which guest memory is taken at boot, by whom, and where there is room. Ranges never overlap: what a file asks
 * for and cannot get is a ConfigurationError that names both parties.
 */
import { FIRMWARE_TABLES, LOW_MEMORY_END } from '../../devices/chipset/platform.ts';
import { ConfigurationError } from '../vm-config.ts';
import type { Placement } from './boot-image.ts';
import { hex } from './image-reader.ts';

const ONE_MIB = 0x10_0000;
const PAGE = 0x1000;

/** E820 types, which Multiboot and PVH share. */
export const MemoryType = { Usable: 1, Reserved: 2 } as const;

export interface MemoryRange {
  base: number;
  bytes: number;
  type: number;
}

/** The memory map that the guest is told. */
export function memoryMap(memoryBytes: number): MemoryRange[] {
  return [
    { base: 0, bytes: LOW_MEMORY_END, type: MemoryType.Usable },
    { base: FIRMWARE_TABLES.first, bytes: FIRMWARE_TABLES.bytes, type: MemoryType.Reserved },
    { base: ONE_MIB, bytes: memoryBytes - ONE_MIB, type: MemoryType.Usable },
  ];
}

interface Taken {
  first: number;
  end: number;
  owner: string;
}

const alignUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;
const alignDown = (value: number, alignment: number): number => Math.floor(value / alignment) * alignment;

export class MemoryPlan {
  readonly placements: Placement[] = [];
  readonly memoryBytes: number;
  readonly #taken: Taken[] = [];

  constructor(memoryBytes: number) {
    this.memoryBytes = memoryBytes;
    // Page zero stays free for nobody: a null pointer must not name something.
    this.#taken.push({ first: 0, end: PAGE, owner: 'page zero' });
    this.#taken.push({ first: LOW_MEMORY_END, end: ONE_MIB, owner: 'the firmware area' });
  }

  #collision(first: number, end: number): Taken | undefined {
    return this.#taken.find((taken) => first < taken.end && taken.first < end);
  }

  /** Takes a fixed range for `owner`, part of the file `subject`. */
  take(subject: string, owner: string, gpa: number, bytes: number): void {
    if (bytes === 0) return;
    const range = `${hex(gpa)}..${hex(gpa + bytes)}`;
    if (gpa + bytes > this.memoryBytes) {
      throw new ConfigurationError(
        subject,
        `${owner} wants ${range}, but memory ends at ${hex(this.memoryBytes)}`,
      );
    }
    const other = this.#collision(gpa, gpa + bytes);
    if (other !== undefined) {
      const theirs = `${other.owner} at ${hex(other.first)}..${hex(other.end)}`;
      throw new ConfigurationError(subject, `${owner} wants ${range}, which overlaps ${theirs}`);
    }
    this.#taken.push({ first: gpa, end: gpa + bytes, owner });
  }

  /** As `take`, and puts `bytes` there; `size` counts where more room belongs to it (zeroed memory). */
  place(subject: string, owner: string, gpa: number, bytes: Uint8Array, size = bytes.length): void {
    this.take(subject, owner, gpa, size);
    if (bytes.length > 0) this.placements.push({ gpa, bytes });
  }

  /** Lowest free place at or above `from`; its address. */
  placeLow(subject: string, owner: string, bytes: Uint8Array, from: number, alignment = PAGE): number {
    let gpa = alignUp(from, alignment);
    for (let tries = 0; tries <= this.#taken.length; tries++) {
      const other = this.#collision(gpa, gpa + Math.max(bytes.length, 1));
      if (other === undefined) break;
      gpa = alignUp(other.end, alignment);
    }
    if (gpa + bytes.length > this.memoryBytes) this.#noRoom(subject, owner, bytes.length);
    this.place(subject, owner, gpa, bytes);
    return gpa;
  }

  /** Highest free place below `limit`; its address. */
  placeHigh(subject: string, owner: string, bytes: Uint8Array, limit: number, alignment = PAGE): number {
    let gpa = alignDown(Math.min(limit, this.memoryBytes) - bytes.length, alignment);
    for (let tries = 0; tries <= this.#taken.length && gpa >= 0; tries++) {
      const other = this.#collision(gpa, gpa + Math.max(bytes.length, 1));
      if (other === undefined) break;
      gpa = alignDown(other.first - bytes.length, alignment);
    }
    if (gpa < ONE_MIB) this.#noRoom(subject, owner, bytes.length);
    this.place(subject, owner, gpa, bytes);
    return gpa;
  }

  #noRoom(subject: string, owner: string, bytes: number): never {
    const mib = this.memoryBytes / ONE_MIB;
    throw new ConfigurationError(
      subject,
      `${owner} of ${bytes} bytes does not fit into ${mib} MiB of memory`,
    );
  }
}
