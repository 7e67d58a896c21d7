/**
 * A processor in user mode for random programs: three code pages mapped at two virtual addresses, data pages with
 * holes around them, and every exception intercepted: the first few faults are noted and the program goes on behind
 * the instruction. One machine for each way of executing; the same program must leave all in the same state.
 */
import { AREA_SIZE, createProcessor, type ProcessorOptions } from '../../src/cpu/create-processor.ts';
import {
  type CodeHolder,
  Exit,
  type PhysicalMemory,
  type Processor,
  type ProcessorHost,
  Segment,
} from '../../src/cpu/processor.ts';

export const PAGE = 4096;
/** Linear addresses of the code and of its second mapping; code is writable. */
export const CODE = 0x1000_0000;
export const ALIAS = 0x1002_0000;
export const CODE_PAGES = 3;
/** Two writable pages between holes; then one that may only be read; then one for the programs' loop counters. */
export const DATA = 0x1001_0000;
export const DATA_PAGES = 2;
export const READ_ONLY = 0x1001_4000;
/** Offset of the 16-bit code segment's base in the first page. */
export const NEAR_BASE = 0x480;
export const COUNTERS = 0x1001_8000;

const STATE_PAGE = 1;
const TABLES = 2;
const FIRST_CODE = TABLES + 4;
const FIRST_DATA = FIRST_CODE + CODE_PAGES;
const READ_ONLY_PAGE = FIRST_DATA + DATA_PAGES;
const COUNTER_PAGE = READ_ONLY_PAGE + 1;
const END = COUNTER_PAGE + 1;
const CODE_MAP_PAGE = 16;
const AREA_PAGE = CODE_MAP_PAGE + 256;
const MEMORY_SIZE = Math.ceil((AREA_PAGE * PAGE + AREA_SIZE) / 65536) * 65536;
const USER = 5;
const WRITABLE = 2;
const NO_EXECUTE = 1n << 63n;
/** User mode may not halt: a fault wherever nothing else is. */
const HLT = 0xf4;
const DEBUG = 1;
const PAGE_FAULT = 14;
/** Faults that a program survives. */
const MOST_FAULTS = 16;

class CodeMemory implements PhysicalMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly view: DataView;
  readonly pageCount = MEMORY_SIZE / PAGE;
  readonly codeMapAddress = CODE_MAP_PAGE * PAGE;
  readonly codeHolders: CodeHolder[] = [];
  constructor() {
    const pages = MEMORY_SIZE / 65536;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.words = new Uint32Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
  }
  noteWritten(spn: number, offset = 0, size = PAGE): void {
    let held = 0;
    for (const holder of this.codeHolders) if (holder.written(spn, offset, size)) held = 1;
    this.bytes[this.codeMapAddress + spn] = held;
  }
}

const HOST: ProcessorHost = { translateGpa: (gpn) => gpn | (7 << 24), readTsc: () => 0 };

/** What a program starts from. */
export interface Program {
  /** Size of the code segment; 16-bit code has segments that begin at CODE and DATA. */
  mode: 16 | 32 | 64;
  /** Behind CODE; the rest of the code pages is HLT. */
  code: Uint8Array;
  codeOffset: number;
  /** Where it is entered. */
  rip: number;
  gpr: BigUint64Array;
  rflags: number;
  floating: Uint8Array;
  data: Uint8Array;
  counters: Uint8Array;
  /** Basic blocks, for the account. */
  blocks: number;
}

/** How a program ended. */
export interface Outcome {
  exit: number;
  vector: number;
  /** All faults on the way: vector, error code, CR2 and RIP. */
  faults: string;
  rip: bigint;
  rflags: bigint;
  gpr: bigint[];
  floating: Uint8Array;
  /** Some byte of its code pages is not what it was. */
  codeChanged: boolean;
  /** All pages that the program can reach. */
  memory: Uint8Array;
}

export class CodeMachine {
  readonly name: string;
  private readonly physical = new CodeMemory();
  private readonly processor: Processor;
  private codeBefore: Uint8Array = new Uint8Array(0);

  constructor(name: string, options: ProcessorOptions) {
    this.name = name;
    this.processor = createProcessor(this.physical, STATE_PAGE * PAGE, HOST, AREA_PAGE * PAGE, options);
  }

  private writeTables(): void {
    const { view, bytes } = this.physical;
    bytes.fill(0, TABLES * PAGE, (TABLES + 4) * PAGE);
    const entry = (table: number, index: number, page: number, flags: bigint): void =>
      view.setBigUint64(table * PAGE + index * 8, BigInt(page * PAGE) | flags, true);
    const inner = BigInt(USER | WRITABLE);
    entry(TABLES, 0, TABLES + 1, inner);
    entry(TABLES + 1, 0, TABLES + 2, inner);
    entry(TABLES + 2, CODE >>> 21, TABLES + 3, inner);
    const map = (linear: number, page: number, flags: bigint): void =>
      entry(TABLES + 3, (linear >>> 12) & 511, page, flags);
    for (let k = 0; k < CODE_PAGES; k++) {
      map(CODE + k * PAGE, FIRST_CODE + k, inner);
      map(ALIAS + k * PAGE, FIRST_CODE + k, inner);
    }
    for (let k = 0; k < DATA_PAGES; k++) map(DATA + k * PAGE, FIRST_DATA + k, inner | NO_EXECUTE);
    map(READ_ONLY, READ_ONLY_PAGE, BigInt(USER) | NO_EXECUTE);
    map(COUNTERS, COUNTER_PAGE, inner | NO_EXECUTE);
  }

  private enterUserMode(mode: Program['mode']): void {
    const { processor } = this;
    const near = mode === 16;
    const flat = { base: 0n, limit: 0xffffffff };
    const code = near ? { base: BigInt(CODE + NEAR_BASE), limit: 0xffff } : flat;
    const data = near ? { base: BigInt(DATA), limit: 0xffff } : flat;
    processor.setControl(4, 0x620n); // PAE, OSFXSR, OSXMMEXCPT
    processor.setControl(3, BigInt(TABLES * PAGE));
    processor.setMsr(0xc0000080, 0xd01n); // SCE, LME, LMA, NXE
    processor.setControl(0, 0x80050033n); // PG, AM, WP, NE, ET, MP, PE
    processor.setControl(2, 0n);
    const attributes = { 16: 0xfb, 32: 0xc0fb, 64: 0xa0fb }[mode];
    processor.setSegment(Segment.CS, { ...code, selector: 0x33, attributes });
    for (const index of [Segment.DS, Segment.ES, Segment.FS, Segment.GS, Segment.SS])
      processor.setSegment(index, { ...data, selector: 0x2b, attributes: near ? 0xf3 : 0xc0f3 });
    processor.exceptionIntercepts = -1;
    processor.interruptShadow = false;
  }

  load(program: Program): void {
    const { processor, physical } = this;
    const { bytes } = physical;
    this.writeTables();
    const code = FIRST_CODE * PAGE;
    bytes.fill(HLT, code, code + CODE_PAGES * PAGE);
    bytes.set(program.code, code + program.codeOffset);
    for (let k = 0; k < CODE_PAGES; k++) physical.noteWritten(FIRST_CODE + k);
    this.codeBefore = this.codePages();
    bytes.set(program.data, FIRST_DATA * PAGE);
    bytes.set(program.data.subarray(0, PAGE), READ_ONLY_PAGE * PAGE);
    bytes.set(program.counters, COUNTER_PAGE * PAGE);
    this.enterUserMode(program.mode);
    for (let k = 0; k < 16; k++) processor.setGpr(k, program.gpr[k]!);
    processor.setRflags(BigInt(program.rflags));
    processor.setRip(BigInt(program.rip));
    processor.restoreFloatingPoint(program.floating);
  }

  /** Runs in turns of `budget` instructions; undefined if the program has not ended after `most`. */
  run(budget: number, most: number): Outcome | undefined {
    const { processor } = this;
    const start = processor.instructionsRetired;
    const faults: string[] = [];
    for (let turns = 0; turns < most; turns++) {
      const exit = processor.run(budget);
      if (exit !== Exit.Budget && !this.goOnBehind(exit, faults)) return this.outcome(exit, faults);
      if (processor.instructionsRetired - start > most) return undefined;
    }
    return undefined;
  }

  private codePages(): Uint8Array {
    return this.physical.bytes.slice(FIRST_CODE * PAGE, (FIRST_CODE + CODE_PAGES) * PAGE);
  }

  /** Notes a fault and steps over the instruction; false where the program ends. */
  private goOnBehind(exit: number, faults: string[]): boolean {
    const { processor } = this;
    if (exit !== Exit.Exception) return false;
    const { vector, errorCode, parameter } = processor.exceptionExit;
    const address = vector === PAGE_FAULT ? parameter.toString(16) : '-';
    faults.push(`#${vector}(${errorCode}) ${address} at ${processor.getRip().toString(16)}`);
    if (vector === DEBUG || faults.length > MOST_FAULTS) return false;
    if (processor.exitInstructionLength === 0 || processor.instructionBytes()[0] === HLT) return false;
    processor.completeInstruction();
    return true;
  }

  private outcome(exit: number, faults: readonly string[]): Outcome {
    const { processor, physical } = this;
    return {
      exit,
      vector: exit === Exit.Exception ? processor.exceptionExit.vector : -1,
      faults: faults.join(', '),
      rip: processor.getRip(),
      rflags: processor.getRflags(),
      gpr: Array.from({ length: 16 }, (_, k) => processor.getGpr(k)),
      floating: processor.saveFloatingPoint(),
      codeChanged: Buffer.compare(this.codeBefore, this.codePages()) !== 0,
      memory: physical.bytes.slice(TABLES * PAGE, END * PAGE),
    };
  }
}

/** The first thing in which two outcomes differ, or undefined. */
export function difference(a: Outcome, b: Outcome): string | undefined {
  const show = (value: bigint | number | string | undefined): string => value?.toString(16) ?? 'none';
  for (const key of ['exit', 'faults', 'rip', 'rflags'] as const)
    if (a[key] !== b[key]) return `${key} ${show(a[key])} and ${show(b[key])}`;
  for (let k = 0; k < 16; k++)
    if (a.gpr[k] !== b.gpr[k]) return `register ${k}: ${show(a.gpr[k])} and ${show(b.gpr[k])}`;
  for (const key of ['floating', 'memory'] as const) {
    if (Buffer.compare(a[key], b[key]) === 0) continue;
    const at = a[key].findIndex((byte, k) => byte !== b[key][k]);
    return `${key} at ${show(at)}: ${show(a[key][at])} and ${show(b[key][at])}`;
  }
  return undefined;
}
