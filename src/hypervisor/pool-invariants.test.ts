/**
 * Random sequences of hypercalls by several partitions against a simple model. After each step the three
 * invariants of TLFS 2.0a §7.1.1 hold, and every map and pool is what the model says.
 */
import { describe, expect, test } from 'vitest';
import { HypercallCode } from '../hvdef/hypercalls.ts';
import { ALL_PRIVILEGES } from '../hvdef/privileges.ts';
import { HvStatus } from '../hvdef/status.ts';
import { RIGHTS_SHIFT, SPN_MASK } from './gpa-map.ts';
import { Fixture } from './hypercall-fixture.ts';
import { memoryGpaHypercalls } from './hypercalls/memory-gpa.ts';
import { memoryPoolHypercalls } from './hypercalls/memory-pool.ts';
import { partitionHypercalls } from './hypercalls/partition.ts';
import type { Partition } from './partition.ts';

const ROOT = 1;
/** Pages the actions play with; 1 and 2 are for parameters. */
const FIRST = 16;
const LAST = 90;
const STEPS = 1200;

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

/** What the model knows of a pool page: whose pool, deposited by whom through which GPA page. */
interface Deposit {
  pool: number;
  depositor: number;
  gpn: number;
}

/** The model: successful calls change it; the machine must agree. */
class Model {
  readonly deposits = new Map<number, Deposit>();
  /** Per partition, GPN to [SPN, rights]. */
  readonly maps = new Map<number, Map<number, [spn: number, rights: number]>>();
  /** Pages that have ever been mapped into each partition. */
  readonly everMapped = new Map<number, Set<number>>();

  map(id: number, gpn: number, spn: number, rights: number): void {
    const map = this.maps.get(id) ?? new Map<number, [number, number]>();
    this.maps.set(id, map.set(gpn, [spn, rights]));
    this.everMapped.set(id, (this.everMapped.get(id) ?? new Set<number>()).add(spn));
  }
}

class Player {
  readonly fixture = new Fixture([...partitionHypercalls, ...memoryPoolHypercalls, ...memoryGpaHypercalls]);
  readonly model = new Model();
  readonly random: Random;
  readonly successes = new Map<string, number>();

  constructor(seed: number) {
    this.random = new Random(seed);
    for (const { gpn, pages } of this.fixture.hypervisor.ramPages) {
      for (let page = gpn; page < gpn + pages; page++) this.model.map(ROOT, page, page, 7);
    }
  }

  get partitions(): Partition[] {
    return [...this.fixture.hypervisor.partitions.values()];
  }

  step(): void {
    const actions = [
      this.deposit,
      this.deposit,
      this.withdraw,
      this.map,
      this.map,
      this.mapOwnRights,
      this.unmap,
      this.create,
      this.initialize,
      this.finalizeOrDelete,
    ];
    const action = this.random.pick(actions);
    if (action.call(this)) this.successes.set(action.name, (this.successes.get(action.name) ?? 0) + 1);
  }

  /** A caller that can pass parameters, and a partition it names (mostly its child). */
  pair(): { caller: Partition; target: Partition } {
    const callers = this.partitions.filter((each) => this.usable(each));
    const caller = this.random.pick(callers);
    const children =
      caller.children.length > 0 && this.random.below(8) > 0 ? caller.children : this.partitions;
    return { caller, target: this.random.pick(children) };
  }

  /** Pages 1 and 2 of a caller carry its parameters. */
  usable(partition: Partition): boolean {
    return [1, 2].every(
      (gpn) => partition.gpaMap.lookup(gpn) >>> RIGHTS_SHIFT === 7 && partition.state === 'active',
    );
  }

  page(): number {
    return FIRST + this.random.below(LAST - FIRST);
  }

  gpn(): number {
    return this.random.below(4) === 0 ? 512 + this.random.below(20) : this.random.below(30);
  }

  deposit(): boolean {
    const { caller, target } = this.pair();
    const gpn = caller.isRoot ? this.page() : this.gpn();
    const input = [BigInt(target.id), BigInt(gpn)];
    const { status } = this.fixture.call(HypercallCode.DepositMemory, input, { caller, reps: 1 });
    if (status !== HvStatus.SUCCESS) return false;
    const entry = this.model.maps.get(caller.id)!.get(gpn)!;
    if (!caller.isRoot) this.successes.set('deposit by a child', 1);
    this.model.deposits.set(entry[0], { pool: target.id, depositor: caller.id, gpn });
    this.model.map(caller.id, gpn, entry[0], 0);
    return true;
  }

  withdraw(): boolean {
    const { caller, target } = this.pair();
    const input = [BigInt(target.id), 0n];
    const result = this.fixture.call(HypercallCode.WithdrawMemory, input, { caller, reps: 1 });
    if (result.status !== HvStatus.SUCCESS) return false;
    const gpn = Number(result.output[0]);
    const spn = this.model.maps.get(caller.id)!.get(gpn)![0];
    expect(this.model.deposits.get(spn)).toEqual({ pool: target.id, depositor: caller.id, gpn });
    this.model.deposits.delete(spn);
    this.model.map(caller.id, gpn, spn, 7);
    return true;
  }

  map(): boolean {
    const { caller, target } = this.pair();
    const source = caller.isRoot ? this.page() : this.gpn();
    const gpn = this.gpn();
    const rights = this.random.pick([0, 1, 3, 5, 7, 7, 7]);
    const input = [BigInt(target.id), BigInt(gpn), BigInt(rights), BigInt(source)];
    const { status } = this.fixture.call(HypercallCode.MapGpaPages, input, { caller, reps: 1 });
    if (status !== HvStatus.SUCCESS) return false;
    this.model.map(target.id, gpn, this.model.maps.get(caller.id)!.get(source)![0], rights);
    return true;
  }

  mapOwnRights(): boolean {
    const page = this.page();
    const rights = this.random.pick([0, 1, 7]);
    const input = [BigInt(ROOT), BigInt(page), BigInt(rights), BigInt(page)];
    const { status } = this.fixture.call(HypercallCode.MapGpaPages, input, { reps: 1 });
    if (status !== HvStatus.SUCCESS) return false;
    this.model.map(ROOT, page, page, rights);
    return true;
  }

  unmap(): boolean {
    const { caller, target } = this.pair();
    const gpn = this.gpn();
    const input = [BigInt(target.id), BigInt(gpn)];
    const { status } = this.fixture.call(HypercallCode.UnmapGpaPages, input, { caller, reps: 1 });
    if (status !== HvStatus.SUCCESS) return false;
    return this.model.maps.get(target.id)?.delete(gpn) ?? false;
  }

  create(): boolean {
    const { caller } = this.pair();
    if (this.partitions.length > 6) return false;
    const result = this.fixture.call(HypercallCode.CreatePartition, [0n, 0n], { caller });
    if (result.status !== HvStatus.SUCCESS) return false;
    this.fixture.partition(result.output[0]).privileges = ALL_PRIVILEGES;
    return true;
  }

  /** Also maps the new partition's parameter pages, so that it can act itself. */
  initialize(): boolean {
    const { caller, target } = this.pair();
    const { status } = this.fixture.call(HypercallCode.InitializePartition, [BigInt(target.id)], { caller });
    if (status !== HvStatus.SUCCESS || !caller.isRoot) return status === HvStatus.SUCCESS;
    const first = 100 + target.id * 2;
    const input = [BigInt(target.id), 1n, 7n, BigInt(first), BigInt(first + 1)];
    const mapped = this.fixture.call(HypercallCode.MapGpaPages, input, { reps: 2 });
    for (let rep = 0; rep < mapped.reps; rep++) this.model.map(target.id, 1 + rep, first + rep, 7);
    return true;
  }

  finalizeOrDelete(): boolean {
    const { caller, target } = this.pair();
    if (this.random.below(3) > 0) return false;
    const id = [BigInt(target.id)];
    const finalized = this.fixture.call(HypercallCode.FinalizePartition, id, { caller }).status === 0;
    const deleted = this.fixture.call(HypercallCode.DeletePartition, id, { caller }).status === 0;
    if (finalized) this.model.maps.delete(target.id);
    return finalized || deleted;
  }

  check(): void {
    const { spaPages } = this.fixture.hypervisor;
    for (const [spn, deposit] of this.model.deposits) {
      expect(spaPages.poolOwner(spn), `page ${spn} stays in the pool it was deposited into`).toBe(
        deposit.pool,
      );
      const parent = this.fixture.partition(BigInt(deposit.depositor));
      expect(this.model.everMapped.get(parent.id)!.has(spn), 'mapped in the parent before').toBe(true);
      for (const partition of this.partitions) {
        for (const [gpn, [mapped]] of this.model.maps.get(partition.id) ?? []) {
          if (mapped !== spn) continue;
          expect(partition.gpaMap.lookup(gpn) >>> RIGHTS_SHIFT, `nobody can access page ${spn}`).toBe(0);
        }
      }
    }
    for (const partition of this.partitions) this.checkPartition(partition);
  }

  checkPartition(partition: Partition): void {
    let balance = 0;
    for (const deposit of this.model.deposits.values()) if (deposit.pool === partition.id) balance++;
    expect(partition.pool.free + partition.pool.inUse, `balance of ${partition.id}`).toBe(balance);
    const map = this.model.maps.get(partition.id);
    if (!partition.isRoot) expect(partition.gpaMap.pagesMapped).toBe(map?.size ?? 0);
    for (const [gpn, [spn, rights]] of map ?? []) {
      const mapping = partition.gpaMap.lookup(gpn);
      const found = [mapping & SPN_MASK, mapping >>> RIGHTS_SHIFT];
      if (found[0] !== spn || found[1] !== rights) expect([gpn, ...found]).toEqual([gpn, spn, rights]);
    }
  }
}

describe('the three pool invariants', () => {
  const used = new Set<string>();

  test.each([1, 2, 3, 4, 5, 6])('hold after every step of a random history (seed %i)', (seed) => {
    const player = new Player(seed);
    for (let step = 0; step < STEPS; step++) {
      player.step();
      player.check();
    }
    for (const name of player.successes.keys()) used.add(name);
  });

  test('and the histories together made every kind of call succeed, by the root and by children', () => {
    expect([...used].sort()).toEqual([
      'create',
      'deposit',
      'deposit by a child',
      'finalizeOrDelete',
      'initialize',
      'map',
      'mapOwnRights',
      'unmap',
      'withdraw',
    ]);
  });
});
