import { describe, expect, test } from 'vitest';
import { BlockDecoder } from '../block-decoder.ts';
import { buildInterpreter, FIRST_REGION_SLOT } from '../interpreter.ts';
import { AREA_SIZE } from '../logical-processor-area.ts';
import { Mode } from '../mode.ts';
import type { CodeHolder, PhysicalMemory } from '../processor.ts';
import { RegionCache } from './region-cache.ts';

const MAP = 0x1_0000;
const AREA = 0x2_0000;
const WASM_PAGES = Math.ceil((AREA + AREA_SIZE) / 65536);
const MODE = Mode.Code64;
const SLOTS = 4;
/** INC EAX; DEC ECX; JNZ back. */
const LOOP = [0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa];

const module = new WebAssembly.Module(buildInterpreter() as Uint8Array<ArrayBuffer>);

class Scene {
  readonly memory: PhysicalMemory;
  readonly decoder: BlockDecoder;
  readonly cache: RegionCache;
  readonly table: WebAssembly.Table;

  constructor() {
    const memory = new WebAssembly.Memory({ initial: WASM_PAGES, maximum: WASM_PAGES, shared: true });
    const bytes = new Uint8Array(memory.buffer);
    const codeHolders: CodeHolder[] = [];
    this.memory = {
      memory,
      bytes,
      words: new Uint32Array(memory.buffer),
      view: new DataView(memory.buffer),
      pageCount: WASM_PAGES * 16,
      codeMapAddress: MAP,
      codeHolders,
      noteWritten: (spn, offset = 0, size = 4096) => {
        const held = codeHolders.map((holder) => holder.written(spn, offset, size));
        bytes[MAP + spn] = held.includes(true) ? 1 : 0;
      },
    };
    const none = (): number => 0;
    const host = { memory, translateGpa: none, codeWritten: none, microcode: none, readTsc: none };
    const imports = {
      host: { ...host, decodeBlock: none, blockIsHot: none, deliverFault: none, exclusive: none },
    };
    const { exports } = new WebAssembly.Instance(module, imports);
    this.table = exports.table as WebAssembly.Table;
    this.decoder = new BlockDecoder(this.memory, AREA);
    const all = { ...imports, runtime: exports as WebAssembly.ModuleImports };
    const { memory: physical, decoder, table } = this;
    this.cache = new RegionCache(
      { memory: physical, decoder, imports: all, table, executablePage: () => -1 },
      { stretch: 1, samples: 1, entries: 1, doublings: 10, batch: 1, longestWait: 1 },
      SLOTS,
    );
  }

  /** Writes the loop at `spa` as a guest's store would, and decodes it. */
  store(spa: number): void {
    this.memory.bytes.set(LOOP, spa);
    this.memory.noteWritten(Math.floor(spa / 4096), spa % 4096, LOOP.length);
    this.decoder.decode(spa, MODE, () => -1);
  }
  /** The end of a stretch at `spa`. */
  sample(spa: number, mode: number): void {
    this.cache.sample({ spa, linear: 0n, mode });
    this.cache.translateWanted();
  }
  get slots(): boolean[] {
    return Array.from({ length: SLOTS }, (_, k) => this.table.get(FIRST_REGION_SLOT + k) !== null);
  }
}

describe('the region cache', () => {
  test('gives up the slot of a region whose code is stored to, and uses it again', () => {
    const scene = new Scene();
    scene.store(0x3000);
    scene.sample(0x3000, MODE);
    expect(scene.slots).toEqual([true, false, false, false]);
    scene.store(0x3000);
    expect(scene.slots).toEqual([false, false, false, false]);
    scene.store(0x4000);
    scene.sample(0x4000, MODE);
    expect(scene.slots).toEqual([true, false, false, false]);
  });

  test('translates code that is rewritten again and again more and more rarely', () => {
    const scene = new Scene();
    for (let round = 0; round < 1000; round++) {
      scene.store(0x3000);
      for (let k = 0; k < 4; k++) scene.sample(0x3000, MODE);
    }
    // One sample, two, four; eight are never met in a row.
    expect(scene.cache.statistics.regions).toBe(3);
  });

  test('starts again from nothing when all slots are taken', () => {
    const scene = new Scene();
    const places = [0x3000, 0x4000, 0x5000, 0x6000];
    for (const spa of places) scene.store(spa);
    for (const spa of places) scene.sample(spa, MODE);
    expect(scene.cache.isFull).toBe(true);
    scene.store(0x7000);
    scene.sample(0x7000, MODE);
    expect(scene.slots).toEqual([false, false, false, false]);
    expect(scene.decoder.recordOf(0x3000, MODE)).toBe(0);
    scene.store(0x7000);
    scene.sample(0x7000, MODE);
    expect(scene.cache.size).toBe(1);
  });

  test('does not try code again that can not be translated', () => {
    const scene = new Scene();
    // HLT.
    scene.memory.bytes[0x3000] = 0xf4;
    scene.decoder.decode(0x3000, MODE, () => -1);
    for (let k = 0; k < 10; k++) scene.sample(0x3000, MODE);
    expect(scene.cache.statistics.regions).toBe(0);
  });

  test('makes code for a chain of branches to what follows them that grows with its length only', () => {
    const scene = new Scene();
    const chain = Array.from({ length: 12 }, () => [0x74, 0x00]).flat();
    scene.memory.bytes.set([...chain, 0xc3], 0x3000);
    const record = scene.decoder.decode(0x3000, MODE, () => -1);
    scene.cache.translateNow({ spa: 0x3000, linear: 0n, mode: MODE }, record);
    expect(scene.cache.statistics.instructions).toBe(13);
  });
});
