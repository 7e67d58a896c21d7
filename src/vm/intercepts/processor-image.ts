/**
 * A suspended virtual processor's registers on their way into the parent's detached processor and back: what the
 * message says is taken from it, the rest is asked for as far as the instruction can see it, and only what changed is
 * set again (HvGetVpRegisters, HvSetVpRegisters).
 */
import type { DetachedProcessor, ProcessorContext } from '../../cpu/detached-processor.ts';
import type { Instruction } from '../../cpu/instructions/instruction.ts';
import { integerRows } from '../../cpu/instructions/rows-integer.ts';
import { systemRows } from '../../cpu/instructions/rows-system.ts';
import { Segment, type SegmentRegister } from '../../cpu/processor.ts';
import {
  ExecutionState,
  InterceptHeader,
  IoPortMessage,
  MemoryMessage,
  MessageHeader,
  MessageType,
} from '../../hvdef/messages.ts';
import { InterruptStateBit, RegisterName, SegmentLayout } from '../../hvdef/registers.ts';
import type { RegisterBatch } from '../parent/register-batch.ts';
import { privilegeLevelOf, vpIndexOf } from './intercepted-instruction.ts';

/** How much of the processor an instruction can see; each includes those before it. */
export const Scope = {
  /** General registers, RIP, RFLAGS and the segments of plain operands: all of it stands in the message. */
  General: 0,
  /** Segments, tables and control registers. */
  System: 1,
  /** x87, MMX and SSE. */
  Floating: 2,
} as const;
export type Scope = (typeof Scope)[keyof typeof Scope];

const GPRS = 16;
const LOW_32 = 0xffff_ffffn;
const IMAGE_BYTES = 512;

const CONTROLS = [RegisterName.Cr0, RegisterName.Cr3, RegisterName.Cr4, RegisterName.Cr8] as const;
const SEGMENTS = Array.from({ length: 8 }, (_, index) => RegisterName.Es + index);
const SYSTEM_NAMES: readonly number[] = [
  ...SEGMENTS,
  RegisterName.Gdtr,
  RegisterName.Idtr,
  ...CONTROLS,
  RegisterName.Efer,
  RegisterName.Xfem,
  RegisterName.InterruptState,
];
const At = {
  Gdtr: 8,
  Idtr: 9,
  Cr0: 10,
  Cr3: 11,
  Cr4: 12,
  Cr8: 13,
  Efer: 14,
  Xfem: 15,
  InterruptState: 16,
} as const;

/** Each with its place in an FXSAVE64 image (SDM vol. 1 §10.5.1): 16 bytes. TOP comes before what it numbers. */
const FLOATING: readonly { name: number; offset: number }[] = [
  { name: RegisterName.FpControlStatus, offset: 0 },
  { name: RegisterName.XmmControlStatus, offset: 16 },
  ...Array.from({ length: 8 }, (_, k) => ({ name: RegisterName.FpMmx0 + k, offset: 32 + 16 * k })),
  ...Array.from({ length: 16 }, (_, k) => ({ name: RegisterName.Xmm0 + k, offset: 160 + 16 * k })),
];
const FP_NAMES = FLOATING.map(({ name }) => name);
/** What of the second half is defined: a stack register has 80 bits; the IGNNE byte has no place in an image. */
const FP_HIGH = 0xffffn;
const FP_STATUS_LOW = ~(0xffn << 40n) & 0xffff_ffff_ffff_ffffn;

/** They look at more than general registers, though they stand among the integer rows. */
const FAR_OR_FLAGS: ReadonlySet<string> = new Set(
  'callf jmpf retf int int1 int3 into iret les lds lss lfs lgs in ins out outs popf pushf fwait arpl rdpid'.split(
    ' ',
  ),
);
const namesOf = (rows: readonly (readonly unknown[])[]): ReadonlySet<string> =>
  new Set(rows.map(([mnemonic]) => mnemonic as string));
const INTEGER = namesOf(integerRows);
const SYSTEM = namesOf(systemRows);
const FLOATING_SYSTEM = /^(fx|x)(save|rstor)|mxcsr$/;

export function scopeOf({ row, operands }: Instruction, codeSize: number): Scope {
  const { mnemonic } = row;
  if (!INTEGER.has(mnemonic) && (!SYSTEM.has(mnemonic) || FLOATING_SYSTEM.test(mnemonic)))
    return Scope.Floating;
  if (!INTEGER.has(mnemonic) || FAR_OR_FLAGS.has(mnemonic)) return Scope.System;
  const flat = codeSize === 64;
  const isPlain = operands.every((operand) => {
    if (operand.kind === 'memory')
      return operand.segment < Segment.FS && (flat || operand.segment !== Segment.ES);
    return operand.kind === 'gpr' || operand.kind === 'immediate' || operand.kind === 'relative';
  });
  return isPlain ? Scope.General : Scope.System;
}

const FLAT: SegmentRegister = { selector: 0, base: 0n, limit: 0xffff_ffff, attributes: 0xc093 };
const NO_TABLE = { base: 0n, limit: 0 };
/** What plain instructions see of the mode: MP, ET, NE, WP, with PE; PAE; LME, LMA. */
const REAL_CR0 = 0x1_0032n;
const PE = 1n;
const LONG_MODE = 0x500n;
const CONTROLS_BEYOND = { cr3: 0n, cr4: 0x20n, cr8: 0n, xcr0: 1n } as const;

function segmentAt(message: DataView, at: number): SegmentRegister {
  return {
    base: message.getBigUint64(at + SegmentLayout.Base, true),
    limit: message.getUint32(at + SegmentLayout.Limit, true),
    attributes: message.getUint16(at + SegmentLayout.Attributes, true),
    selector: message.getUint16(at + SegmentLayout.Selector, true),
  };
}

function segmentOf(low: bigint, high: bigint): SegmentRegister {
  return {
    base: low,
    limit: Number(high & LOW_32),
    attributes: Number((high >> 32n) & 0xffffn),
    selector: Number(high >> 48n),
  };
}
const highOf = ({ limit, attributes, selector }: SegmentRegister): bigint =>
  BigInt(limit >>> 0) | (BigInt(attributes) << 32n) | (BigInt(selector) << 48n);

function contextFromMessage(message: DataView): ProcessorContext {
  const state = message.getUint16(InterceptHeader.ExecutionState, true);
  const isPort = message.getUint32(MessageHeader.Type, true) === MessageType.X64IoPortIntercept;
  const segments = new Array<SegmentRegister>(SEGMENTS.length).fill(FLAT);
  segments[Segment.CS] = segmentAt(message, InterceptHeader.CsSegment);
  segments[Segment.DS] = segmentAt(message, isPort ? IoPortMessage.DsSegment : MemoryMessage.DsSegment);
  if (isPort) segments[Segment.ES] = segmentAt(message, IoPortMessage.EsSegment);
  const stack = isPort ? FLAT : segmentAt(message, MemoryMessage.SsSegment);
  // CPL is the message's; in 64-bit mode SS may be null.
  segments[Segment.SS] = {
    ...stack,
    attributes: (stack.attributes & ~0x60) | (privilegeLevelOf(message) << 5),
  };
  return {
    ...CONTROLS_BEYOND,
    cr0: (state & ExecutionState.Cr0Pe) !== 0 ? REAL_CR0 | PE : REAL_CR0,
    efer: (state & ExecutionState.EferLma) !== 0 ? LONG_MODE : 0n,
    segments,
    gdtr: NO_TABLE,
    idtr: NO_TABLE,
  };
}

/** INS and OUTS: `half` is the string instruction that does the same to memory. The message has DS and ES. */
export function scopeOfStringPort(half: Instruction): Scope {
  const segments = half.operands.map((operand) => (operand.kind === 'memory' ? operand.segment : Segment.DS));
  return segments.every((segment) => segment === Segment.DS || segment === Segment.ES)
    ? Scope.General
    : Scope.System;
}

function contextFrom(values: BigUint64Array): ProcessorContext {
  const low = (at: number): bigint => values[2 * at]!;
  const table = (at: number) => ({ base: values[2 * at + 1]!, limit: Number(low(at) >> 48n) });
  return {
    cr0: low(At.Cr0),
    cr3: low(At.Cr3),
    cr4: low(At.Cr4),
    cr8: low(At.Cr8),
    efer: low(At.Efer),
    xcr0: low(At.Xfem),
    segments: SEGMENTS.map((_, index) => segmentOf(low(index), values[2 * index + 1]!)),
    gdtr: table(At.Gdtr),
    idtr: table(At.Idtr),
  };
}

/** RAX..R15 stand in a memory message in encoding order. */
export function generalOfMemoryMessage(message: DataView): bigint[] {
  const at = (k: number) => message.getBigUint64(MemoryMessage.Registers + 8 * k, true);
  return Array.from({ length: GPRS }, (_, k) => at(k));
}

/** INS and OUTS look at these only. */
export function generalOfPortMessage(message: DataView): bigint[] {
  const general = new Array<bigint>(GPRS).fill(0n);
  general[0] = message.getBigUint64(IoPortMessage.Rax, true);
  general[1] = message.getBigUint64(IoPortMessage.Rcx, true);
  general[6] = message.getBigUint64(IoPortMessage.Rsi, true);
  general[7] = message.getBigUint64(IoPortMessage.Rdi, true);
  return general;
}

/** What a VP's registers were when it was intercepted. */
export class ProcessorImage {
  readonly #cpu: DetachedProcessor;
  readonly #scope: Scope;
  readonly #general: readonly bigint[];
  readonly #rip: bigint;
  readonly #rflags: bigint;
  readonly #context: ProcessorContext;
  readonly #interruptState: bigint;
  readonly #floating: Uint8Array | undefined;

  /**
   * Loads `cpu` with what the VP of an intercept message has. `general`: RAX..R15, as far as the message has them
   * and the instruction looks at them.
   */
  constructor(
    cpu: DetachedProcessor,
    registers: RegisterBatch,
    message: DataView,
    general: readonly bigint[],
    scope: Scope,
  ) {
    const vp = vpIndexOf(message);
    this.#cpu = cpu;
    this.#scope = scope;
    this.#rip = message.getBigUint64(InterceptHeader.Rip, true);
    this.#rflags = message.getBigUint64(InterceptHeader.Rflags, true);
    this.#general = general;
    let interruptState = 0n;
    if (scope === Scope.General) this.#context = contextFromMessage(message);
    else {
      const values = registers.readAllWide(vp, SYSTEM_NAMES);
      this.#context = contextFrom(values);
      interruptState = values[2 * At.InterruptState]!;
    }
    this.#interruptState = interruptState;
    this.#floating = scope === Scope.Floating ? readImage(registers, vp) : undefined;
    this.#load();
  }

  #load(): void {
    const cpu = this.#cpu;
    this.#general.forEach((value, index) => {
      cpu.setGpr(index, value);
    });
    cpu.setRip(this.#rip);
    cpu.setRflags(this.#rflags);
    cpu.setContext(this.#context);
    if (this.#floating !== undefined) cpu.restoreFloatingPoint(this.#floating);
  }

  /** Adds what the instruction changed to `batch`. `rip`, `rflags`: as they shall be. */
  putChanges(batch: RegisterBatch, rip: bigint, rflags: bigint): void {
    const cpu = this.#cpu;
    this.#general.forEach((old, index) => {
      const value = cpu.getGpr(index);
      if (value !== old) batch.put(RegisterName.Rax + index, value);
    });
    if (rip !== this.#rip) batch.put(RegisterName.Rip, rip);
    if (rflags !== this.#rflags) batch.put(RegisterName.Rflags, rflags);
    if (this.#scope !== Scope.General) this.#putSystem(batch);
    if (this.#floating !== undefined) putImage(batch, this.#floating, cpu.saveFloatingPoint());
  }

  #putSystem(batch: RegisterBatch): void {
    const cpu = this.#cpu;
    const { segments, gdtr, idtr, cr0 } = this.#context;
    if (cpu.getControl(0) !== cr0) batch.put(RegisterName.Cr0, cpu.getControl(0));
    segments.forEach((old, index) => {
      const value = cpu.getSegment(index);
      if (value.base !== old.base || highOf(value) !== highOf(old))
        batch.putWide(RegisterName.Es + index, value.base, highOf(value));
    });
    for (const [which, old] of [
      ['gdtr', gdtr],
      ['idtr', idtr],
    ] as const) {
      const { base, limit } = cpu.getTable(which);
      if (base === old.base && limit === old.limit) continue;
      batch.putWide(which === 'gdtr' ? RegisterName.Gdtr : RegisterName.Idtr, BigInt(limit) << 48n, base);
    }
    const kept = this.#interruptState & ~BigInt(InterruptStateBit.InterruptShadow);
    const state = kept | BigInt(cpu.interruptShadow ? InterruptStateBit.InterruptShadow : 0);
    if (state !== this.#interruptState) batch.put(RegisterName.InterruptState, state);
  }
}

function readImage(registers: RegisterBatch, vp: number): Uint8Array {
  const values = registers.readAllWide(vp, FP_NAMES);
  const image = new Uint8Array(IMAGE_BYTES);
  const view = new DataView(image.buffer);
  FLOATING.forEach(({ offset }, k) => {
    view.setBigUint64(offset, values[2 * k]!, true);
    view.setBigUint64(offset + 8, values[2 * k + 1]!, true);
  });
  return image;
}

function putImage(batch: RegisterBatch, before: Uint8Array, after: Uint8Array): void {
  const [old, now] = [before, after].map(
    (image) => new DataView(image.buffer, image.byteOffset, IMAGE_BYTES),
  );
  for (const { name, offset } of FLOATING) {
    const isStatus = name === RegisterName.FpControlStatus;
    const isStack = name >= RegisterName.FpMmx0 && name < RegisterName.FpControlStatus;
    const low = now!.getBigUint64(offset, true) & (isStatus ? FP_STATUS_LOW : ~0n);
    const high = now!.getBigUint64(offset + 8, true) & (isStack ? FP_HIGH : ~0n);
    if (low === old!.getBigUint64(offset, true) && high === old!.getBigUint64(offset + 8, true)) continue;
    batch.putWide(name, low, high);
  }
}
