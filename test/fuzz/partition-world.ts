/**
 * Several partitions, some inside others, that do anything to one another: hypercalls with every kind of input,
 * alignment and address, synthetic MSRs, exits with arbitrary details, mappings, overlays, pools, creation and
 * deletion. Scripted processors stand in for real ones, so that an operation costs microseconds. After each batch
 * the invariants of TLFS 2.0a §7.1.1 are checked, and that memory which was given to nobody is as it was and that
 * nobody has read it.
 */
import { Exit } from '../../src/cpu/processor.ts';
import { HypercallCode as Call, HYPERCALLS } from '../../src/hvdef/hypercalls.ts';
import { ALL_PRIVILEGES, ROOT_ONLY_PRIVILEGES } from '../../src/hvdef/privileges.ts';
import { type Booted, bootHypervisor } from '../../src/hypervisor/boot.ts';
import { GPA_UNMAPPED, RIGHTS_SHIFT, SPN_MASK } from '../../src/hypervisor/gpa-map.ts';
import { Dispatched, hypercallRequest } from '../../src/hypervisor/hypercall-request.ts';
import type { Partition } from '../../src/hypervisor/partition.ts';
import { Scheduler } from '../../src/hypervisor/scheduler.ts';
import { VirtualProcessor } from '../../src/hypervisor/virtual-processor.ts';
import { FakeProcessor } from '../../src/hypervisor/virtual-processor-fixture.ts';
import { Canary } from './canary.ts';
import { Random } from './random.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
const RESERVED_BYTES = 4 * MIB;
const MEMORY_BYTES = 64 * MIB + RESERVED_BYTES;
/** Pages of every caller that carry its parameters. */
const INPUT_GPN = 1;
const OUTPUT_GPN = 2;
/** Root pages: deposits for the root's own pool, then what children get, in blocks. */
const ROOT_POOL_PAGE = 32;
const ROOT_POOL_PAGES = 128;
const FIRST_BLOCK = 512;
const BLOCK_PAGES = 320;
const BLOCKS = 40;
const CANARY_PAGE = FIRST_BLOCK + BLOCK_PAGES * BLOCKS + 64;
const CANARY_PAGES = 64;
const MOST_PARTITIONS = 12;
const FAST = 0x1_0000;
const PRIVILEGES = ALL_PRIVILEGES & ~ROOT_ONLY_PRIVILEGES;
const MSR_RANGES: readonly (readonly [first: number, count: number])[] = [
  [0x4000_0000, 0x24],
  [0x4000_0070, 8],
  [0x4000_0080, 0x20],
  [0x4000_00b0, 8],
  [0x4000_00f0, 0x20],
  [0x800, 0x40],
  [0x1b, 1],
  [0x200, 0x100],
];

export interface Figures {
  operations: number;
  hypercalls: number;
  succeeded: number;
  partitions: number;
  deepest: number;
}

export class PartitionWorld {
  readonly booted: Booted;
  readonly random: Random;
  readonly figures: Figures = { operations: 0, hypercalls: 0, succeeded: 0, partitions: 0, deepest: 0 };
  readonly #scheduler: Scheduler;
  readonly #canary: Canary;
  #now = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.booted = bootHypervisor({
      memoryBytes: MEMORY_BYTES,
      reservedBytes: RESERVED_BYTES,
      createProcessor: (memory, address, host) => new FakeProcessor(memory, address, host),
      clock: () => this.#now++,
    });
    this.#scheduler = new Scheduler(this.booted.hypervisor, this.booted.rootProcessor);
    const region = { page: CANARY_PAGE, pages: CANARY_PAGES };
    this.#canary = new Canary(this.booted.surface.memory, [region], this.random);
    const pool = Array.from({ length: ROOT_POOL_PAGES }, (_, page) => BigInt(ROOT_POOL_PAGE + page));
    this.#call(this.#root, Call.DepositMemory, [1n, ...pool], ROOT_POOL_PAGES);
    for (let count = 0; count < 3; count++) this.#growFromRoot();
  }

  get #root(): Partition {
    return this.booted.hypervisor.root;
  }
  get #partitions(): Partition[] {
    return [...this.booted.hypervisor.partitions.values()];
  }

  run(operations: number): void {
    for (let count = 0; count < operations; count++) this.#step();
    this.figures.operations += operations;
    this.check();
  }

  #step(): void {
    const kind = this.random.below(100);
    if (kind < 3) this.#grow();
    else if (kind < 55) this.#randomCall();
    else if (kind < 70) this.#plausibleMap();
    else if (kind < 85) this.#randomExit(kind < 78);
    else if (kind < 95) this.#resumeSomebody();
    else {
      this.#now += this.random.below(100_000);
      this.#scheduler.runSlice(0.001);
    }
  }

  // Building: what a correct parent would do; any step may be refused

  #grow(): void {
    if (this.#partitions.length >= MOST_PARTITIONS) return;
    const parents = this.#partitions.filter((each) => each.isRoot || this.#canCall(each));
    const parent = this.random.pick(parents);
    if (parent.isRoot) this.#growFromRoot();
    else this.#growFrom(parent);
  }

  #growFromRoot(): void {
    const block = FIRST_BLOCK + BLOCK_PAGES * this.random.below(BLOCKS);
    const id = this.#create(this.#root, block, 40);
    if (id === 0n) return;
    const list = (first: number, pages: number) =>
      Array.from({ length: pages }, (_, page) => BigInt(first + page));
    const own = list(block + 40, 280);
    this.#call(this.#root, Call.MapGpaPages, [id, 1n, 7n, ...own], own.length);
    // So that the child can deposit them, the root can't access them any more.
    this.#call(this.#root, Call.MapGpaPages, [1n, own[0], 0n, ...own], own.length);
    this.#makeProcessor(this.#root, id);
  }

  #growFrom(parent: Partition): void {
    const half = Math.floor(280 / 2 ** parent.depth);
    const id = this.#create(parent, half - 30, 30);
    if (id === 0n) return;
    const pages = Math.floor(half / 2);
    const own = Array.from({ length: pages }, (_, page) => BigInt(half + page));
    this.#call(parent, Call.MapGpaPages, [id, 1n, 7n, ...own], pages);
    this.#makeProcessor(parent, id);
  }

  #create(parent: Partition, firstPage: number, pages: number): bigint {
    const created = this.#call(parent, Call.CreatePartition, [0n, 0n], 0);
    if (created.status !== 0) return 0n;
    const id = created.output;
    this.figures.partitions++;
    this.figures.deepest = Math.max(this.figures.deepest, parent.depth + 1);
    const list = Array.from({ length: pages }, (_, page) => BigInt(firstPage + page));
    this.#call(parent, Call.DepositMemory, [id, ...list], pages);
    this.#call(parent, Call.InitializePartition, [id], 0);
    this.#call(parent, Call.SetPartitionProperty, [id, 0x0001_0000n, PRIVILEGES], 0);
    return id;
  }

  #makeProcessor(parent: Partition, id: bigint): void {
    this.#call(parent, Call.CreateVp, [id, 0n, 0n, 0n], 0);
    this.#call(parent, Call.SetVpRegisters, [id, 0n, 0n, 0n, 0n, 0n], 1);
  }

  // Operations

  #canCall(partition: Partition): boolean {
    if (partition.isRoot) return true;
    if (partition.state !== 'active') return false;
    return [INPUT_GPN, OUTPUT_GPN].every((gpn) => {
      const mapping = partition.translate(gpn, 0);
      return mapping >= 0 && mapping >>> RIGHTS_SHIFT === 7 && (mapping & SPN_MASK) < CANARY_PAGE;
    });
  }

  #randomCall(): void {
    const { random } = this;
    const caller = random.pick(this.#partitions.filter((each) => this.#canCall(each)));
    const definition = random.pick(HYPERCALLS);
    // Ends of partitions are rare, so that there is something to end.
    if (definition.code === Call.FinalizePartition && !random.oneIn(40)) return;
    const request = hypercallRequest(caller, random.oneIn(10) ? random.below(4) : 0);
    const code = random.oneIn(50) ? random.below(0x1_0000) : definition.code;
    const header = definition.variableHeader ? random.below(4) << 17 : 0;
    request.controlLow = (code | (random.oneIn(6) ? FAST : 0) | header) >>> 0;
    request.controlHigh = definition.rep ? 1 + random.below(6) : 0;
    if (random.oneIn(30)) request.controlHigh = random.bits();
    if (random.oneIn(30)) request.controlLow = random.bits();
    request.inputGpa = this.#parameterGpa(INPUT_GPN);
    request.outputGpa = this.#parameterGpa(OUTPUT_GPN);
    const words = Array.from({ length: 16 }, () => random.word());
    const relatives = random.oneIn(4) ? this.#partitions : caller.children;
    if (!random.oneIn(8))
      words[0] = relatives.length > 0 ? BigInt(random.pick(relatives).id) : BigInt(caller.id);
    this.#write(request.fastBlock, 0, words.slice(0, 14));
    const at = this.#address(caller, request.inputGpa);
    if (at >= 0) this.#write(this.booted.surface.memory.bytes, at, words);
    this.#dispatch(caller, request);
  }

  /** Mostly the usual page; else misaligned, near the page's end, elsewhere, nowhere. */
  #parameterGpa(gpn: number): number {
    const { random } = this;
    if (!random.oneIn(8)) return gpn * PAGE;
    const kind = random.below(4);
    if (kind === 0) return gpn * PAGE + random.below(PAGE);
    if (kind === 1) return gpn * PAGE + PAGE - 8 * random.below(32);
    if (kind === 2) return random.below(300) * PAGE;
    return Number(random.word());
  }

  #plausibleMap(): void {
    const { random } = this;
    const caller = random.pick(this.#partitions.filter((each) => this.#canCall(each)));
    if (caller.children.length === 0) return;
    const child = random.pick(caller.children);
    const gpn = BigInt(random.oneIn(3) ? 3 + random.below(280) : 512 * random.below(8) + random.below(520));
    const source = caller.isRoot ? FIRST_BLOCK + random.below(BLOCK_PAGES * BLOCKS) : 3 + random.below(280);
    const id = BigInt(child.id);
    const rights = BigInt(random.pick([0, 1, 3, 5, 7, 7, 2, 8]));
    const pages = 1 + random.below(8);
    const list = Array.from({ length: pages }, (_, page) => BigInt(source + page));
    const kind = random.below(6);
    if (kind < 3) this.#call(caller, Call.MapGpaPages, [id, gpn, rights, ...list], pages);
    else if (kind === 3) this.#call(caller, Call.UnmapGpaPages, [id, gpn], pages);
    else if (kind === 4) this.#call(caller, Call.DepositMemory, [id, ...list], pages);
    else this.#call(caller, Call.WithdrawMemory, [id, 0n], pages);
  }

  /** A virtual processor exits: for an MSR (`msr`), or for anything else with arbitrary details. */
  #randomExit(msr: boolean): void {
    const { random } = this;
    const processors = this.#partitions.flatMap((each) => [...each.virtualProcessors.values()]);
    const vp = processors.length > 0 ? random.pick(processors) : undefined;
    if (!(vp instanceof VirtualProcessor)) return;
    const fake = vp.processor as FakeProcessor;
    const [first, count] = random.pick(MSR_RANGES);
    const exit = msr ? random.pick([Exit.MsrRead, Exit.MsrWrite, Exit.MsrWrite]) : random.below(12);
    const address = random.oneIn(2)
      ? random.below(300) * PAGE + random.below(PAGE)
      : 0xfee0_0000 + random.below(PAGE);
    fake.msrExit.msr = random.oneIn(20) ? random.bits() : first + random.below(count);
    fake.memoryExit.gpa = random.oneIn(10) ? Number(random.word() >> 12n) : address;
    fake.memoryExit.access = random.pick([1, 2, 4]);
    Object.assign(fake.portExit, {
      port: random.below(0x1_0000),
      size: random.pick([1, 2, 4]),
      write: random.oneIn(2),
    });
    Object.assign(fake.portExit, { string: random.oneIn(4), rep: random.oneIn(2) });
    fake.exceptionExit.vector = random.below(32);
    fake.exitInstructionLength = random.below(16);
    fake.code = Uint8Array.from({ length: random.below(17) }, () => random.below(256));
    for (let register = 0; register < 9; register++) fake.setGpr(register, random.word());
    // An overlay page mostly goes somewhere in the guest's memory.
    if (msr && random.oneIn(2)) {
      fake.setGpr(0, BigInt(random.below(16) * PAGE + random.below(2)));
      fake.setGpr(2, 0n);
    }
    fake.script.push(() => exit as Exit);
    if (vp.isReady()) vp.run(1);
    fake.script.length = 0;
  }

  /** A parent lets a processor go that waits for it. */
  #resumeSomebody(): void {
    const all = this.#partitions.filter((each) => each.parent !== undefined && this.#canCall(each.parent));
    if (all.length === 0) return;
    const partition = this.random.pick(all);
    const words = [BigInt(partition.id), 0n, 0n, 0n, 0n, 0n, 1n, 0n, 0n, 0n];
    this.#call(partition.parent!, Call.SetVpRegisters, words, 2);
    const vp = partition.virtualProcessors.get(0);
    if (vp instanceof VirtualProcessor) {
      vp.processor.setRip(0x1000n);
      (vp.processor as FakeProcessor).code = new Uint8Array([0xee]);
    }
  }

  // Calling

  #call(
    caller: Partition,
    code: number,
    words: readonly bigint[],
    reps: number,
  ): { status: number; output: bigint } {
    const failed = { status: -1, output: 0n };
    if (!this.#canCall(caller)) return failed;
    const request = hypercallRequest(caller, 0);
    request.controlLow = code;
    request.controlHigh = reps;
    request.inputGpa = INPUT_GPN * PAGE;
    request.outputGpa = OUTPUT_GPN * PAGE;
    this.#write(this.booted.surface.memory.bytes, this.#address(caller, request.inputGpa), words);
    if (!this.#dispatch(caller, request)) return failed;
    const out = this.#address(caller, request.outputGpa);
    const output = out < 0 ? 0n : this.booted.surface.memory.view.getBigUint64(out, true);
    return { status: request.resultStatus, output };
  }

  #dispatch(caller: Partition, request: ReturnType<typeof hypercallRequest>): boolean {
    this.figures.hypercalls++;
    let outcome = this.booted.dispatcher.dispatch(request);
    for (let round = 0; outcome === Dispatched.Continue && round < 3; round++) {
      request.controlHigh = ((request.controlHigh & 0xffff) | (request.repsCompleted << 16)) >>> 0;
      outcome = this.booted.dispatcher.dispatch(request);
    }
    if (outcome === Dispatched.Done && request.resultStatus === 0) this.figures.succeeded++;
    if ((request.controlLow & FAST) !== 0) this.#canary.checkBytes(request.fastBlock, 'a fast hypercall');
    if (caller.isRoot) this.booted.rootProcessor.serve();
    return outcome === Dispatched.Done;
  }

  #address(partition: Partition, gpa: number): number {
    const gpn = Math.floor(gpa / PAGE);
    const mapping = gpn < 2 ** 40 ? partition.translate(gpn, 0) : GPA_UNMAPPED;
    if (mapping < 0 || mapping >>> RIGHTS_SHIFT !== 7) return -1;
    const spn = mapping & SPN_MASK;
    // What a fuzzer writes for the root must not be the canary, nor what children were given.
    if (partition.isRoot && spn !== INPUT_GPN && spn !== OUTPUT_GPN) return -1;
    return spn * PAGE + (gpa % PAGE) + 16 * 8 <= (spn + 1) * PAGE ? spn * PAGE + (gpa % PAGE) : -1;
  }

  #write(bytes: Uint8Array, at: number, words: readonly bigint[]): void {
    if (at < 0) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    words.forEach((word, index) => {
      view.setBigUint64(at + 8 * index, BigInt.asUintN(64, word), true);
    });
  }

  // Invariants

  /** No call has answered with a status that its section does not list. */
  checkStatuses(): void {
    const unlisted = [...this.booted.dispatcher.unlistedAnswers];
    must(unlisted.length === 0, `not in the specification: ${unlisted.join(', ')}`);
  }

  check(): void {
    const { hypervisor } = this.booted;
    this.#canary.check();
    for (const partition of hypervisor.partitions.values()) {
      for (const { processor, index } of partition.virtualProcessors.values()) {
        for (let register = 0; processor !== undefined && register < 16; register++) {
          this.#canary.checkRegister(
            processor.getGpr(register),
            `GPR ${register} of VP ${partition.id}.${index}`,
          );
        }
      }
    }
    const owned = new Map<number, number>();
    const { spaPages } = hypervisor;
    for (let spn = 0; spn < spaPages.pageCount; spn++) {
      const owner = spaPages.poolOwner(spn);
      if (owner === 0) continue;
      owned.set(owner, (owned.get(owner) ?? 0) + 1);
      must(spaPages.rootRights(spn) === 0, `the root can access page ${spn} of the pool of ${owner}`);
    }
    const accessible = new Map<number, number>();
    for (const partition of hypervisor.partitions.values())
      this.#checkPartition(partition, owned, accessible);
    for (const [owner] of owned)
      must(hypervisor.partitions.has(owner), `partition ${owner} is gone, its pool is not`);
    for (const [spn, count] of accessible)
      must(spaPages.accessibleMappings(spn) === count, `mappings of page ${spn}`);
  }

  #checkPartition(partition: Partition, owned: Map<number, number>, accessible: Map<number, number>): void {
    const { spaPages } = partition.machine;
    const { id, pool } = partition;
    must(pool.free + pool.inUse === (owned.get(id) ?? 0), `the balance of partition ${id}`);
    for (const overlay of partition.overlays.list()) {
      must(
        overlay.spn < 0 || spaPages.poolOwner(overlay.spn) !== 0,
        `an overlay of ${id} lies on page ${overlay.spn}`,
      );
    }
    if (partition.isRoot) return;
    for (const { gpn, pages, spn, rights } of partition.gpaMap.ranges()) {
      for (let page = 0; page < pages && rights !== 0; page++) {
        must(
          spaPages.poolOwner(spn + page) === 0,
          `partition ${id} can access pool page ${spn + page} at ${gpn + page}`,
        );
        must(
          spaPages.isRam(spn + page),
          `partition ${id} can access page ${spn + page}, which is off limits`,
        );
        accessible.set(spn + page, (accessible.get(spn + page) ?? 0) + 1);
      }
    }
  }
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}
