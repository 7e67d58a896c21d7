/** Which places of a region its returns may go to: behind the calls whose callee reaches them. */
import type { RegionBlock } from './region-block.ts';

/** More than so many comparisons behind a return cost more than a lookup. */
const MOST_PLACES = 4;

/** Fills in the places of the region's returns. */
export function findReturns(blocks: ReadonlyMap<number, RegionBlock>): void {
  for (const { end } of blocks.values()) {
    if (end.kind !== 'call' || !blocks.has(end.next)) continue;
    for (const at of reached(blocks, end.taken)) {
      const last = blocks.get(at)!.end;
      if (last.kind !== 'return' || last.places.length >= MOST_PLACES) continue;
      if (!last.places.includes(end.next)) last.places.push(end.next);
    }
  }
}

/** Blocks that a function's own code comes to: what it calls is passed over. */
function reached(blocks: ReadonlyMap<number, RegionBlock>, start: number): Set<number> {
  const seen = new Set<number>();
  const queue = [start];
  for (let offset = queue.pop(); offset !== undefined; offset = queue.pop()) {
    const block = blocks.get(offset);
    if (!block || seen.has(offset)) continue;
    seen.add(offset);
    const { end } = block;
    if (end.kind === 'branch') queue.push(end.taken, ...(end.next === undefined ? [] : [end.next]));
    else if (end.kind === 'call') queue.push(end.next);
    else if (end.kind === 'fall') queue.push(end.offset);
  }
  return seen;
}
