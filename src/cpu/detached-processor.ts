/**
 * A processor without memory of its own: it executes one instruction, or delivers one event, with the semantics of
 * every other processor, while each access is its owner's to allow, to answer and to carry out. The parent partition
 * completes intercepted instructions with it. Registers are set and read as on any processor; paging is the owner's,
 * segments and canonical addresses are checked here.
 *
 * Strings go one element at a time: `Mode.Trap` asks the semantics for that. Data breakpoints never match.
 *
 * Rejected: an interpreter on scratch pages filled before the run, because a device must be read exactly where and
 * as wide as the instruction reads; a second interpreter module with imported accesses (all forms are compiled for
 * the handful that devices see); modules of constants, as the static stage makes them (one for each instruction that
 * a hostile guest can think of, not for each form).
 */
import { HAS_ERROR_CODE, VECTOR } from '../x86/exceptions.ts';
import { FLAG } from '../x86/flags.ts';
import { BlockDecoder } from './block-decoder.ts';
import { ACCESS_PURPOSE, detachedHandler, detachedRuntime, Purpose } from './detached-stage.ts';
import { InstructionAtRip } from './instruction-at-rip.ts';
import type { Form } from './instructions/forms.ts';
import type { Instruction } from './instructions/instruction.ts';
import { handlerTable } from './interpreter.ts';
import { AREA_BLOCK_TABLE, AREA_SIZE, AREA_TLB, TLB_SIZE } from './logical-processor-area.ts';
import { type InterpreterExports, isCanonical } from './microcode/core.ts';
import { SHADOW_OF_STACK_LOAD, TrapPending } from './microcode/debug-exceptions.ts';
import { deliver, deliverException } from './microcode/interrupt-delivery.ts';
import { buildMicrocode } from './microcode/microcode.ts';
import { Operation } from './microcode/operations.ts';
import { Mode } from './mode.ts';
import { EXIT_MARK, NO_ADDRESS, NON_CANONICAL } from './paging.ts';
import {
  Access,
  type CodeHolder,
  Exit,
  type PhysicalMemory,
  type PortExit,
  type ProcessorHost,
  Segment,
  type SegmentRegister,
} from './processor.ts';
import { ProcessorRegisters } from './processor-registers.ts';
import {
  Handler,
  RECORD_DISPLACEMENT,
  RECORD_HANDLER,
  RECORD_IMMEDIATE,
  RECORD_LENGTH,
  RECORD_PAGE_OFFSET,
} from './record.ts';
import { segmentAllows } from './segment-access.ts';
import { Status } from './stage.ts';
import * as S from './state-layout.ts';

/** Why an access must not happen: a page fault at `address`. */
export interface AccessRefusal {
  address: bigint;
  errorCode: number;
}

/** The memory that instructions see. Linear addresses are canonical, and below 2^32 outside long mode. */
export interface DetachedMemory {
  /**
   * Asks for all of `bytes.length` bytes at linear address `va` and, with `fill`, for what they hold. `access`: one
   * bit of `Access`; `user`: with the rights of privilege level 3.
   */
  open(
    va: bigint,
    bytes: Uint8Array,
    access: number,
    user: boolean,
    fill: boolean,
  ): AccessRefusal | undefined;
  /** Bytes at an address that was opened for writing. The array is the callee's. */
  store(va: bigint, bytes: Uint8Array, user: boolean): void;
}

export type DetachedOutcome =
  /** Registers, and RIP, are as behind the instruction, or between two elements of a repeated one. */
  | { kind: 'done' }
  /** Registers are as an exception handler finds them. `address`: CR2's next value for a page fault. */
  | { kind: 'fault'; vector: number; errorCode: number | undefined; address: bigint }
  /** The instruction got as far as its port access: see `portExit`. */
  | { kind: 'port' }
  /** It asks for something else of its host, which no instruction with an operand in memory does. */
  | { kind: 'exit'; exit: number };

/** What a processor is beyond its general registers, RIP and RFLAGS. Segments by `Segment`, all eight. */
export interface ProcessorContext {
  cr0: bigint;
  cr3: bigint;
  cr4: bigint;
  cr8: bigint;
  efer: bigint;
  xcr0: bigint;
  segments: readonly SegmentRegister[];
  gdtr: { base: bigint; limit: number };
  idtr: { base: bigint; limit: number };
}

const PAGE = 4096;
const STATE_PAGE = 1;
const CODE_PAGE = 2;
/** Where the bytes of open accesses stand while an instruction runs. */
const BUFFERS = 4 * PAGE;
const BUFFERS_END = BUFFERS + 16 * PAGE;
const CODE_MAP = BUFFERS_END;
const CODE_MAP_BYTES = 2 * PAGE;
const AREA = CODE_MAP + CODE_MAP_BYTES;
const WASM_PAGE = 0x1_0000;
/** Decoded instructions before the decoder starts anew: what it keeps of them stays small. */
const DECODES_A_FLUSH = 4096;
const PROTECTION = 1;
/** Where the lower half of linear addresses ends. */
const CANONICAL_END = 1n << 47n;
const RCX = 1;
const RSI = 6;
const RDI = 7;
/** Instructions stand in slots of so many bytes, none at the page's end. */
const CODE_BYTES = 32;
const SLOTS = 64;

/** By handler number, less `Handler.First`. */
const FORMS: readonly Form[] = [...handlerTable.hot, ...handlerTable.cold];
/** They put some bytes of an area of memory and leave the others. */
const UPDATES_AREA: ReadonlySet<number> = new Set([Operation.Fxsave, Operation.Xsave]);

/** Any function of the bytes will do. */
function slotOf(code: Uint8Array): number {
  let hash = code.length;
  for (let k = 0; k < code.length; k++) hash = Math.imul(hash, 31) + code[k]!;
  return (hash >>> 4) & (SLOTS - 1);
}
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return false;
  return true;
}

class DetachedPages implements PhysicalMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly view: DataView;
  readonly pageCount: number;
  readonly codeMapAddress = CODE_MAP;
  readonly codeHolders: CodeHolder[] = [];

  constructor() {
    const pages = Math.ceil((AREA + AREA_SIZE) / WASM_PAGE);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.words = new Uint32Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    this.pageCount = (pages * WASM_PAGE) / PAGE;
  }
  noteWritten(spn: number, offset = 0, size = PAGE): void {
    for (const holder of this.codeHolders) holder.written(spn, offset, size);
  }
}

/** Nothing is asked of it. */
const NO_HOST: ProcessorHost = { translateGpa: () => -1, readTsc: () => 0 };
const NO_MEMORY: DetachedMemory = {
  open: (address) => ({ address, errorCode: 0 }),
  store: () => {},
};

/** The instruction under execution, whose bytes are known already. */
class GivenInstruction extends InstructionAtRip {
  code: Uint8Array = new Uint8Array(0);
  override bytes(): Uint8Array {
    return this.code;
  }
}

interface DecodedSlot {
  mode: number;
  code: Uint8Array;
  record: number;
}

type HandlerFunction = (state: number, record: number, tlb: number) => number;

export class DetachedProcessor extends ProcessorRegisters {
  /** After an outcome of kind `port`. */
  readonly portExit: PortExit = { port: 0, size: 0, write: false, string: false, rep: false, value: 0 };
  private readonly decoder: BlockDecoder;
  private readonly instruction: GivenInstruction;
  private readonly exports: InterpreterExports;
  private readonly imports: WebAssembly.Imports;
  private readonly handlers = new Map<Form, HandlerFunction>();
  private owner: DetachedMemory = NO_MEMORY;
  /** Linear address and privilege of each open access, by its place among the buffers. */
  private readonly opened = new Map<number, { va: bigint; user: boolean }>();
  private cursor = BUFFERS;
  /** Everything before the scratch area is state. */
  private readonly remembered = new Uint8Array(S.SCRATCH);
  /** What was decoded last in each slot of the code page. */
  private readonly slots: DecodedSlot[] = [];
  private decodes = 0;
  /** Microcode says what it writes without reading it first. */
  private storesOnly = false;

  constructor() {
    const memory = new DetachedPages();
    super(memory, STATE_PAGE * PAGE, NO_HOST, AREA);
    this.decoder = new BlockDecoder(memory, AREA);
    this.instruction = new GivenInstruction(memory, this.state, NO_HOST, this.tlb);
    this.state.set32(S.TLB_BASE, AREA + AREA_TLB);
    this.state.set32(S.BLOCK_TABLE_BASE, AREA + AREA_BLOCK_TABLE);
    this.state.set32(S.CODE_MAP_BASE, CODE_MAP);
    this.tlb.flush();
    this.exports = this.memoryExports();
    this.imports = this.makeImports();
    this.reset();
  }

  protected override interpreter(): InterpreterExports {
    return this.exports;
  }
  /** Nothing is ever in the TLB. */
  override flushTlb(): void {}
  override flushTlbPage(): void {}

  // Registers

  /** Sets everything that `ProcessorContext` names, without checks. */
  setContext(context: ProcessorContext): void {
    const { state } = this;
    state.set64(S.CR0, context.cr0);
    state.set64(S.CR3, context.cr3);
    state.set64(S.CR4, context.cr4);
    state.set64(S.CR8, context.cr8);
    state.set64(S.EFER, context.efer);
    state.set64(S.XCR0, context.xcr0);
    context.segments.forEach((segment, index) => {
      state.setSegment(index, segment);
    });
    this.setTable('gdtr', context.gdtr);
    this.setTable('idtr', context.idtr);
    const isProtected = (Number(context.cr0 & 0xffn) & PROTECTION) !== 0;
    state.set32(S.CPL, isProtected ? (context.segments[Segment.SS]!.attributes >> 5) & 3 : 0);
    state.set32(S.INTERRUPT_SHADOW, 0);
    this.forgetTraps();
    state.refresh();
  }

  get privilegeLevel(): number {
    return this.state.cpl;
  }
  /** True when the instruction has loaded SS: interrupts and debug exceptions wait for one more. */
  get interruptShadow(): boolean {
    return this.state.get32(S.INTERRUPT_SHADOW) !== 0;
  }

  /** True when the instruction ran under RFLAGS.TF and a single step's trap follows it, at once. */
  get isStepped(): boolean {
    const { state } = this;
    const held = state.get32(S.INTERRUPT_SHADOW) === SHADOW_OF_STACK_LOAD;
    return !held && (state.get32(S.TRAP_PENDING) & TrapPending.Step) !== 0;
  }

  /** Remembers all registers for `restore`, instead of those remembered before. */
  remember(): void {
    this.remembered.set(this.state.bytes.subarray(0, S.SCRATCH));
  }
  restore(): void {
    this.state.bytes.set(this.remembered);
  }

  // Execution

  /** Executes the instruction that `code` begins with; its bytes stand at RIP. */
  execute(code: Uint8Array, memory: DetachedMemory): DetachedOutcome {
    const { state } = this;
    this.begin(memory);
    state.set32(S.MODE, state.get32(S.MODE) | Mode.Trap);
    state.set32(S.TRAP_PENDING, (state.get32(S.FLAGS_SYSTEM) & FLAG.TF) === 0 ? 0 : TrapPending.Step);
    const record = this.recordOf(code);
    if (record === 0) return this.fault(VECTOR.GP, 0);
    const { view } = this.memory;
    const within = BigInt(view.getUint16(record + RECORD_PAGE_OFFSET, true));
    state.set64(S.RIP_PAGE, BigInt.asUintN(64, state.rip - within));
    const handler = view.getUint16(record + RECORD_HANDLER, true);
    if (handler === Handler.Raise) {
      const vector = Number(view.getBigInt64(record + RECORD_IMMEDIATE, true));
      return this.fault(vector, Number(view.getBigInt64(record + RECORD_DISPLACEMENT, true)));
    }
    const run = this.handlerOf(FORMS[handler - Handler.First]!);
    const tlb = AREA + AREA_TLB + (state.cpl === 3 ? TLB_SIZE : 0);
    const status = run(this.stateAddress, record, tlb);
    if (status === Status.Leave) return this.abandoned();
    if (status === Status.Next) {
      const next = state.rip + BigInt(view.getUint8(record + RECORD_LENGTH));
      state.rip = next & state.get64(S.CODE_MASK);
    }
    state.refresh();
    return { kind: 'done' };
  }

  /**
   * INS and OUTS: why the next element's place in memory is refused before anybody looks at pages; `string` is the
   * string instruction that makes the same access (STOS, LODS). Undefined where it is not, or no element is left.
   */
  refusedElement(
    { operands, addressSize, repeat }: Instruction,
    { size, write }: { size: number; write: boolean },
  ): DetachedOutcome | undefined {
    const { state } = this;
    const operand = operands.find(({ kind }) => kind === 'memory');
    if (state.code64 || operand?.kind !== 'memory') return undefined;
    if (repeat !== 'none' && BigInt.asUintN(addressSize, state.gpr(RCX)) === 0n) return undefined;
    const offset = Number(BigInt.asUintN(addressSize, state.gpr(write ? RSI : RDI)));
    const segment = state.segment(operand.segment);
    // To the port is out of memory.
    const access = write ? Access.Read : Access.Write;
    if (segmentAllows(segment, offset, size, access, state.protectedMode && !state.virtual8086))
      return undefined;
    return this.fault(operand.segment === Segment.SS ? VECTOR.SS : VECTOR.GP, 0);
  }

  /** Delivers an interrupt or exception as at an instruction boundary. 'shutdown': a triple fault. */
  deliver(
    event: { vector: number; external: boolean; errorCode: number | undefined },
    memory: DetachedMemory,
  ): 'delivered' | 'shutdown' {
    const { core, state } = this;
    this.begin(memory);
    this.storesOnly = true;
    let { vector, errorCode } = event;
    // Delivery loads CR2 from the fault's address, which is in CR2 already.
    if (vector === VECTOR.PF) state.set64(S.FAULT_ADDRESS, state.get64(S.CR2));
    if (event.external) {
      if (deliver(core, vector, 'external')) return 'delivered';
      const pending = state.get32(S.FAULT_VECTOR) - 1;
      vector = pending === NON_CANONICAL ? VECTOR.SS : pending;
      errorCode = HAS_ERROR_CODE.has(vector) ? state.get32(S.FAULT_ERROR) : undefined;
    }
    return deliverException(core, vector, errorCode) === 'delivered' ? 'delivered' : 'shutdown';
  }

  private begin(memory: DetachedMemory): void {
    this.owner = memory;
    this.opened.clear();
    this.cursor = BUFFERS;
    this.storesOnly = false;
    this.state.set32(ACCESS_PURPOSE, Purpose.Use);
    this.state.set32(S.FAULT_VECTOR, 0);
  }

  /** The instruction's record; 0 if its bytes are none. Guests poll devices: the same ones come again and again. */
  private recordOf(code: Uint8Array): number {
    this.instruction.code = code;
    const mode = this.state.get32(S.MODE);
    const slot = slotOf(code);
    const known = this.slots[slot];
    if (known !== undefined && known.mode === mode && isSame(known.code, code)) return known.record;
    if (++this.decodes % DECODES_A_FLUSH === 0) {
      this.decoder.flush();
      this.slots.length = 0;
    }
    const { bytes } = this.memory;
    const at = CODE_PAGE * PAGE + slot * CODE_BYTES;
    bytes.fill(0, at, at + CODE_BYTES);
    bytes.set(code.subarray(0, CODE_BYTES), at);
    this.memory.noteWritten(CODE_PAGE, slot * CODE_BYTES, CODE_BYTES);
    const record = this.decoder.decode(at, mode, () => -1);
    this.slots[slot] = { mode, code: code.slice(), record };
    return record;
  }

  private handlerOf(form: Form): HandlerFunction {
    let handler = this.handlers.get(form);
    if (handler === undefined) {
      const instance = new WebAssembly.Instance(detachedHandler(form), this.imports);
      handler = instance.exports.handler as HandlerFunction;
      this.handlers.set(form, handler);
    }
    return handler;
  }

  private fault(vector: number, error: number): DetachedOutcome {
    const errorCode = HAS_ERROR_CODE.has(vector) ? error : undefined;
    return { kind: 'fault', vector, errorCode, address: this.state.get64(S.FAULT_ADDRESS) };
  }

  private abandoned(): DetachedOutcome {
    const { state } = this;
    const pending = state.get32(S.FAULT_VECTOR);
    const error = state.get32(S.FAULT_ERROR);
    state.set32(S.FAULT_VECTOR, 0);
    if (pending < EXIT_MARK) {
      const vector = pending - 1;
      return this.fault(vector === NON_CANONICAL ? this.instruction.vectorOfNonCanonical() : vector, error);
    }
    const exit = pending - EXIT_MARK;
    return exit === Exit.Port ? { kind: 'port' } : { kind: 'exit', exit };
  }

  // Memory, as the semantics see it

  private prepare(va: bigint, size: number, access: number, user: boolean): number {
    const { state } = this;
    const purpose = state.get32(ACCESS_PURPOSE);
    state.set32(ACCESS_PURPOSE, Purpose.Use);
    let linear = BigInt.asUintN(64, va);
    if (!state.longMode) linear &= 0xffff_ffffn;
    else if (!isCanonical(linear)) return this.refused(undefined);
    const at = this.cursor;
    if (at + size > BUFFERS_END) throw new Error('an instruction makes more accesses than any does');
    const fill = purpose === Purpose.Use && !(this.storesOnly && access === Access.Write);
    const bytes = this.memory.bytes.subarray(at, at + size);
    if (state.longMode && !isCanonical(BigInt.asUintN(64, linear + BigInt(size - 1)))) {
      // As in paging.ts: the page before the gap is asked for first.
      const before = bytes.subarray(0, Number(CANONICAL_END - linear));
      return this.refused(this.owner.open(linear, before, access, user, false));
    }
    const refusal = this.owner.open(linear, bytes, access, user, fill);
    if (refusal !== undefined) return this.refused(refusal);
    this.cursor = (at + size + 15) & ~15;
    this.opened.set(at, { va: linear, user });
    return at;
  }

  /** A page fault, or the fault of what is no address. */
  private refused(refusal: AccessRefusal | undefined): number {
    if (refusal === undefined) this.core.fault(NON_CANONICAL, 0);
    else {
      this.state.set64(S.FAULT_ADDRESS, refusal.address);
      this.core.fault(VECTOR.PF, refusal.errorCode);
    }
    return NO_ADDRESS;
  }

  private commit(host: number, size: number): void {
    const place = this.opened.get(host);
    if (place === undefined) throw new Error('a store to a place that was not opened');
    this.owner.store(place.va, this.memory.bytes.slice(host, host + size), place.user);
  }

  private memoryExports(): InterpreterExports {
    return {
      run: () => Exit.Budget,
      prepare: (_state, va, size, access, user) => this.prepare(va, size, access, user !== 0),
      commit: (_state, host, size) => this.commit(host >>> 0, size),
      flushVirtual: () => {},
      // "Not this case": the other road makes single accesses.
      deliverLong: () => 0,
      walk: () => NO_ADDRESS,
    };
  }

  private makeImports(): WebAssembly.Imports {
    const { exports } = this;
    const microcode = buildMicrocode({
      core: this.core,
      effects: { flushTlb: () => {}, flushTlbPage: () => {} },
      floating: this.floating,
      msrs: this.msrs,
      exports: () => exports,
      notePort: (port, size, write, string, rep) => {
        const value = Number(this.state.gpr(0) & ((1n << BigInt(8 * size)) - 1n));
        Object.assign(this.portExit, { port, size, write, string, rep, value });
      },
      noteMsr: () => {},
      dropCodeAtRip: () => {},
      interceptException: () => false,
    });
    const host = {
      memory: this.memory.memory,
      translateGpa: () => -1,
      codeWritten: () => {},
      microcode: (_state: number, operation: number, bits: number, argument: number) => {
        this.storesOnly = !UPDATES_AREA.has(operation);
        const status = microcode(operation, bits, argument);
        this.storesOnly = false;
        return status;
      },
      readTsc: () => 0,
      decodeBlock: () => 0,
      blockIsHot: () => {},
      deliverFault: () => 1,
      exclusive: () => {},
    };
    const { raise, segmentCheck } = new WebAssembly.Instance(detachedRuntime(), { host }).exports;
    const { prepare, commit, walk, flushVirtual } = exports;
    const runtime = { prepare, commit, walk, flushVirtual, guestPhysical: () => -1, raise, segmentCheck };
    return { host, runtime: runtime as unknown as WebAssembly.ModuleImports };
  }
}
