/**
 * The static stage: operands are constants of the generated code. It is what translated regions are made of;
 * here it yields straight blocks, which the conformance suites run beside the interpreter.
 */
import type { FunctionBuilder } from '../support/wasm/function-builder.ts';
import { i32, i64, type Value } from '../support/wasm/values.ts';
import type { Form } from './instructions/forms.ts';
import type { Instruction, Operand } from './instructions/instruction.ts';
import { Mode } from './mode.ts';
import { isStringOperation, registerOffset, segmentOffset, sourceSegment } from './operand-places.ts';
import type { Runtime } from './runtime.ts';
import { type Place, Stage, Status, zeroExtend } from './stage.ts';
import * as S from './state-layout.ts';

/** An instruction at its place in a block. */
export interface PlacedInstruction {
  instruction: Instruction;
  form: Form;
  /** Offset of its first byte from the start of the linear page that the block starts in. */
  pageOffset: number;
  /** Instructions of the block before it. */
  index: number;
}

const ADDRESS_MASKS = { 64: (1n << 64n) - 1n, 32: 0xffffffffn, 16: 0xffffn } as const;

export class StaticStage extends Stage {
  private readonly at: PlacedInstruction;
  private readonly mode: number;

  constructor(
    f: FunctionBuilder,
    runtime: Runtime,
    state: Value,
    tlb: Value,
    at: PlacedInstruction,
    mode: number,
  ) {
    super(f, runtime, at.form, state, tlb);
    this.at = at;
    this.mode = mode;
  }

  private operand(k: number): Operand {
    return this.at.instruction.operands[k]!;
  }

  override place(k: number): Place {
    return { base: this.state, offset: registerOffset(this.operand(k)) };
  }

  override stackIndex(k: number): Value {
    return i32.const(registerOffset(this.operand(k)));
  }

  override immediate(k: number): Value {
    const operand = this.operand(k);
    if (operand.kind === 'immediate') return i64.const(operand.value);
    return i64.const(operand.kind === 'relative' ? operand.displacement : 0n);
  }

  override farOperand(): { offset: Value; selector: Value } {
    const operand = this.at.instruction.operands.find((o) => o.kind === 'far');
    if (operand?.kind !== 'far') throw new Error(`${this.form.key} has no far operand`);
    return { offset: i64.const(operand.offset), selector: i64.const(operand.selector) };
  }

  override addressMask(): Value {
    return i64.const(ADDRESS_MASKS[this.at.instruction.addressSize]);
  }

  private masked(value: Value): Value {
    return this.at.instruction.addressSize === 64 ? value : i64.and(value, this.addressMask());
  }

  override effectiveAddress(k: number): Value {
    const m = this.operand(k);
    if (m.kind !== 'memory') throw new Error(`operand ${k} of ${this.form.key} is no memory operand`);
    const isRip = m.base === 16;
    const base = isRip ? this.field('i64', S.RIP_PAGE) : m.base < 0 ? i64.const(0) : this.gpr(m.base);
    const index = m.index < 0 ? i64.const(0) : i64.shl(this.gpr(m.index), i64.const(m.scale));
    const end = isRip ? BigInt(this.at.pageOffset + this.at.instruction.length) : 0n;
    return this.masked(i64.add(i64.add(base, index), i64.const(m.displacement + end)));
  }

  override linearAddress(k: number, bytes: number, access: number, extra?: Value): Value {
    const m = this.operand(k);
    if (m.kind !== 'memory') throw new Error(`operand ${k} of ${this.form.key} is no memory operand`);
    const { f } = this;
    const sum = this.effectiveAddress(k);
    const offset = f.let(extra ? this.masked(i64.add(sum, extra)) : sum);
    const slot = segmentOffset(m.segment, this.mode);
    if (this.mode & (Mode.CheckSegment << m.segment)) {
      const args = [this.state, i32.const(slot), offset, i32.const(bytes), i32.const(access)] as const;
      f.if(f.call(this.runtime.segmentCheck, ...args), () => this.leave());
    }
    return slot === S.ZERO ? offset : f.let(this.wrapped(i64.add(this.field('i64', slot), offset)));
  }

  /** Outside 64-bit code linear addresses have 32 bits. */
  private wrapped(linear: Value): Value {
    return (this.mode & Mode.CodeSizeMask) === Mode.Code64 ? linear : zeroExtend(linear, 32);
  }

  override segmentAddress(offset: Value): Value {
    const { instruction } = this.at;
    const segment = isStringOperation(instruction) ? sourceSegment(instruction) : 3;
    const slot = segmentOffset(segment, this.mode);
    return slot === S.ZERO ? offset : this.wrapped(i64.add(this.field('i64', slot), offset));
  }

  private ripAt(offset: number): Value {
    const value = i64.add(this.field('i64', S.RIP_PAGE), i64.const(offset));
    return (this.mode & Mode.CodeSizeMask) === Mode.Code64 ? value : zeroExtend(value, 32);
  }
  override rip(): Value {
    return this.ripAt(this.at.pageOffset);
  }
  override nextRip(): Value {
    return this.ripAt(this.at.pageOffset + this.at.instruction.length);
  }

  private charge(instructions: number): void {
    this.setField('i32', S.BUDGET, i32.sub(this.field('i32', S.BUDGET), i32.const(instructions)));
  }

  protected override abandon(): void {
    this.charge(this.at.index);
    this.setField('i64', S.RIP, this.rip());
    this.f.return(i32.const(Status.Leave));
  }

  override jump(target: Value): void {
    this.setField('i64', S.RIP, target);
    this.charge(this.at.index + 1);
    this.f.return(i32.const(Status.Jumped));
  }

  override finishBlock(): void {
    this.jump(this.nextRip());
  }

  override jumpRelative(k: number): void {
    this.jump(zeroExtend(i64.add(this.nextRip(), this.immediate(k)), this.bits));
  }
}
