/**
 * Which code is translated, and when. The processor's run is cut into short stretches; where one ends, code is
 * likely hot: a block met there often enough becomes the entry of a region. Its first record then enters the
 * region instead; dropping the code (a store to its bytes) makes that record stale like any other, and the
 * region with it: its table slot is emptied and used again.
 *
 * Code that is rewritten again and again would be translated again and again: each region that a page loses
 * doubles the samples that its next one needs. When all slots are taken, all decoded and translated code is
 * forgotten and what is hot comes back by itself.
 */
import { ModuleBuilder } from '../../support/wasm/module-builder.ts';
import type { BlockDecoder } from '../block-decoder.ts';
import type { CodeSize } from '../instructions/instruction.ts';
import { FIRST_REGION_SLOT, REGION_SLOTS } from '../interpreter.ts';
import { Mode } from '../mode.ts';
import type { PhysicalMemory } from '../processor.ts';
import { importRuntime } from '../runtime.ts';
import { findRegion } from './region.ts';
import { translateRegion } from './translate.ts';

const CODE_SIZES: readonly CodeSize[] = [16, 32, 64];
/** Regions shorter than this gain nothing. */
const SHORTEST_REGION = 3;
const MOST_REMEMBERED = 10_000;

/** When code counts as hot. */
export interface HotThreshold {
  /** Instructions between two samples. */
  stretch: number;
  /** Times a block must be met at the end of a stretch. */
  samples: number;
  /** How often that doubles, at most, for a page that keeps losing regions. */
  doublings: number;
}
export const HOT_AFTER: HotThreshold = { stretch: 20_000, samples: 3, doublings: 10 };

export interface RegionStatistics {
  regions: number;
  instructions: number;
  milliseconds: number;
}

export class RegionCache {
  readonly statistics: RegionStatistics = { regions: 0, instructions: 0, milliseconds: 0 };
  private readonly memory: PhysicalMemory;
  private readonly decoder: BlockDecoder;
  private readonly imports: WebAssembly.Imports;
  private readonly table: WebAssembly.Table;
  private readonly hotAfter: HotThreshold;
  private readonly slots: number;
  /** By record: how often it was met, and what cannot be translated. */
  private readonly samples = new Map<number, number>();
  private readonly refused = new Set<number>();
  /** By page: regions lost to stores. */
  private readonly losses = new Map<number, number>();
  /** Slots below `nextSlot` that are empty again. */
  private readonly freeSlots: number[] = [];
  private nextSlot = 0;

  constructor(
    memory: PhysicalMemory,
    decoder: BlockDecoder,
    imports: WebAssembly.Imports,
    table: WebAssembly.Table,
    hotAfter: HotThreshold = HOT_AFTER,
    slots: number = REGION_SLOTS,
  ) {
    this.memory = memory;
    this.decoder = decoder;
    this.imports = imports;
    this.table = table;
    this.hotAfter = hotAfter;
    this.slots = slots;
    decoder.onFlush = () => this.reset();
    decoder.onRegionDropped = (slot, spn) => this.dropped(slot, spn);
  }

  /** Regions that exist now. */
  get size(): number {
    return this.nextSlot - this.freeSlots.length;
  }
  /** No slot is left: the decoder must be flushed, when no decoded block is running. */
  get isFull(): boolean {
    return this.size >= this.slots;
  }

  /** A stretch ended at host address `spa` in `mode`; no guest code is running. */
  sample(spa: number, mode: number): void {
    if (mode & (Mode.Shadow | Mode.Trap)) return;
    if (this.isFull) this.decoder.flush();
    const record = this.decoder.recordOf(spa, mode);
    if (record === 0 || this.decoder.isRegion(record) || this.refused.has(record)) return;
    const count = (this.samples.get(record) ?? 0) + 1;
    if (this.samples.size > MOST_REMEMBERED) this.samples.clear();
    this.samples.set(record, count);
    if (count < this.samplesNeeded(Math.floor(spa / 4096))) return;
    this.samples.delete(record);
    if (this.translate(spa, mode, record, SHORTEST_REGION)) return;
    if (this.refused.size > MOST_REMEMBERED) this.refused.clear();
    this.refused.add(record);
  }

  private samplesNeeded(spn: number): number {
    const { samples, doublings } = this.hotAfter;
    return samples * 2 ** Math.min(this.losses.get(spn) ?? 0, doublings);
  }

  /** Translates at once, however short: for tests that force it. */
  translateNow(spa: number, mode: number, record: number): void {
    if (mode & (Mode.Shadow | Mode.Trap) || this.isFull) return;
    this.translate(spa, mode, record, 1);
  }

  private translate(spa: number, mode: number, record: number, shortest: number): boolean {
    const started = performance.now();
    const page = spa - (spa % 4096);
    const code = CODE_SIZES[mode & Mode.CodeSizeMask]!;
    // A copy: another processor may write to the page meanwhile.
    const copy = this.memory.bytes.slice(page, page + 4096);
    const region = findRegion(copy, 0, spa - page, code, mode);
    if (!region || region.instructionCount < shortest) return false;
    const m = new ModuleBuilder();
    const runtime = importRuntime(m, this.decoder.isShared);
    const ref = translateRegion(m, 'region', region, { runtime, mode, entryRecord: record });
    if (!ref) return false;
    m.export(ref);
    const module = new WebAssembly.Module(m.finish(false) as Uint8Array<ArrayBuffer>);
    const instance = new WebAssembly.Instance(module, this.imports);
    const slot = FIRST_REGION_SLOT + (this.freeSlots.pop() ?? this.nextSlot++);
    this.table.set(slot, instance.exports.region);
    const extents = [...region.blocks.values()].map((block) => {
      const last = block.instructions.at(-1)!;
      return { from: block.offset, to: last.offset + last.instruction.length };
    });
    if (!this.decoder.enterRegion(record, spa, mode, slot, extents, copy)) {
      this.table.set(slot, null);
      this.freeSlots.push(slot - FIRST_REGION_SLOT);
      return false;
    }
    this.statistics.regions++;
    this.statistics.instructions += region.instructionCount;
    this.statistics.milliseconds += performance.now() - started;
    return true;
  }

  /** The region may still be running: what runs stays alive, only its slot is given up. */
  private dropped(slot: number, spn: number): void {
    this.table.set(slot, null);
    this.freeSlots.push(slot - FIRST_REGION_SLOT);
    if (this.losses.size > MOST_REMEMBERED) this.losses.clear();
    this.losses.set(spn, (this.losses.get(spn) ?? 0) + 1);
  }

  /** Forgets all regions; the decoder was flushed. */
  private reset(): void {
    for (let slot = 0; slot < this.nextSlot; slot++) this.table.set(FIRST_REGION_SLOT + slot, null);
    this.samples.clear();
    this.refused.clear();
    this.freeSlots.length = 0;
    this.nextSlot = 0;
  }
}
