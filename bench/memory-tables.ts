/**
 * What mapping and pools cost per page as memory grows, beside the same work without a hypervisor: the same lists
 * read, the same tables written in the same WebAssembly memory (a leaf entry and a reference count a page, tables
 * of three levels zeroed when they are first needed), nothing checked; the same pages zeroed.
 *
 * Everything is done several times and the median counts, after a warming-up whose figures nobody sees. The lists
 * lie ready in memory: writing them is the caller's work. "Superseding" maps other pages than those that were there.
 */
import { HypercallCode as Call } from '../src/hvdef/hypercalls.ts';
import { TestMachine } from '../test/guests/test-machine.ts';
import { LIST_PAGES } from './hypervisor-guests.ts';

const PAGES_PER_MIB = 256;
const PAGE = 4096;
const PAGE_WORDS = PAGE / 4;
const RUNS = 7;
/** What one measurement maps, at least. */
const MEASURED_MIB = 1024;
const WARMING_MIB = 64;
const WARMING_RUNS = 7;
/** Header words of HvMapGpaPages: partition, first page, flags. */
const MAP_HEADER = 6;
/** Header words of HvDepositMemory: the partition. */
const DEPOSIT_HEADER = 2;
const DEPOSIT_LIST = 511;
const WITHDRAW_LIST = 512;
/** For lists, the peer's tables and what children are given. */
const EXTRA_MIB = 128;
/** A leaf entry's mark and all rights, as child-gpa-map.ts has them. */
const ENTRY = 0x0f00_0000;

/** Nanoseconds a page. */
export interface MapCosts {
  fresh: number;
  plainFresh: number;
  superseding: number;
  plainSuperseding: number;
  /** Superseding, from a parent whose pages lie scattered: no two of a list follow one another. */
  scattered: number;
  plainScattered: number;
}

export interface PoolCosts {
  deposit: number;
  withdraw: number;
  plainZeroing: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Milliseconds. */
function time(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** The medians of both, taken in turns, so that what else the machine does slows both; `before` is not counted. */
function sideBySide(
  runs: number,
  work: () => void,
  plain: () => void,
  before?: () => void,
): [number, number] {
  const times: [number, number][] = [];
  for (let run = 0; run < runs; run++) {
    before?.();
    times.push([time(work), time(plain)]);
  }
  return [median(times.map(([each]) => each)), median(times.map(([, each]) => each))];
}

export function mapCosts(mebibytes: number, runs = RUNS): MapCosts {
  const pages = mebibytes * PAGES_PER_MIB;
  const machine = new TestMachine({ megabytes: mebibytes + EXTRA_MIB, processors: 2 });
  const source = machine.takePages(pages);
  const plain = new PlainTables(machine, pages);
  const straight = new Lists(machine, pages, (page) => source + page);
  const turned = new Lists(machine, pages, (page) => source + ((page + pages / 2) % pages));
  const scattered = new Lists(machine, pages, (page) => source + ((page * 7919) % pages));
  const perPage = (milliseconds: number) => (milliseconds * 1e6) / pages;

  // A short measurement is repeated: small machines take as long as large ones.
  const rounds = Math.max(1, Math.floor(MEASURED_MIB / mebibytes));
  const tables = machine.takePages(tablePages(pages));

  let child = 0n;
  const renew = () => {
    if (child !== 0n) discard(machine, child);
    child = createChild(machine, tables, tablePages(pages));
    plain.clear();
  };
  const [fresh, plainFresh] = sideBySide(
    runs * Math.min(rounds, 8),
    () => straight.map(machine, child),
    () => straight.write(plain),
    renew,
  );
  const alternate = (lists: Lists) => {
    const work = (each: (lists: Lists) => void) => () => {
      for (let round = 0; round < rounds; round++) {
        each(lists);
        each(straight);
      }
    };
    const byHypercall = work((each) => each.map(machine, child));
    const plainly = work((each) => each.write(plain));
    return sideBySide(runs, byHypercall, plainly).map((milliseconds) => milliseconds / (2 * rounds));
  };
  const [superseding, plainSuperseding] = alternate(turned);
  const [scatter, plainScattered] = alternate(scattered);
  return {
    fresh: perPage(fresh),
    plainFresh: perPage(plainFresh),
    superseding: perPage(superseding),
    plainSuperseding: perPage(plainSuperseding),
    scattered: perPage(scatter),
    plainScattered: perPage(plainScattered),
  };
}

/** Pages of a child's pool for its GPA map and what else it needs. */
function tablePages(pages: number): number {
  return 16 + Math.ceil(pages / 500);
}

/** Always in the same pages, so that none is touched for the first time in a measurement. */
function createChild(machine: TestMachine, first: number, pages: number): bigint {
  const id = machine.must(Call.CreatePartition, [0, 0]).output.getBigUint64(0, true);
  for (let done = 0; done < pages; done += DEPOSIT_LIST) {
    const count = Math.min(DEPOSIT_LIST, pages - done);
    const list = Array.from({ length: count }, (_, index) => first + done + index);
    machine.must(Call.DepositMemory, [id, ...list], { reps: count });
  }
  machine.must(Call.InitializePartition, [id]);
  return id;
}

/** Finalizes a child and deletes it, so that the next one's pages are its own. */
function discard(machine: TestMachine, child: bigint): void {
  machine.must(Call.FinalizePartition, [child]);
  for (let status = 0; status === 0; )
    status = machine.call(Call.WithdrawMemory, [child, 0], { reps: 500 }).status;
  machine.must(Call.DeletePartition, [child]);
}

/** Parameter pages for HvMapGpaPages of `pages` pages, each full. */
class Lists {
  readonly #words: Uint32Array;
  readonly #first: number;
  readonly #pages: number;

  constructor(machine: TestMachine, pages: number, sourceOf: (page: number) => number) {
    this.#words = machine.booted.surface.memory.words;
    this.#pages = pages;
    const lists = Math.ceil(pages / LIST_PAGES);
    this.#first = machine.takePages(lists);
    for (let list = 0; list < lists; list++) {
      const at = (this.#first + list) * PAGE_WORDS;
      const done = list * LIST_PAGES;
      this.#words.set([0, 0, done, 0, 7, 0], at);
      for (let each = 0; each < LIST_PAGES && done + each < pages; each++) {
        this.#words[at + MAP_HEADER + 2 * each] = sourceOf(done + each);
        this.#words[at + MAP_HEADER + 2 * each + 1] = 0;
      }
    }
  }

  map(machine: TestMachine, child: bigint): void {
    const { surface } = machine.booted;
    for (let done = 0, page = this.#first; done < this.#pages; done += LIST_PAGES, page++) {
      this.#words[page * PAGE_WORDS] = Number(child);
      const count = Math.min(LIST_PAGES, this.#pages - done);
      const status = surface.hypercall(BigInt(Call.MapGpaPages) | (BigInt(count) << 32n), page * PAGE, 0);
      if ((status & 0xffffn) !== 0n) throw new Error(`HvMapGpaPages: ${status}`);
    }
  }

  write(tables: PlainTables): void {
    for (let done = 0, page = this.#first; done < this.#pages; done += LIST_PAGES, page++) {
      tables.write(done, page * PAGE_WORDS + MAP_HEADER, Math.min(LIST_PAGES, this.#pages - done));
    }
  }
}

/** The peer: tables and counts of the same layout, in pages of the same memory, written without a check. */
class PlainTables {
  readonly #words: Int32Array;
  readonly #counts: Int32Array;
  readonly #top: number;
  #next: number;

  constructor(machine: TestMachine, pages: number) {
    const { memory } = machine.booted.surface;
    this.#words = new Int32Array(memory.memory.buffer);
    const countPages = Math.ceil((memory.pageCount * 4) / PAGE);
    this.#counts = new Int32Array(
      memory.memory.buffer,
      machine.takePages(countPages) * PAGE,
      memory.pageCount,
    );
    this.#top = machine.takePages(4 + Math.ceil(pages / 512));
    this.#next = this.#top;
    this.clear();
  }

  /** Empty tables; the counts are those of no mapping. */
  clear(): void {
    this.#counts.fill(0);
    this.#next = this.#top;
    this.#take();
  }

  #take(): number {
    const page = this.#next++;
    this.#words.fill(0, page * PAGE_WORDS, (page + 1) * PAGE_WORDS);
    return page;
  }

  /** Maps `count` pages from `gpn` on to those that the list at word `at` names. */
  write(gpn: number, at: number, count: number): void {
    for (let done = 0; done < count; ) {
      const run = Math.min(count - done, 512 - ((gpn + done) & 511));
      this.#fill(this.#leaf(gpn + done) * PAGE_WORDS + ((gpn + done) & 511) * 2, at + 2 * done, run);
      done += run;
    }
  }

  #leaf(gpn: number): number {
    const words = this.#words;
    const top = this.#top * PAGE_WORDS + (gpn >>> 18) * 2;
    if (words[top] === 0) words[top] = this.#take();
    const middle = words[top] * PAGE_WORDS + ((gpn >>> 9) & 511) * 2;
    if (words[middle] === 0) words[middle] = this.#take();
    return words[middle];
  }

  #fill(entry: number, list: number, count: number): void {
    const words = this.#words;
    const counts = this.#counts;
    for (let each = entry, from = list, end = entry + 2 * count; each < end; each += 2, from += 2) {
      const before = words[each];
      if (before !== 0) counts[before & 0xff_ffff]--;
      const page = words[from];
      words[each] = ENTRY | page;
      counts[page]++;
    }
  }
}

export function poolCosts(mebibytes: number, runs = RUNS): PoolCosts {
  const pages = mebibytes * PAGES_PER_MIB;
  const machine = new TestMachine({ megabytes: mebibytes + EXTRA_MIB, processors: 2 });
  const child = machine.createPartition(undefined, 8);
  const { surface } = machine.booted;
  const { words } = surface.memory;
  const first = machine.takePages(pages);
  const lists = machine.takePages(Math.ceil(pages / DEPOSIT_LIST));
  for (let page = 0; page < pages; page++) {
    const at = (lists + Math.floor(page / DEPOSIT_LIST)) * PAGE_WORDS;
    words[at] = Number(child);
    words[at + DEPOSIT_HEADER + 2 * (page % DEPOSIT_LIST)] = first + page;
  }
  const give = () => {
    for (let done = 0, list = lists; done < pages; done += DEPOSIT_LIST, list++) {
      const count = Math.min(DEPOSIT_LIST, pages - done);
      const status = surface.hypercall(BigInt(Call.DepositMemory) | (BigInt(count) << 32n), list * PAGE, 0);
      if ((status & 0xffffn) !== 0n) throw new Error(`HvDepositMemory: ${status}`);
    }
  };
  const take = () => {
    for (let left = pages; left > 0; left -= WITHDRAW_LIST) {
      machine.must(Call.WithdrawMemory, [child, 0], { reps: Math.min(WITHDRAW_LIST, left) });
    }
  };
  const zero = () => {
    for (let page = first; page < first + pages; page++)
      words.fill(0, page * PAGE_WORDS, (page + 1) * PAGE_WORDS);
  };
  const deposits: number[] = [];
  const [withdraw, plainZeroing] = sideBySide(runs, take, zero, () => deposits.push(time(give)));
  const perPage = (milliseconds: number) => (milliseconds * 1e6) / pages;
  return {
    deposit: perPage(median(deposits)),
    withdraw: perPage(withdraw),
    plainZeroing: perPage(plainZeroing),
  };
}

/** Lets the engine compile everything first. */
export function warmUp(): void {
  mapCosts(WARMING_MIB, WARMING_RUNS);
  poolCosts(WARMING_MIB, WARMING_RUNS);
}
