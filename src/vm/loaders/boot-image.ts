/**
 * What a loader makes of its files: bytes for guest memory and the boot processor's first state. Loaders are
 * pure functions from file bytes to this; placing the bytes is assembly's work.
 */
import type { ModuleFile, NamedFile } from '../vm-config.ts';

export interface Placement {
  gpa: number;
  bytes: Uint8Array;
}

export interface SegmentState {
  selector: number;
  base: number;
  limit: number;
  /** Descriptor bits 40..55 as HV_X64_SEGMENT_REGISTER has them. */
  attributes: number;
}

/** Registers that are not named here keep their state from reset. */
export interface BootRegisters {
  rip: number;
  rflags: number;
  rax: number;
  rbx: number;
  rsi: number;
  rsp: number;
  cr0: number;
  cr3: number;
  cr4: number;
  efer: number;
  code: SegmentState;
  data: SegmentState;
  task: SegmentState;
  gdt: { base: number; limit: number };
}

export interface BootImage {
  /** What the kernel file turned out to be. */
  kind: 'linux-bzimage' | 'pvh' | 'multiboot';
  placements: readonly Placement[];
  registers: BootRegisters;
}

/** What a loader is given. */
export interface BootRequest {
  kernel: NamedFile;
  initrd: NamedFile | undefined;
  modules: readonly ModuleFile[];
  commandLine: string;
  memoryBytes: number;
  rsdpGpa: number;
}

const Attribute = { Code64: 0xa09b, Code32: 0xc09b, Data: 0xc093, Tss: 0x008b } as const;
const flat = (selector: number, attributes: number): SegmentState => ({
  selector,
  base: 0,
  limit: 0xffff_ffff,
  attributes,
});
const CODE_SELECTOR = 0x10;
const DATA_SELECTOR = 0x18;
const TASK_SELECTOR = 0x20;
export const FLAT_CODE_64 = flat(CODE_SELECTOR, Attribute.Code64);
export const FLAT_CODE_32 = flat(CODE_SELECTOR, Attribute.Code32);
export const FLAT_DATA = flat(DATA_SELECTOR, Attribute.Data);
export const EMPTY_TASK: SegmentState = {
  selector: TASK_SELECTOR,
  base: 0,
  limit: 0x67,
  attributes: Attribute.Tss,
};

/** A GDT in memory with the three segments above at their selectors: for kernels that reload before their own. */
export function descriptorTable(code: SegmentState): Uint8Array {
  const bytes = new Uint8Array(TASK_SELECTOR + 16);
  const view = new DataView(bytes.buffer);
  for (const segment of [code, FLAT_DATA, EMPTY_TASK]) {
    const pageGranular = (segment.attributes & 0x8000) !== 0;
    const limit = pageGranular ? Math.floor(segment.limit / 4096) : segment.limit;
    view.setUint16(segment.selector, limit & 0xffff, true);
    view.setUint16(segment.selector + 5, segment.attributes | (((limit >>> 16) & 0xf) << 8), true);
  }
  return bytes;
}

/** A text as zero-terminated UTF-8. */
export function zeroTerminated(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}
