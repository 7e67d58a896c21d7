/**
 * The one intercept message buffer of a virtual processor (TLFS 2.0a §14.2.1) and how it is filled: a pure
 * picture of the processor at the intercepted instruction, laid out as chapter 16 says. Posting it is somebody
 * else's business (message-delivery-of-intercepts.ts).
 */
import { type Processor, Segment } from '../cpu/processor.ts';
import { InterceptAccessMask } from '../hvdef/intercepts.ts';
import {
  ApicEoiMessage,
  CacheType,
  CpuidMessage,
  ExceptionFlag,
  ExceptionMessage,
  ExecutionState,
  InterceptHeader,
  IoPortAccessInfo,
  IoPortMessage,
  MESSAGE_HEADER_SIZE,
  MESSAGE_SIZE,
  MemoryAccessFlag,
  MemoryMessage,
  MessageHeader,
  MessageType,
  MsrMessage,
  UnsupportedFeatureMessage,
  VpOnlyMessage,
} from '../hvdef/messages.ts';
import { SegmentLayout } from '../hvdef/registers.ts';
import type { TraceFields } from './trace.ts';

const MESSAGE_NAMES = new Map<number, string>(
  Object.entries(MessageType).map(([name, type]) => [type, name]),
);

const CR0_PE = 1n;
const CR0_AM = 1n << 18n;
const EFER = 0xc000_0080;
const EFER_LMA = 1n << 10n;
/** Local and global enables of the four breakpoints. */
const DR7_ENABLES = 0xffn;
const RFLAGS_VM = 1n << 17n;

export interface CpuidAnswer {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

export function currentPrivilegeLevel(processor: Processor): number {
  if ((processor.getControl(0) & CR0_PE) === 0n) return 0;
  if ((processor.getRflags() & RFLAGS_VM) !== 0n) return 3;
  return processor.getSegment(Segment.CS).selector & 3;
}

/** HV_X64_VP_EXECUTION_STATE (§16.2.3). */
function executionState(
  processor: Processor,
  cs: number,
  rflags: bigint,
  interruptionPending: boolean,
): number {
  const cr0 = processor.getControl(0);
  let state = 0;
  if ((cr0 & CR0_PE) !== 0n) {
    state |= ExecutionState.Cr0Pe | ((rflags & RFLAGS_VM) !== 0n ? 3 : cs & ExecutionState.CplMask);
  }
  if ((cr0 & CR0_AM) !== 0n) state |= ExecutionState.Cr0Am;
  if (((processor.getMsr(EFER) ?? 0n) & EFER_LMA) !== 0n) state |= ExecutionState.EferLma;
  if ((processor.getDebug(7) & DR7_ENABLES) !== 0n) state |= ExecutionState.DebugActive;
  if (interruptionPending) state |= ExecutionState.InterruptionPending;
  return state;
}

export class InterceptMessage {
  readonly bytes = new Uint8Array(MESSAGE_SIZE);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #vpIndex: number;
  readonly #processor: Processor;
  /** Set by the owner: the intercept happened while an interruption was being delivered. */
  interruptionPending = false;

  constructor(partitionId: bigint, vpIndex: number, processor: Processor) {
    this.#vpIndex = vpIndex;
    this.#processor = processor;
    this.#view.setBigUint64(MessageHeader.Origination, partitionId, true);
  }

  get type(): number {
    return this.#view.getUint32(MessageHeader.Type, true);
  }
  get payloadSize(): number {
    return this.bytes[MessageHeader.PayloadSize];
  }

  ioPort(): void {
    const view = this.#view;
    const processor = this.#processor;
    const exit = processor.portExit;
    const access = exit.write ? InterceptAccessMask.Write : InterceptAccessMask.Read;
    this.#header(MessageType.X64IoPortIntercept, IoPortMessage.End, access, processor.exitInstructionLength);
    view.setUint16(IoPortMessage.PortNumber, exit.port, true);
    let info = exit.size;
    view.setBigUint64(IoPortMessage.Rax, processor.getGpr(0), true);
    if (exit.string) {
      info |= IoPortAccessInfo.StringOp | (exit.rep ? IoPortAccessInfo.RepPrefix : 0);
      this.#instructionBytes(IoPortMessage.InstructionByteCount, IoPortMessage.InstructionBytes);
      this.#segment(IoPortMessage.DsSegment, Segment.DS);
      this.#segment(IoPortMessage.EsSegment, Segment.ES);
      view.setBigUint64(IoPortMessage.Rcx, processor.getGpr(1), true);
      view.setBigUint64(IoPortMessage.Rsi, processor.getGpr(6), true);
      view.setBigUint64(IoPortMessage.Rdi, processor.getGpr(7), true);
    }
    view.setUint8(IoPortMessage.AccessInfo, info);
  }

  msr(write: boolean): void {
    const view = this.#view;
    const processor = this.#processor;
    const access = write ? InterceptAccessMask.Write : InterceptAccessMask.Read;
    this.#header(MessageType.X64MsrIntercept, MsrMessage.End, access, processor.exitInstructionLength);
    view.setUint32(MsrMessage.MsrNumber, processor.msrExit.msr, true);
    view.setBigUint64(MsrMessage.Rdx, processor.getGpr(2), true);
    view.setBigUint64(MsrMessage.Rax, processor.getGpr(0), true);
  }

  cpuid(answer: CpuidAnswer): void {
    const view = this.#view;
    const processor = this.#processor;
    const length = processor.exitInstructionLength;
    this.#header(MessageType.X64CpuidIntercept, CpuidMessage.End, InterceptAccessMask.Execute, length);
    view.setBigUint64(CpuidMessage.Rax, processor.getGpr(0), true);
    view.setBigUint64(CpuidMessage.Rcx, processor.getGpr(1), true);
    view.setBigUint64(CpuidMessage.Rdx, processor.getGpr(2), true);
    view.setBigUint64(CpuidMessage.Rbx, processor.getGpr(3), true);
    view.setUint32(CpuidMessage.DefaultRax, answer.eax, true);
    view.setUint32(CpuidMessage.DefaultRcx, answer.ecx, true);
    view.setUint32(CpuidMessage.DefaultRdx, answer.edx, true);
    view.setUint32(CpuidMessage.DefaultRbx, answer.ebx, true);
  }

  exception(): void {
    const view = this.#view;
    const exit = this.#processor.exceptionExit;
    this.#header(MessageType.X64ExceptionIntercept, ExceptionMessage.End, InterceptAccessMask.Execute, 0);
    view.setUint16(ExceptionMessage.Vector, exit.vector, true);
    if (exit.errorCode !== undefined) {
      view.setUint8(ExceptionMessage.Flags, ExceptionFlag.ErrorCodeValid);
      view.setUint32(ExceptionMessage.ErrorCode, exit.errorCode, true);
    }
    if (exit.vector === 14 || exit.vector === 1) {
      view.setBigUint64(ExceptionMessage.Parameter, exit.parameter, true);
    }
    this.#instructionAndRegisters(ExceptionMessage);
  }

  /**
   * Unmapped GPA or GPA access violation (§16.3) at the access the processor's `memoryExit` describes.
   * `interceptAccess` is the mask bit of the access.
   */
  memory(type: number, gpa: number, gva: bigint | undefined, interceptAccess: number): void {
    const view = this.#view;
    this.#header(type, MemoryMessage.End, interceptAccess, this.#processor.exitInstructionLength);
    if (gva !== undefined) {
      view.setUint8(MemoryMessage.Flags, MemoryAccessFlag.GvaValid);
      view.setBigUint64(MemoryMessage.Gva, gva, true);
    }
    view.setUint32(MemoryMessage.CacheType, CacheType.WriteBack, true);
    view.setUint32(MemoryMessage.Gpa, gpa >>> 0, true);
    view.setUint32(MemoryMessage.Gpa + 4, Math.floor(gpa / 0x1_0000_0000), true);
    this.#instructionAndRegisters(MemoryMessage);
  }

  unrecoverableException(): void {
    const type = MessageType.UnrecoverableException;
    this.#header(type, InterceptHeader.End, InterceptAccessMask.Execute, 0);
  }

  unsupportedFeature(code: number, parameter: bigint): void {
    this.#begin(MessageType.UnsupportedFeature, UnsupportedFeatureMessage.End);
    this.#view.setUint32(UnsupportedFeatureMessage.FeatureCode, code, true);
    this.#view.setBigUint64(UnsupportedFeatureMessage.FeatureParameter, parameter, true);
  }

  invalidRegisterValue(): void {
    this.#begin(MessageType.InvalidVpRegisterValue, VpOnlyMessage.End);
  }

  apicEoi(vector: number): void {
    this.#begin(MessageType.ApicEoi, ApicEoiMessage.End);
    this.#view.setUint32(ApicEoiMessage.InterruptVector, vector, true);
  }

  ferrAsserted(): void {
    this.#begin(MessageType.FerrAsserted, VpOnlyMessage.End);
  }

  /** The message's own fields by name, for the trace. */
  describe(): { type: string; rip: bigint; details: TraceFields } {
    const { type } = this;
    const view = this.#view;
    const u32 = (at: number) => view.getUint32(at, true);
    const u64 = (at: number) => view.getBigUint64(at, true);
    const access = this.bytes[InterceptHeader.AccessType];
    let details: TraceFields = {};
    if (type === MessageType.X64IoPortIntercept) {
      const info = this.bytes[IoPortMessage.AccessInfo];
      const port = view.getUint16(IoPortMessage.PortNumber, true);
      details = { port, size: info & IoPortAccessInfo.SizeMask, access, rax: u64(IoPortMessage.Rax) };
    } else if (type === MessageType.X64MsrIntercept) {
      details = {
        msr: u32(MsrMessage.MsrNumber),
        access,
        rdx: u64(MsrMessage.Rdx),
        rax: u64(MsrMessage.Rax),
      };
    } else if (type === MessageType.X64CpuidIntercept) {
      details = { leaf: u64(CpuidMessage.Rax), subleaf: u64(CpuidMessage.Rcx) };
    } else if (type === MessageType.X64ExceptionIntercept) {
      const vector = view.getUint16(ExceptionMessage.Vector, true);
      details = {
        vector,
        errorCode: u32(ExceptionMessage.ErrorCode),
        parameter: u64(ExceptionMessage.Parameter),
      };
    } else if (type === MessageType.UnmappedGpa || type === MessageType.GpaIntercept) {
      details = { gpa: u64(MemoryMessage.Gpa), gva: u64(MemoryMessage.Gva), access };
    } else if (type === MessageType.UnsupportedFeature) {
      const parameter = u64(UnsupportedFeatureMessage.FeatureParameter);
      details = { feature: u32(UnsupportedFeatureMessage.FeatureCode), parameter };
    } else if (type === MessageType.ApicEoi) {
      details = { vector: u32(ApicEoiMessage.InterruptVector) };
    }
    return { type: MESSAGE_NAMES.get(type) ?? String(type), rip: this.#processor.getRip(), details };
  }

  /** Type, payload size and VP index; everything behind is zero. */
  #begin(type: number, end: number): void {
    this.bytes.fill(0, MESSAGE_HEADER_SIZE, end);
    this.#view.setUint32(MessageHeader.Type, type, true);
    this.#view.setUint8(MessageHeader.PayloadSize, end - MESSAGE_HEADER_SIZE);
    this.#view.setUint32(InterceptHeader.VpIndex, this.#vpIndex, true);
  }

  /** HV_X64_INTERCEPT_MESSAGE_HEADER (§16.2.2). */
  #header(type: number, end: number, access: number, instructionLength: number): void {
    this.#begin(type, end);
    const view = this.#view;
    const processor = this.#processor;
    const rflags = processor.getRflags();
    view.setUint8(InterceptHeader.InstructionLength, instructionLength);
    view.setUint8(InterceptHeader.AccessType, access);
    const cs = this.#segment(InterceptHeader.CsSegment, Segment.CS);
    const state = executionState(processor, cs, rflags, this.interruptionPending);
    view.setUint16(InterceptHeader.ExecutionState, state, true);
    view.setBigUint64(InterceptHeader.Rip, processor.getRip(), true);
    view.setBigUint64(InterceptHeader.Rflags, rflags, true);
  }

  /** The common tail of memory and exception messages. */
  #instructionAndRegisters(layout: typeof MemoryMessage | typeof ExceptionMessage): void {
    // §16.3: no instruction bytes when the access was due to the delivery of an interruption.
    if (!this.interruptionPending) {
      this.#instructionBytes(layout.InstructionByteCount, layout.InstructionBytes);
    }
    this.#segment(layout.DsSegment, Segment.DS);
    this.#segment(layout.SsSegment, Segment.SS);
    for (let index = 0; index < 16; index++) {
      this.#view.setBigUint64(layout.Registers + 8 * index, this.#processor.getGpr(index), true);
    }
  }

  #instructionBytes(countAt: number, bytesAt: number): void {
    const code = this.#processor.instructionBytes();
    const count = Math.min(code.length, 16);
    this.bytes[countAt] = count;
    for (let index = 0; index < count; index++) this.bytes[bytesAt + index] = code[index];
  }

  /** Lays out a segment register; returns its selector. */
  #segment(at: number, index: number): number {
    const view = this.#view;
    const segment = this.#processor.getSegment(index);
    view.setBigUint64(at + SegmentLayout.Base, segment.base, true);
    view.setUint32(at + SegmentLayout.Limit, segment.limit, true);
    view.setUint16(at + SegmentLayout.Attributes, segment.attributes, true);
    view.setUint16(at + SegmentLayout.Selector, segment.selector, true);
    return segment.selector;
  }
}
