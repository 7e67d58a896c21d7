/**
 * A processor of WebAssembly: state page, logical processor's area, interpreter instance and microcode put
 * together behind the seam of processor.ts.
 */
import { CR0, EFER } from '../x86/control-registers.ts';
import { HAS_ERROR_CODE, VECTOR } from '../x86/exceptions.ts';
import { FLAG } from '../x86/flags.ts';
import { BlockDecoder } from './block-decoder.ts';
import { cpuid } from './cpuid.ts';
import { lookupOf, translateGva } from './gva-translation.ts';
import { decode } from './instructions/decode.ts';
import type { DecodeResult } from './instructions/instruction.ts';
import { buildInterpreter } from './interpreter.ts';
import {
  AREA_BLOCK_TABLE,
  AREA_SIZE,
  AREA_TLB,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_SHIFT,
  TLB_EXECUTE,
} from './logical-processor-area.ts';
import { setDebug } from './microcode/control-registers.ts';
import { Core, type InterpreterExports, isCanonical } from './microcode/core.ts';
import { TrapPending } from './microcode/debug-exceptions.ts';
import { FloatingState } from './microcode/floating-state.ts';
import { deliver, deliverException } from './microcode/interrupt-delivery.ts';
import { buildMicrocode } from './microcode/microcode.ts';
import { type MsrContext, readMsr, writeMsr } from './microcode/msrs.ts';
import { Mode } from './mode.ts';
import { EXIT_MARK, NO_ADDRESS, NON_CANONICAL } from './paging.ts';
import {
  Access,
  type ExceptionExit,
  Exit,
  type FailedDelivery,
  type GvaTranslation,
  type GvaTranslationRequest,
  type MemoryExit,
  type PhysicalMemory,
  type PortExit,
  type Processor,
  type ProcessorHost,
  Segment,
  type SegmentRegister,
} from './processor.ts';
import { ProcessorState } from './state.ts';
import * as S from './state-layout.ts';
import { StaticExecutor } from './static-executor.ts';
import { HOT_AFTER, type HotThreshold, RegionCache } from './translator/region-cache.ts';

let compiled: WebAssembly.Module | undefined;
/** The interpreter is the same for all processors: built and compiled once a process. */
function interpreterModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(buildInterpreter() as Uint8Array<ArrayBuffer>);
  return compiled;
}

const CONTROL = { 0: S.CR0, 2: S.CR2, 3: S.CR3, 4: S.CR4, 8: S.CR8 } as const;
/** Instructions that address the stack without saying so. A memory operand of theirs is looked at first. */
const USES_STACK = new Set('push pop call callf ret retf enter leave pushf popf pusha popa iret'.split(' '));
const CODE_SIZES = [16, 32, 64] as const;
/** Longest run between two looks at the budget. */
const MAX_BUDGET = 0x7fff0000;

export interface ProcessorOptions {
  /** Runs code through the static stage in blocks of at most so many instructions, instead of the interpreter. */
  staticBlockLength?: number;
  /** Which code is translated to regions: what turns out hot (the default), all from its first execution, none. */
  translate?: 'hot' | 'always' | 'never';
  /** What counts as hot; for tests that want it sooner. */
  hotAfter?: HotThreshold;
  /** Most regions that exist at a time; for tests that want to see the end of it. */
  regionSlots?: number;
  /** Called when the processor is released: its area may be used again. */
  released?: () => void;
}

class WasmProcessor implements Processor {
  readonly stateAddress: number;
  instructionsRetired = 0;
  readonly portExit: PortExit = { port: 0, size: 0, write: false, string: false, rep: false, value: 0 };
  readonly memoryExit: MemoryExit = { gpa: 0, gva: 0n, gvaValid: true, access: 0 };
  readonly exceptionExit: ExceptionExit = { vector: 0, errorCode: undefined, parameter: 0n };
  readonly msrExit = { msr: 0 };
  exceptionIntercepts = 0;

  private readonly memory: PhysicalMemory;
  private readonly host: ProcessorHost;
  private readonly area: number;
  private readonly state: ProcessorState;
  private readonly core: Core;
  private readonly floating: FloatingState;
  private readonly decoder: BlockDecoder;
  private readonly msrs: MsrContext;
  private readonly exports: InterpreterExports;
  private regions: RegionCache | undefined;
  private readonly translate: 'hot' | 'always' | 'never';
  /** Instructions between two samples for the translator. */
  private readonly stretch: number;
  /** How run() executes: the interpreter, or blocks of the static stage. */
  private readonly execute: () => Exit;
  private readonly released: (() => void) | undefined;

  constructor(
    memory: PhysicalMemory,
    stateAddress: number,
    host: ProcessorHost,
    area: number,
    options: ProcessorOptions,
  ) {
    this.memory = memory;
    this.stateAddress = stateAddress;
    this.host = host;
    this.area = area;
    this.released = options.released;
    this.state = new ProcessorState(memory, stateAddress);
    this.core = new Core(memory, this.state, () => this.exports);
    this.floating = new FloatingState(this.core);
    this.decoder = new BlockDecoder(memory, area);
    this.msrs = {
      state: this.state,
      readTsc: () => BigInt(Math.floor(host.readTsc())),
      flushTlb: () => this.exports.flushVirtual(stateAddress),
    };
    this.state.set32(S.TLB_BASE, area + AREA_TLB);
    this.state.set32(S.BLOCK_TABLE_BASE, area + AREA_BLOCK_TABLE);
    this.state.set32(S.CODE_MAP_BASE, memory.codeMapAddress);
    const hotAfter = options.hotAfter ?? HOT_AFTER;
    this.stretch = hotAfter.stretch;
    const { exports, staticBlocks } = this.instantiate(options, hotAfter);
    this.exports = exports;
    this.translate = staticBlocks === undefined ? (options.translate ?? 'hot') : 'never';
    this.execute = staticBlocks ? () => staticBlocks.run() : () => exports.run(stateAddress) as Exit;
    this.flushTlb();
    this.reset();
  }

  private instantiate(
    { staticBlockLength, regionSlots }: ProcessorOptions,
    hotAfter: HotThreshold,
  ): {
    exports: InterpreterExports;
    staticBlocks: StaticExecutor | undefined;
  } {
    const microcode = buildMicrocode({
      core: this.core,
      effects: {
        flushTlb: () => this.exports.flushVirtual(this.stateAddress),
        flushTlbPage: (va) => this.flushTlbPage(va),
      },
      floating: this.floating,
      msrs: this.msrs,
      exports: () => this.exports,
      notePort: (port, size, write, string, rep) => this.notePort(port, size, write, string, rep),
      noteMsr: (msr) => {
        this.msrExit.msr = msr;
      },
      dropCodeAtRip: () => this.dropCodeAtRip(),
      interceptException: (vector) => this.interceptException(vector, undefined),
    });
    const host = {
      memory: this.memory.memory,
      translateGpa: (gpn: number, access: number) => this.host.translateGpa(gpn >>> 0, access),
      codeWritten: (spn: number, offset: number, size: number) => this.memory.noteWritten(spn, offset, size),
      microcode: (_state: number, operation: number, bits: number, argument: number) =>
        microcode(operation, bits, argument),
      readTsc: () => this.host.readTsc(),
      decodeBlock: (_state: number, spa: number) => this.decodeBlock(spa >>> 0),
      deliverFault: () => this.deliverFault(),
    };
    const instance = new WebAssembly.Instance(interpreterModule(), { host });
    const exports = instance.exports as unknown as InterpreterExports;
    const imports = { host, runtime: instance.exports as WebAssembly.ModuleImports };
    const table = instance.exports.table as WebAssembly.Table;
    this.regions = new RegionCache(this.memory, this.decoder, imports, table, hotAfter, regionSlots);
    if (staticBlockLength === undefined) return { exports, staticBlocks: undefined };
    const { core } = this;
    const deliverFault = () => this.deliverFault();
    const staticBlocks = new StaticExecutor(
      { core, exports, imports, microcode, deliverFault },
      staticBlockLength,
    );
    return { exports, staticBlocks };
  }

  // Running

  run(maxInstructions: number): Exit {
    const reason = this.runStretches(Math.max(1, maxInstructions));
    if (reason === Exit.Memory) this.noteMemory();
    // The instruction starts anew, or the host completes it.
    if (reason !== Exit.Budget && reason !== Exit.Attention) this.forgetTraps();
    if (reason !== Exit.Halt) return reason;
    this.completeInstruction();
    // A debug trap ends the halt at once.
    return this.state.get32(S.TRAP_PENDING) === 0 ? reason : Exit.Budget;
  }

  private forgetTraps(): void {
    this.state.set32(S.TRAP_PENDING, 0);
    this.state.set32(S.DEBUG_HITS, 0);
  }

  /** Runs in short stretches; where one ends is a sample of where the guest spends its time. */
  private runStretches(maxInstructions: number): Exit {
    const { state } = this;
    for (let left = maxInstructions; ; ) {
      const budget = Math.min(left, this.translate === 'hot' ? this.stretch : MAX_BUDGET);
      state.set32(S.BUDGET, budget);
      const reason = this.execute();
      const done = budget - state.get32(S.BUDGET);
      this.instructionsRetired += done;
      left -= done;
      if (reason !== Exit.Budget) return reason;
      if (this.translate === 'hot') this.sample();
      if (left <= 0) return reason;
    }
  }

  private sample(): void {
    const { state } = this;
    const spa = this.executableInTlb(BigInt.asUintN(64, state.rip + state.get64(S.CODE_BASE)));
    if (spa >= 0) this.regions?.sample(spa, state.get32(S.MODE));
  }

  /** Host address of a byte whose page the TLB holds for execution; negative otherwise. */
  private executableInTlb(linear: bigint): number {
    const page = Number(BigInt.asUintN(32, linear >> 12n));
    const index = (page + (page >>> 10)) & (TLB_ENTRIES - 1);
    const user = this.state.cpl === 3 ? TLB_ENTRIES : 0;
    const entry = this.area + AREA_TLB + ((user + index) << TLB_ENTRY_SHIFT);
    const { view } = this.memory;
    if (view.getBigUint64(entry + TLB_EXECUTE, true) !== (linear & ~0xfffn)) return -1;
    return (Number(linear & 0xffffffffn) + view.getUint32(entry + TLB_ADDEND, true)) >>> 0;
  }

  private decodeBlock(spa: number): number {
    const mode = this.state.get32(S.MODE);
    // Here no block is running that a flush could pull away.
    if (this.regions?.isFull) this.decoder.flush();
    const record = this.decoder.decode(spa, mode, () => {
      const linear = BigInt.asUintN(64, this.state.rip + this.state.get64(S.CODE_BASE));
      const next = (linear & ~0xfffn) + 4096n;
      const host = this.core.host(next, 1, Access.Execute, this.state.cpl === 3);
      return host === undefined ? -1 : Math.floor(host / 4096);
    });
    if (this.translate === 'always' && record !== 0) this.regions?.translateNow(spa, mode, record);
    return record;
  }

  /** 0: delivered, go on. 1: return EXIT_REASON. */
  private deliverFault(): number {
    const { state } = this;
    const pending = state.get32(S.FAULT_VECTOR) - 1;
    const vector = pending === NON_CANONICAL ? this.vectorOfNonCanonical() : pending;
    const error = state.get32(S.FAULT_ERROR);
    const errorCode = HAS_ERROR_CODE.has(vector) ? error : undefined;
    if (this.interceptException(vector, errorCode)) {
      state.set32(S.FAULT_VECTOR, 0);
      state.set32(S.EXIT_REASON, Exit.Exception);
      return 1;
    }
    return this.deliverNow(vector, errorCode);
  }

  /** True, with `exceptionExit` filled in, if the host intercepts the vector. */
  private interceptException(vector: number, errorCode: number | undefined): boolean {
    if (((this.exceptionIntercepts >>> vector) & 1) === 0) return false;
    this.exceptionExit.vector = vector;
    this.exceptionExit.errorCode = errorCode;
    this.exceptionExit.parameter = this.state.get64(S.FAULT_ADDRESS);
    return true;
  }

  private deliverNow(vector: number, errorCode: number | undefined): number {
    const { state } = this;
    const outcome = deliverException(this.core, vector, errorCode);
    if (outcome === 'delivered') return 0;
    const pending = state.get32(S.FAULT_VECTOR);
    state.set32(S.FAULT_VECTOR, 0);
    state.set32(S.EXIT_REASON, outcome === 'shutdown' ? Exit.TripleFault : pending - EXIT_MARK);
    return 1;
  }

  /** #SS(0) when the instruction at RIP addresses memory through SS, #GP(0) otherwise (SDM vol. 1 §3.3.7.1). */
  private vectorOfNonCanonical(): number {
    const result = this.decodeAtRip();
    if (result.kind !== 'ok') return VECTOR.GP;
    const { operands, row } = result.instruction;
    const memory = operands.find((operand) => operand.kind === 'memory');
    if (memory?.kind === 'memory' && memory.segment === Segment.SS) return VECTOR.SS;
    const stackIsBad = memory === undefined || !isCanonical(this.state.gpr(4));
    return USES_STACK.has(row.mnemonic) && stackIsBad ? VECTOR.SS : VECTOR.GP;
  }

  private noteMemory(): void {
    const { memoryExit, state } = this;
    memoryExit.gpa = Number(state.get64(S.EXIT_A));
    memoryExit.gva = state.get64(S.EXIT_B);
    memoryExit.access = state.get32(S.EXIT_C);
  }

  private notePort(port: number, size: number, write: boolean, string: boolean, rep: boolean): void {
    const value = this.state.get32(S.GPR) >>> 0;
    const mask = size === 4 ? 0xffffffff : (1 << (8 * size)) - 1;
    Object.assign(this.portExit, { port, size, write, string, rep, value: (value & mask) >>> 0 });
  }

  private dropCodeAtRip(): void {
    const linear = BigInt.asUintN(64, this.state.rip + this.state.get64(S.CODE_BASE));
    const host = this.exports.walk(this.stateAddress, linear, Access.Execute, this.state.cpl === 3 ? 1 : 0);
    if (host !== NO_ADDRESS) this.memory.noteWritten(host >>> 12, Number(linear & 0xfffn), 1);
  }

  // Instruction at RIP

  private decodeAtRip(): DecodeResult {
    const bytes = this.instructionBytes();
    const code = CODE_SIZES[this.state.get32(S.MODE) & Mode.CodeSizeMask]!;
    return decode(bytes, 0, Math.min(bytes.length, 15), code);
  }

  get exitInstructionLength(): number {
    const result = this.decodeAtRip();
    return result.kind === 'ok' ? result.instruction.length : 0;
  }

  instructionBytes(): Uint8Array {
    const { state } = this;
    const linear = BigInt.asUintN(64, state.rip + state.get64(S.CODE_BASE));
    const { bytes } = this.memory;
    const first = this.peek(linear);
    if (first === undefined) return new Uint8Array(0);
    const inPage = Math.min(16, 4096 - Number(linear & 0xfffn));
    if (inPage === 16) return bytes.slice(first, first + 16);
    const second = this.peek(linear + BigInt(inPage));
    const rest = second === undefined ? 0 : 16 - inPage;
    const code = new Uint8Array(inPage + rest);
    code.set(bytes.subarray(first, first + inPage));
    if (second !== undefined) code.set(bytes.subarray(second, second + rest), inPage);
    return code;
  }

  /** Host address of an executable byte, without side effects that the guest could see. */
  private peek(va: bigint): number | undefined {
    const cached = this.executableInTlb(va);
    if (cached >= 0) return cached;
    const privilege = this.state.cpl;
    const found = this.translateGva({ gva: va, access: Access.Execute, privilege, setTableBits: false });
    if (found.kind !== 'ok') return undefined;
    const answer = lookupOf(this.host)(Math.floor(found.gpa / 4096), Access.Execute);
    return answer < 0 ? undefined : (answer & 0xffffff) * 4096 + (found.gpa % 4096);
  }

  completeInstruction(): void {
    const { state } = this;
    const mask = state.get64(S.CODE_MASK);
    state.rip = (state.rip + BigInt(this.exitInstructionLength)) & mask;
    state.set32(S.FLAGS_SYSTEM, state.get32(S.FLAGS_SYSTEM) & ~FLAG.RF);
    if (state.get32(S.INTERRUPT_SHADOW) !== 0) {
      state.set32(S.INTERRUPT_SHADOW, 0);
      state.refresh();
    }
    if (state.get32(S.FLAGS_SYSTEM) & FLAG.TF) state.set32(S.TRAP_PENDING, TrapPending.Step);
  }

  // Interrupts

  get interruptible(): boolean {
    const { state } = this;
    const trap = (state.get32(S.TRAP_PENDING) & TrapPending.Step) | state.get32(S.DEBUG_HITS);
    return (state.get32(S.FLAGS_SYSTEM) & FLAG.IF) !== 0 && trap === 0 && !this.interruptShadow;
  }
  get interruptShadow(): boolean {
    return this.state.get32(S.INTERRUPT_SHADOW) !== 0;
  }
  set interruptShadow(value: boolean) {
    this.state.set32(S.INTERRUPT_SHADOW, value ? 2 : 0);
    this.state.refresh();
  }

  get nmiMasked(): boolean {
    return this.state.get32(S.NMI_MASKED) !== 0;
  }
  set nmiMasked(value: boolean) {
    this.state.set32(S.NMI_MASKED, value ? 1 : 0);
  }

  injectInterrupt(vector: number): void {
    const { state } = this;
    if (deliver(this.core, vector, 'external')) return;
    const pending = state.get32(S.FAULT_VECTOR);
    if (pending >= EXIT_MARK) {
      state.set32(S.FAULT_VECTOR, 0);
      state.set32(S.EXIT_REASON, pending - EXIT_MARK);
    } else {
      const met = pending - 1 === NON_CANONICAL ? VECTOR.SS : pending - 1;
      if (this.deliverNow(met, state.get32(S.FAULT_ERROR)) === 0) return;
    }
    this.noteFailedDelivery(true, vector, undefined);
  }

  injectException(vector: number, errorCode?: number): void {
    if (vector === VECTOR.NMI) this.nmiMasked = true;
    // Delivery loads CR2 from the fault's address; the host has set CR2 itself.
    if (vector === VECTOR.PF) this.state.set64(S.FAULT_ADDRESS, this.state.get64(S.CR2));
    if (this.deliverNow(vector, errorCode) !== 0) this.noteFailedDelivery(false, vector, errorCode);
  }

  private noteFailedDelivery(external: boolean, vector: number, errorCode: number | undefined): void {
    const exit = this.state.get32(S.EXIT_REASON) as Exit;
    if (exit === Exit.Memory) this.noteMemory();
    this.failedDelivery = { exit, external, vector, errorCode };
  }

  takeFailedDelivery(): FailedDelivery | undefined {
    const failed = this.failedDelivery;
    this.failedDelivery = undefined;
    return failed;
  }
  private failedDelivery: FailedDelivery | undefined;

  raiseAttention(bits: number): void {
    this.state.set32(S.ATTENTION, this.state.get32(S.ATTENTION) | bits);
  }
  clearAttention(bits: number): void {
    this.state.set32(S.ATTENTION, this.state.get32(S.ATTENTION) & ~bits);
  }

  // Translations

  flushTlb(): void {
    const { bytes } = this.memory;
    bytes.fill(0xff, this.area + AREA_TLB, this.area + AREA_BLOCK_TABLE);
  }

  flushTlbPage(gva: bigint): void {
    const page = Number(BigInt.asUintN(32, gva >> 12n));
    const index = (page + (page >>> 10)) & (TLB_ENTRIES - 1);
    for (const user of [0, 1]) {
      const entry = this.area + AREA_TLB + ((user * TLB_ENTRIES + index) << TLB_ENTRY_SHIFT);
      this.memory.bytes.fill(0xff, entry, entry + 24);
    }
  }

  translateGva(request: GvaTranslationRequest): GvaTranslation {
    return translateGva(this.memory, this.state, lookupOf(this.host), request);
  }

  // Registers

  getGpr(index: number): bigint {
    return this.state.gpr(index);
  }
  setGpr(index: number, value: bigint): void {
    this.state.setGpr(index, value);
  }
  getRip(): bigint {
    return this.state.rip;
  }
  setRip(value: bigint): void {
    this.state.rip = value;
  }
  getRflags(): bigint {
    return BigInt(this.state.rflags >>> 0);
  }
  setRflags(value: bigint): void {
    this.state.rflags = Number(value & 0xffffffffn);
    this.state.refresh();
  }
  getSegment(index: number): SegmentRegister {
    return this.state.segment(index);
  }
  /** CPL follows SS's DPL, as on the real processor's VM entry (SDM vol. 3 §26.3.1.2). */
  setSegment(index: number, value: SegmentRegister): void {
    this.state.setSegment(index, value);
    if (index === Segment.SS && this.state.protectedMode)
      this.state.set32(S.CPL, (value.attributes >> 5) & 3);
    this.state.refresh();
  }
  getTable(which: 'gdtr' | 'idtr'): { base: bigint; limit: number } {
    const at = which === 'gdtr' ? S.GDTR : S.IDTR;
    return { base: this.state.get64(at), limit: this.state.get32(at + 8) >>> 0 };
  }
  setTable(which: 'gdtr' | 'idtr', value: { base: bigint; limit: number }): void {
    const at = which === 'gdtr' ? S.GDTR : S.IDTR;
    this.state.set64(at, value.base);
    this.state.set32(at + 8, value.limit);
  }
  getControl(index: 0 | 2 | 3 | 4 | 8): bigint {
    return this.state.get64(CONTROL[index]);
  }
  setControl(index: 0 | 2 | 3 | 4 | 8, value: bigint): void {
    this.state.set64(CONTROL[index], value);
    if (index === 0) this.deriveLongModeActive();
    this.state.refresh();
    if (index !== 2 && index !== 8) this.flushTlb();
  }
  getXcr0(): bigint {
    return this.state.get64(S.XCR0);
  }
  setXcr0(value: bigint): void {
    this.state.set64(S.XCR0, value);
  }
  getDebug(index: number): bigint {
    return this.state.get64(S.DR + 8 * index);
  }
  setDebug(index: number, value: bigint): void {
    setDebug(this.core, this, index, value);
  }
  getMsr(msr: number): bigint | undefined {
    return readMsr(this.msrs, msr);
  }
  setMsr(msr: number, value: bigint): 'ok' | 'fault' | 'unknown' {
    return writeMsr(this.msrs, msr, value);
  }
  /** EFER.LMA is LME while paging is on. */
  private deriveLongModeActive(): void {
    const efer = this.state.get32(S.EFER);
    const active = (this.state.get32(S.CR0) & CR0.PG) !== 0 && (efer & EFER.LME) !== 0;
    this.state.set32(S.EFER, active ? efer | EFER.LMA : efer & ~EFER.LMA);
  }
  saveFloatingPoint(): Uint8Array {
    return this.floating.save();
  }
  restoreFloatingPoint(image: Uint8Array): void {
    this.floating.restore(image);
  }
  cpuid(leaf: number, subleaf: number): { eax: number; ebx: number; ecx: number; edx: number } {
    return cpuid(leaf, subleaf, this.state.get32(S.CR4));
  }

  // Reset

  reset(): void {
    const { state } = this;
    this.init();
    this.floating.reset();
    state.set64(S.CR0, 0x60000010n);
    for (const at of [S.MSR_STAR, S.MSR_LSTAR, S.MSR_CSTAR, S.MSR_SFMASK, S.MSR_KERNEL_GS_BASE])
      state.set64(at, 0n);
    for (const at of [S.MSR_SYSENTER_CS, S.MSR_SYSENTER_ESP, S.MSR_SYSENTER_EIP, S.MSR_TSC_AUX])
      state.set64(at, 0n);
    state.set64(S.MSR_PAT, 0x0007040600070406n);
    state.set64(S.TSC_OFFSET, 0n);
    state.set64(S.MSR_TSC_ADJUST, 0n);
    state.refresh();
  }

  init(): void {
    const { state } = this;
    for (let k = 0; k < 16; k++) state.setGpr(k, 0n);
    state.setGpr(2, 0x000106a5n);
    state.set64(S.ZERO, 0n);
    state.rflags = FLAG.FIXED;
    for (let k = 0; k < 8; k++) {
      const attributes = k === Segment.CS ? 0x9b : k === Segment.LDTR ? 0x82 : k === Segment.TR ? 0x8b : 0x93;
      state.setSegment(k, { selector: 0, base: 0n, limit: 0xffff, attributes });
    }
    state.setSegment(Segment.CS, { selector: 0xf000, base: 0xffff0000n, limit: 0xffff, attributes: 0x9b });
    state.rip = 0xfff0n;
    this.setTable('gdtr', { base: 0n, limit: 0xffff });
    this.setTable('idtr', { base: 0n, limit: 0xffff });
    // CD and NW survive INIT.
    state.set64(S.CR0, (state.get64(S.CR0) & 0x60000000n) | 0x10n);
    for (const at of [S.CR2, S.CR3, S.CR4, S.CR8, S.EFER]) state.set64(at, 0n);
    state.set64(S.XCR0, 1n);
    for (let k = 0; k < 4; k++) state.set64(S.DR + 8 * k, 0n);
    state.set64(S.DR + 48, 0xffff0ff0n);
    state.set64(S.DR + 56, 0x400n);
    for (const at of [S.CPL, S.FAULT_VECTOR, S.ATTENTION, S.INTERRUPT_SHADOW, S.NMI_MASKED])
      state.set32(at, 0);
    this.forgetTraps();
    state.set32(S.BREAKPOINTS, 0);
    state.refresh();
    this.flushTlb();
  }

  release(): void {
    const { codeHolders } = this.memory;
    const at = codeHolders.indexOf(this.decoder);
    if (at >= 0) codeHolders.splice(at, 1);
    this.released?.();
  }
}

/**
 * Makes a processor whose state is the page at byte address `stateAddress` of `memory` and whose caches take the
 * AREA_SIZE bytes at `area` there.
 */
export function createProcessor(
  memory: PhysicalMemory,
  stateAddress: number,
  host: ProcessorHost,
  area: number,
  options: ProcessorOptions = {},
): Processor {
  return new WasmProcessor(memory, stateAddress, host, area, options);
}

export { AREA_SIZE };
