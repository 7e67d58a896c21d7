/**
 * The control-flow graph of a region: reverse postorder, dominators, and what structured code needs to know of
 * each block (after Ramsey, "Beyond Relooper", 2022).
 */
import type { Region } from './region.ts';
import type { Terminator } from './region-block.ts';

export interface FlowNode {
  offset: number;
  /** Position in reverse postorder. */
  order: number;
  successors: FlowNode[];
  predecessors: FlowNode[];
  dominator: FlowNode | undefined;
  /** Immediately dominated nodes. */
  children: FlowNode[];
  /** Some back edge leads here. */
  isLoop: boolean;
  /** Two or more forward edges lead here: it stands behind a block of its own. */
  isMerge: boolean;
}

export function targetsOf(end: Terminator): number[] {
  if (end.kind === 'fall') return [end.offset];
  if (end.kind === 'call') return [end.taken];
  if (end.kind === 'return') return end.places;
  if (end.kind !== 'branch') return [];
  return end.next === undefined ? [end.taken] : [end.taken, end.next];
}

/** Nodes in reverse postorder, the entry first. Undefined if some loop can be entered in two ways (irreducible). */
export function buildFlow(region: Region): FlowNode[] | undefined {
  const nodes = reversePostorder(region);
  findDominators(nodes);
  for (const node of nodes) {
    const forward = node.predecessors.filter((p) => p.order < node.order);
    const back = node.predecessors.filter((p) => p.order >= node.order);
    node.isLoop = back.length > 0;
    node.isMerge = forward.length > 1;
    if (back.some((p) => !dominates(node, p))) return undefined;
    node.dominator?.children.push(node);
  }
  return nodes;
}

function reversePostorder(region: Region): FlowNode[] {
  const byOffset = new Map<number, FlowNode>();
  const postorder: FlowNode[] = [];
  const visit = (offset: number): FlowNode => {
    const node: FlowNode = {
      offset,
      order: 0,
      successors: [],
      predecessors: [],
      dominator: undefined,
      children: [],
      isLoop: false,
      isMerge: false,
    };
    byOffset.set(offset, node);
    // A branch to what follows it is two edges: counted once, code behind a chain of them would double each time.
    for (const target of targetsOf(region.blocks.get(offset)!.end)) {
      if (!region.blocks.has(target)) continue;
      const next = byOffset.get(target) ?? visit(target);
      node.successors.push(next);
      next.predecessors.push(node);
    }
    postorder.push(node);
    return node;
  };
  visit(region.entry);
  const nodes = postorder.reverse();
  nodes.forEach((node, order) => {
    node.order = order;
  });
  return nodes;
}

/** Cooper, Harvey and Kennedy: iterate to the fixed point in reverse postorder. */
function findDominators(nodes: readonly FlowNode[]): void {
  const entry = nodes[0]!;
  entry.dominator = entry;
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of nodes.slice(1)) {
      const known = node.predecessors.filter((p) => p.dominator !== undefined);
      const meet = known.reduce((a, b) => intersect(a, b));
      if (node.dominator === meet) continue;
      node.dominator = meet;
      changed = true;
    }
  }
  entry.dominator = undefined;
}

function intersect(a: FlowNode, b: FlowNode): FlowNode {
  let [x, y] = [a, b];
  while (x !== y) {
    while (x.order > y.order) x = x.dominator!;
    while (y.order > x.order) y = y.dominator!;
  }
  return x;
}

function dominates(a: FlowNode, b: FlowNode): boolean {
  for (let node: FlowNode | undefined = b; node; node = node.dominator) if (node === a) return true;
  return false;
}
