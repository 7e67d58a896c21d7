/** The interpreter's stage: operands come from the record of a decoded instruction (cpu/record.ts). */
import type { FunctionBuilder } from '../support/wasm/function-builder.ts';
import { i32, i64, loads, type Value } from '../support/wasm/values.ts';
import type { Form } from './instructions/forms.ts';
import {
  AddressKind,
  RECORD_A,
  RECORD_B,
  RECORD_BASE,
  RECORD_DISPLACEMENT,
  RECORD_IMMEDIATE,
  RECORD_INDEX,
  RECORD_KIND,
  RECORD_LENGTH,
  RECORD_PAGE_OFFSET,
  RECORD_SCALE,
  RECORD_SEGMENT,
} from './record.ts';
import type { Runtime } from './runtime.ts';
import { type Place, Stage, zeroExtend } from './stage.ts';
import { ADDRESS_MASK, CODE_MASK, RIP, RIP_PAGE } from './state-layout.ts';

/** What surrounds a handler: a case of the interpreter's switch, or a function of its own. */
export interface Flow {
  /** A fault or exit is pending. */
  leave(): void;
  /** RIP holds the next instruction's offset: look it up. */
  jumped(): void;
  /** Branches whose target the surroundings may link; false if they cannot. */
  linkedJump?(stage: RecordStage, k: number): void;
}

export class RecordStage extends Stage {
  readonly record: Value;
  private readonly flow: Flow;
  private readonly places = new Map<number, Place>();

  constructor(
    f: FunctionBuilder,
    runtime: Runtime,
    form: Form,
    state: Value,
    tlb: Value,
    record: Value,
    flow: Flow,
  ) {
    super(f, runtime, form, state, tlb);
    this.record = record;
    this.flow = flow;
  }

  /** Register operands fill A, then B, in operand order. */
  override place(k: number): Place {
    let place = this.places.get(k);
    if (!place) {
      const earlier = this.form.shapes.slice(0, k).filter(isRegisterShape).length;
      const offset = loads.i32_16u(this.record, earlier === 0 ? RECORD_A : RECORD_B);
      place = { base: this.f.let(i32.add(this.state, offset)), offset: 0 };
      this.places.set(k, place);
    }
    return place;
  }

  override immediate(k: number): Value {
    const earlier = this.form.shapes.slice(0, k).filter((s) => s === 'i').length;
    return loads.i64(this.record, earlier === 0 ? RECORD_IMMEDIATE : RECORD_DISPLACEMENT);
  }

  private stateField(recordField: number, offset = 0): Value {
    return loads.i64(i32.add(this.state, loads.i32_16u(this.record, recordField)), offset);
  }

  private kind(): Value {
    return loads.i32_8u(this.record, RECORD_KIND);
  }

  override addressMask(): Value {
    const kind = i32.and(this.kind(), i32.const(3));
    return loads.i64(i32.add(this.state, i32.shl(kind, i32.const(3))), ADDRESS_MASK);
  }

  private baseAndDisplacement(): Value {
    return i64.add(this.stateField(RECORD_BASE), loads.i64(this.record, RECORD_DISPLACEMENT));
  }

  private indexed(): Value {
    const index = i64.shl(this.stateField(RECORD_INDEX), loads.i64_8u(this.record, RECORD_SCALE));
    return i64.and(i64.add(this.baseAndDisplacement(), index), this.addressMask());
  }

  override effectiveAddress(_k: number): Value {
    return this.indexed();
  }

  private segmentBase(): Value {
    const slot = i32.shl(loads.i32_8u(this.record, RECORD_SEGMENT), i32.const(4));
    return loads.i64(i32.add(this.state, slot));
  }

  override linearAddress(_k: number, bytes: number, access: number, extra?: Value): Value {
    const { f } = this;
    const linear = f.local('i64');
    f.if(
      i32.eqz(this.kind()),
      () => f.set(linear, extra ? i64.add(this.baseAndDisplacement(), extra) : this.baseAndDisplacement()),
      () => {
        const sum = extra ? i64.and(i64.add(this.indexed(), extra), this.addressMask()) : this.indexed();
        const offset = f.let(sum);
        f.set(linear, i64.add(this.segmentBase(), offset));
        f.if(
          i32.and(this.kind(), i32.const(AddressKind.CheckSegment | AddressKind.Wrap)),
          () => {
            this.checkSegment(offset, i32.const(bytes), access);
            f.set(linear, i64.and(linear.get, i64.const(0xffffffffn)));
          },
          undefined,
          'unlikely',
        );
      },
      'likely',
    );
    return linear.get;
  }

  override segmentAddress(offset: Value): Value {
    const fixed = this.f.let(offset);
    return i64.and(i64.add(this.segmentBase(), fixed), this.field('i64', CODE_MASK));
  }

  private checkSegment(offset: Value, bytes: Value, access: number): void {
    const { f } = this;
    f.if(
      i32.and(this.kind(), i32.const(AddressKind.CheckSegment)),
      () => {
        const slot = i32.shl(loads.i32_8u(this.record, RECORD_SEGMENT), i32.const(4));
        const bad = f.call(this.runtime.segmentCheck, this.state, slot, offset, bytes, i32.const(access));
        f.if(bad, () => this.leave());
      },
      undefined,
      'unlikely',
    );
  }

  override rip(): Value {
    const ripPage = this.field('i64', RIP_PAGE);
    return i64.and(
      i64.add(ripPage, loads.i64_16u(this.record, RECORD_PAGE_OFFSET)),
      this.field('i64', CODE_MASK),
    );
  }

  override nextRip(): Value {
    const within = i64.add(
      loads.i64_16u(this.record, RECORD_PAGE_OFFSET),
      loads.i64_8u(this.record, RECORD_LENGTH),
    );
    return i64.and(i64.add(this.field('i64', RIP_PAGE), within), this.field('i64', CODE_MASK));
  }

  protected override abandon(): void {
    this.flow.leave();
  }

  override stackIndex(k: number): Value {
    const earlier = this.form.shapes.slice(0, k).filter(isRegisterShape).length;
    return loads.i32_16u(this.record, earlier === 0 ? RECORD_A : RECORD_B);
  }

  override farOperand(): { offset: Value; selector: Value } {
    return {
      offset: loads.i64(this.record, RECORD_IMMEDIATE),
      selector: loads.i64(this.record, RECORD_DISPLACEMENT),
    };
  }

  override jump(target: Value): void {
    this.setField('i64', RIP, target);
    this.flow.jumped();
  }

  override finishBlock(): void {
    this.jump(this.nextRip());
  }

  override jumpRelative(k: number): void {
    if (this.flow.linkedJump) this.flow.linkedJump(this, k);
    else this.jump(this.relativeTarget(k));
  }

  relativeTarget(k: number): Value {
    return zeroExtend(i64.add(this.nextRip(), this.immediate(k)), this.bits);
  }
}

const REGISTER_SHAPES = new Set(['x', 'mm', 'st', 'seg', 'cr', 'dr']);
export const isRegisterShape = (shape: string): boolean => /^r\d/.test(shape) || REGISTER_SHAPES.has(shape);
