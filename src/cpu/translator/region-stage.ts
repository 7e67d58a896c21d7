/**
 * The static stage inside a region: general registers and lazy flags live in WebAssembly locals. They are loaded
 * when the region is entered and stored when it is left; in between only microcode finds them in the state page.
 */
import type { FunctionBuilder, Label, Local } from '../../support/wasm/function-builder.ts';
import { i32, i64, loads, type Store, select, type Value } from '../../support/wasm/values.ts';
import { registerName } from '../instructions/disassemble.ts';
import { Mode } from '../mode.ts';
import type { Runtime } from '../runtime.ts';
import { type FlagOperation, Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import type { PlacedInstruction } from '../static-stage.ts';
import { StaticStage } from '../static-stage.ts';
import { RegionFlags } from './region-flags.ts';

const GPR_END = S.GPR + 16 * 8;

/** Locals of a region's function. */
export class RegionLocals {
  readonly gpr: (Local | undefined)[] = [];
  flagResult: Local | undefined;
  flagAux: Local | undefined;
  readonly written = new Set<Local>();
  readonly budget: Local;
  /** How the region is left: see `WayOut`. */
  readonly way: Local;
  /** Offset of the page that control is on, from the entry's. */
  readonly page: Local;
  readonly flags: RegionFlags;
  /** 1 once a store of ours has changed the region's own code. */
  readonly stale: Local;

  private readonly f: FunctionBuilder;

  constructor(f: FunctionBuilder) {
    this.f = f;
    this.budget = f.local('i32', 'budget');
    this.way = f.local('i32', 'way');
    this.page = f.local('i32', 'page');
    this.stale = f.local('i32', 'stale');
    for (let k = 0; k < 16; k++) this.gpr[k] = f.local('i64', registerName(k, 64));
    this.flagResult = f.local('i64', 'flagResult');
    this.flagAux = f.local('i32', 'flagAux');
    this.flags = new RegionFlags(f);
  }

  /** Leaves the region at an offset of its page, or where RIP says; `unexecuted` instructions of the block were not run. */
  leave(out: Label, way: number, pageOffset: number, unexecuted: number): void {
    const held = this.flags.number() << WayOut.HeldShift;
    this.f.set(this.way, i32.const(way | pageOffset | (unexecuted << WayOut.UnexecutedShift) | held));
    this.f.branch(out);
  }

  private *places(): Generator<[Local, keyof typeof loads & Store, number, number]> {
    for (let k = 0; k < 16; k++) yield [this.gpr[k]!, 'i64', S.GPR + 8 * k, k];
    yield [this.flagResult!, 'i64', S.FLAG_RESULT, 16];
    yield [this.flagAux!, 'i32', S.FLAG_AUX, 17];
  }

  /** Loads what `usage` names from the state page. */
  fill(state: Value, usage: Usage): void {
    for (const [local, kind, offset, index] of this.places())
      if (usage.used.has(index)) this.f.set(local, loads[kind](state, offset));
  }
  /** Stores what `usage` says is written. */
  spill(state: Value, usage: Usage): void {
    for (const [local, kind, offset, index] of this.places())
      if (usage.written.has(index)) this.f.store(kind, state, offset, local.get);
  }
}

/** Registers (0..15), flag result (16) and auxiliary flags (17) that a region uses and writes. */
export interface Usage {
  used: Set<number>;
  written: Set<number>;
}

/**
 * The word that says how a region is left: the page offset of RIP, how many instructions were charged and not
 * executed, and what is held instead of flags (RegionFlags.number).
 */
export const WayOut = {
  OffsetMask: 0xfff,
  UnexecutedShift: 12,
  /** A block has fewer instructions (region.ts, MOST_DECODED). */
  UnexecutedMask: 0x3ff,
  HeldShift: 22,
  HeldMask: 0x1f,
  /** Nothing is pending: look up what is at RIP. Else a fault or an exit is. */
  Jumped: 1 << 27,
  /** RIP is in the state page already. */
  RipStored: 1 << 28,
} as const;

/** Where the region's code goes when an instruction does not simply end. */
export interface RegionFlow {
  /** Out of the region; `way` says how. */
  out: Label;
  /** Continues at a place, in the region or outside. */
  goTo(offset: number): void;
}

export class RegionStage extends StaticStage {
  private readonly locals: RegionLocals;
  private readonly usage: Usage;
  private readonly flow: RegionFlow;
  private readonly placed: PlacedInstruction;
  /** Instructions of the block from this one on, itself included. */
  private readonly remaining: number;
  /** Place that a relative branch or call goes to. */
  private readonly target: number | undefined;
  /** Places in the region that a return may go to. */
  private readonly returns: readonly number[];
  private readonly entryRecord: number;
  /** The instruction keeps its operation instead of setting flags. */
  private readonly holds: boolean;
  private readonly unprivileged: boolean;
  touchedCode = false;

  constructor(
    f: FunctionBuilder,
    runtime: Runtime,
    state: Value,
    tlb: Value,
    context: {
      placed: PlacedInstruction;
      mode: number;
      locals: RegionLocals;
      usage: Usage;
      flow: RegionFlow;
      remaining: number;
      target: number | undefined;
      returns: readonly number[];
      entryRecord: number;
      holds: boolean;
    },
  ) {
    super(f, runtime, state, tlb, context.placed, context.mode);
    this.placed = context.placed;
    this.locals = context.locals;
    this.usage = context.usage;
    this.flow = context.flow;
    this.remaining = context.remaining;
    this.target = context.target;
    this.returns = context.returns;
    this.entryRecord = context.entryRecord;
    this.holds = context.holds;
    this.unprivileged = (context.mode & Mode.Unprivileged) !== 0;
  }

  // Registers in locals

  /** Whoever gets here while flags are held is missing from region-flags.ts. */
  private requireFlags(): void {
    if (this.locals.flags.held) throw new Error(`${this.form.key} needs flags that a region holds back`);
  }

  private localAt(offset: number): { local: Local; index: number } | undefined {
    if (offset < GPR_END) return { local: this.locals.gpr[offset >> 3]!, index: offset >> 3 };
    if (offset === S.FLAG_RESULT) return { local: this.locals.flagResult!, index: 16 };
    if (offset === S.FLAG_AUX) return { local: this.locals.flagAux!, index: 17 };
    return undefined;
  }

  override field(kind: keyof typeof loads, offset: number): Value {
    if (offset === S.ZERO && kind === 'i64') return i64.const(0);
    const found = this.localAt(offset);
    if (!found) return super.field(kind, offset);
    if (found.index > 15) this.requireFlags();
    this.usage.used.add(found.index);
    const { local } = found;
    const shift = (offset & 7) * 8;
    const shifted = shift === 0 || found.index > 15 ? local.get : i64.shrU(local.get, i64.const(shift));
    switch (kind) {
      case 'i64':
        return shifted;
      case 'i32':
        return local.type === 'i32' ? local.get : i32.wrap(shifted);
      case 'i64_32u':
        return i64.and(shifted, i64.const(0xffffffffn));
      case 'i64_16u':
        return i64.and(shifted, i64.const(0xffff));
      case 'i64_8u':
        return i64.and(shifted, i64.const(0xff));
      case 'i32_8u':
        return i32.and(i32.wrap(shifted), i32.const(0xff));
      default:
        throw new Error(`no ${kind} access to a register in a region`);
    }
  }

  override setField(kind: Store, offset: number, value: Value): void {
    const found = this.localAt(offset);
    if (!found) {
      super.setField(kind, offset, value);
      return;
    }
    const { local, index } = found;
    if (index > 15) this.requireFlags();
    this.usage.written.add(index);
    // What is written only on some paths must have been loaded for the others.
    this.usage.used.add(index);
    if (kind === local.type) {
      this.f.set(local, value);
      return;
    }
    const width = { i64_8: 8, i32_8: 8, i64_16: 16, i64_32: 32 }[kind as string];
    if (width === undefined) throw new Error(`no ${kind} store to a register in a region`);
    const shift = (offset & 7) * 8;
    const bits = ((1n << BigInt(width)) - 1n) << BigInt(shift);
    const wide = value.type === 'i32' ? i64.extendU(value) : value;
    const inserted = i64.and(shift === 0 ? wide : i64.shl(wide, i64.const(shift)), i64.const(bits));
    this.f.set(local, i64.or(i64.and(local.get, i64.const(~bits)), inserted));
  }

  // Ends

  protected override abandon(): void {
    this.locals.leave(this.flow.out, 0, this.placed.pageOffset & WayOut.OffsetMask, this.remaining);
  }

  override jump(target: Value): void {
    if (this.returns.length > 0) {
      this.returnTo(this.f.let(target));
      return;
    }
    this.leaveTo(target);
  }

  /** A return to a caller within the region goes on there. */
  private returnTo(target: Value): void {
    const { flags } = this.locals;
    const { held } = flags;
    for (const place of this.returns) {
      const there = i64.add(this.field('i64', S.RIP_PAGE), i64.const(place));
      this.f.if(i64.eq(target, there), () => this.flow.goTo(place));
      flags.held = held;
    }
    this.leaveTo(target);
  }

  private leaveTo(target: Value): void {
    super.setField('i64', S.RIP, target);
    this.locals.leave(this.flow.out, WayOut.Jumped | WayOut.RipStored, 0, this.remaining - 1);
  }

  override jumpRelative(k: number): void {
    if (this.target === undefined) {
      super.jumpRelative(k);
      return;
    }
    if (this.bits === 16) {
      // IP wraps at 64 KiB: then the target is not where the displacement says.
      const ip = i64.add(this.field('i64', S.RIP_PAGE), i64.const(this.target));
      this.f.if(i64.ltU(i64.const(0xffff), ip), () => super.jumpRelative(k), undefined, 'unlikely');
    }
    // A call's own push may have changed the region's code.
    if (this.touchedCode)
      this.f.if(this.locals.stale.get, () => super.jumpRelative(k), undefined, 'unlikely');
    const { flags } = this.locals;
    const { held } = flags;
    this.flow.goTo(this.target);
    // On the other path nothing of this has happened.
    flags.held = held;
  }

  // Flags

  override get heldFlags(): FlagOperation | undefined {
    return this.locals.flags.held;
  }
  override holdFlags(operation: FlagOperation): boolean {
    if (!this.holds) return false;
    this.locals.flags.hold(operation);
    return true;
  }

  /** A supervisor's region needs no look at the privilege. */
  override isUser(): Value {
    return this.unprivileged ? super.isUser() : i32.const(0);
  }

  /** Microcode finds the registers in the state page and may change them there. */
  override microcode(operation: number, argument: Value = i32.const(0)): void {
    const { f } = this;
    this.requireFlags();
    const fixed = f.let(argument);
    const everything = ALL;
    for (const index of ALL.used) {
      this.usage.used.add(index);
      this.usage.written.add(index);
    }
    this.locals.spill(this.state, everything);
    super.setField('i64', S.RIP, this.rip());
    super.setField('i64', S.NEXT_RIP, this.nextRip());
    f.store('i32', this.state, S.BUDGET, this.locals.budget.get);
    const args = [this.state, i32.const(operation), i32.const(this.bits), fixed] as const;
    const status = f.let(f.call(this.runtime.imports.microcode, ...args));
    this.locals.fill(this.state, everything);
    f.if(i32.eq(status, i32.const(Status.Leave)), () => this.leave());
    f.if(i32.eq(status, i32.const(Status.Jumped)), () => this.jump(loads.i64(this.state, S.RIP)));
    this.noteStale();
  }

  // Stores to the region's own code, by microcode too (ENTER, FSAVE)

  protected override finishSlowStore(host: Value, size: Value): void {
    super.finishSlowStore(host, size);
    this.noteStale();
  }

  /** The entry record no longer enters this region once a byte of its code has been written. */
  private noteStale(): void {
    this.touchedCode = true;
    const handler = loads.i32_16u(i32.const(this.entryRecord), 0);
    this.f.set(
      this.locals.stale,
      select(i32.eq(handler, i32.const(REGION_HANDLER)), this.locals.stale.get, i32.const(1)),
    );
  }
}

import { Handler } from '../record.ts';

const REGION_HANDLER = Handler.Region;
const ALL: Usage = {
  used: new Set(Array.from({ length: 18 }, (_, k) => k)),
  written: new Set(Array.from({ length: 18 }, (_, k) => k)),
};
