/**
 * Which code is translated, and when. The processor's run is cut into short stretches; where one ends, code is
 * likely hot: a block met there often enough becomes the entry of a region. Its first record then enters the
 * region instead; dropping the code (a store to its bytes) makes that record stale like any other, and the
 * region with it.
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
/** Times a block must be met at the end of a stretch. */
const HOT_SAMPLES = 3;
/** Regions shorter than this gain nothing. */
const SHORTEST_REGION = 3;

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
  private readonly samples = new Map<number, number>();
  private nextSlot = 0;

  constructor(
    memory: PhysicalMemory,
    decoder: BlockDecoder,
    imports: WebAssembly.Imports,
    table: WebAssembly.Table,
  ) {
    this.memory = memory;
    this.decoder = decoder;
    this.imports = imports;
    this.table = table;
  }

  /** A stretch ended at host address `spa` in `mode`. */
  sample(spa: number, mode: number): void {
    if (mode & (Mode.Shadow | Mode.Trap) || this.nextSlot >= REGION_SLOTS) return;
    const record = this.decoder.recordOf(spa, mode);
    if (record === 0 || this.decoder.isRegion(record)) return;
    const count = (this.samples.get(record) ?? 0) + 1;
    this.samples.set(record, count);
    if (count < HOT_SAMPLES) return;
    this.samples.delete(record);
    if (this.samples.size > 10_000) this.samples.clear();
    this.translate(spa, mode, record);
  }

  /** Translates at once, however short: for tests that force it. */
  translateNow(spa: number, mode: number, record: number): void {
    if (mode & (Mode.Shadow | Mode.Trap) || this.nextSlot >= REGION_SLOTS) return;
    this.translate(spa, mode, record, 1);
  }

  private translate(spa: number, mode: number, record: number, shortest = SHORTEST_REGION): void {
    const started = performance.now();
    const page = spa - (spa % 4096);
    const code = CODE_SIZES[mode & Mode.CodeSizeMask]!;
    const region = findRegion(this.memory.bytes, page, spa - page, code, mode);
    if (!region || region.instructionCount < shortest) return;
    const m = new ModuleBuilder();
    const runtime = importRuntime(m);
    const ref = translateRegion(m, 'region', region, { runtime, mode, entryRecord: record });
    if (!ref) return;
    m.export(ref);
    const module = new WebAssembly.Module(m.finish(false) as Uint8Array<ArrayBuffer>);
    const instance = new WebAssembly.Instance(module, this.imports);
    const slot = FIRST_REGION_SLOT + this.nextSlot++;
    this.table.set(slot, instance.exports.region);
    const extents = [...region.blocks.values()].map((block) => {
      const last = block.instructions.at(-1)!;
      return { from: block.offset, to: last.offset + last.instruction.length };
    });
    this.decoder.enterRegion(record, spa, mode, slot, extents);
    this.statistics.regions++;
    this.statistics.instructions += region.instructionCount;
    this.statistics.milliseconds += performance.now() - started;
  }

  /** Forgets everything; the decoder was flushed. */
  reset(): void {
    this.samples.clear();
    this.nextSlot = 0;
  }
}
