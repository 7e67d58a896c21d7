/**
 * A region: the basic blocks that relative branches reach from an entry within one page of code. It is what the
 * translator makes one function of. Calls, returns, indirect jumps and code on other pages lie outside.
 */
import { decode, MAX_INSTRUCTION_LENGTH } from '../instructions/decode.ts';
import { type Form, formOf } from '../instructions/forms.ts';
import type { CodeSize, Instruction } from '../instructions/instruction.ts';
import { faultOfMode } from '../mode-faults.ts';
import { ENDS_BLOCK } from '../operand-places.ts';
import { semantics } from '../semantics/index.ts';

export interface RegionInstruction {
  instruction: Instruction;
  form: Form;
  /** Offset of its first byte within the page. */
  offset: number;
}

/** How a block ends. */
export type Terminator =
  /** A relative branch: the last instruction runs with these targets (page offsets). */
  | { kind: 'branch'; taken: number; next: number | undefined }
  /** Control leaves by the last instruction itself (call, ret, indirect jump). */
  | { kind: 'instruction' }
  /** What comes next is not in the region: leave to this page offset. */
  | { kind: 'outside'; offset: number }
  /** Falls into the block at this page offset. */
  | { kind: 'fall'; offset: number };

export interface RegionBlock {
  /** Page offset of the first instruction. */
  offset: number;
  instructions: RegionInstruction[];
  end: Terminator;
}

export interface Region {
  entry: number;
  /** By page offset. */
  blocks: Map<number, RegionBlock>;
  instructionCount: number;
  /** Page offset behind the last byte of any instruction. */
  endOffset: number;
}

const MAX_BLOCKS = 48;
const MAX_INSTRUCTIONS = 400;
/** Blocks that begin inside others' instructions may decode the same bytes several times; together no more than this. */
const MOST_DECODED = 600;
const IN_REGION_ENDS = new Set(['jmp', 'call', 'ret']);
/** Semantics that need the interpreter's own surroundings, or change what a region relies on. */
const EXCLUDED = new Set('hlt cpuid'.split(' '));
const BRANCHES = /^(j(?!mpf).*|loop(e|ne)?)$/;

const isRelative = (form: Form): boolean => form.shapes[0] === 'rel';

/** Decodes the region that starts at page offset `entry` of the page at host address `page`; undefined if there is none. Branches to code that `isKnown` denies lead outside. */
export function findRegion(
  bytes: Uint8Array,
  page: number,
  entry: number,
  code: CodeSize,
  mode: number,
  isKnown: (offset: number) => boolean,
): Region | undefined {
  const decoder = new RegionDecoder(bytes, page, code, mode, isKnown);
  return decoder.find(entry);
}

class RegionDecoder {
  private readonly bytes: Uint8Array;
  private readonly page: number;
  private readonly code: CodeSize;
  private readonly mode: number;
  private readonly isKnown: (offset: number) => boolean;
  private readonly instructions = new Map<number, RegionInstruction | undefined>();

  constructor(
    bytes: Uint8Array,
    page: number,
    code: CodeSize,
    mode: number,
    isKnown: (offset: number) => boolean,
  ) {
    this.isKnown = isKnown;
    this.bytes = bytes;
    this.page = page;
    this.code = code;
    this.mode = mode;
  }

  /** The instruction at an offset, or undefined where a region must not go. */
  private at(offset: number): RegionInstruction | undefined {
    if (this.instructions.has(offset)) return this.instructions.get(offset);
    const found = this.decodeAt(offset);
    this.instructions.set(offset, found);
    return found;
  }

  private decodeAt(offset: number): RegionInstruction | undefined {
    if (offset < 0 || offset >= 4096) return undefined;
    const available = Math.min(4096 - offset, MAX_INSTRUCTION_LENGTH);
    const result = decode(this.bytes, this.page + offset, available, this.code);
    if (result.kind !== 'ok') return undefined;
    const { instruction } = result;
    const { row } = instruction;
    if (faultOfMode(row, this.mode) || !semantics[row.mnemonic] || EXCLUDED.has(row.mnemonic))
      return undefined;
    if (ENDS_BLOCK.has(row.mnemonic) && !IN_REGION_ENDS.has(row.mnemonic)) return undefined;
    const form = formOf(instruction);
    // A 16-bit branch in wider code cuts RIP: its target is not where the displacement says.
    const cutsRip = isRelative(form) && form.operandSize === 16 && this.code !== 16;
    if (form.shapes.includes('far') || cutsRip) return undefined;
    return { instruction, form, offset };
  }

  find(entry: number): Region | undefined {
    if (!this.at(entry)) return undefined;
    const starts = this.findStarts(entry);
    const blocks = new Map<number, RegionBlock>();
    let instructionCount = 0;
    let endOffset = 0;
    for (const start of starts) {
      const block = this.block(start, starts, Math.max(1, MOST_DECODED - instructionCount));
      blocks.set(start, block);
      instructionCount += block.instructions.length;
      const last = block.instructions.at(-1)!;
      endOffset = Math.max(endOffset, last.offset + last.instruction.length);
    }
    return { entry, blocks, instructionCount, endOffset };
  }

  /** Page offsets where blocks begin, breadth first from the entry, within the limits. */
  private findStarts(entry: number): Set<number> {
    const starts = new Set([entry]);
    const queue = [entry];
    const seen = new Set<number>();
    const add = (offset: number): void => {
      if (starts.has(offset) || starts.size >= MAX_BLOCKS || !this.at(offset) || !this.isKnown(offset))
        return;
      starts.add(offset);
      queue.push(offset);
    };
    while (queue.length > 0 && seen.size < MAX_INSTRUCTIONS) {
      let offset = queue.shift()!;
      for (
        let at = this.at(offset);
        at && !seen.has(offset) && seen.size < MAX_INSTRUCTIONS;
        at = this.at(offset)
      ) {
        seen.add(offset);
        const { mnemonic } = at.instruction.row;
        const next = offset + at.instruction.length;
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

  /** The block at `start`, of at most `most` instructions. */
  private block(start: number, starts: ReadonlySet<number>, most: number): RegionBlock {
    const instructions: RegionInstruction[] = [];
    let offset = start;
    for (;;) {
      const at = this.at(offset);
      if (!at || instructions.length >= most)
        return { offset: start, instructions, end: { kind: 'outside', offset } };
      if (offset !== start && starts.has(offset))
        return { offset: start, instructions, end: { kind: 'fall', offset } };
      instructions.push(at);
      const { mnemonic } = at.instruction.row;
      offset += at.instruction.length;
      if (BRANCHES.test(mnemonic) && isRelative(at.form)) {
        const next = mnemonic === 'jmp' ? undefined : offset;
        return { offset: start, instructions, end: { kind: 'branch', taken: targetOf(at), next } };
      }
      if (ENDS_BLOCK.has(mnemonic)) return { offset: start, instructions, end: { kind: 'instruction' } };
    }
  }
}

/** Page offset of a relative branch's target; may lie outside the page. */
function targetOf({ instruction, offset }: RegionInstruction): number {
  const operand = instruction.operands[0]!;
  const displacement = operand.kind === 'relative' ? Number(operand.displacement) : 0;
  return offset + instruction.length + displacement;
}
