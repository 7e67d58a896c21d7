/**
 * A region: the basic blocks that relative branches, calls and their returns reach from an entry. It is what the
 * translator makes one function of. Places are linear offsets from the page of the entry; other pages belong to it
 * where their translation is known now, and control crosses to them under a guard (translate.ts). Indirect jumps,
 * returns to unknown callers and code that was not met yet lie outside.
 */
import { decode, MAX_INSTRUCTION_LENGTH } from '../instructions/decode.ts';
import { type Form, formOf } from '../instructions/forms.ts';
import type { CodeSize } from '../instructions/instruction.ts';
import { faultOfMode } from '../mode-faults.ts';
import { ENDS_BLOCK } from '../operand-places.ts';
import { semantics } from '../semantics/index.ts';
import type { RegionBlock, RegionInstruction, Terminator } from './region-block.ts';
import { findReturns } from './returns.ts';

export interface Region {
  entry: number;
  /** By place. */
  blocks: Map<number, RegionBlock>;
  instructionCount: number;
  /** Each page that the region has code on, by the offset of its first byte. */
  pages: ReadonlyMap<number, SourcePage>;
}

/** A page's host address, and the bytes that were decoded. */
export interface SourcePage {
  host: number;
  bytes: Uint8Array;
}

/** What a region is found in. */
export interface CodeSource {
  /** The bytes of the page at a host address. */
  bytesOf(host: number): Uint8Array;
  code: CodeSize;
  mode: number;
  /** Host address of the page at this offset (a multiple of 4096) from the entry's page; -1 where it is not known. */
  pageAt(offset: number): number;
  /** Whether the code at a place has been met; other code is left out until it is. */
  isKnown(host: number): boolean;
  /** Whether calls, returns and other pages may belong to the region. */
  follow: boolean;
}

const MAX_BLOCKS = 16;
const MAX_INSTRUCTIONS = 60;
const MAX_PAGES = 3;
/** Blocks that begin inside others' instructions may decode the same bytes several times; together no more than this. */
const MOST_DECODED = 600;
const IN_REGION_ENDS = new Set(['jmp', 'call', 'ret']);
/** Semantics that need the interpreter's own surroundings, or change what a region relies on. */
const EXCLUDED = new Set('hlt cpuid'.split(' '));
const BRANCHES = /^(j(?!mpf).*|loop(e|ne)?)$/;

const isRelative = (form: Form): boolean => form.shapes[0] === 'rel';

/** Offset of the page that a place lies on. */
export const pageOf = (offset: number): number => offset - (offset & 4095);

/** Decodes the region that starts at `entry` (0..4095); undefined if there is none. */
export const findRegion = (source: CodeSource, entry: number): Region | undefined =>
  new RegionDecoder(source).find(entry);

class RegionDecoder {
  private readonly source: CodeSource;
  private readonly pages = new Map<number, SourcePage>();
  private readonly instructions = new Map<number, RegionInstruction | undefined>();

  constructor(source: CodeSource) {
    this.source = source;
  }

  private page(offset: number): SourcePage | undefined {
    const at = pageOf(offset);
    const known = this.pages.get(at);
    if (known) return known;
    if (at !== 0 && (!this.source.follow || this.pages.size >= MAX_PAGES)) return undefined;
    const host = this.source.pageAt(at);
    if (host < 0) return undefined;
    const page = { host, bytes: this.source.bytesOf(host) };
    this.pages.set(at, page);
    return page;
  }

  /** The instruction at a place, or undefined where a region must not go. */
  private at(offset: number): RegionInstruction | undefined {
    if (this.instructions.has(offset)) return this.instructions.get(offset);
    const found = this.decodeAt(offset);
    this.instructions.set(offset, found);
    return found;
  }

  private decodeAt(offset: number): RegionInstruction | undefined {
    const page = this.page(offset);
    if (!page) return undefined;
    const { code, mode } = this.source;
    const within = offset & 4095;
    const result = decode(page.bytes, within, Math.min(4096 - within, MAX_INSTRUCTION_LENGTH), code);
    if (result.kind !== 'ok') return undefined;
    const { instruction } = result;
    const { row } = instruction;
    if (faultOfMode(row, mode) || !semantics[row.mnemonic] || EXCLUDED.has(row.mnemonic)) return undefined;
    if (ENDS_BLOCK.has(row.mnemonic) && !IN_REGION_ENDS.has(row.mnemonic)) return undefined;
    const form = formOf(instruction);
    // A 16-bit branch in wider code cuts RIP: its target is not where the displacement says.
    const cutsRip = isRelative(form) && form.operandSize === 16 && code !== 16;
    if (form.shapes.includes('far') || cutsRip) return undefined;
    return { instruction, form, offset };
  }

  find(entry: number): Region | undefined {
    if (!this.at(entry)) return undefined;
    const starts = this.findStarts(entry);
    const blocks = new Map<number, RegionBlock>();
    let instructionCount = 0;
    for (const start of starts) {
      const block = this.block(start, starts, Math.max(1, MOST_DECODED - instructionCount));
      blocks.set(start, block);
      instructionCount += block.instructions.length;
    }
    findReturns(blocks);
    const { pages } = this;
    return { entry, blocks, instructionCount, pages };
  }

  /** Places where blocks begin, breadth first from the entry, within the limits. */
  private findStarts(entry: number): Set<number> {
    const starts = new Set([entry]);
    const queue = [entry];
    const seen = new Set<number>();
    const add = (offset: number): void => {
      if (starts.has(offset) || starts.size >= MAX_BLOCKS || !this.at(offset)) return;
      if (!this.source.isKnown(this.page(offset)!.host + (offset & 4095))) return;
      starts.add(offset);
      queue.push(offset);
    };
    while (queue.length > 0 && seen.size < MAX_INSTRUCTIONS) {
      const start = queue.shift()!;
      let offset = start;
      for (
        let at = this.at(offset);
        at && !seen.has(offset) && seen.size < MAX_INSTRUCTIONS;
        at = this.at(offset)
      ) {
        if (pageOf(offset) !== pageOf(start)) {
          add(offset);
          break;
        }
        seen.add(offset);
        const { mnemonic } = at.instruction.row;
        const next = offset + at.instruction.length;
        if (this.isCall(at)) {
          add(targetOf(at));
          // Without the callee nothing of the region returns there.
          if (starts.has(targetOf(at))) add(next);
          break;
        }
        if (BRANCHES.test(mnemonic) && isRelative(at.form)) {
          add(targetOf(at));
          if (mnemonic !== 'jmp') add(next);
          break;
        }
        if (ENDS_BLOCK.has(mnemonic)) break;
        offset = next;
      }
    }
    return starts;
  }

  private isCall({ instruction, form }: RegionInstruction): boolean {
    return this.source.follow && instruction.row.mnemonic === 'call' && isRelative(form);
  }

  /** The block at `start`, of at most `most` instructions. */
  private block(start: number, starts: ReadonlySet<number>, most: number): RegionBlock {
    const instructions: RegionInstruction[] = [];
    const ends = (end: Terminator): RegionBlock => ({ offset: start, instructions, end });
    let offset = start;
    for (;;) {
      const at = this.at(offset);
      if (offset !== start && at && starts.has(offset)) return ends({ kind: 'fall', offset });
      const leaves = pageOf(offset) !== pageOf(start) || instructions.length >= most;
      if (!at || leaves) return ends({ kind: 'outside', offset });
      instructions.push(at);
      const { mnemonic } = at.instruction.row;
      offset += at.instruction.length;
      if (this.isCall(at) && starts.has(targetOf(at)))
        return ends({ kind: 'call', taken: targetOf(at), next: offset });
      if (BRANCHES.test(mnemonic) && isRelative(at.form)) {
        const next = mnemonic === 'jmp' ? undefined : offset;
        return ends({ kind: 'branch', taken: targetOf(at), next });
      }
      if (mnemonic === 'ret' && this.source.follow) return ends({ kind: 'return', places: [] });
      if (ENDS_BLOCK.has(mnemonic)) return ends({ kind: 'instruction' });
    }
  }
}

/** Place of a relative branch's target. */
function targetOf({ instruction, offset }: RegionInstruction): number {
  const operand = instruction.operands[0]!;
  const displacement = operand.kind === 'relative' ? Number(operand.displacement) : 0;
  return offset + instruction.length + displacement;
}
