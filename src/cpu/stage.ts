/**
 * A stage turns the semantics of one instruction form into WebAssembly. The semantics (cpu/semantics) are
 * written once against this class; what differs between stages is where operands come from: fields of a record
 * (record-stage.ts, the interpreter) or constants (static-stage.ts, translated code).
 *
 * Integer values are i64. `read` yields them zero-extended to the operand's width; `write` takes the low bits
 * and ignores the rest. Vector values are v128.
 */

import { atomics } from '../support/wasm/atomics.ts';
import type { FunctionBuilder, Label } from '../support/wasm/function-builder.ts';
import { i32, i64, loads, type Store, type Value } from '../support/wasm/values.ts';
import { Exclusive } from './host-imports.ts';
import type { Form } from './instructions/forms.ts';
import { TLB_ADDEND, TLB_READ, TLB_WRITE } from './logical-processor-area.ts';
import { NO_ADDRESS, tlbEntry } from './paging.ts';
import { Access } from './processor.ts';
import type { Runtime } from './runtime.ts';
import * as S from './state-layout.ts';

/** What the code around an instruction does when the instruction is done. */
export const Status = {
  /** Go on with the next instruction. */
  Next: 0,
  /** A fault or an exit is pending; the instruction did nothing. */
  Leave: 1,
  /** RIP, and perhaps mode or privilege, have changed: look up the code at RIP. */
  Jumped: 2,
} as const;

export type IntegerBits = 8 | 16 | 32 | 64;
/** An address in the state page or in host memory: base plus constant offset. */
export interface Place {
  base: Value;
  offset: number;
}

export type FlagKind = 'add' | 'adc' | 'sub' | 'sbb' | 'logic' | 'inc' | 'dec';

/** What flags come from (semantics/flag-operation.ts). `a`, `b` and `result` may have rubbish above `bits`. */
export interface FlagOperation {
  kind: FlagKind;
  bits: IntegerBits;
  a: Value;
  b: Value;
  result: Value;
  /** INC and DEC: CF as it was and stays, i32 0 or 1. */
  carry: Value;
}

export const mask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** Zero-extends from `bits`. */
export function zeroExtend(value: Value, bits: number): Value {
  return bits === 64 ? value : i64.and(value, i64.const(mask(bits)));
}
/** Sign-extends from `bits`. */
export function signExtend(value: Value, bits: number): Value {
  if (bits === 64) return value;
  if (bits === 32) return i64.extend32S(value);
  return bits === 16 ? i64.extend16S(value) : i64.extend8S(value);
}

const LOAD = { 8: loads.i64_8u, 16: loads.i64_16u, 32: loads.i64_32u, 64: loads.i64 } as const;
const LOAD_KIND = { 8: 'i64_8u', 16: 'i64_16u', 32: 'i64_32u', 64: 'i64' } as const;
const STORE: Record<IntegerBits, Store> = { 8: 'i64_8', 16: 'i64_16', 32: 'i64_32', 64: 'i64' };

interface ShapeFacts {
  isMemory: boolean;
  /** Width of a general register or memory operand; 0 where the shape does not say. */
  bits: number;
}
const shapes = new Map<string, ShapeFacts>();

/** What a shape's name says, parsed once. */
function shapeOf(shape: string): ShapeFacts {
  let facts = shapes.get(shape);
  if (!facts) {
    const digits = /^[rm](\d+)$/.exec(shape);
    facts = { isMemory: /^m\d*$/.test(shape), bits: digits ? Number(digits[1]) : 0 };
    shapes.set(shape, facts);
  }
  return facts;
}

export abstract class Stage {
  readonly f: FunctionBuilder;
  readonly runtime: Runtime;
  readonly form: Form;
  /** Address of the state page. */
  readonly state: Value;
  /** Address of the soft TLB for the current privilege. */
  readonly tlb: Value;

  constructor(f: FunctionBuilder, runtime: Runtime, form: Form, state: Value, tlb: Value) {
    this.f = f;
    this.runtime = runtime;
    this.form = form;
    this.state = state;
    this.tlb = tlb;
  }

  // What the stages supply

  /** Where register operand `k` is in the state page. */
  abstract place(k: number): Place;
  /** The immediate (or branch displacement) of operand `k`, i64. */
  abstract immediate(k: number): Value;
  /** Offset of memory operand `k` within its segment, cut to the address size. */
  abstract effectiveAddress(k: number): Value;
  /** Linear address of memory operand `k` plus `extra`; segment checks of legacy modes are done for `bytes` bytes. */
  abstract linearAddress(k: number, bytes: number, access: number, extra?: Value): Value;
  /** Linear address of `offset` in the operand-overridable segment (string sources, XLAT). */
  abstract segmentAddress(offset: Value): Value;
  abstract rip(): Value;
  abstract nextRip(): Value;
  /** Where `leave` goes. */
  protected abstract abandon(): void;
  /** Ends the instruction at another RIP (already cut to the operand size). */
  abstract jump(target: Value): void;
  /** The instruction is done, and what follows must be looked up anew (mode or shadow changed). */
  abstract finishBlock(): void;
  /** Jumps by operand `k`'s displacement, else goes on. */
  abstract jumpRelative(k: number): void;
  /** 16, 32 or 64: width of the address size, where the semantics depend on it at run time as masks. */
  abstract addressMask(): Value;

  /** Number of x87 stack operand `k`, i32. */
  abstract stackIndex(k: number): Value;
  /** Offset and selector of a far immediate. */
  abstract farOperand(): { offset: Value; selector: Value };

  // Flags

  /** The operation that the arithmetic flags come from, while the stage holds it instead of the flags. */
  get heldFlags(): FlagOperation | undefined {
    return undefined;
  }
  /** True: the stage keeps the operation, and flags are made of it when they are wanted. */
  holdFlags(_operation: FlagOperation): boolean {
    return false;
  }

  private undo: (() => void) | undefined;

  /** Leaves the instruction with a fault pending and nothing done. */
  leave(): void {
    this.undo?.();
    this.abandon();
  }

  /** Runs `body`; should it leave, `undo` restores what was changed before. */
  guarded(body: () => void, undo: () => void): void {
    this.undo = undo;
    body();
    this.undo = undefined;
  }

  get bits(): IntegerBits {
    return this.form.operandSize as IntegerBits;
  }

  shape(k: number): string {
    return this.form.shapes[k]!;
  }
  isMemory(k: number): boolean {
    return shapeOf(this.shape(k)).isMemory;
  }
  /** Width of operand `k` in bits; immediates have the operation's. */
  width(k: number): IntegerBits {
    return (shapeOf(this.shape(k)).bits || this.bits) as IntegerBits;
  }

  // State page

  field(kind: keyof typeof loads, offset: number): Value {
    return loads[kind](this.state, offset);
  }
  setField(kind: Store, offset: number, value: Value): void {
    this.f.store(kind, this.state, offset, value);
  }
  gpr(index: number, bits: IntegerBits = 64): Value {
    return this.field(LOAD_KIND[bits], S.GPR + 8 * index);
  }
  setGpr(index: number, bits: IntegerBits, value: Value): void {
    this.storeRegister({ base: this.state, offset: S.GPR + 8 * index }, bits, value);
  }
  private loadRegister({ base, offset }: Place, bits: IntegerBits): Value {
    return base === this.state ? this.field(LOAD_KIND[bits], offset) : LOAD[bits](base, offset);
  }
  private storeRegister({ base, offset }: Place, bits: IntegerBits, value: Value): void {
    const kept = bits === 32 ? zeroExtend(value, 32) : value;
    const kind = bits === 32 ? 'i64' : STORE[bits];
    if (base === this.state) this.setField(kind, offset, kept);
    else this.f.store(kind, base, offset, kept);
  }

  // Operands

  /** Operand `k`, zero-extended. Immediates come as they are, cut to the operation's width. */
  read(k: number): Value {
    const shape = this.shape(k);
    if (shape === 'i' || shape === 'rel') return this.immediate(k);
    const bits = this.width(k);
    if (this.isMemory(k)) return this.load(bits, this.linearAddress(k, bits / 8, Access.Read));
    return this.loadRegister(this.place(k), bits);
  }

  write(k: number, value: Value): void {
    const bits = this.width(k);
    if (this.isMemory(k)) this.store(bits, this.linearAddress(k, bits / 8, Access.Write), value);
    else this.storeRegister(this.place(k), bits, value);
  }

  /** Reads operand `k`, computes, writes back; a memory operand is validated for writing first. */
  modify(k: number, change: (old: Value) => Value): void {
    const { f } = this;
    const bits = this.width(k);
    if (!this.isMemory(k)) {
      const place = this.place(k);
      const old = f.let(this.loadRegister(place, bits));
      this.storeRegister(place, bits, change(old));
      return;
    }
    this.modifyMemory(this.linearAddress(k, bits / 8, Access.Write), bits, change);
  }

  /** True where other processors must see the instruction's load and store as one. */
  get isAtomic(): boolean {
    return this.runtime.isShared && (this.form.locked || this.form.mnemonic === 'xchg');
  }

  /** As `modify`, at a linear address. */
  modifyMemory(va: Value, bits: IntegerBits, change: (old: Value) => Value): void {
    if (this.isAtomic) {
      this.alignedOrAlone(
        this.f.let(va),
        bits / 8,
        (at) => this.exchange(at, bits, change),
        (at) => this.modifyPlain(at, bits, change),
      );
    } else this.modifyPlain(va, bits, change);
  }

  /**
   * Atomic accesses are aligned ones; an access that is not is made while no other processor executes (a split lock). No
   * address may have been translated before: to become alone, the processor serves others.
   */
  alignedOrAlone(va: Value, bytes: number, aligned: (va: Value) => void, alone: (va: Value) => void): void {
    const { f } = this;
    if (bytes === 1) {
      aligned(va);
      return;
    }
    const exclusive = (what: number) => f.run(this.runtime.imports.exclusive, this.state, i32.const(what));
    f.if(
      i32.and(i32.wrap(va), i32.const(bytes - 1)),
      () => {
        exclusive(Exclusive.EnterAlone);
        this.guarded(
          () => alone(va),
          () => exclusive(Exclusive.LeaveAlone),
        );
        exclusive(Exclusive.LeaveAlone);
      },
      () => aligned(va),
      'unlikely',
    );
  }

  /** `change` may be evaluated several times: it sets flags from the old value and, where it reads it, the carry. */
  private exchange(va: Value, bits: IntegerBits, change: (old: Value) => Value): void {
    const { f } = this;
    this.withWritable(va, bits / 8, (host) => {
      const old = f.variable(atomics.load(bits, host));
      const readsCarry = this.form.mnemonic === 'adc' || this.form.mnemonic === 'sbb';
      const carry = readsCarry ? f.let(this.field('i32', S.FLAG_AUX)) : undefined;
      f.loop((again) => {
        if (carry) this.setField('i32', S.FLAG_AUX, carry);
        const next = f.let(zeroExtend(change(old.get), bits));
        const seen = f.let(atomics.compareExchange(bits, host, old.get, next));
        f.if(i64.ne(seen, old.get), () => {
          f.set(old, seen);
          f.branch(again);
        });
      });
    });
  }

  private modifyPlain(va: Value, bits: IntegerBits, change: (old: Value) => Value): void {
    const { f } = this;
    this.withWritable(va, bits / 8, (host) => {
      const old = f.let(LOAD[bits](host));
      f.store(STORE[bits], host, 0, change(old));
    });
  }

  // Memory

  /** Loads `bits` from a linear address. */
  load(bits: IntegerBits, va: Value): Value {
    return this.f.let(LOAD[bits](this.readable(va, bits / 8)));
  }

  store(bits: IntegerBits, va: Value, value: Value): void {
    const fixed = this.f.let(value);
    this.withWritable(va, bits / 8, (host) => this.f.store(STORE[bits], host, 0, fixed));
  }

  loadVector(va: Value): Value {
    return this.f.let(loads.v128(this.readable(va, 16)));
  }
  storeVector(va: Value, value: Value): void {
    const fixed = this.f.let(value);
    this.withWritable(va, 16, (host) => this.f.store('v128', host, 0, fixed));
  }

  /** Host address of `bytes` readable bytes at `va`; leaves on a fault. */
  readable(va: Value, bytes: number): Value {
    return this.hostAddress(va, bytes, Access.Read, TLB_READ).host;
  }

  /** Leaves with a fault unless `bytes` bytes at `va` can be written. */
  probeWrite(va: Value, bytes: number): void {
    this.hostAddress(va, bytes, Access.Write, TLB_WRITE);
  }

  /** Lets `body` store at the host address of `bytes` writable bytes, then finishes the store. */
  withWritable(va: Value, bytes: number, body: (host: Value) => void): void {
    const { f } = this;
    const { host, slow } = this.hostAddress(va, bytes, Access.Write, TLB_WRITE);
    body(host);
    f.if(slow, () => this.finishSlowStore(host, i32.const(bytes)), undefined, 'unlikely');
  }

  /** As `withWritable` for `size` bytes (i32) that lie within one page. */
  withWritableRun(va: Value, size: Value, body: (host: Value) => void): void {
    const { f } = this;
    const { host, slow } = this.hostAddress(va, 1, Access.Write, TLB_WRITE);
    body(host);
    f.if(slow, () => this.finishSlowStore(host, size), undefined, 'unlikely');
  }

  /** After a store that the soft TLB did not let pass: it may have crossed a page or hit decoded code. */
  protected finishSlowStore(host: Value, size: Value): void {
    this.f.run(this.runtime.commit, this.state, host, size);
  }

  private hostAddress(va: Value, bytes: number, access: number, tag: number): { host: Value; slow: Value } {
    const { f } = this;
    const linear = f.let(va);
    const host = f.local('i32');
    const isStore = access === Access.Write;
    const slow = isStore ? f.variable(i32.const(0)) : undefined;
    const entry = f.let(tlbEntry(f, this.tlb, linear));
    const last = i64.and(i64.add(linear, i64.const(bytes - 1)), i64.const(-4096n));
    f.if(
      i64.eq(loads.i64(entry, tag), last),
      () => f.set(host, i32.add(i32.wrap(linear), loads.i32(entry, TLB_ADDEND))),
      () => {
        const args = [this.state, linear, i32.const(bytes), i32.const(access), this.isUser()] as const;
        f.set(host, f.call(this.runtime.prepare, ...args));
        f.if(i32.eq(host.get, i32.const(NO_ADDRESS)), () => this.leave());
        if (slow) f.set(slow, i32.const(1));
      },
      'likely',
    );
    return { host: host.get, slow: slow?.get ?? i32.const(0) };
  }

  /** 1 at privilege level 3. */
  isUser(): Value {
    return i32.eq(this.field('i32', S.CPL), i32.const(3));
  }

  // Faults and microcode

  /** Raises an exception (leaves); `error` -1 for vectors without an error code. */
  raise(vector: number, error = -1): void {
    this.f.run(this.runtime.raise, this.state, i32.const(vector), i32.const(error));
    this.leave();
  }
  raiseIf(condition: Value, vector: number, error = -1): void {
    this.f.if(condition, () => this.raise(vector, error), undefined, 'unlikely');
  }

  /** Hands the instruction to TypeScript; `argument` is a small integer the operation understands. */
  microcode(operation: number, argument: Value = i32.const(0)): void {
    const { f } = this;
    this.setField('i64', S.RIP, this.rip());
    this.setField('i64', S.NEXT_RIP, this.nextRip());
    const args = [this.state, i32.const(operation), i32.const(this.bits), argument] as const;
    const status = f.let(f.call(this.runtime.imports.microcode, ...args));
    f.if(i32.eq(status, i32.const(Status.Leave)), () => this.leave());
    f.if(i32.eq(status, i32.const(Status.Jumped)), () => this.jump(this.field('i64', S.RIP)));
  }
}

export type Semantics = (s: Stage) => void;
export type { Label };
