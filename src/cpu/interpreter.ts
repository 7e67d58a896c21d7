/**
 * The interpreter: one WebAssembly function that looks up the decoded block at RIP and runs its records. The
 * forms that hot code is made of are cases of the function's own switch; every other form is a function of its
 * own, called through a table. Both come from the same semantics.
 *
 *   lookup ──► dispatch ◄─┐ next record
 *     ▲           │ ──────┘
 *     ├── jumped ─┤          RIP is elsewhere: look up again (or follow a link within the page)
 *     └── leave ──┘          a fault is delivered by the host, an exit returns
 */
import type { FunctionBuilder, FunctionRef, Label, Local } from '../support/wasm/function-builder.ts';
import { ModuleBuilder } from '../support/wasm/module-builder.ts';
import { i32, i64, loads, select, type Value } from '../support/wasm/values.ts';
import { FLAG } from '../x86/flags.ts';
import { allForms, type Form, lockedForms } from './instructions/forms.ts';
import {
  BLOCK_ENTRIES_LEFT,
  BLOCK_ENTRY_SHIFT,
  BLOCK_TABLE_ENTRIES,
  TLB_ADDEND,
  TLB_EXECUTE,
  TLB_SIZE,
} from './logical-processor-area.ts';
import { defineLongModeDelivery } from './long-mode-delivery.ts';
import { Operation } from './microcode/operations.ts';
import { Mode } from './mode.ts';
import { EXIT_MARK, NO_ADDRESS, tlbEntry } from './paging.ts';
import { Access, Attention, Exit } from './processor.ts';
import { Counter, count } from './profile.ts';
import {
  Handler,
  RECORD_DISPLACEMENT,
  RECORD_HANDLER,
  RECORD_IMMEDIATE,
  RECORD_LENGTH,
  RECORD_PAGE_OFFSET,
  RECORD_SHIFT,
  RECORD_SIZE,
} from './record.ts';
import { RecordStage } from './record-stage.ts';
import { attentionOf, defineRuntime, type Runtime } from './runtime.ts';
import { semantics } from './semantics/index.ts';
import { Status } from './stage.ts';
import * as S from './state-layout.ts';

const HOT_MNEMONICS = new Set(
  'mov add sub and or xor cmp test inc dec lea movzx movsx movsxd shl shr sar jmp call ret push pop nop imul'.split(
    ' ',
  ),
);
const isHot = (form: Form): boolean => {
  if (/^j(?!mpf|cxz)/.test(form.mnemonic)) return form.operandSize === 64 && form.shapes[0] === 'rel';
  if (!HOT_MNEMONICS.has(form.mnemonic) || form.operandSize === 16 || form.repeat !== 'none') return false;
  return form.shapes.every((shape) => /^([rm](8|16|32|64)|i|rel|m)$/.test(shape));
};

/** Which handler executes which form, the same for every processor of this build. */
export interface HandlerTable {
  /** Handler number by form key. */
  readonly byKey: ReadonlyMap<string, number>;
  readonly hot: readonly Form[];
  readonly cold: readonly Form[];
  /** Behind the cold ones; only interpreters that share memory with other threads have them. */
  readonly locked: readonly Form[];
}

function buildHandlerTable(): HandlerTable {
  const known = allForms().filter((form) => semantics[form.mnemonic] !== undefined);
  const hot = known.filter(isHot);
  const cold = known.filter((form) => !isHot(form));
  const locked = lockedForms().map(({ form }) => form);
  const byKey = new Map([...hot, ...cold, ...locked].map((form, k) => [form.key, Handler.First + k]));
  return { byKey, hot, cold, locked };
}

export const handlerTable = buildHandlerTable();

/** Slots of the function table for translated regions, behind the cold and locked handlers. */
export const REGION_SLOTS = 1 << 14;
export const FIRST_REGION_SLOT = handlerTable.cold.length + handlerTable.locked.length;

/** Slot of the block table for code at host address `spa` under `mode`. The block decoder computes the same. */
export const blockSlot = (spa: number, mode: number): number =>
  ((spa ^ (spa >>> 12) ^ Math.imul(mode, 0x9e35)) & (BLOCK_TABLE_ENTRIES - 1)) << BLOCK_ENTRY_SHIFT;

function blockSlotValue(spa: Value, mode: Value): Value {
  const mixed = i32.xor(i32.xor(spa, i32.shrU(spa, i32.const(12))), i32.mul(mode, i32.const(0x9e35)));
  return i32.shl(i32.and(mixed, i32.const(BLOCK_TABLE_ENTRIES - 1)), i32.const(BLOCK_ENTRY_SHIFT));
}

class InterpreterBuilder {
  readonly f: FunctionBuilder;
  readonly runtime: Runtime;
  readonly state: Value;
  readonly record: Local;
  readonly blockStart: Local;
  readonly tlb: Local;
  /** Record of a branch whose target is about to be looked up and may be linked; else 0. */
  readonly linkFrom: Local;
  private readonly coldSignature: number;
  private readonly regionSignature: number;

  constructor(f: FunctionBuilder, runtime: Runtime, coldSignature: number, regionSignature: number) {
    this.f = f;
    this.runtime = runtime;
    this.state = f.params[0]!.get;
    this.record = f.local('i32');
    this.blockStart = f.local('i32');
    this.tlb = f.local('i32');
    this.linkFrom = f.local('i32');
    this.coldSignature = coldSignature;
    this.regionSignature = regionSignature;
  }

  private field(kind: keyof typeof loads, offset: number): Value {
    return loads[kind](this.state, offset);
  }

  private attention(): Value {
    return attentionOf(this.state, this.runtime);
  }

  build(): void {
    const { f } = this;
    f.loop((lookup) => {
      f.block((leave) => {
        f.block((jumped) => {
          f.block((fault) => {
            this.checkBoundary(fault);
            this.lookUp(fault);
            f.loop((dispatch) => this.dispatch({ lookup, dispatch, jumped, leave, fault }));
          });
          this.deliver(lookup);
        });
        this.charge(1);
        f.set(this.linkFrom, i32.const(0));
        f.branch(lookup);
      });
      this.charge(0);
      this.storeRip();
      this.deliver(lookup);
    });
    f.unreachable();
  }

  /** Takes the instructions since the block's start, and `extra` more, from the budget. */
  private charge(extra: number): void {
    const done = i32.shrU(i32.sub(this.record.get, this.blockStart.get), i32.const(RECORD_SHIFT));
    const left = i32.sub(this.field('i32', S.BUDGET), i32.add(done, i32.const(extra)));
    this.f.store('i32', this.state, S.BUDGET, left);
  }

  /** RIP becomes that of the current record. */
  private storeRip(): void {
    const within = loads.i64_16u(this.record.get, RECORD_PAGE_OFFSET);
    const rip = i64.and(i64.add(this.field('i64', S.RIP_PAGE), within), this.field('i64', S.CODE_MASK));
    this.f.store('i64', this.state, S.RIP, rip);
  }

  /** Exits that are due between instructions; then what STI's shadow and the trap flag want. */
  private checkBoundary(fault: Label): void {
    const { f } = this;
    const exit = (reason: number): void => f.return(i32.const(reason));
    f.if(i32.leS(this.field('i32', S.BUDGET), i32.const(0)), () => exit(Exit.Budget), undefined, 'unlikely');
    const single = i32.and(this.field('i32', S.MODE), i32.const(Mode.Shadow | Mode.Trap));
    f.if(
      i32.or(this.attention(), single),
      () => {
        const attention = f.let(this.attention());
        const stops = i32.const(Attention.Stop | Attention.Service);
        f.if(i32.and(attention, stops), () => exit(Exit.Attention));
        f.if(single, () => this.singleBoundary(fault));
        const enabled = i32.ne(i32.and(this.field('i32', S.FLAGS_SYSTEM), i32.const(FLAG.IF)), i32.const(0));
        const window = i32.and(
          i32.ne(i32.and(attention, i32.const(Attention.InterruptWindow)), i32.const(0)),
          enabled,
        );
        f.if(i32.and(window, i32.eqz(this.field('i32', S.INTERRUPT_SHADOW))), () =>
          exit(Exit.InterruptWindow),
        );
      },
      undefined,
      'unlikely',
    );
  }

  /**
   * Before an instruction that runs alone. A plain interrupt shadow, the common case, is counted down here: 2, then
   * 1 while the instruction runs, then over. The rest is microcode's (debug-exceptions.ts, `boundary`).
   */
  private singleBoundary(fault: Label): void {
    const { f, state } = this;
    const shadow = f.let(this.field('i32', S.INTERRUPT_SHADOW));
    const mode = this.field('i32', S.MODE);
    const flags = i32.and(this.field('i32', S.FLAGS_SYSTEM), i32.const(FLAG.TF | FLAG.RF));
    const others = i32.or(this.field('i32', S.TRAP_PENDING), this.field('i32', S.DEBUG_HITS));
    const intricate = i32.or(i32.or(flags, others), i32.and(mode, i32.const(Mode.Trap)));
    const plain = i32.and(i32.eqz(intricate), i32.ne(i32.and(shadow, i32.const(3)), i32.const(0)));
    f.if(
      plain,
      () => {
        const begins = i32.eq(i32.and(shadow, i32.const(3)), i32.const(2));
        f.store(
          'i32',
          state,
          S.INTERRUPT_SHADOW,
          select(begins, i32.sub(shadow, i32.const(1)), i32.const(0)),
        );
        const ended = i32.and(mode, i32.const(~Mode.Shadow));
        f.store('i32', state, S.MODE, select(begins, mode, ended));
      },
      () => {
        const args = [state, i32.const(Operation.Boundary), i32.const(0), i32.const(0)] as const;
        f.branchIf(fault, f.call(this.runtime.imports.microcode, ...args));
      },
    );
  }

  /** Finds or makes the decoded block at RIP. */
  private lookUp(fault: Label): void {
    const { f, state } = this;
    f.scope(() => {
      const isUser = i32.eq(this.field('i32', S.CPL), i32.const(3));
      f.set(this.tlb, i32.add(this.field('i32', S.TLB_BASE), i32.mul(isUser, i32.const(TLB_SIZE))));
      const rip = f.let(this.field('i64', S.RIP));
      const linear = f.let(i64.add(rip, this.field('i64', S.CODE_BASE)));
      const entry = f.let(tlbEntry(f, this.tlb.get, linear));
      const host = f.local('i32');
      f.if(
        i64.eq(loads.i64(entry, TLB_EXECUTE), i64.and(linear, i64.const(-4096n))),
        () => f.set(host, i32.add(i32.wrap(linear), loads.i32(entry, TLB_ADDEND))),
        () => {
          const args = [state, linear, i32.const(1), i32.const(Access.Execute), isUser] as const;
          f.set(host, f.call(this.runtime.prepare, ...args));
          f.branchIf(fault, i32.eq(host.get, i32.const(NO_ADDRESS)));
        },
        'likely',
      );
      f.store('i64', state, S.RIP_PAGE, i64.sub(rip, i64.and(linear, i64.const(4095))));
      const mode = f.let(this.field('i32', S.MODE));
      const table = i32.add(this.field('i32', S.BLOCK_TABLE_BASE), blockSlotValue(host.get, mode));
      const slot = f.let(table);
      f.if(
        i32.and(i32.eq(loads.i32(slot), host.get), i32.eq(loads.i32(slot, 4), mode)),
        () => {
          f.set(this.record, loads.i32(slot, 8));
          this.countEntry(slot, host.get);
          f.if(this.linkFrom.get, () =>
            f.store('i32', this.linkFrom.get, RECORD_DISPLACEMENT, this.record.get),
          );
        },
        () => {
          f.set(this.record, f.call(this.runtime.imports.decodeBlock, state, host.get));
          f.branchIf(fault, i32.eqz(this.record.get));
        },
        'likely',
      );
      f.set(this.linkFrom, i32.const(0));
      f.set(this.blockStart, this.record.get);
    });
  }

  /** The entry that uses up what the block's slot allows tells the translator. */
  private countEntry(slot: Value, host: Value): void {
    const { f } = this;
    const left = f.let(i32.sub(loads.i32(slot, BLOCK_ENTRIES_LEFT), i32.const(1)));
    f.store('i32', slot, BLOCK_ENTRIES_LEFT, left);
    f.if(i32.eqz(left), () => f.run(this.runtime.imports.blockIsHot, host), undefined, 'unlikely');
  }

  /** Goes on after a delivered fault, or returns the exit. */
  private deliver(lookup: Label): void {
    const { f, state } = this;
    f.set(this.linkFrom, i32.const(0));
    const pending = f.let(this.field('i32', S.FAULT_VECTOR));
    f.if(i32.geU(pending, i32.const(EXIT_MARK)), () => {
      f.store('i32', state, S.FAULT_VECTOR, i32.const(0));
      f.return(i32.sub(pending, i32.const(EXIT_MARK)));
    });
    f.branchIf(lookup, i32.eqz(f.call(this.runtime.imports.deliverFault, state)));
    f.return(this.field('i32', S.EXIT_REASON));
  }

  private dispatch(labels: {
    lookup: Label;
    dispatch: Label;
    jumped: Label;
    leave: Label;
    fault: Label;
  }): void {
    const { f } = this;
    const next = (): void => {
      f.set(this.record, i32.add(this.record.get, i32.const(RECORD_SIZE)));
      f.branch(labels.dispatch);
    };
    const fixed: (() => void)[] = [];
    // A stale or final record is no instruction: RIP is where it stands, and it is not charged for.
    const lookAgain = (): void => {
      this.charge(0);
      this.storeRip();
      f.set(this.linkFrom, i32.const(0));
      f.branch(labels.lookup);
    };
    fixed[Handler.Stale] = lookAgain;
    fixed[Handler.Continue] = lookAgain;
    fixed[Handler.AfterOne] = lookAgain;
    fixed[Handler.Raise] = () => {
      const vector = i32.wrap(loads.i64(this.record.get, RECORD_IMMEDIATE));
      const error = i32.wrap(loads.i64(this.record.get, RECORD_DISPLACEMENT));
      f.run(this.runtime.raise, this.state, vector, error);
      f.branch(labels.leave);
    };
    fixed[Handler.CheckSecondPage] = () => {
      const after = (): void => {
        // The check is no instruction: the block starts behind it.
        f.set(this.blockStart, i32.add(this.record.get, i32.const(RECORD_SIZE)));
        next();
      };
      f.scope(() => f.if(this.secondPageHolds(), after, undefined, 'likely'));
      const args = [this.state, i32.const(Operation.CheckSecondPage), i32.const(0), this.record.get] as const;
      const status = f.let(f.call(this.runtime.imports.microcode, ...args));
      f.branchIf(labels.leave, i32.eq(status, i32.const(Status.Leave)));
      f.if(i32.eq(status, i32.const(Status.Jumped)), lookAgain);
      after();
    };
    fixed[Handler.Goto] = () => {
      this.charge(0);
      f.set(this.record, loads.i32(this.record.get, RECORD_IMMEDIATE));
      f.set(this.blockStart, this.record.get);
      f.branch(labels.dispatch);
    };
    fixed[Handler.Region] = () => this.enterRegion(labels);
    const hot = handlerTable.hot.map((form) => () => {
      f.scope(() => {
        const stage = new RecordStage(f, this.runtime, form, this.state, this.tlb.get, this.record.get, {
          leave: () => f.branch(labels.leave),
          jumped: () => f.branch(labels.jumped),
          linkedJump: (s, k) => this.linkedJump(s, k, labels),
        });
        semantics[form.mnemonic]!(stage);
      });
      next();
    });
    f.switch(loads.i32_16u(this.record.get, RECORD_HANDLER), [...fixed, ...hot], () => {
      const slot = i32.sub(
        loads.i32_16u(this.record.get, RECORD_HANDLER),
        i32.const(Handler.First + hot.length),
      );
      const status = f.let(
        f.callIndirect(this.coldSignature, 'i32', slot, this.state, this.record.get, this.tlb.get),
      );
      f.if(i32.eqz(status), next, undefined, 'likely');
      f.branchIf(labels.leave, i32.eq(status, i32.const(Status.Leave)));
      f.branch(labels.jumped);
    });
  }

  /** 1 if the soft TLB says that the page behind the current one is still the page in the record. */
  private secondPageHolds(): Value {
    const { f } = this;
    const here = i64.add(this.field('i64', S.RIP_PAGE), this.field('i64', S.CODE_BASE));
    const next = f.let(i64.and(i64.add(here, i64.const(4096)), i64.const(-4096n)));
    const entry = f.let(tlbEntry(f, this.tlb.get, next));
    const spn = i32.shrU(i32.add(i32.wrap(next), loads.i32(entry, TLB_ADDEND)), i32.const(12));
    return i32.and(
      i64.eq(loads.i64(entry, TLB_EXECUTE), next),
      i32.eq(spn, loads.i32(this.record.get, RECORD_IMMEDIATE)),
    );
  }

  /** Runs a translated region; it keeps account of the budget and leaves RIP true. */
  private enterRegion(labels: { lookup: Label; leave: Label; fault: Label }): void {
    const { f } = this;
    this.charge(0);
    const slot = i32.wrap(loads.i64(this.record.get, RECORD_IMMEDIATE));
    const before = f.let(this.field('i32', S.BUDGET));
    const status = f.let(f.callIndirect(this.regionSignature, 'i32', slot, this.state, this.tlb.get));
    const done = i64.extendU(i32.sub(before, this.field('i32', S.BUDGET)));
    count(f, this.state, Counter.InRegions, done);
    f.set(this.linkFrom, i32.const(0));
    f.branchIf(labels.lookup, i32.ne(status, i32.const(Status.Leave)));
    f.branch(labels.fault);
  }

  /** A taken relative branch: straight to the linked record where there is one, else by lookup, and linked then. */
  private linkedJump(s: RecordStage, k: number, labels: { lookup: Label; dispatch: Label }): void {
    const { f, state } = this;
    this.charge(1);
    const link = f.let(loads.i32(this.record.get, RECORD_DISPLACEMENT));
    const calm = i32.and(i32.gtS(this.field('i32', S.BUDGET), i32.const(0)), i32.eqz(this.attention()));
    f.if(i32.and(i32.ne(link, i32.const(0)), calm), () => {
      f.set(this.record, link);
      f.set(this.blockStart, link);
      f.branch(labels.dispatch);
    });
    f.store('i64', state, S.RIP, s.relativeTarget(k));
    const within = i64.add(
      loads.i64_16u(this.record.get, RECORD_PAGE_OFFSET),
      loads.i64_8u(this.record.get, RECORD_LENGTH),
    );
    const target = i64.add(within, s.immediate(k));
    const single = i32.and(this.field('i32', S.MODE), i32.const(Mode.Shadow | Mode.Trap));
    const linkable = i32.and(i64.ltU(target, i64.const(4096)), i32.eqz(single));
    f.set(this.linkFrom, i32.mul(linkable, this.record.get));
    f.branch(labels.lookup);
  }
}

/**
 * (state, tlb) → status: where a region goes when control leaves it. The region at RIP goes on at once, by a tail
 * call; for anything else (no region there, something to look at first) the interpreter looks RIP up.
 */
function defineProceed(m: ModuleBuilder, runtime: Runtime, regionSignature: number): FunctionRef {
  return m.function('proceed', { params: ['i32', 'i32'], results: ['i32'] }, (f) => {
    const [state, tlb] = f.params.map((p) => p.get) as [Value, Value];
    const field = (kind: keyof typeof loads, offset: number): Value => loads[kind](state, offset);
    const lookUp = (condition: Value): void =>
      f.if(condition, () => f.return(i32.const(Status.Jumped)), undefined, 'unlikely');
    const mode = f.let(field('i32', S.MODE));
    const single = i32.and(mode, i32.const(Mode.Shadow | Mode.Trap));
    lookUp(
      i32.or(i32.leS(field('i32', S.BUDGET), i32.const(0)), i32.or(attentionOf(state, runtime), single)),
    );
    const rip = f.let(field('i64', S.RIP));
    const linear = f.let(i64.add(rip, field('i64', S.CODE_BASE)));
    const entry = f.let(tlbEntry(f, tlb, linear));
    lookUp(i64.ne(loads.i64(entry, TLB_EXECUTE), i64.and(linear, i64.const(-4096n))));
    const host = f.let(i32.add(i32.wrap(linear), loads.i32(entry, TLB_ADDEND)));
    const slot = f.let(i32.add(field('i32', S.BLOCK_TABLE_BASE), blockSlotValue(host, mode)));
    lookUp(i32.or(i32.xor(loads.i32(slot), host), i32.xor(loads.i32(slot, 4), mode)));
    const record = f.let(loads.i32(slot, 8));
    lookUp(i32.ne(loads.i32_16u(record, RECORD_HANDLER), i32.const(Handler.Region)));
    f.store('i64', state, S.RIP_PAGE, i64.sub(rip, i64.and(linear, i64.const(4095))));
    f.returnCallIndirect(regionSignature, loads.i32(record, RECORD_IMMEDIATE), state, tlb);
  });
}

function defineCold(m: ModuleBuilder, runtime: Runtime, form: Form): FunctionRef {
  return m.function(form.key, { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f) => {
    const [state, record, tlb] = f.params.map((p) => p.get) as [Value, Value, Value];
    const stage = new RecordStage(f, runtime, form, state, tlb, record, {
      leave: () => f.return(i32.const(Status.Leave)),
      jumped: () => f.return(i32.const(Status.Jumped)),
    });
    semantics[form.mnemonic]!(stage);
    f.emit(i32.const(Status.Next));
  });
}

/**
 * The interpreter's module: exports run, prepare, commit, walk. `shared`: other threads execute on the same memory.
 */
export function buildInterpreter(shared = false): Uint8Array {
  const m = new ModuleBuilder();
  const runtime = defineRuntime(m, shared);
  const regionSignature = m.signature({ params: ['i32', 'i32'], results: ['i32'] });
  const coldSignature = m.signature({ params: ['i32', 'i32', 'i32'], results: ['i32'] });
  m.setTable(
    [...handlerTable.cold, ...(shared ? handlerTable.locked : [])].map((form) =>
      defineCold(m, runtime, form),
    ),
    REGION_SLOTS + (shared ? 0 : handlerTable.locked.length),
    'table',
  );
  const run = m.function('run', { params: ['i32'], results: ['i32'] }, (f) =>
    new InterpreterBuilder(f, runtime, coldSignature, regionSignature).build(),
  );
  const proceed = defineProceed(m, runtime, regionSignature);
  const { imports: _, isShared: __, ...functions } = runtime;
  const deliverLong = defineLongModeDelivery(m, runtime.prepare, runtime.commit);
  for (const fn of [run, proceed, deliverLong, ...Object.values(functions)]) m.export(fn);
  return m.finish();
}
