/**
 * What one page of guest code was decoded to: its blocks, where they begin, and which bytes they came from, so
 * that a store drops what it changes and nothing else. The decoder of a processor owns these.
 */
import * as R from './record.ts';

/** A granule is 32 bytes: one bit says that decoded code came from it. */
const GRANULE_SHIFT = 5;

export interface CodeSpan {
  /** Offsets within the page. */
  from: number;
  to: number;
}

/** A translated region, which may have code on several pages: it is dropped once. */
export interface RegionHandle {
  /** Slot of the function table. */
  readonly tableSlot: number;
  dropped: boolean;
}

export interface CodeBlock {
  /** Address of its entry in the block table. */
  slot: number;
  mode: number;
  /** Address of the first record. */
  record: number;
  count: number;
  /** The region that the record enters; undefined for a block of records. */
  region: RegionHandle | undefined;
  spans: readonly CodeSpan[];
}

/** Part of a block: from a record in its middle to its end. */
export interface KnownCode {
  record: number;
  count: number;
  /** Page offset behind the block. */
  to: number;
}

export class CodePage {
  /** Records of relative branches, which may be linked to records of this page. */
  readonly branches: number[] = [];
  private blocks: CodeBlock[] = [];
  private readonly starts = new Map<number, number>();
  private readonly granules = new Uint32Array(4096 >> (GRANULE_SHIFT + 5));

  get isEmpty(): boolean {
    return this.blocks.length === 0;
  }

  add(block: CodeBlock): void {
    this.blocks.push(block);
    this.mark(block);
  }

  /** A block of `mode` begins at `offset` with this record. */
  begins(offset: number, mode: number, record: number): void {
    this.starts.set(keyOf(offset, mode), record);
  }

  /** First record of the block that begins at `offset`. */
  startAt(view: DataView, offset: number, mode: number): number | undefined {
    const record = this.starts.get(keyOf(offset, mode));
    return record === undefined || isStale(view, record) ? undefined : record;
  }

  /** The record at `offset` of a block that has one there, and what follows it. */
  recordAt(view: DataView, offset: number, mode: number): KnownCode | undefined {
    for (const block of this.blocks) {
      if (block.mode !== mode || block.region) continue;
      const { from, to } = block.spans[0]!;
      // What lies on the page before has the second part of an instruction here.
      if (offset < from || offset >= to) continue;
      const index = indexOf(view, block, offset);
      const record = block.record + (index << R.RECORD_SHIFT);
      if (index >= 0 && !isStale(view, record)) return { record, count: block.count - index, to };
    }
    return undefined;
  }

  /** False: no code came from these bytes. */
  touches(from: number, to: number): boolean {
    for (let g = from >> GRANULE_SHIFT; g <= Math.min(to - 1, 4095) >> GRANULE_SHIFT; g++)
      if (this.granules[g >> 5]! & (1 << (g & 31))) return true;
    return false;
  }

  /** Gives up the blocks that came from these bytes and answers them. Links to them are undone. */
  drop(view: DataView, from: number, to: number): CodeBlock[] {
    const hit = ({ spans }: CodeBlock): boolean => spans.some((span) => span.from < to && from < span.to);
    const dropped = this.blocks.filter(hit);
    if (dropped.length === 0) return dropped;
    // Blocks that begin within a dropped one share its records. A region has but the one that enters it.
    const shares = ({ record }: CodeBlock, d: CodeBlock): boolean =>
      !d.region && d.record <= record && record < d.record + (d.count << R.RECORD_SHIFT);
    const lost = this.blocks.filter((block) => hit(block) || dropped.some((d) => shares(block, d)));
    const gone = new Set(lost);
    this.blocks = this.blocks.filter((block) => !gone.has(block));
    this.granules.fill(0);
    for (const block of this.blocks) this.mark(block);
    for (const branch of this.branches) view.setUint32(branch + R.RECORD_DISPLACEMENT, 0, true);
    return lost;
  }

  private mark({ spans }: CodeBlock): void {
    for (const { from, to } of spans) {
      for (let g = from >> GRANULE_SHIFT; g <= (to - 1) >> GRANULE_SHIFT; g++)
        this.granules[g >> 5]! |= 1 << (g & 31);
    }
  }
}

const keyOf = (offset: number, mode: number): number => mode * 4096 + offset;

const isStale = (view: DataView, record: number): boolean =>
  view.getUint16(record + R.RECORD_HANDLER, true) === R.Handler.Stale;

/** Index of the block's first record at page offset `offset`, or -1. Their offsets ascend; the last one is the end's. */
function indexOf(view: DataView, { record, count }: CodeBlock, offset: number): number {
  const at = (index: number): number =>
    view.getUint16(record + (index << R.RECORD_SHIFT) + R.RECORD_PAGE_OFFSET, true);
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(middle) < offset) low = middle + 1;
    else high = middle;
  }
  return low < count && at(low) === offset ? low : -1;
}
