/**
 * A Processor in user mode as a `CpuUnderTest`: identity-mapped page tables for the code page and the two
 * data pages, and every exception intercepted, so that a fault comes back as an exit.
 */

import { AREA_SIZE, createProcessor, type ProcessorOptions } from '../../../src/cpu/create-processor.ts';
import { decode } from '../../../src/cpu/instructions/decode.ts';
import {
  type CodeHolder,
  Exit,
  type PhysicalMemory,
  type Processor,
  type ProcessorHost,
  Segment,
} from '../../../src/cpu/processor.ts';
import {
  CODE_ADDRESS,
  type CpuFault,
  type CpuState,
  type CpuUnderTest,
  DATA_ADDRESS,
  DATA_SIZE,
} from './cpu-state.ts';

const STATE_PAGE = 1;
const TABLES = 2;
const CODE_PAGE = TABLES + 4;
const DATA_PAGE = CODE_PAGE + 1;
/** What lies behind the code page for the guest, but not in physical memory. */
const SECOND_CODE_PAGE = DATA_PAGE + 2;
/** Bytes from the instruction's place to the end of its page. */
const TO_PAGE_END = 4096 - (CODE_ADDRESS % 4096);
/** The map of pages that hold code, then the processor's own area. */
const CODE_MAP_PAGE = 16;
const AREA_PAGE = CODE_MAP_PAGE + 256;
const MEMORY_SIZE = Math.ceil((AREA_PAGE * 4096 + AREA_SIZE) / 65536) * 65536;

const PRESENT_WRITABLE_USER = 7;
const ACCESSED_DIRTY = 0x60;
/** HLT fills the rest of the code page: a fault in user mode, so execution can't run on behind the instruction. */
const HLT = 0xf4;
const OVERFLOW = 4;
/** Longest code of a vector, in bytes. */
const MAX_CODE = 64;
/** Iterations a repeated instruction may take. */
const MAX_RUNS = 2000;

/** Enough memory for one processor and its pages. */
class TestMemory implements PhysicalMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly view: DataView;
  readonly pageCount = MEMORY_SIZE / 4096;
  readonly codeMapAddress = CODE_MAP_PAGE * 4096;
  readonly codeHolders: CodeHolder[] = [];
  constructor() {
    const pages = MEMORY_SIZE / 65536;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.words = new Uint32Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
  }
  noteWritten(spn: number, offset = 0, size = 4096): void {
    let held = 0;
    for (const holder of this.codeHolders) if (holder.written(spn, offset, size)) held = 1;
    this.bytes[this.codeMapAddress + spn] = held;
  }
}

/** Host without policy: guest physical is system physical. */
const HOST: ProcessorHost = {
  translateGpa: (gpn) => gpn | (7 << 24),
  readTsc: () => 0,
};

function writePageTables(memory: PhysicalMemory): void {
  const entry = (table: number, index: number, page: number): void => {
    memory.view.setBigUint64(
      table * 4096 + index * 8,
      BigInt(page * 4096 + PRESENT_WRITABLE_USER + ACCESSED_DIRTY),
      true,
    );
  };
  const page = Math.floor(CODE_ADDRESS / 4096);
  entry(TABLES, 0, TABLES + 1);
  entry(TABLES + 1, 0, TABLES + 2);
  entry(TABLES + 2, page >> 9, TABLES + 3);
  entry(TABLES + 3, page & 511, CODE_PAGE);
  entry(TABLES + 3, (page & 511) + 1, SECOND_CODE_PAGE);
  for (let i = 0; i < DATA_SIZE / 4096; i++)
    entry(TABLES + 3, ((DATA_ADDRESS / 4096) & 511) + i, DATA_PAGE + i);
}

const FLAT = { base: 0n, limit: 0xffffffff };
/** User code segments, 64-bit and 32-bit. */
const CODE_SEGMENTS = {
  64: { ...FLAT, selector: 0x33, attributes: 0xa0fb },
  32: { ...FLAT, selector: 0x23, attributes: 0xc0fb },
} as const;

function enterUserMode(processor: Processor): void {
  processor.setControl(4, 0x620n); // PAE, OSFXSR, OSXMMEXCPT
  processor.setControl(3, BigInt(TABLES * 4096));
  processor.setMsr(0xc0000080, 0xd01n); // SCE, LME, LMA, NXE
  processor.setControl(0, 0x80050033n); // PG, AM, WP, NE, ET, MP, PE
  processor.setSegment(Segment.CS, CODE_SEGMENTS[64]);
  for (const index of [Segment.DS, Segment.ES, Segment.FS, Segment.GS, Segment.SS]) {
    processor.setSegment(index, { ...FLAT, selector: 0x2b, attributes: 0xc0f3 });
  }
  // All: vector 31 is bit 31.
  processor.exceptionIntercepts = -1;
}

/**
 * Where instructions are put: at their place, or so that they cross into the next page. Crossing ones run
 * elsewhere than the vectors say; states are shifted accordingly, so it suits only what doesn't look at RIP.
 */
export type Placement = 'in-page' | 'crossing';

export class ProcessorUnderTest implements CpuUnderTest {
  readonly memory: Uint8Array;
  readonly #processor: Processor;
  readonly #physical: PhysicalMemory;
  #code: CpuState['code'] = 64;
  #repeats = false;
  #length = 0;
  #budget = 1;
  readonly #placement: Placement;
  /** How far behind CODE_ADDRESS the instruction lies. */
  #shift = 0;
  /** `shared`: as if other threads executed on the same memory. */
  constructor(placement: Placement = 'in-page', options: ProcessorOptions = {}, shared = false) {
    this.#placement = placement;
    const physical = new TestMemory();
    this.#physical = physical;
    this.memory = physical.bytes.subarray(DATA_PAGE * 4096, DATA_PAGE * 4096 + DATA_SIZE);
    for (const page of [CODE_PAGE, SECOND_CODE_PAGE])
      physical.bytes.fill(HLT, page * 4096, page * 4096 + 4096);
    writePageTables(physical);
    const markCodePage = (spn: number): void => void physical.view.setUint8(physical.codeMapAddress + spn, 1);
    const sharing = shared ? { markCodePage, markCode: () => {}, epoch: 0 } : undefined;
    const all = { ...options, sharing };
    this.#processor = createProcessor(physical, STATE_PAGE * 4096, HOST, AREA_PAGE * 4096, all);
    enterUserMode(this.#processor);
  }

  setCode(bytes: Uint8Array): void {
    const result = decode(bytes, 0, bytes.length, 64);
    this.#length = bytes.length;
    // A sequence runs in one go, however many instructions it holds.
    this.#budget = result.kind === 'ok' && result.instruction.length < bytes.length ? bytes.length : 1;
    this.#repeats = result.kind === 'ok' && result.instruction.repeat !== 'none';
    const before = this.#placement === 'in-page' ? 0 : 1 + (bytes.at(-1)! % Math.max(1, bytes.length - 1));
    this.#shift = before === 0 ? 0 : TO_PAGE_END - before;
    const first = before === 0 ? bytes : bytes.subarray(0, before);
    this.#write(CODE_PAGE, (CODE_ADDRESS % 4096) + this.#shift, first);
    this.#write(SECOND_CODE_PAGE, 0, bytes.subarray(first.length));
  }
  #write(page: number, offset: number, bytes: Uint8Array): void {
    const at = page * 4096 + offset;
    this.#physical.bytes.set(bytes, at);
    this.#physical.bytes.fill(HLT, at + bytes.length, Math.min(at + MAX_CODE + 1, page * 4096 + 4096));
    this.#physical.noteWritten(page);
  }
  setState({ code, gpr, rip, rflags, floating }: CpuState): void {
    const processor = this.#processor;
    if (code !== this.#code) processor.setSegment(Segment.CS, CODE_SEGMENTS[code]);
    this.#code = code;
    for (let i = 0; i < 16; i++) processor.setGpr(i, gpr[i]!);
    processor.setRip(rip + BigInt(this.#shift));
    processor.setRflags(BigInt(rflags));
    processor.restoreFloatingPoint(floating);
  }
  getState(): CpuState {
    const processor = this.#processor;
    return {
      code: this.#code,
      gpr: BigUint64Array.from({ length: 16 }, (_, i) => processor.getGpr(i)),
      rip: processor.getRip() - BigInt(this.#shift),
      rflags: Number(processor.getRflags()),
      floating: processor.saveFloatingPoint(),
    };
  }
  step(): CpuFault | undefined {
    const processor = this.#processor;
    const start = BigInt(CODE_ADDRESS + this.#shift);
    for (let runs = 0; runs < MAX_RUNS; runs++) {
      const exit = processor.run(this.#budget);
      if (exit === Exit.Exception) {
        const { vector, errorCode, parameter } = processor.exceptionExit;
        // A budget is only about exact: behind the code, this fault is the next instruction's.
        if (BigInt.asUintN(64, processor.getRip() - start) >= BigInt(this.#length)) return undefined;
        // An exit names the instruction; delivered, INTO's trap has RIP behind it.
        if (vector === OVERFLOW) processor.setRip(start + BigInt(this.#length));
        return { vector, errorCode: errorCode ?? 0, address: vector === 14 ? parameter : 0n };
      }
      if (exit !== Exit.Budget) throw new Error(`exit ${exit}`);
      // A repeated instruction may stop between iterations.
      if (!this.#repeats || processor.getRip() !== start) return undefined;
    }
    throw new Error('the instruction does not end');
  }
}
