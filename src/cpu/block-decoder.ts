/**
 * Decodes guest code into blocks of records, and drops them when the code's bytes change. Blocks are found by
 * system physical address and mode. A block ends at an unconditional transfer, at the page's end, after MAX_BLOCK
 * instructions or where another block begins; a conditional branch does not end it. Code is decoded once: who
 * enters in the middle of a block is led to the record there.
 */

import { VECTOR } from '../x86/exceptions.ts';
import { CodePage, type CodeSpan } from './code-page.ts';
import { decode, MAX_INSTRUCTION_LENGTH } from './instructions/decode.ts';
import { allForms, type Form, formOf, lockedForms } from './instructions/forms.ts';
import type { CodeSize, DecodeResult, Instruction, Operand } from './instructions/instruction.ts';
import { blockSlot, handlerTable } from './interpreter.ts';
import {
  AREA_BLOCK_TABLE,
  AREA_RECORDS,
  BLOCK_ENTRIES_LEFT,
  BLOCK_ENTRY_SHIFT,
  BLOCK_TABLE_ENTRIES,
  RECORDS_SIZE,
} from './logical-processor-area.ts';
import { Mode } from './mode.ts';
import { faultOfMode } from './mode-faults.ts';
import {
  ENDS_BLOCK,
  isStringOperation,
  registerOffset,
  segmentOffset,
  sourceSegment,
} from './operand-places.ts';
import type { CodeHolder, CodeSharing, PhysicalMemory } from './processor.ts';
import * as R from './record.ts';
import { SoftTlb } from './soft-tlb.ts';
import * as S from './state-layout.ts';

const MAX_BLOCK = 96;
const CODE_SIZES: readonly CodeSize[] = [16, 32, 64];

/** Handler by form object, where other threads share the memory, and where LOCK changes nothing. */
const sharedHandlers = new Map<Form, number>();
const handlers = new Map<Form, number>();
for (const form of allForms()) {
  const handler = handlerTable.byKey.get(form.key);
  if (handler === undefined) continue;
  sharedHandlers.set(form, handler);
  handlers.set(form, handler);
}
for (const { form, plain } of lockedForms()) {
  sharedHandlers.set(form, handlerTable.byKey.get(form.key)!);
  handlers.set(form, handlerTable.byKey.get(plain.key)!);
}

/** What was decoded of a page, and the page's bytes as they were then. */
export interface DecodedSpans {
  spans: CodeSpan[];
  bytes: Uint8Array;
}

/** Where the second page of an instruction is: spn, or -1 with a fault pending. */
export type SecondPage = () => number;

export class BlockDecoder implements CodeHolder {
  private readonly memory: PhysicalMemory;
  private readonly view: DataView;
  private readonly area: number;
  private readonly tlb: SoftTlb;
  private cursor: number;
  private readonly pages = new Map<number, CodePage>();
  private readonly crossing = new Uint8Array(32);
  /** Set where other threads store to the same memory. */
  private readonly sharing: CodeSharing | undefined;
  /** What a block's bytes were before it was decoded. */
  private readonly before = new Uint8Array(MAX_BLOCK * MAX_INSTRUCTION_LENGTH);
  /** Page offset behind the block that was decoded last. */
  private end = 0;
  /** Relative branches of the block that is being decoded. */
  private readonly branches: number[] = [];
  /** How often a block is entered by lookup before the interpreter calls it hot. */
  entriesBeforeHot = 0;
  /** Called when everything is forgotten. */
  onFlush: (() => void) | undefined;
  /** Called when a store to its code has dropped the region in a table slot. */
  onRegionDropped: ((tableSlot: number, spn: number) => void) | undefined;
  /** What was decoded, and forgotten again: pages that lost code to a store, and all code at once. */
  statistics = { blocks: 0, instructions: 0, milliseconds: 0, pagesWritten: 0, flushes: 0 };
  /** Forms that guest code asked for and nothing implements, with counts. */
  readonly missing = new Map<string, number>();

  constructor(memory: PhysicalMemory, area: number, sharing?: CodeSharing) {
    this.memory = memory;
    this.area = area;
    this.tlb = new SoftTlb(memory, area);
    this.sharing = sharing;
    this.view = memory.view;
    this.cursor = area + AREA_RECORDS;
    this.flush();
    memory.codeHolders.push(this);
  }

  /** Other threads execute on the same memory. */
  get isShared(): boolean {
    return this.sharing !== undefined;
  }

  /** Forgets all decoded code. */
  flush(): void {
    const { bytes } = this.memory;
    const table = this.area + AREA_BLOCK_TABLE;
    bytes.fill(0xff, table, table + (BLOCK_TABLE_ENTRIES << BLOCK_ENTRY_SHIFT));
    // Marks in the code map stay: another processor may hold code of the page. The next store clears them.
    this.pages.clear();
    this.onFlush?.();
    this.statistics.flushes++;
    this.cursor = this.area + AREA_RECORDS;
  }

  /**
   * Finds or decodes the block at host address `spa`; returns its first record, or 0 with a fault pending. A record that only
   * says "look again" where other threads changed the code meanwhile.
   */
  decode(spa: number, mode: number, secondPage: SecondPage): number {
    const { sharing } = this;
    const known = this.find(spa, mode);
    if (known !== 0) return known;
    if (!sharing) return this.decodeNow(spa, mode, secondPage);
    sharing.markCodePage(Math.floor(spa / 4096));
    const { epoch } = sharing;
    const inPage = this.memory.bytes.subarray(spa, spa + Math.min(4096 - (spa % 4096), this.before.length));
    this.before.set(inPage);
    const record = this.decodeNow(spa, mode, secondPage);
    if (record === 0) return 0;
    sharing.markCode(Math.floor(spa / 4096), spa % 4096, Math.min(this.end, 4096));
    if (this.end > 4096) sharing.markCode(this.secondPageOf(record), 0, this.end - 4096);
    if (sharing.epoch === epoch && this.isUnchanged(spa, record)) return record;
    this.dropCode(Math.floor(spa / 4096));
    return this.record(R.Handler.Stale, spa % 4096, 0);
  }

  /** The block's bytes are still those that were decoded. All of them are marked as code by now. */
  private isUnchanged(spa: number, record: number): boolean {
    const { bytes } = this.memory;
    const { crossing } = this;
    const end = this.end;
    const start = spa % 4096;
    const here = Math.min(end, 4096) - start;
    for (let k = 0; k < here; k++) if (bytes[spa + k] !== this.before[k]) return false;
    if (end <= 4096) return true;
    const second = this.secondPageOf(record) * 4096;
    for (let k = 0; k < end - 4096; k++) if (bytes[second + k] !== crossing[here + k]) return false;
    return true;
  }

  /** The page in the check that a block begins with whose instruction crosses pages. */
  private secondPageOf(record: number): number {
    return Number(this.view.getBigInt64(record + R.RECORD_IMMEDIATE, true));
  }

  private decodeNow(spa: number, mode: number, secondPage: SecondPage): number {
    const room = (MAX_BLOCK + 4) * R.RECORD_SIZE;
    if (this.cursor + room > this.area + AREA_RECORDS + RECORDS_SIZE) this.flush();
    const first = this.cursor;
    const started = performance.now();
    this.branches.length = 0;
    const end = this.fill(spa, mode, secondPage);
    this.end = end;
    if (end < 0) {
      this.cursor = first;
      return 0;
    }
    this.enter(spa, mode, {
      record: first,
      count: (this.cursor - first) >> R.RECORD_SHIFT,
      to: Math.min(end, 4096),
    });
    this.noteBranches(spa);
    if (end > 4096) this.noteSecondPage(spa, mode, first, end - 4096);
    this.statistics.blocks++;
    this.statistics.instructions += (this.cursor - first) >> R.RECORD_SHIFT;
    this.statistics.milliseconds += performance.now() - started;
    return first;
  }

  /** What was decoded before: a block that its slot has lost to another, or code in the middle of a block. */
  private find(spa: number, mode: number): number {
    const page = this.pages.get(Math.floor(spa / 4096));
    const start = page?.startAt(this.view, spa % 4096, mode);
    if (start !== undefined) {
      this.fillSlot(spa, mode, start);
      return start;
    }
    const inner = page?.recordAt(this.view, spa % 4096, mode);
    if (inner === undefined) return 0;
    this.enter(spa, mode, inner);
    return inner.record;
  }

  /** Writes records from `spa` on. Returns the page offset behind the block, or -1. */
  private fill(spa: number, mode: number, secondPage: SecondPage): number {
    const code = CODE_SIZES[mode & Mode.CodeSizeMask]!;
    const pageStart = spa - (spa % 4096);
    const single = (mode & (Mode.Shadow | Mode.Trap)) !== 0;
    const most = single ? 1 : MAX_BLOCK;
    const page = this.pages.get(pageStart / 4096);
    let offset = spa - pageStart;
    for (let count = 0; count < most; count++) {
      const next = count > 0 ? page?.startAt(this.view, offset, mode) : undefined;
      if (next !== undefined) {
        this.view.setUint32(this.record(R.Handler.Goto, offset, 0) + R.RECORD_IMMEDIATE, next, true);
        return offset;
      }
      const available = Math.min(4096 - offset, MAX_INSTRUCTION_LENGTH);
      let result: DecodeResult =
        available > 0 ? decode(this.memory.bytes, pageStart + offset, available, code) : { kind: 'need' };
      const crosses = result.kind === 'need';
      if (crosses) {
        if (count > 0) break;
        const spn = secondPage();
        if (spn < 0) return -1;
        this.sharing?.markCodePage(spn);
        this.noteCodePage(spn);
        result = this.decodeCrossing(pageStart + offset, spn, code);
        this.checkSecondPageRecord(offset, spn);
      }
      if (result.kind !== 'ok') {
        const tooLong = result.kind === 'too-long';
        this.raiseRecord(offset, tooLong ? VECTOR.GP : VECTOR.UD, tooLong ? 0 : -1);
        // All that was looked at belongs to the block: another byte may make an instruction of it.
        const examined = offset + MAX_INSTRUCTION_LENGTH;
        return crosses ? examined : Math.min(examined, 4096);
      }
      const { instruction } = result;
      this.instructionRecord(offset, instruction, mode);
      offset += instruction.length;
      if (ENDS_BLOCK.has(instruction.row.mnemonic)) return offset;
      if (offset >= 4096) break;
    }
    this.record(R.Handler.Continue, offset, 0);
    return offset;
  }

  private decodeCrossing(at: number, second: number, code: CodeSize): DecodeResult {
    const { bytes } = this.memory;
    const here = 4096 - (at % 4096);
    this.crossing.set(bytes.subarray(at, at + here));
    this.crossing.set(bytes.subarray(second * 4096, second * 4096 + 16), here);
    const result = decode(this.crossing, 0, MAX_INSTRUCTION_LENGTH, code);
    return result.kind === 'need' ? { kind: 'too-long' } : result;
  }

  // Records

  private record(handler: number, offset: number, length: number): number {
    const { view, cursor } = this;
    view.setUint16(cursor + R.RECORD_HANDLER, handler, true);
    view.setUint16(cursor + R.RECORD_PAGE_OFFSET, offset, true);
    view.setUint8(cursor + R.RECORD_LENGTH, length);
    this.cursor += R.RECORD_SIZE;
    return cursor;
  }

  private raiseRecord(offset: number, vector: number, error: number): void {
    const at = this.record(R.Handler.Raise, offset, 0);
    this.view.setBigInt64(at + R.RECORD_IMMEDIATE, BigInt(vector), true);
    this.view.setBigInt64(at + R.RECORD_DISPLACEMENT, BigInt(error), true);
  }

  private checkSecondPageRecord(offset: number, spn: number): void {
    const at = this.record(R.Handler.CheckSecondPage, offset, 0);
    this.view.setBigInt64(at + R.RECORD_IMMEDIATE, BigInt(spn), true);
    // The check's record precedes the instruction's, which was not written yet: nothing more to do.
  }

  private instructionRecord(offset: number, i: Instruction, mode: number): void {
    const fault = faultOfMode(i.row, mode);
    if (fault) {
      this.raiseRecord(offset, fault.vector, fault.error);
      return;
    }
    const form = formOf(i);
    const handler = (this.sharing ? sharedHandlers : handlers).get(form);
    if (handler === undefined) {
      this.missing.set(form.key, (this.missing.get(form.key) ?? 0) + 1);
      this.raiseRecord(offset, VECTOR.UD, -1);
      return;
    }
    const at = this.record(handler, offset, i.length);
    this.encodeOperands(at, offset, i, mode);
  }

  private encodeOperands(at: number, offset: number, i: Instruction, mode: number): void {
    const { view } = this;
    const kind =
      i.addressSize === 64
        ? R.AddressKind.Bits64
        : i.addressSize === 32
          ? R.AddressKind.Bits32
          : R.AddressKind.Bits16;
    view.setUint8(at + R.RECORD_SCALE, 0);
    view.setUint16(at + R.RECORD_A, S.ZERO, true);
    view.setUint16(at + R.RECORD_B, S.ZERO, true);
    view.setUint16(at + R.RECORD_BASE, S.ZERO, true);
    view.setUint16(at + R.RECORD_INDEX, S.ZERO, true);
    view.setUint8(at + R.RECORD_SEGMENT, segmentOffset(3, mode) >> 4);
    view.setUint8(at + R.RECORD_KIND, kind);
    view.setBigInt64(at + R.RECORD_IMMEDIATE, 0n, true);
    view.setBigInt64(at + R.RECORD_DISPLACEMENT, 0n, true);
    let registers = 0;
    let immediates = 0;
    for (const operand of i.operands) {
      switch (operand.kind) {
        case 'memory':
          this.encodeMemory(at, offset, i, operand, kind, mode);
          break;
        case 'immediate':
          view.setBigUint64(
            at + (immediates++ === 0 ? R.RECORD_IMMEDIATE : R.RECORD_DISPLACEMENT),
            operand.value,
            true,
          );
          break;
        case 'relative':
          this.branches.push(at);
          view.setBigInt64(at + R.RECORD_IMMEDIATE, operand.displacement, true);
          break;
        case 'far':
          view.setBigUint64(at + R.RECORD_IMMEDIATE, operand.offset, true);
          view.setBigUint64(at + R.RECORD_DISPLACEMENT, BigInt(operand.selector), true);
          break;
        default:
          if (registers < 2)
            view.setUint16(at + (registers === 0 ? R.RECORD_A : R.RECORD_B), registerOffset(operand), true);
          registers++;
      }
    }
  }

  private encodeMemory(
    at: number,
    offset: number,
    i: Instruction,
    m: Operand & { kind: 'memory' },
    kind: number,
    mode: number,
  ): void {
    const { view } = this;
    if (isStringOperation(i)) {
      view.setUint8(at + R.RECORD_SEGMENT, segmentOffset(sourceSegment(i), mode) >> 4);
      return;
    }
    view.setUint8(at + R.RECORD_SEGMENT, segmentOffset(m.segment, mode) >> 4);
    const check = mode & (Mode.CheckSegment << m.segment) ? R.AddressKind.CheckSegment : 0;
    const noSegment = segmentOffset(m.segment, mode) === S.ZERO;
    const plain = kind === R.AddressKind.Bits64 && noSegment && m.index < 0;
    const wrap = (mode & Mode.CodeSizeMask) === Mode.Code64 ? 0 : R.AddressKind.Wrap;
    view.setUint8(at + R.RECORD_KIND, plain ? R.AddressKind.Plain : kind | check | wrap);
    const isRip = m.base === 16;
    view.setUint16(at + R.RECORD_BASE, isRip ? S.RIP_PAGE : m.base < 0 ? S.ZERO : S.GPR + 8 * m.base, true);
    view.setUint16(at + R.RECORD_INDEX, m.index < 0 ? S.ZERO : S.GPR + 8 * m.index, true);
    view.setUint8(at + R.RECORD_SCALE, m.scale);
    const displacement = isRip ? m.displacement + BigInt(offset + i.length) : m.displacement;
    view.setBigInt64(at + R.RECORD_DISPLACEMENT, BigInt.asIntN(64, displacement), true);
  }

  // Regions

  /** First record of the block at `spa`, or 0. */
  recordOf(spa: number, mode: number): number {
    const slot = this.slotOf(spa, mode);
    const { view } = this;
    return view.getUint32(slot, true) === spa && view.getUint32(slot + 4, true) === mode
      ? view.getUint32(slot + 8, true)
      : 0;
  }

  /** True if the code at a page offset was met before. */
  isKnown(spn: number, offset: number, mode: number): boolean {
    return this.pages.get(spn)?.recordAt(this.view, offset, mode) !== undefined;
  }

  /** The block at `spa` is counted from the start again. */
  countAgain(spa: number, mode: number): void {
    const slot = this.slotOf(spa, mode);
    this.view.setUint32(slot + BLOCK_ENTRIES_LEFT, this.entriesBeforeHot, true);
  }

  isRegion(record: number): boolean {
    return this.view.getUint16(record + R.RECORD_HANDLER, true) === R.Handler.Region;
  }

  /**
   * Makes `record` enter the region in table slot `tableSlot`; stores to any of its code, by system physical page,
   * make it stale. False, with nothing done, where the code is no longer that which was decoded.
   */
  enterRegion(
    record: number,
    spa: number,
    mode: number,
    tableSlot: number,
    code: ReadonlyMap<number, DecodedSpans>,
  ): boolean {
    const { view } = this;
    if (this.sharing) {
      for (const [spn, { spans }] of code)
        for (const { from, to } of spans) this.sharing.markCode(spn, from, to);
      for (const [spn, decoded] of code) if (!this.isStillThere(spn, decoded)) return false;
    }
    view.setUint16(record + R.RECORD_HANDLER, R.Handler.Region, true);
    view.setBigInt64(record + R.RECORD_IMMEDIATE, BigInt(tableSlot), true);
    const slot = this.slotOf(spa, mode);
    const region = { tableSlot, dropped: false };
    for (const [spn, { spans }] of code)
      this.noteCodePage(spn).add({ slot, mode, record, count: 1, region, spans });
    return true;
  }

  private isStillThere(spn: number, { spans, bytes }: DecodedSpans): boolean {
    const page = this.memory.bytes.subarray(spn * 4096, spn * 4096 + 4096);
    return spans.every(({ from, to }) => {
      for (let k = from; k < to; k++) if (page[k] !== bytes[k]) return false;
      return true;
    });
  }

  // Bookkeeping

  /** Makes a block of records be found at `spa`. */
  private enter(
    spa: number,
    mode: number,
    { record, count, to }: { record: number; count: number; to: number },
  ): void {
    const slot = this.fillSlot(spa, mode, record);
    const from = spa % 4096;
    const page = this.noteCodePage(Math.floor(spa / 4096));
    page.add({ slot, mode, record, count, region: undefined, spans: [{ from, to }] });
    page.begins(from, mode, record);
  }

  /** Address of the block table's entry for code at `spa`. */
  private slotOf(spa: number, mode: number): number {
    return this.area + AREA_BLOCK_TABLE + blockSlot(spa, mode);
  }

  private fillSlot(spa: number, mode: number, record: number): number {
    const slot = this.slotOf(spa, mode);
    this.view.setUint32(slot, spa, true);
    this.view.setUint32(slot + 4, mode, true);
    this.view.setUint32(slot + 8, record, true);
    this.view.setUint32(slot + BLOCK_ENTRIES_LEFT, this.entriesBeforeHot, true);
    return slot;
  }

  private noteBranches(spa: number): void {
    if (this.branches.length > 0) this.noteCodePage(Math.floor(spa / 4096)).branches.push(...this.branches);
  }

  /** The block's last instruction has its last bytes on another page: stores there drop it as well. */
  private noteSecondPage(spa: number, mode: number, record: number, to: number): void {
    const slot = this.slotOf(spa, mode);
    const count = (this.cursor - record) >> R.RECORD_SHIFT;
    const page = this.noteCodePage(this.secondPageOf(record));
    page.add({ slot, mode, record, count, region: undefined, spans: [{ from: 0, to }] });
  }

  /** Marks a page as holding decoded code: from now on no TLB lets stores to it pass unseen. */
  private noteCodePage(spn: number): CodePage {
    let page = this.pages.get(spn);
    if (!page) {
      page = new CodePage();
      this.pages.set(spn, page);
      if (!this.sharing) {
        this.view.setUint8(this.memory.codeMapAddress + spn, 1);
        this.tlb.guardPage(spn);
      }
    }
    return page;
  }

  written(spn: number, offset: number, size: number): boolean {
    const page = this.pages.get(spn);
    if (!page) return false;
    // Where memory is shared, who calls has looked at the granules of all.
    if (this.sharing) {
      this.dropCode(spn);
      return false;
    }
    if (!page.touches(offset, offset + size)) return true;
    this.drop(spn, page, offset, offset + size);
    if (!page.isEmpty) return true;
    this.pages.delete(spn);
    return false;
  }

  /** Drops all code of a page. */
  dropCode(spn: number): void {
    const page = this.pages.get(spn);
    if (!page) return;
    this.drop(spn, page, 0, 4096);
    this.pages.delete(spn);
  }

  private drop(spn: number, page: CodePage, from: number, to: number): void {
    const { view } = this;
    this.statistics.pagesWritten++;
    for (const block of page.drop(view, from, to)) {
      for (let k = 0; k < block.count; k++)
        view.setUint16(block.record + (k << R.RECORD_SHIFT) + R.RECORD_HANDLER, R.Handler.Stale, true);
      if (view.getUint32(block.slot + 8, true) === block.record) view.setUint32(block.slot, 0xffffffff, true);
      if (!block.region || block.region.dropped) continue;
      block.region.dropped = true;
      this.onRegionDropped?.(block.region.tableSlot, spn);
    }
  }
}
