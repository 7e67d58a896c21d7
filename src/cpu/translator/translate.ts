/** Generates the WebAssembly function of a region: structured control flow over its blocks. */
import type { FunctionBuilder, FunctionRef, Label } from '../../support/wasm/function-builder.ts';
import type { ModuleBuilder } from '../../support/wasm/module-builder.ts';
import { i32, i64, loads, type Value } from '../../support/wasm/values.ts';
import { TLB_ADDEND, TLB_EXECUTE } from '../logical-processor-area.ts';
import { Mode } from '../mode.ts';
import { tlbEntry } from '../paging.ts';
import { attentionOf, type Runtime } from '../runtime.ts';
import { semantics } from '../semantics/index.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import { buildFlow, type FlowNode } from './control-flow.ts';
import { pageOf, type Region } from './region.ts';
import type { RegionBlock } from './region-block.ts';
import { mayHold, runsWhileHeld, wantsFlags } from './region-flags.ts';
import { RegionLocals, RegionStage, type Usage, WayOut } from './region-stage.ts';

/** What a region is translated for. */
export interface TranslationContext {
  runtime: Runtime;
  /** Where control goes that leaves the region (interpreter.ts). */
  proceed: FunctionRef;
  mode: number;
  /** Address of the record that enters the region; its handler changes when the code does. */
  entryRecord: number;
}

/** Defines the region's function in `m`: (state, tlb) → Status.Jumped or Status.Leave. Undefined: not translatable. */
export function translateRegion(
  m: ModuleBuilder,
  name: string,
  region: Region,
  context: TranslationContext,
): FunctionRef | undefined {
  const nodes = buildFlow(region);
  if (!nodes) return undefined;
  const usage: Usage = { used: new Set(), written: new Set() };
  const type = { params: ['i32', 'i32'], results: ['i32'] } as const;
  return m.function(name, type, (f) => new RegionTranslator(f, region, nodes, context, usage).build());
}

class RegionTranslator {
  private readonly f: FunctionBuilder;
  private readonly region: Region;
  private readonly nodes: Map<number, FlowNode>;
  private readonly context: TranslationContext;
  private readonly usage: Usage;
  private readonly locals: RegionLocals;
  private readonly state: Value;
  private readonly tlb: Value;
  private readonly labels = new Map<FlowNode, Label>();
  private readonly loops = new Map<FlowNode, Label>();
  private out!: Label;

  constructor(
    f: FunctionBuilder,
    region: Region,
    nodes: FlowNode[],
    context: TranslationContext,
    usage: Usage,
  ) {
    this.f = f;
    this.region = region;
    this.nodes = new Map(nodes.map((node) => [node.offset, node]));
    this.context = context;
    this.usage = usage;
    f.nameParameters('state', 'tlb');
    this.locals = new RegionLocals(f);
    this.state = f.params[0]!.get;
    this.tlb = f.params[1]!.get;
  }

  build(): void {
    const { f, locals, state } = this;
    f.block((out) => {
      this.out = out;
      this.tree(this.nodes.get(this.region.entry)!);
      f.unreachable();
    });
    this.leave();
    f.prologue(() => {
      locals.fill(state, this.usage);
      f.set(locals.budget, loads.i32(state, S.BUDGET));
    });
  }

  /** The way out: what `WayOut` says is done here, once for the region. */
  private leave(): void {
    const { f, locals, state } = this;
    const way = locals.way.get;
    const part = (shift: number, mask: number): Value =>
      i32.and(i32.shrU(way, i32.const(shift)), i32.const(mask));
    f.if(i32.eqz(i32.and(way, i32.const(WayOut.RipStored))), () => {
      const within = i32.and(way, i32.const(WayOut.OffsetMask));
      f.store('i64', state, S.RIP, this.ripAt(i64.extendS(i32.add(locals.page.get, within))));
    });
    locals.flags.writeNumbered(part(WayOut.HeldShift, WayOut.HeldMask), (...fields) =>
      this.setFlags(...fields),
    );
    locals.spill(state, this.usage);
    const unexecuted = part(WayOut.UnexecutedShift, WayOut.UnexecutedMask);
    f.store('i32', state, S.BUDGET, i32.add(locals.budget.get, unexecuted));
    const jumped = i32.and(way, i32.const(WayOut.Jumped));
    f.if(jumped, () => f.returnCall(this.context.proceed, state, this.tlb), undefined, 'likely');
    f.emit(i32.const(Status.Leave));
  }

  private setFlags(result: Value, auxiliary: Value): void {
    const { f, locals, usage } = this;
    for (const index of [16, 17]) {
      usage.used.add(index);
      usage.written.add(index);
    }
    f.set(locals.flagResult!, result);
    f.set(locals.flagAux!, auxiliary);
  }

  /** Puts the flags where they belong; what is held stays known. */
  private writeFlags(): void {
    const { flags } = this.locals;
    if (flags.held) flags.write(flags.held, (...fields) => this.setFlags(...fields));
  }

  private ripAt(pageOffset: Value): Value {
    const value = i64.add(loads.i64(this.state, S.RIP_PAGE), pageOffset);
    const is64 = (this.context.mode & Mode.CodeSizeMask) === Mode.Code64;
    return is64 ? value : i64.and(value, i64.const(0xffffffffn));
  }

  /** Code of a node and of all that it dominates. */
  private tree(node: FlowNode): void {
    const { f } = this;
    const merges = node.children.filter((child) => child.isMerge).sort((a, b) => b.order - a.order);
    if (!node.isLoop) {
      this.within(node, merges);
      return;
    }
    f.loop((again) => {
      this.loops.set(node, again);
      this.within(node, merges);
    });
  }

  /** The node's own code inside a block per merge node, the latest outermost; each merge node's tree follows its block. */
  private within(node: FlowNode, merges: readonly FlowNode[]): void {
    const { f } = this;
    const [outer, ...rest] = merges;
    if (!outer) {
      this.block(node);
      return;
    }
    f.block((label) => {
      this.labels.set(outer, label);
      this.within(node, rest);
    });
    this.tree(outer);
  }

  /** Goes to a place from `from`. */
  private goTo(from: FlowNode, offset: number): void {
    const target = this.nodes.get(offset);
    if (!target) {
      this.leaveTo(from, offset);
      return;
    }
    if (pageOf(offset) !== pageOf(from.offset)) this.cross(from, offset);
    const back = target.order <= from.order;
    const meets = back || target.isMerge || target.isLoop;
    if (meets && wantsFlags(this.region.blocks.get(offset)!)) {
      this.writeFlags();
      this.locals.flags.held = undefined;
    }
    if (back) this.goBack(target);
    else if (target.isMerge) this.f.branch(this.labels.get(target)!);
    else this.tree(target);
  }

  /** To another page: it must still be where it was when the region was made, else the region is left. */
  private cross(from: FlowNode, offset: number): void {
    const { f, state } = this;
    const page = pageOf(offset);
    f.scope(() => {
      const linear = f.let(i64.add(loads.i64(state, S.RIP_PAGE), i64.const(page)));
      const entry = f.let(tlbEntry(f, this.tlb, linear));
      const host = i32.add(i32.wrap(linear), loads.i32(entry, TLB_ADDEND));
      const moved = i32.xor(host, i32.const(this.region.pages.get(page)!.host));
      const unknown = i64.ne(loads.i64(entry, TLB_EXECUTE), linear);
      f.if(i32.or(unknown, moved), () => this.leaveTo(from, offset), undefined, 'unlikely');
    });
    f.set(this.locals.page, i32.const(page));
  }

  /** A back edge: where budget and attention are looked at. */
  private goBack(target: FlowNode): void {
    const { f, locals } = this;
    const calm = i32.and(
      i32.gtS(locals.budget.get, i32.const(0)),
      i32.eqz(attentionOf(this.state, this.context.runtime)),
    );
    f.branchIf(this.loops.get(target)!, calm, 'likely');
    this.leaveTo(target, target.offset);
  }

  /** Leaves to a place from code on `from`'s page. */
  private leaveTo(from: FlowNode, offset: number): void {
    const { f, locals } = this;
    if (pageOf(offset) === pageOf(from.offset)) {
      locals.leave(this.out, WayOut.Jumped, offset & WayOut.OffsetMask, 0);
      return;
    }
    f.store('i64', this.state, S.RIP, this.ripAt(i64.const(offset)));
    locals.leave(this.out, WayOut.Jumped | WayOut.RipStored, 0, 0);
  }

  private block(node: FlowNode): void {
    const { f, locals } = this;
    const block = this.region.blocks.get(node.offset)!;
    const count = block.instructions.length;
    if (node.isMerge || node.isLoop) locals.flags.held = undefined;
    f.set(locals.budget, i32.sub(locals.budget.get, i32.const(count)));
    for (let index = 0; index < count; index++) this.instruction(node, block, index);
    const { end } = block;
    if (end.kind === 'fall') this.goTo(node, end.offset);
    else if (end.kind === 'outside') this.leaveTo(node, end.offset);
    else if (end.kind === 'branch' && end.next !== undefined) this.goTo(node, end.next);
  }

  private instruction(node: FlowNode, block: RegionBlock, index: number): void {
    const { f, locals } = this;
    const at = block.instructions[index]!;
    const { instruction, form, offset } = at;
    if (!runsWhileHeld(at)) {
      this.writeFlags();
      locals.flags.held = undefined;
    }
    const last = index === block.instructions.length - 1;
    const { end } = block;
    const target = last && (end.kind === 'branch' || end.kind === 'call') ? end.taken : undefined;
    const returns = last && end.kind === 'return' ? end.places : [];
    const stage = new RegionStage(f, this.context.runtime, this.state, this.tlb, {
      placed: { instruction, form, pageOffset: offset, index: 0 },
      mode: this.context.mode,
      locals,
      usage: this.usage,
      flow: { out: this.out, goTo: (to) => this.goTo(node, to) },
      remaining: block.instructions.length - index,
      target,
      returns,
      entryRecord: this.context.entryRecord,
      holds: mayHold(at),
    });
    f.scope(() => semantics[form.mnemonic]!(stage));
    // A store that changed this very region: what follows must be decoded again.
    const goesOn = !last || end.kind === 'branch' || end.kind === 'fall' || end.kind === 'outside';
    if (stage.touchedCode && goesOn) f.if(locals.stale.get, () => stage.finishBlock(), undefined, 'unlikely');
  }
}
