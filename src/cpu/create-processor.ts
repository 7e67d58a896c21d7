/**
 * A processor of WebAssembly: state page, logical processor's area, interpreter instance and microcode put
 * together behind the seam of processor.ts.
 */
import { HAS_ERROR_CODE, VECTOR } from '../x86/exceptions.ts';
import { FLAG } from '../x86/flags.ts';
import { BlockDecoder } from './block-decoder.ts';
import { lookupOf, translateGva } from './gva-translation.ts';
import { InstructionAtRip } from './instruction-at-rip.ts';
import { interpreterModule } from './interpreter-module.ts';
import { AREA_BLOCK_TABLE, AREA_SIZE, AREA_TLB } from './logical-processor-area.ts';
import type { InterpreterExports } from './microcode/core.ts';
import { TrapPending } from './microcode/debug-exceptions.ts';
import { deliver, deliverException } from './microcode/interrupt-delivery.ts';
import { buildMicrocode } from './microcode/microcode.ts';
import { EXIT_MARK, NO_ADDRESS, NON_CANONICAL } from './paging.ts';
import {
  Access,
  type CodeSharing,
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
} from './processor.ts';
import type { ProcessorProfile } from './processor-profile.ts';
import { ProcessorRegisters } from './processor-registers.ts';
import { ProfileCounters } from './profile.ts';
import * as S from './state-layout.ts';
import { StaticExecutor } from './static-executor.ts';
import { type ExecutablePage, HOT_AFTER, type HotThreshold, RegionCache } from './translator/region-cache.ts';

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
  /**
   * The processor is divided: `Front` is what the host sees, on a state of its own; `Engine` executes on that state, on
   * another thread (threads/). A front never runs, an engine never resets.
   */
  half?: 'front' | 'engine';
  /** Where other threads store to the same memory. */
  sharing?: CodeSharing;
  /** The interpreter, where it is compiled already. */
  module?: WebAssembly.Module;
}

export class WasmProcessor extends ProcessorRegisters implements Processor {
  protected retired = 0;
  readonly portExit: PortExit = { port: 0, size: 0, write: false, string: false, rep: false, value: 0 };
  readonly memoryExit: MemoryExit = { gpa: 0, gva: 0n, gvaValid: true, access: 0 };
  readonly exceptionExit: ExceptionExit = { vector: 0, errorCode: undefined, parameter: 0n };
  readonly msrExit = { msr: 0 };
  protected intercepts = 0;

  protected readonly host: ProcessorHost;
  /** A front has none. */
  protected readonly decoder: BlockDecoder | undefined;
  private readonly instruction: InstructionAtRip;
  private readonly exports: InterpreterExports;
  private regions: RegionCache | undefined;
  private readonly translate: 'hot' | 'always' | 'never';
  /** Instructions between two samples for the translator. */
  private readonly stretch: number;
  /** How run() executes: the interpreter, or blocks of the static stage. */
  private readonly execute: () => Exit;
  private readonly released: (() => void) | undefined;
  private readonly counters: ProfileCounters;

  constructor(
    memory: PhysicalMemory,
    stateAddress: number,
    host: ProcessorHost,
    area: number,
    options: ProcessorOptions,
  ) {
    super(memory, stateAddress, host, area);
    this.host = host;
    this.released = options.released;
    this.counters = new ProfileCounters(memory.bytes.buffer, area);
    if (options.half !== 'engine') this.counters.clear();
    this.decoder = options.half === 'front' ? undefined : new BlockDecoder(memory, area, options.sharing);
    if (this.decoder) this.decoder.statistics = this.counters.decoder;
    this.instruction = new InstructionAtRip(memory, this.state, host, this.tlb);
    this.state.set32(S.TLB_BASE, area + AREA_TLB);
    this.state.set32(S.BLOCK_TABLE_BASE, area + AREA_BLOCK_TABLE);
    this.state.set32(S.CODE_MAP_BASE, memory.codeMapAddress);
    const hotAfter = options.hotAfter ?? HOT_AFTER;
    this.stretch = hotAfter.stretch;
    const { exports, staticBlocks } = this.instantiate(options, hotAfter);
    this.exports = exports;
    this.translate = staticBlocks === undefined ? (options.translate ?? 'hot') : 'never';
    if (this.decoder && this.translate !== 'hot') this.decoder.entriesBeforeHot = 0;
    this.execute = staticBlocks ? () => staticBlocks.run() : () => exports.run(stateAddress) as Exit;
    if (options.half === 'engine') return;
    this.tlb.flush();
    this.reset();
  }

  get instructionsRetired(): number {
    return this.retired;
  }
  get exceptionIntercepts(): number {
    return this.intercepts;
  }
  set exceptionIntercepts(vectors: number) {
    this.intercepts = vectors;
  }

  private instantiate(
    { staticBlockLength, regionSlots, half, sharing, module }: ProcessorOptions,
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
    const microcodeCalls = this.counters.microcode;
    const host = {
      memory: this.memory.memory,
      translateGpa: (gpn: number, access: number) => this.host.translateGpa(gpn >>> 0, access),
      codeWritten: (spn: number, offset: number, size: number) => this.memory.noteWritten(spn, offset, size),
      microcode: (_state: number, operation: number, bits: number, argument: number) => {
        microcodeCalls[operation]!++;
        return microcode(operation, bits, argument);
      },
      readTsc: () => this.host.readTsc(),
      decodeBlock: (_state: number, spa: number) => this.decodeBlock(spa >>> 0),
      blockIsHot: (spa: number) => this.regions?.blockIsHot(this.placeOf(spa >>> 0)),
      deliverFault: () => this.deliverFault(),
      exclusive: (_state: number, what: number) => this.exclusive(what),
    };
    const isShared = half !== undefined || sharing !== undefined;
    const instance = new WebAssembly.Instance(module ?? interpreterModule(isShared), { host });
    const exports = instance.exports as unknown as InterpreterExports;
    const imports = { host, runtime: instance.exports as WebAssembly.ModuleImports };
    const table = instance.exports.table as WebAssembly.Table;
    if (this.decoder) {
      const executablePage: ExecutablePage = (linear, user) => this.tlb.executable(linear, user);
      const { decoder } = this;
      const place = { memory: this.memory, decoder, imports, table, executablePage };
      this.regions = new RegionCache(place, hotAfter, regionSlots);
      this.regions.statistics = this.counters.translator;
    }
    if (staticBlockLength === undefined) return { exports, staticBlocks: undefined };
    const { core } = this;
    const deliverFault = () => this.deliverFault();
    const staticBlocks = new StaticExecutor(
      { core, exports, imports, microcode, deliverFault },
      staticBlockLength,
    );
    return { exports, staticBlocks };
  }

  /** Begins or ends (`Exclusive`) what others must not interleave with; alone there is nothing to do. */
  protected exclusive(_what: number): void {}

  protected override interpreter(): InterpreterExports {
    return this.exports;
  }

  // Running

  run(maxInstructions: number): Exit {
    const reason = this.runStretches(Math.max(1, maxInstructions));
    if (reason === Exit.Memory) this.noteMemory();
    // The instruction starts anew, or the host completes it.
    if (reason !== Exit.Budget && reason !== Exit.Attention) this.forgetTraps();
    // The delivery of an exception met refused memory: no access of the instruction at RIP, which may be done.
    if (reason === Exit.Memory && this.failedDelivery !== undefined) return Exit.Budget;
    if (reason !== Exit.Halt) return reason;
    this.completeInstruction();
    // A debug trap ends the halt at once.
    return this.state.get32(S.TRAP_PENDING) === 0 ? reason : Exit.Budget;
  }

  /** Runs in short stretches; where one ends is a sample of where the guest spends its time. */
  private runStretches(maxInstructions: number): Exit {
    const { state } = this;
    for (let left = maxInstructions; ; ) {
      const budget = Math.min(left, this.translate === 'hot' ? this.stretch : MAX_BUDGET);
      state.set32(S.BUDGET, budget);
      const reason = this.execute();
      const done = budget - state.get32(S.BUDGET);
      this.retired += done;
      left -= done;
      if (this.translate === 'hot' && reason === Exit.Budget) this.sample();
      if (reason !== Exit.Budget || left <= 0) return reason;
    }
  }

  private sample(): void {
    const { state } = this;
    const linear = state.linearRip;
    const spa = this.tlb.executable(linear, state.cpl === 3);
    if (spa >= 0) this.regions?.sample(this.placeOf(spa));
    this.regions?.translateWanted();
  }

  /** RIP, which is at host address `spa`, for the translator. */
  private placeOf(spa: number): { spa: number; linear: bigint; mode: number } {
    const { state } = this;
    return { spa, linear: state.linearRip & ~0xfffn, mode: state.get32(S.MODE) };
  }

  private decodeBlock(spa: number): number {
    const decoder = this.decoder!;
    const mode = this.state.get32(S.MODE);
    // Here no block is running that a flush could pull away.
    if (this.regions?.isFull) decoder.flush();
    const record = decoder.decode(spa, mode, () => {
      const linear = this.state.linearRip;
      const next = (linear & ~0xfffn) + 4096n;
      const host = this.core.host(next, 1, Access.Execute, this.state.cpl === 3);
      return host === undefined ? -1 : Math.floor(host / 4096);
    });
    if (this.translate === 'always' && record !== 0) this.regions?.translateNow(this.placeOf(spa), record);
    return record;
  }

  /** 0: delivered, go on. 1: return EXIT_REASON. */
  private deliverFault(): number {
    const { state } = this;
    const pending = state.get32(S.FAULT_VECTOR) - 1;
    const vector = pending === NON_CANONICAL ? this.instruction.vectorOfNonCanonical() : pending;
    const error = state.get32(S.FAULT_ERROR);
    const errorCode = HAS_ERROR_CODE.has(vector) ? error : undefined;
    if (this.interceptException(vector, errorCode)) {
      state.set32(S.FAULT_VECTOR, 0);
      state.set32(S.EXIT_REASON, Exit.Exception);
      return 1;
    }
    const failed = this.deliverNow(vector, errorCode);
    if (failed !== 0 && state.get32(S.EXIT_REASON) === Exit.Memory)
      this.noteFailedDelivery(false, vector, errorCode);
    return failed;
  }

  /** True, with `exceptionExit` filled in, if the host intercepts the vector. */
  private interceptException(vector: number, errorCode: number | undefined): boolean {
    if (((this.intercepts >>> vector) & 1) === 0) return false;
    this.exceptionExit.vector = vector;
    this.exceptionExit.errorCode = errorCode;
    this.exceptionExit.parameter = this.state.get64(vector === VECTOR.DB ? S.DR + 48 : S.FAULT_ADDRESS);
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

  protected noteMemory(): void {
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
    const linear = this.state.linearRip;
    const host = this.exports.walk(this.stateAddress, linear, Access.Execute, this.state.cpl === 3 ? 1 : 0);
    if (host !== NO_ADDRESS) this.memory.noteWritten(host >>> 12, Number(linear & 0xfffn), 1);
  }

  // Instruction at RIP

  get exitInstructionLength(): number {
    return this.instruction.length;
  }
  instructionBytes(): Uint8Array {
    return this.instruction.bytes();
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
    this.state.raiseAttention(bits);
  }
  clearAttention(bits: number): void {
    this.state.clearAttention(bits);
  }

  // Translations

  translateGva(request: GvaTranslationRequest): GvaTranslation {
    return translateGva(this.memory, this.state, lookupOf(this.host), request);
  }

  profile(): ProcessorProfile {
    return this.counters.read(this.instructionsRetired);
  }

  release(): void {
    const { codeHolders } = this.memory;
    const at = this.decoder ? codeHolders.indexOf(this.decoder) : -1;
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
