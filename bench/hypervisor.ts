/**
 * `npm run bench:hypervisor`: what the hypervisor's own work costs, from the root (TypeScript) and from guests
 * through the hypercall page, against writing the same tables without a check. `--json` prints the figures.
 */
import { parseArgs } from 'node:util';
import { HypercallCode as Call } from '../src/hvdef/hypercalls.ts';
import { InterceptHeader, MessageType } from '../src/hvdef/messages.ts';
import { DEFAULT_CHILD_PRIVILEGES, Privilege } from '../src/hvdef/privileges.ts';
import { RegisterName } from '../src/hvdef/registers.ts';
import type { GuestImage } from '../test/guests/guest-image.ts';
import { type GuestOptions, TestMachine } from '../test/guests/test-machine.ts';
import {
  LIST_PAGES,
  mapsIntoChild,
  nullHypercalls,
  POOL_GPN,
  POOL_PAGES,
  unmappedLoads,
} from './hypervisor-guests.ts';

const SIZES_MIB = [64, 256, 1024, 3072];
/** Deposits touch every page, so the largest pool is kept below what machines have. */
const POOL_SIZES_MIB = [64, 256, 1024];
const PAGES_PER_MIB = 256;
const PAGE = 4096;
const CALLS = 200_000;
const ROUND_TRIPS = 50_000;
const GUEST_LISTS = 128;
const GUEST_ROUNDS = 60;
const RUNS = 3;
const GUEST_MILLISECONDS = 60_000;
const PARENT = (['CreatePartitions', 'AccessMemoryPool'] as const).reduce(
  (mask, name) => mask | (1n << BigInt(Privilege[name])),
  DEFAULT_CHILD_PRIVILEGES,
);

const seconds = (work: () => void): number => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

/** The best of several runs: what the machine does undisturbed. */
function best(runs: number, work: () => number): number {
  let least = Infinity;
  for (let run = 0; run < runs; run++) least = Math.min(least, work());
  return least;
}

/** Pages a second, by size in MiB: HvMapGpaPages of all of it in full lists, twice (the second supersedes). */
function rootMaps(mebibytes: number): { fresh: number; superseding: number } {
  const pages = mebibytes * PAGES_PER_MIB;
  const machine = new TestMachine({ megabytes: mebibytes + 64, processors: 2 });
  const child = machine.createPartition(undefined, 64 + Math.ceil(pages / 500));
  const first = machine.takePages(pages);
  const map = () => mapAll(machine, child, first, pages);
  return { fresh: pages / seconds(map), superseding: pages / best(RUNS, () => seconds(map)) };
}

function mapAll(machine: TestMachine, child: bigint, first: number, pages: number): void {
  callLists(machine, Call.MapGpaPages, pages, (done) => [Number(child), 0, done, 0, 7, 0], first);
}

/** Lists are written straight into the parameter page, as a root's operating system would: header words, then pages. */
function callLists(
  machine: TestMachine,
  code: number,
  pages: number,
  header: (done: number) => readonly number[],
  first: number,
): void {
  const { surface } = machine.booted;
  const input = machine.takePages(1) * PAGE;
  const { words } = surface.memory;
  for (let done = 0; done < pages; done += LIST_PAGES) {
    const count = Math.min(LIST_PAGES, pages - done);
    const head = header(done);
    words.set(head, input / 4);
    const list = input / 4 + head.length;
    for (let each = 0; each < count; each++) {
      words[list + 2 * each] = first + done + each;
      words[list + 2 * each + 1] = 0;
    }
    const status = Number(surface.hypercall(BigInt(code) | (BigInt(count) << 32n), input, input) & 0xffffn);
    if (status !== 0) throw new Error(`hypercall 0x${code.toString(16)}: status ${status}`);
  }
}

/** The same entries into the same kind of table, three levels down for each page, with nothing checked or counted. */
function plainWrites(mebibytes: number): number {
  const pages = mebibytes * PAGES_PER_MIB;
  const leaves = Math.ceil(pages / 512);
  const middles = Math.ceil(leaves / 512);
  const words = new Uint32Array(new SharedArrayBuffer((1 + middles + leaves) * PAGE));
  for (let middle = 0; middle < middles; middle++) words[2 * middle] = 1 + middle;
  for (let leaf = 0; leaf < leaves; leaf++) words[1024 + 2 * leaf] = 1 + middles + leaf;
  const list = new Uint32Array(LIST_PAGES * 2);
  const write = () => {
    for (let done = 0; done < pages; done += LIST_PAGES) {
      const count = Math.min(LIST_PAGES, pages - done);
      for (let each = 0; each < count; each++) list[2 * each] = done + each;
      for (let each = 0; each < count; each++) mapPlainly(words, done + each, list[2 * each]);
    }
  };
  return pages / best(RUNS, () => seconds(write));
}

function mapPlainly(words: Uint32Array, gpn: number, spn: number): void {
  const middle = words[(gpn >>> 18) * 2];
  const leaf = words[middle * 1024 + ((gpn >>> 9) & 511) * 2];
  words[leaf * 1024 + (gpn & 511) * 2] = 0x8700_0000 | spn;
}

function poolCosts(mebibytes: number): { deposit: number; withdraw: number } {
  const pages = mebibytes * PAGES_PER_MIB;
  const machine = new TestMachine({ megabytes: mebibytes + 64, processors: 2 });
  const child = machine.createPartition(undefined, 8);
  const first = machine.takePages(pages);
  const give = () => callLists(machine, Call.DepositMemory, pages, () => [Number(child), 0], first);
  const deposit = pages / seconds(give);
  const withdraw =
    pages /
    seconds(() => {
      for (let left = pages; left > 0; left -= 512) {
        machine.must(Call.WithdrawMemory, [child, 0], { reps: Math.min(512, left) });
      }
    });
  return { deposit, withdraw };
}

function rootNullCalls(): number {
  const { surface } = new TestMachine({ processors: 2 }).booted;
  const call = () => {
    for (let each = 0; each < CALLS; each++) surface.hypercall(0x3ffn, 0, 0);
  };
  return (best(RUNS, () => seconds(call)) / CALLS) * 1e9;
}

/** Seconds that a guest takes from its start to its exit. */
function guestSeconds(
  image: GuestImage,
  options: GuestOptions,
  prepare?: (machine: TestMachine, id: bigint) => void,
) {
  const machine = new TestMachine({ megabytes: 64 });
  const guest = machine.createGuest(image, options);
  prepare?.(machine, guest.id);
  const taken = seconds(() => {
    machine.start(guest);
    machine.run(() => guest.exit !== undefined, GUEST_MILLISECONDS);
  });
  if (guest.exit !== 0) throw new Error(`a benchmark's guest ended with ${guest.exit}: ${guest.serial}`);
  return taken;
}

/** The difference of two lengths, so that start-up and the interpreter's warming do not count. */
function perUnit(
  make: (units: number) => GuestImage,
  units: number,
  options: GuestOptions = {},
  prepare?: Prepare,
) {
  const few = Math.ceil(units / 10);
  const shortest = best(RUNS, () => guestSeconds(make(few), options, prepare));
  const longest = best(RUNS, () => guestSeconds(make(units), options, prepare));
  return Math.max(longest - shortest, 1e-9) / (units - few);
}
type Prepare = (machine: TestMachine, id: bigint) => void;

/** Loads from unmapped memory are completed by the root: message, one HvSetVpRegisters, and on. */
function answerLoads(machine: TestMachine): void {
  machine.onMessage = (message) => {
    if (message.getUint32(0, true) !== MessageType.UnmappedGpa) return false;
    const rip = message.getBigUint64(InterceptHeader.Rip, true);
    const length = BigInt(message.getUint8(InterceptHeader.InstructionLength));
    machine.setRegisters(message.getBigUint64(8, true), 0, [
      { name: RegisterName.Rip, low: rip + length, high: 0n },
      { name: RegisterName.InterceptSuspend, low: 0n, high: 0n },
    ]);
    return true;
  };
}

/** The root gives up its rights to the pages that the guest deposits (TLFS 2.0a §7.3.1). */
function givePool(machine: TestMachine, id: bigint): void {
  const first = machine.takePages(POOL_PAGES);
  machine.map(id, POOL_GPN, first, POOL_PAGES);
  machine.map(1n, first, first, POOL_PAGES, 0);
}

function guestMaps(): number {
  const make = (rounds: number) => mapsIntoChild(GUEST_LISTS, rounds);
  const options = { privileges: PARENT, pages: POOL_GPN, depositPages: 64 };
  return (GUEST_LISTS * LIST_PAGES) / perUnit(make, GUEST_ROUNDS, options, givePool);
}

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const million = (value: number): string => `${(value / 1e6).toFixed(1)} M`;
const maps = SIZES_MIB.map((size) => ({ size, ...rootMaps(size), plain: plainWrites(size) }));
const pools = POOL_SIZES_MIB.map((size) => ({ size, ...poolCosts(size) }));
const figures = {
  maps,
  pools,
  guestMapPagesPerSecond: guestMaps(),
  interceptRoundTripsPerSecond: 1 / perUnit(unmappedLoads, ROUND_TRIPS, {}, answerLoads),
  nullHypercallNanoseconds: { root: rootNullCalls(), guest: perUnit(nullHypercalls, CALLS) * 1e9 },
};

if (values.json) console.log(JSON.stringify(figures));
else {
  console.log('HvMapGpaPages by the root, pages a second');
  console.log('   size     unmapped before   superseding   plain table writes');
  for (const { size, fresh, superseding, plain } of maps) {
    const columns = [
      million(fresh).padStart(17),
      million(superseding).padStart(14),
      million(plain).padStart(21),
    ];
    console.log(
      `${`${size} MiB`.padStart(9)}${columns.join('')}   (${(plain / superseding).toFixed(1)} times)`,
    );
  }
  console.log('Memory pools, pages a second');
  for (const { size, deposit, withdraw } of pools) {
    console.log(
      `${`${size} MiB`.padStart(9)}   deposit ${million(deposit)}   withdraw (zeroed) ${million(withdraw)}`,
    );
  }
  const { root, guest } = figures.nullHypercallNanoseconds;
  console.log(`HvMapGpaPages by a guest      ${million(figures.guestMapPagesPerSecond)} pages a second`);
  console.log(`Unmapped-GPA round trips      ${Math.round(figures.interceptRoundTripsPerSecond)} a second`);
  console.log(
    `A null hypercall              ${root.toFixed(0)} ns by the root, ${guest.toFixed(0)} ns by a guest`,
  );
}
