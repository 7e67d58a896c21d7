/**
 * Which code is translated, and when. The interpreter counts how often a block is entered by lookup; and the
 * processor's run is cut into short stretches, where one ends, code is likely hot (loops within a page need no
 * lookups). A block met often enough becomes the entry of a region: several wait and are made one module. Its first
 * record then enters the region instead; dropping the code (a store to its bytes) makes that record stale like any
 * other, and the region with it: its table slot is emptied and used again.
 *
 * Code that is rewritten again and again would be translated again and again: each region that a page loses
 * doubles the samples that its next one needs. When all slots are taken, all decoded and translated code is
 * forgotten and what is hot comes back by itself.
 */
import type { FunctionRef } from '../../support/wasm/function-builder.ts';
import { ModuleBuilder } from '../../support/wasm/module-builder.ts';
import type { BlockDecoder, DecodedSpans } from '../block-decoder.ts';
import type { CodeSize } from '../instructions/instruction.ts';
import { FIRST_REGION_SLOT, REGION_SLOTS } from '../interpreter.ts';
import { Mode } from '../mode.ts';
import type { PhysicalMemory } from '../processor.ts';
import { importProceed, importRuntime, type Runtime } from '../runtime.ts';
import { type CodeSource, findRegion, pageOf, type Region } from './region.ts';
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
  /** Times a block must be entered by lookup. */
  entries: number;
  /** How often these double, at most, for a page that keeps losing regions. */
  doublings: number;
  /** A module costs a fraction of a millisecond: so many regions share one, or what has waited so many stretches. */
  batch: number;
  longestWait: number;
}
export const HOT_AFTER: HotThreshold = {
  stretch: 20_000,
  samples: 3,
  entries: 3000,
  doublings: 10,
  batch: 8,
  longestWait: 20,
};

export interface RegionStatistics {
  regions: number;
  instructions: number;
  milliseconds: number;
  /** Lost to stores. */
  regionsDropped: number;
}

/** Code that is to be translated. */
interface Entry extends Place {
  record: number;
  /** Whether code at a host address has been met before: other code is left out until it is. */
  isKnown(host: number): boolean;
}

/** Where code is: `linear` is the linear address of its page. */
interface Place {
  spa: number;
  linear: bigint;
  mode: number;
}

/** Host address of the page of a linear address if it can be executed now, without a walk; negative otherwise. */
export type ExecutablePage = (linear: bigint, user: boolean) => number;

/** What regions are made from, and where they go. */
export interface RegionPlace {
  memory: PhysicalMemory;
  decoder: BlockDecoder;
  /** What a region's module imports. */
  imports: WebAssembly.Imports;
  table: WebAssembly.Table;
  executablePage: ExecutablePage;
}

export class RegionCache {
  statistics: RegionStatistics = { regions: 0, instructions: 0, milliseconds: 0, regionsDropped: 0 };
  private readonly memory: PhysicalMemory;
  private readonly decoder: BlockDecoder;
  private readonly imports: WebAssembly.Imports;
  private readonly table: WebAssembly.Table;
  private readonly hotAfter: HotThreshold;
  private readonly executablePage: ExecutablePage;
  private readonly wanted: Place[] = [];
  /** Stretches since something is wanted. */
  private waited = 0;
  private readonly slots: number;
  /** By record: how often it was met, and what cannot be translated. */
  private readonly samples = new Map<number, number>();
  private readonly refused = new Set<number>();
  /** By page: regions lost to stores. */
  private readonly losses = new Map<number, number>();
  /** Slots below `nextSlot` that are empty again. */
  private readonly freeSlots: number[] = [];
  private nextSlot = 0;

  constructor(place: RegionPlace, hotAfter: HotThreshold = HOT_AFTER, slots: number = REGION_SLOTS) {
    const { memory, decoder, imports, table, executablePage } = place;
    this.memory = memory;
    this.decoder = decoder;
    this.imports = imports;
    this.table = table;
    this.executablePage = executablePage;
    this.hotAfter = hotAfter;
    this.slots = slots;
    decoder.entriesBeforeHot = hotAfter.entries;
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

  /** A stretch ended there; no guest code is running. */
  sample({ spa, linear, mode }: Place): void {
    const record = this.decoder.recordOf(spa, mode);
    if (!this.canEnter(record, mode)) return;
    const count = this.count(record);
    if (count >= this.samplesNeeded(Math.floor(spa / 4096))) this.want({ spa, linear, mode }, record);
  }

  /** A block was entered as often as its slot allowed. */
  blockIsHot({ spa, linear, mode }: Place): void {
    const record = this.decoder.recordOf(spa, mode);
    if (!this.canEnter(record, mode)) return;
    // Where regions are lost again and again it takes longer.
    if (this.count(record) >= this.patience(Math.floor(spa / 4096))) this.want({ spa, linear, mode }, record);
    else this.decoder.countAgain(spa, mode);
  }

  private canEnter(record: number, mode: number): boolean {
    if (record === 0 || mode & (Mode.Shadow | Mode.Trap)) return false;
    return !this.decoder.isRegion(record) && !this.refused.has(record);
  }

  private count(record: number): number {
    const count = (this.samples.get(record) ?? 0) + 1;
    if (this.samples.size > MOST_REMEMBERED) this.samples.clear();
    this.samples.set(record, count);
    return count;
  }

  private want(place: Place, record: number): void {
    this.samples.delete(record);
    this.wanted.push(place);
  }

  /** Translates what waits, if it is enough or has waited long enough; no guest code is running. */
  translateWanted(): void {
    if (this.wanted.length === 0) return;
    const { batch, longestWait } = this.hotAfter;
    if (this.wanted.length < batch && ++this.waited < longestWait) return;
    if (this.size + this.wanted.length > this.slots) this.decoder.flush();
    this.waited = 0;
    const entries = this.wanted.splice(0).slice(0, this.slots - this.size);
    this.translate(
      entries.map((place) => ({
        ...place,
        record: this.decoder.recordOf(place.spa, place.mode),
        isKnown: (host) => this.decoder.isKnown(host >>> 12, host & 4095, place.mode),
      })),
      SHORTEST_REGION,
    );
  }

  private samplesNeeded(spn: number): number {
    return this.hotAfter.samples * this.patience(spn);
  }
  private patience(spn: number): number {
    return 2 ** Math.min(this.losses.get(spn) ?? 0, this.hotAfter.doublings);
  }

  /** Translates at once, however short, and code that was never met: for tests that force it. */
  translateNow(place: Place, record: number): void {
    if (place.mode & (Mode.Shadow | Mode.Trap) || this.isFull) return;
    this.translate([{ ...place, record, isKnown: () => true }], 1);
  }

  private translate(entries: readonly Entry[], shortest: number): void {
    const started = performance.now();
    const m = new ModuleBuilder();
    const runtime = importRuntime(m, this.decoder.isShared);
    const proceed = importProceed(m);
    const made: (Entry & { region: Region })[] = [];
    for (const entry of entries) {
      if (!this.canEnter(entry.record, entry.mode) || made.some((other) => other.record === entry.record))
        continue;
      const region = this.defineRegion(m, { runtime, proceed }, entry, shortest, `region${made.length}`);
      if (region) made.push({ ...entry, region });
      else this.refuse(entry.record);
    }
    if (made.length === 0) return;
    const module = new WebAssembly.Module(m.finish(false) as Uint8Array<ArrayBuffer>);
    const { exports } = new WebAssembly.Instance(module, this.imports);
    made.forEach((entry, k) => {
      this.enter(entry, exports[`region${k}`]);
    });
    this.statistics.milliseconds += performance.now() - started;
  }

  private refuse(record: number): void {
    if (this.refused.size > MOST_REMEMBERED) this.refused.clear();
    this.refused.add(record);
  }

  private defineRegion(
    m: ModuleBuilder,
    calls: { runtime: Runtime; proceed: FunctionRef },
    entry: Entry,
    shortest: number,
    name: string,
  ): Region | undefined {
    const { mode, record } = entry;
    // What calls and other pages bring in may make loops with two ways in.
    for (const follow of [true, false]) {
      const region = findRegion(this.source(entry, follow), entry.spa & 4095);
      if (!region || region.instructionCount < shortest) return undefined;
      const ref = translateRegion(m, name, region, { ...calls, mode, entryRecord: record });
      if (!ref) continue;
      m.export(ref);
      return region;
    }
    return undefined;
  }

  /** The page at a host address; a copy where another processor may write to it meanwhile. */
  private bytesOf(host: number): Uint8Array {
    const { bytes } = this.memory;
    return this.decoder.isShared ? bytes.slice(host, host + 4096) : bytes.subarray(host, host + 4096);
  }

  private source({ spa, linear, mode, isKnown }: Entry, follow: boolean): CodeSource {
    const code = CODE_SIZES[mode & Mode.CodeSizeMask]!;
    const user = (mode & Mode.Unprivileged) !== 0;
    const here = spa - (spa & 4095);
    return {
      bytesOf: (host) => this.bytesOf(host),
      code,
      mode,
      isKnown,
      follow: follow && code === 64,
      pageAt: (offset) =>
        offset === 0 ? here : this.executablePage(BigInt.asUintN(64, linear + BigInt(offset)), user),
    };
  }

  private enter({ record, spa, mode, region }: Entry & { region: Region }, code: unknown): void {
    const slot = FIRST_REGION_SLOT + (this.freeSlots.pop() ?? this.nextSlot++);
    this.table.set(slot, code);
    if (!this.decoder.enterRegion(record, spa, mode, slot, spansOf(region))) {
      this.table.set(slot, null);
      this.freeSlots.push(slot - FIRST_REGION_SLOT);
      return;
    }
    this.statistics.regions++;
    this.statistics.instructions += region.instructionCount;
  }

  /** The region may still be running: what runs stays alive, only its slot is given up. */
  private dropped(slot: number, spn: number): void {
    this.table.set(slot, null);
    this.freeSlots.push(slot - FIRST_REGION_SLOT);
    this.statistics.regionsDropped++;
    if (this.losses.size > MOST_REMEMBERED) this.losses.clear();
    this.losses.set(spn, (this.losses.get(spn) ?? 0) + 1);
  }

  /** Forgets all regions; the decoder was flushed. */
  private reset(): void {
    for (let slot = 0; slot < this.nextSlot; slot++) this.table.set(FIRST_REGION_SLOT + slot, null);
    this.samples.clear();
    this.refused.clear();
    this.wanted.length = 0;
    this.freeSlots.length = 0;
    this.nextSlot = 0;
  }
}

/** The bytes that a region came from, by system physical page. */
function spansOf({ blocks, pages }: Region): Map<number, DecodedSpans> {
  const code = new Map<number, DecodedSpans>();
  for (const { offset, instructions } of blocks.values()) {
    const last = instructions.at(-1);
    if (!last) continue;
    const { host, bytes } = pages.get(pageOf(offset))!;
    const decoded = code.get(host >>> 12) ?? { spans: [], bytes };
    decoded.spans.push({ from: offset & 4095, to: (last.offset & 4095) + last.instruction.length });
    code.set(host >>> 12, decoded);
  }
  return code;
}
