/**
 * Delivery of an exception or external interrupt as 64-bit kernels meet it: from 64-bit code through an interrupt
 * or trap gate to flat 64-bit code of ring 0. Whatever differs is left, untouched, to the microcode
 * (microcode/interrupt-delivery.ts), which knows all cases and all faults.
 */
import type { FunctionBuilder, FunctionRef } from '../support/wasm/function-builder.ts';
import type { ModuleBuilder } from '../support/wasm/module-builder.ts';
import { i32, i64, loads, type Value } from '../support/wasm/values.ts';
import { FLAG } from '../x86/flags.ts';
import { Mode } from './mode.ts';
import { NO_ADDRESS } from './paging.ts';
import { Access, Segment } from './processor.ts';
import { packFlags } from './semantics/flags.ts';
import * as S from './state-layout.ts';

const RSP = 4;
/** A present gate of type 14 or 15, as bits 40..47 of its first quadword without the DPL and the lowest type bit. */
const GATE_MASK = 0x9e;
const GATE = 0x8e;
const KERNEL_CODE_DESCRIPTOR = 0x00af9b000000ffffn;
const KERNEL_CODE_ATTRIBUTES = 0xa09b;
const CLEARED = FLAG.TF | FLAG.NT | FLAG.RF | FLAG.VM;
const TSS_RSP0 = 4;
const TSS_IST1 = 0x24;

const segment = (index: number): number => S.SEGMENT + index * S.SEGMENT_SIZE;

/** (state, vector, error code or -1, RFLAGS bits to add in the frame) → 1: delivered; 0: nothing done. */
export function defineLongModeDelivery(
  m: ModuleBuilder,
  prepare: FunctionRef,
  commit: FunctionRef,
): FunctionRef {
  const type = { params: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] } as const;
  return m.function('deliverLong', type, (f) => new Delivery(f, prepare, commit).build());
}

class Delivery {
  readonly f: FunctionBuilder;
  private readonly state: Value;
  private readonly prepare: FunctionRef;
  private readonly commit: FunctionRef;

  constructor(f: FunctionBuilder, prepare: FunctionRef, commit: FunctionRef) {
    this.f = f;
    this.state = f.params[0]!.get;
    this.prepare = prepare;
    this.commit = commit;
  }

  field(kind: keyof typeof loads, offset: number): Value {
    return loads[kind](this.state, offset);
  }

  private leaveUnless(condition: Value): void {
    this.f.if(i32.eqz(condition), () => this.giveUp(), undefined, 'unlikely');
  }
  private giveUp(): void {
    this.f.store('i32', this.state, S.FAULT_VECTOR, i32.const(0));
    this.f.return(i32.const(0));
  }

  /** Host address of supervisor memory; gives up where it can't be accessed. */
  private host(va: Value, size: Value, access: number): Value {
    const { f } = this;
    const host = f.let(f.call(this.prepare, this.state, va, size, i32.const(access), i32.const(0)));
    this.leaveUnless(i32.ne(host, i32.const(NO_ADDRESS)));
    return host;
  }

  private canonical(value: Value): Value {
    return i64.eq(i64.shrS(i64.shl(value, i64.const(16)), i64.const(16)), value);
  }

  build(): void {
    const { f, state } = this;
    const [vector, error, added] = f.params.slice(1).map((p) => p.get) as [Value, Value, Value];
    const unusual = Mode.Shadow | Mode.Trap | Mode.CodeSizeMask;
    this.leaveUnless(i32.eq(i32.and(this.field('i32', S.MODE), i32.const(unusual)), i32.const(Mode.Code64)));
    const { offset, selector, ist, isTrap } = this.readGate(vector);
    this.checkCode(selector);
    const fromUser = f.let(i32.ne(this.field('i32', S.CPL), i32.const(0)));
    const top = this.stackTop(ist, fromUser);
    const hasError = f.let(i32.geS(error, i32.const(0)));
    const size = f.let(i32.add(i32.const(40), i32.shl(hasError, i32.const(3))));
    const bottom = f.let(i64.sub(top, i64.extendU(size)));
    const frame = this.host(bottom, size, Access.Write);
    f.if(hasError, () => f.store('i64', frame, 0, i64.extendU(error)));
    const flags = f.let(packFlags(this));
    const body = f.let(i32.sub(i32.add(frame, size), i32.const(40)));
    f.store('i64', body, 0, this.field('i64', S.RIP));
    f.store('i64', body, 8, this.field('i64_16u', segment(Segment.CS) + S.SEGMENT_SELECTOR));
    f.store('i64', body, 16, i64.extendU(i32.or(i32.or(flags, added), i32.const(FLAG.FIXED))));
    f.store('i64', body, 24, this.field('i64', S.GPR + 8 * RSP));
    f.store('i64', body, 32, this.field('i64_16u', segment(Segment.SS) + S.SEGMENT_SELECTOR));
    f.run(this.commit, state, frame, size);
    this.enter(bottom, fromUser, selector, offset, isTrap);
    f.emit(i32.const(1));
  }

  private readGate(vector: Value): { offset: Value; selector: Value; ist: Value; isTrap: Value } {
    const { f } = this;
    const at = f.let(i32.shl(vector, i32.const(4)));
    this.leaveUnless(i32.leU(i32.add(at, i32.const(15)), this.field('i32', S.IDTR + 8)));
    const host = this.host(i64.add(this.field('i64', S.IDTR), i64.extendU(at)), i32.const(16), Access.Read);
    const low = f.let(loads.i64(host));
    const high = f.let(loads.i64_32u(host, 8));
    const attributes = f.let(i32.wrap(i64.shrU(low, i64.const(40))));
    this.leaveUnless(i32.eq(i32.and(attributes, i32.const(GATE_MASK)), i32.const(GATE)));
    const middle = i64.and(i64.shrU(low, i64.const(32)), i64.const(0xffff0000n));
    const offset = f.let(
      i64.or(i64.or(i64.and(low, i64.const(0xffff)), middle), i64.shl(high, i64.const(32))),
    );
    this.leaveUnless(this.canonical(offset));
    return {
      offset,
      selector: f.let(i32.and(i32.wrap(i64.shrU(low, i64.const(16))), i32.const(0xffff))),
      ist: f.let(i32.and(i32.wrap(i64.shrU(low, i64.const(32))), i32.const(7))),
      isTrap: f.let(i32.and(attributes, i32.const(1))),
    };
  }

  private checkCode(selector: Value): void {
    const { f } = this;
    const offset = f.let(i32.and(selector, i32.const(0xfff8)));
    const inGdt = i32.eqz(i32.and(selector, i32.const(4)));
    const within = i32.leU(i32.add(offset, i32.const(7)), this.field('i32', S.GDTR + 8));
    this.leaveUnless(i32.and(i32.and(inGdt, within), i32.ne(offset, i32.const(0))));
    const host = this.host(
      i64.add(this.field('i64', S.GDTR), i64.extendU(offset)),
      i32.const(8),
      Access.Read,
    );
    this.leaveUnless(i64.eq(loads.i64(host), i64.const(KERNEL_CODE_DESCRIPTOR)));
  }

  /** Where the frame is pushed: the current stack, or one from the task state segment; aligned to 16. */
  private stackTop(ist: Value, fromUser: Value): Value {
    const { f } = this;
    const top = f.variable(this.field('i64', S.GPR + 8 * RSP));
    f.if(i32.or(ist, fromUser), () => {
      const listed = i32.add(i32.const(TSS_IST1 - 8), i32.shl(ist, i32.const(3)));
      const offset = f.variable(i32.const(TSS_RSP0));
      f.if(ist, () => f.set(offset, listed));
      const tr = segment(Segment.TR);
      this.leaveUnless(i32.leU(i32.add(offset.get, i32.const(7)), this.field('i32', tr + S.SEGMENT_LIMIT)));
      const va = i64.add(this.field('i64', tr + S.SEGMENT_BASE), i64.extendU(offset.get));
      f.set(top, loads.i64(this.host(va, i32.const(8), Access.Read)));
    });
    this.leaveUnless(this.canonical(top.get));
    return f.let(i64.and(top.get, i64.const(~15n)));
  }

  private enter(rsp: Value, fromUser: Value, selector: Value, offset: Value, isTrap: Value): void {
    const { f, state } = this;
    const set32 = (at: number, value: Value): void => f.store('i32', state, at, value);
    f.store('i64', state, S.GPR + 8 * RSP, rsp);
    f.if(fromUser, () => {
      f.store('i64', state, segment(Segment.SS) + S.SEGMENT_BASE, i64.const(0));
      f.store('i64', state, segment(Segment.SS) + S.SEGMENT_LIMIT, i64.const(0));
    });
    f.store('i64', state, segment(Segment.CS) + S.SEGMENT_BASE, i64.const(0));
    set32(segment(Segment.CS) + S.SEGMENT_LIMIT, i32.const(-1));
    const flat = i32.shl(i32.and(selector, i32.const(0xfffc)), i32.const(16));
    set32(segment(Segment.CS) + S.SEGMENT_ATTRIBUTES, i32.or(i32.const(KERNEL_CODE_ATTRIBUTES), flat));
    f.store('i64', state, S.RIP, offset);
    set32(S.CPL, i32.const(0));
    set32(S.MODE, i32.and(this.field('i32', S.MODE), i32.const(~Mode.Unprivileged)));
    const kept = i32.and(this.field('i32', S.FLAGS_SYSTEM), i32.const(~CLEARED));
    set32(S.FLAGS_SYSTEM, kept);
    f.if(i32.eqz(isTrap), () =>
      set32(S.FLAGS_SYSTEM, i32.and(this.field('i32', S.FLAGS_SYSTEM), i32.const(~FLAG.IF))),
    );
    set32(S.INTERRUPT_SHADOW, i32.const(0));
    set32(S.TRAP_PENDING, i32.const(0));
  }
}
