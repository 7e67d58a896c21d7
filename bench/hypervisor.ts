/**
 * `npm run bench:hypervisor`: what the hypervisor's own work costs, from the root (TypeScript) and from guests
 * through the hypercall page, against writing the same tables without a check. `--json` prints the figures.
 */
import { parseArgs } from 'node:util';
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
import { mapCosts, poolCosts, warmUp } from './memory-tables.ts';

const SIZES_MIB = [64, 256, 1024, 3072];
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
const nanoseconds = (value: number): string => value.toFixed(1).padStart(6);

function mapColumn(cost: number, plain: number): string {
  return `${nanoseconds(cost)} (${(cost / plain).toFixed(1)} times) ${million(1e9 / cost)}`;
}

/** The dearest page of any size against the cheapest: 1 is perfectly linear. */
function growths<Row>(rows: readonly Row[], names: readonly (keyof Row & string)[]): string {
  const growth = (name: keyof Row & string) => {
    const costs = rows.map((row) => Number(row[name]));
    return (Math.max(...costs) / Math.min(...costs)).toFixed(2);
  };
  return names.map((name) => `${name} ${growth(name)}`).join('   ');
}
warmUp();
const maps = SIZES_MIB.map((size) => ({ size, ...mapCosts(size) }));
const pools = SIZES_MIB.map((size) => ({ size, ...poolCosts(size) }));
const figures = {
  maps,
  pools,
  guestMapPagesPerSecond: guestMaps(),
  interceptRoundTripsPerSecond: 1 / perUnit(unmappedLoads, ROUND_TRIPS, {}, answerLoads),
  nullHypercallNanoseconds: { root: rootNullCalls(), guest: perUnit(nullHypercalls, CALLS) * 1e9 },
};

if (values.json) console.log(JSON.stringify(figures));
else {
  console.log(
    'HvMapGpaPages by the root: ns a page (times the same tables written without checks), M pages a second',
  );
  console.log('   size     unmapped before          superseding              superseding, scattered');
  for (const { size, ...cost } of maps) {
    const columns = [
      mapColumn(cost.fresh, cost.plainFresh),
      mapColumn(cost.superseding, cost.plainSuperseding),
      mapColumn(cost.scattered, cost.plainScattered),
    ];
    console.log(`${`${size} MiB`.padStart(9)}   ${columns.map((column) => column.padEnd(25)).join('')}`);
  }
  console.log(`   growth   ${growths(maps, ['fresh', 'superseding', 'scattered'])}`);
  console.log(`            ${growths(maps, ['plainFresh', 'plainSuperseding', 'plainScattered'])}`);
  console.log('Memory pools: ns a page');
  for (const { size, deposit, withdraw, plainZeroing } of pools) {
    console.log(
      `${`${size} MiB`.padStart(9)}   deposit ${nanoseconds(deposit)}   withdraw, zeroed ${nanoseconds(withdraw)} (plain zeroing ${nanoseconds(plainZeroing)})`,
    );
  }
  console.log(`   growth   ${growths(pools, ['deposit', 'withdraw', 'plainZeroing'])}`);
  const { root, guest } = figures.nullHypercallNanoseconds;
  console.log(`HvMapGpaPages by a guest      ${million(figures.guestMapPagesPerSecond)} pages a second`);
  console.log(`Unmapped-GPA round trips      ${Math.round(figures.interceptRoundTripsPerSecond)} a second`);
  console.log(
    `A null hypercall              ${root.toFixed(0)} ns by the root, ${guest.toFixed(0)} ns by a guest`,
  );
}
