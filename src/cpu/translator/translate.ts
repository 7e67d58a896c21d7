/** Generates the WebAssembly function of a region: structured control flow over its blocks. */
import type { FunctionBuilder, FunctionRef, Label } from '../../support/wasm/function-builder.ts';
import type { ModuleBuilder } from '../../support/wasm/module-builder.ts';
import { i32, i64, loads, type Value } from '../../support/wasm/values.ts';
import { Mode } from '../mode.ts';
import type { Runtime } from '../runtime.ts';
import { semantics } from '../semantics/index.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import { buildFlow, type FlowNode } from './control-flow.ts';
import type { Region, RegionBlock } from './region.ts';
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
      const offset = i64.extendU(i32.and(way, i32.const(WayOut.OffsetMask)));
      f.store('i64', state, S.RIP, this.ripAt(offset));
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

  /** Goes to a page offset from `from`. */
  private goTo(from: FlowNode, offset: number): void {
    const target = this.nodes.get(offset);
    if (!target) {
      this.leaveTo(offset);
      return;
    }
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

  /** A back edge: where budget and attention are looked at. */
  private goBack(target: FlowNode): void {
    const { f, locals } = this;
    const calm = i32.and(
      i32.gtS(locals.budget.get, i32.const(0)),
      i32.eqz(loads.i32(this.state, S.ATTENTION)),
    );
    f.branchIf(this.loops.get(target)!, calm, 'likely');
    this.leaveTo(target.offset);
  }

  private leaveTo(offset: number): void {
    const { f, locals } = this;
    if (offset >= 0 && offset <= WayOut.OffsetMask) {
      locals.leave(this.out, WayOut.Jumped, offset, 0);
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
    else if (end.kind === 'outside') this.leaveTo(end.offset);
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
    const target = last && block.end.kind === 'branch' ? block.end.taken : undefined;
    const stage = new RegionStage(f, this.context.runtime, this.state, this.tlb, {
      placed: { instruction, form, pageOffset: offset, index: 0 },
      mode: this.context.mode,
      locals,
      usage: this.usage,
      flow: { out: this.out, goTo: (to) => this.goTo(node, to) },
      remaining: block.instructions.length - index,
      target,
      entryRecord: this.context.entryRecord,
      holds: mayHold(at),
    });
    f.scope(() => semantics[form.mnemonic]!(stage));
    // A store that changed this very region: what follows must be decoded again.
    if (stage.touchedCode && !(last && block.end.kind === 'instruction'))
      f.if(locals.stale.get, () => stage.finishBlock(), undefined, 'unlikely');
  }
}
