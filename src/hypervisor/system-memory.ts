/**
 * System physical memory: one shared WebAssembly memory that all partitions live in, as on the real machine.
 * Typed views are made once; the memory never grows, so they never go stale.
 */
import type { CodeHolder, PhysicalMemory } from '../cpu/processor.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';

const WASM_PAGE = 0x1_0000;
/** 4 GiB: what a 32-bit WebAssembly memory can address. */
const MAXIMUM_BYTES = 2 ** 32;

export class SystemMemory implements PhysicalMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly view: DataView;
  readonly pageCount: number;

  readonly codeHolders: CodeHolder[] = [];
  /** Set once at boot; 0 = there is none yet. */
  codeMapAddress = 0;
  /** Where code is decoded by processors on threads of their own: hears of all stores instead of `codeHolders`. */
  sharedCode: { written(spn: number, offset: number, size: number): void } | undefined;

  /** `byteLength` is a multiple of 64 KiB and at most 4 GiB. An allocation that the host refuses throws. */
  constructor(byteLength: number) {
    if (byteLength <= 0 || byteLength > MAXIMUM_BYTES || byteLength % WASM_PAGE !== 0) {
      throw new RangeError(`system memory must be a multiple of 64 KiB up to 4 GiB, not ${byteLength} bytes`);
    }
    const pages = byteLength / WASM_PAGE;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const buffer = this.memory.buffer;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.view = new DataView(buffer);
    this.pageCount = byteLength / PAGE_SIZE;
  }

  noteWritten(spn: number, offset = 0, size = PAGE_SIZE): void {
    if (this.sharedCode !== undefined) {
      this.sharedCode.written(spn, offset, size);
      return;
    }
    const mark = this.codeMapAddress + spn;
    if (this.codeMapAddress === 0 || this.bytes[mark] === 0) return;
    let held = 0;
    for (const holder of this.codeHolders) if (holder.written(spn, offset, size)) held = 1;
    this.bytes[mark] = held;
  }
}
