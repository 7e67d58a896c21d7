/**
 * The inner loop of the map hypercalls, in WebAssembly: leaf entries of a child's GPA map (child-gpa-map.ts) are
 * written for a list of system pages, each checked against the columns of the SPA page table (spa-page-table.ts)
 * and counted there, in one pass. No state of its own.
 *
 * The same loop in TypeScript costs 8 ns a page instead of 3: three typed arrays, each with its bounds check. A pass
 * for each column, over runs of pages that follow one another, cost 7, and 100 where pages lie scattered.
 */
import type { PhysicalMemory } from '../cpu/processor.ts';
import { ModuleBuilder } from '../support/wasm/module-builder.ts';
import { i32, i64, loads } from '../support/wasm/values.ts';
import { RIGHTS_SHIFT, SPN_MASK } from './gpa-map.ts';

const ENTRY_SIZE = 8;
const RIGHTS_MASK = 7 << RIGHTS_SHIFT;
const SUPERSEDED_SHIFT = 16;

/** Byte addresses of the columns, pages that they have, and what their state bytes mean. */
export interface MappingColumns {
  states: number;
  mappings: number;
  pages: number;
  /** State bits of a page that can't be mapped. */
  refused: number;
  /** Those of a page whose mapping can't be superseded. */
  kept: number;
}

export interface MappingPass {
  /**
   * Writes `mark | page` into up to `count` entries from byte address `entry` on, for the 64-bit page numbers from
   * byte address `list` on, `step` bytes apart; `accessible` (0 or 1) is added to each page's mappings. Stops before
   * the first element that is refused. Answers the elements done, and the mappings superseded << 16.
   */
  put(entry: number, list: number, step: number, count: number, mark: number, accessible: number): number;
}

type Put = (...parameters: number[]) => number;

let compiled: WebAssembly.Module | undefined;

export function mappingPass(memory: PhysicalMemory, columns: MappingColumns): MappingPass {
  compiled ??= new WebAssembly.Module(buildModule());
  const put = new WebAssembly.Instance(compiled, { host: { memory: memory.memory } }).exports.put as Put;
  const { states, mappings, pages, refused, kept } = columns;
  return {
    put(entry, list, step, count, mark, accessible) {
      return put(entry, list, step, count, mark, accessible, states, mappings, pages, refused, kept);
    },
  };
}

function buildModule(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importMemory('host', 'memory', 1, 65536);
  const put = module.function('put', { params: Array(11).fill('i32'), results: ['i32'] }, (f) => {
    const [entry, list, step, count, mark, accessible, states, mappings, pages, refused, kept] = f.params;
    const done = f.local('i32');
    const superseded = f.local('i32');
    const number = f.local('i64');
    const page = f.local('i32');
    const before = f.local('i32');
    const column = f.local('i32');
    const recount = (spn: typeof page.get, change: typeof page.get) => {
      f.set(column, i32.add(mappings.get, i32.shl(spn, i32.const(2))));
      f.store('i32', column.get, 0, i32.add(loads.i32(column.get), change));
    };
    const stateHas = (spn: typeof page.get, bits: typeof page.get) =>
      i32.and(loads.i32_8u(i32.add(states.get, spn)), bits);
    f.block((end) => {
      f.loop((again) => {
        f.branchIf(end, i32.eq(done.get, count.get));
        f.set(number, loads.i64(list.get));
        f.branchIf(end, i64.geU(number.get, i64.extendU(pages.get)));
        f.set(page, i32.wrap(number.get));
        f.branchIf(end, stateHas(page.get, refused.get));
        f.set(before, loads.i32(entry.get));
        f.if(before.get, () => {
          const spn = f.let(i32.and(before.get, i32.const(SPN_MASK)));
          f.branchIf(end, stateHas(spn, kept.get));
          f.if(i32.and(before.get, i32.const(RIGHTS_MASK)), () => recount(spn, i32.const(-1)));
          f.set(superseded, i32.add(superseded.get, i32.const(1)));
        });
        f.store('i32', entry.get, 0, i32.or(mark.get, page.get));
        recount(page.get, accessible.get);
        f.set(entry, i32.add(entry.get, i32.const(ENTRY_SIZE)));
        f.set(list, i32.add(list.get, step.get));
        f.set(done, i32.add(done.get, i32.const(1)));
        f.branch(again);
      });
    });
    f.emit(i32.or(done.get, i32.shl(superseded.get, i32.const(SUPERSEDED_SHIFT))));
  });
  module.export(put);
  return module.finish() as Uint8Array<ArrayBuffer>;
}

export const passDone = (answer: number): number => answer & 0xffff;
export const passSuperseded = (answer: number): number => answer >>> SUPERSEDED_SHIFT;
