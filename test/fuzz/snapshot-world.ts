/**
 * Damaged snapshots, and machines that go on from them: the file is refused with a ConfigurationError, or the machine
 * runs, in whatever state that is, to an end that a machine can have. Nothing else is thrown, nothing hangs, and memory
 * of the root that is nobody's is neither written nor read, by the machine or by a snapshot that is taken of it.
 *
 * A machine is put together as VirtualMachine does it, so that system memory can be looked at.
 */
import { PAGE_SIZE } from '../../src/hvdef/types.ts';
import { type AssembledVm, assemble, planBoot } from '../../src/vm/assembly.ts';
import { VmDebugger } from '../../src/vm/debugger/vm-debugger.ts';
import { createHost, type Host } from '../../src/vm/host.ts';
import { handleIntercepts } from '../../src/vm/intercepts/dispatch.ts';
import { multibootImage } from '../../src/vm/loaders/hand-made-images.ts';
import type { NumaConfig } from '../../src/vm/numa-config.ts';
import { MessagePump } from '../../src/vm/parent/message-pump.ts';
import { RequestQueue } from '../../src/vm/request-queue.ts';
import { MemoryFile } from '../../src/vm/snapshot/memory-file.ts';
import { readSnapshot } from '../../src/vm/snapshot/read-snapshot.ts';
import { restoredConfig } from '../../src/vm/snapshot/restored-config.ts';
import { StateDriver } from '../../src/vm/state-driver.ts';
import { ConfigurationError, type VmConfig } from '../../src/vm/vm-config.ts';
import type { VmOutcome } from '../../src/vm/vm-outcome.ts';
import { Canary } from './canary.ts';
import { Random } from './random.ts';
import { damagedSnapshot } from './snapshot-damage.ts';

const MEMORY_BYTES = 0x80_0000;
const LOAD_ADDRESS = 0x10_0000;
const CANARY_PAGES = 32;
/** What the root has beyond a machine: its last pages are nobody's. */
const SPARE_BYTES = 0x20_0000;
const RUN_SECONDS = 0.012;
/** More than this and something keeps the host's thread. */
const LONGEST_MILLISECONDS = 5_000;
/** A machine may end so; a defect of ours ends it otherwise. */
const ENDS: ReadonlySet<VmOutcome['kind']> = new Set<VmOutcome['kind']>([
  'power-off',
  'reset',
  'exit-port',
  'crash',
  'timeout',
  'saved',
  'snapshot-damaged',
]);

/** Counts in 64 pages, reads a register of the I/O APIC and the time of day, sends dots. */
const BUSY =
  // mov esi, 0x300000; again: inc dword [esi]; add esi, 0x1000; cmp esi, 0x340000; jb on; mov esi, 0x300000
  'be00003000ff0681c60010000081fe000034007205be00003000' +
  // on: mov eax, [0xfec00010]; mov al, 0; out 0x70, al; in al, 0x71; mov dx, 0x3f8; mov al, '.'; out dx, al; jmp again
  'a11000c0feb000e670e47166baf803b02eeeebd7';

export interface SnapshotFigures {
  damagedSnapshots: number;
  restoredSnapshots: number;
  damagedLate: number;
}

interface Machine {
  host: Host;
  vm: AssembledVm;
  queue: RequestQueue;
  driver: StateDriver;
  debugged: VmDebugger;
  canary: Canary;
}

export class SnapshotWorld {
  readonly figures: SnapshotFigures = { damagedSnapshots: 0, restoredSnapshots: 0, damagedLate: 0 };
  readonly #random: Random;
  /** Two snapshots of one machine. */
  readonly #early: Uint8Array;
  readonly #late: Uint8Array;

  private constructor(random: Random, early: Uint8Array, late: Uint8Array) {
    this.#random = random;
    this.#early = early;
    this.#late = late;
  }

  static async create(seed: number): Promise<SnapshotWorld> {
    const random = new Random(seed);
    const numa = random.oneIn(2) ? nodes(random) : undefined;
    const kernel = { name: 'busy', bytes: multibootImage(LOAD_ADDRESS, Buffer.from(BUSY, 'hex')) };
    const config = { kernel, modules: [], commandLine: '', memoryBytes: MEMORY_BYTES, vpCount: 1, numa };
    const early = await saved(config, random);
    const restore = { snapshot: readSnapshot(fileOf(early)), clone: random.oneIn(2) };
    return new SnapshotWorld(random, early, await saved(restoredConfig({ ...config, restore }), random));
  }

  async run(snapshots: number): Promise<void> {
    for (let count = 0; count < snapshots; count++) await this.#step();
    this.figures.damagedSnapshots += snapshots;
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const [one, other] = random.oneIn(2) ? [this.#early, this.#late] : [this.#late, this.#early];
    const file = fileOf(damagedSnapshot(one, other, random));
    const started = performance.now();
    let machine: Machine | undefined;
    try {
      const snapshot = readSnapshot(file);
      const { memoryBytes, vpCount } = snapshot;
      const kernel = { name: file.name, bytes: new Uint8Array(0) };
      const restore = { snapshot, clone: random.oneIn(2) };
      // The command asks for what the file says.
      const config = { kernel, modules: [], commandLine: '', memoryBytes, vpCount, restore };
      machine = build(restoredConfig(config), random, RUN_SECONDS);
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
    }
    if (machine !== undefined) await this.#goOn(machine, file);
    must(performance.now() - started < LONGEST_MILLISECONDS, 'a damaged snapshot keeps the host busy');
  }

  async #goOn(machine: Machine, file: MemoryFile): Promise<void> {
    const random = this.#random;
    this.figures.restoredSnapshots++;
    const again = new MemoryFile('again');
    if (random.oneIn(6)) machine.queue.enqueue(snapshotTo(again));
    if (random.oneIn(8)) disturb(file, random);
    const outcome = await run(machine);
    if (outcome.kind === 'error') throw outcome.error;
    must(ENDS.has(outcome.kind), `the machine ended: ${outcome.kind}`);
    if (outcome.kind === 'snapshot-damaged') this.figures.damagedLate++;
    // A look for every alignment takes longer than all the rest.
    if (random.oneIn(4)) machine.canary.checkAll();
    else machine.canary.check();
    if (outcome.kind === 'saved') {
      machine.canary.checkBytes(again.contents, 'a snapshot of the machine');
      readSnapshot(again);
    }
  }
}

function nodes(random: Random): NumaConfig {
  const nodeBytes = random.pick([
    [MEMORY_BYTES],
    [MEMORY_BYTES / 2, MEMORY_BYTES / 2],
    [MEMORY_BYTES / 4, MEMORY_BYTES / 4, MEMORY_BYTES / 2],
  ]);
  if (random.oneIn(2)) return { nodeBytes };
  return {
    nodeBytes,
    distances: nodeBytes.map((_, from) => nodeBytes.map((__, to) => (from === to ? 10 : 30))),
  };
}

function fileOf(contents: Uint8Array): MemoryFile {
  const file = new MemoryFile('damaged');
  file.write(contents, 0);
  return file;
}

/** The file changes while the machine runs. */
function disturb(file: MemoryFile, random: Random): void {
  if (random.oneIn(2)) file.bytes = random.below(file.bytes);
  else for (let count = 0; count < 200; count++) file.contents[random.below(file.bytes)] ^= 1;
}

function snapshotTo(file: MemoryFile) {
  const request = { open: () => file, goOn: false, progress() {}, cancelled: false, done() {} };
  return { kind: 'snapshot', request } as const;
}

async function saved(config: VmConfig, random: Random): Promise<Uint8Array> {
  const machine = build(config, random, undefined);
  const file = new MemoryFile('sound');
  const timer = setTimeout(() => machine.queue.enqueue(snapshotTo(file)), (RUN_SECONDS / 2) * 1000);
  const { kind } = await run(machine);
  clearTimeout(timer);
  must(kind === 'saved', `a sound machine ended: ${kind}`);
  return file.contents.slice();
}

async function run({ vm, driver, debugged }: Machine): Promise<VmOutcome> {
  return await driver.run(vm, debugged, false);
}

/** As VirtualMachine builds it, with a canary in the root's last pages. Throws a ConfigurationError as it does. */
function build(config: VmConfig, random: Random, limit: number | undefined): Machine {
  const plan = planBoot(config);
  const { memoryBytes, numa } = config;
  const nodeBytes = [...(numa?.nodeBytes ?? [memoryBytes])];
  nodeBytes[nodeBytes.length - 1] += SPARE_BYTES;
  const host = createHost({ guestBytes: memoryBytes + SPARE_BYTES, nodeBytes });
  const { surface } = host;
  const end = surface.ramPages.reduce((last, { gpn, pages }) => Math.max(last, gpn + pages), 0);
  const page = end - CANARY_PAGES;
  const address = surface.pageAddress(page);
  const canary = new Canary(surface.memory, [{ page: address / PAGE_SIZE, pages: CANARY_PAGES }], random);
  const queue = new RequestQueue();
  const driver: StateDriver = new StateDriver(host, queue, () => {}, limit);
  const vm = assemble(surface, config, plan, {
    transmit() {},
    powerOff: () => driver.end({ kind: 'power-off' }),
    reset: () => driver.end({ kind: 'reset' }),
    exit: (value) => driver.end({ kind: 'exit-port', value, status: 1 }),
  });
  must(
    vm.rootMemory.allocate(CANARY_PAGES, 1, { firstPage: page, pages: CANARY_PAGES }) === page,
    'no canary',
  );
  const crash = (text: string) => driver.end({ kind: 'crash', text });
  const pump = new MessagePump(surface, vm.rootMemory, () => crash('an unexpected message'));
  const { partition, vpCount, chipset, memory } = vm;
  const debugged = new VmDebugger({ partition, vpCount, pump, end: (outcome) => driver.end(outcome) });
  const reset = () => driver.end({ kind: 'reset' });
  handleIntercepts(pump, { partition, chipset, memory, crash, reset });
  return { host, vm, queue, driver, debugged, canary };
}

function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
