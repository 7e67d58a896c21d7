/** Random hypercalls by a child that has every privilege, and by the root: nothing throws, nothing hangs, pools balance. */
import { expect, test } from 'vitest';
import { HYPERCALLS, HypercallCode } from '../hvdef/hypercalls.ts';
import { ALL_PRIVILEGES } from '../hvdef/privileges.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import { Dispatched, hypercallRequest } from './hypercall-request.ts';
import type { Partition } from './partition.ts';
import { Machine } from './virtual-processor-fixture.ts';

const CALLS = 20_000;
const FAST = 0x1_0000;
/** Pages of the child that hold its parameters, and the root pages behind them. */
const CHILD_INPUT = 1;
const CHILD_OUTPUT = 2;
const ROOT_PAGE = 300;

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
  word(): bigint {
    const kind = this.below(8);
    if (kind < 4) return BigInt(this.below(8));
    if (kind === 4) return BigInt(this.below(2048));
    if (kind === 5) return BigInt(this.below(2 ** 31)) * 4096n;
    if (kind === 6) return 0xffff_ffff_ffff_ffffn - BigInt(this.below(4));
    return (BigInt(this.below(2 ** 32)) << 32n) | BigInt(this.below(2 ** 32));
  }
}

function fuzz(seed: number, byRoot: boolean): Machine {
  const random = new Random(seed);
  let events = 0;
  const machine = new Machine({ trace: () => void events++ });
  machine.start(0);
  machine.map(CHILD_INPUT, ROOT_PAGE, 2, 7);
  machine.child.privileges = ALL_PRIVILEGES;
  const { hypervisor, dispatcher, rootProcessor } = machine.booted;
  const child: Partition = machine.child;
  const first = byRoot ? ROOT_PAGE : CHILD_INPUT;
  for (let count = 0; count < CALLS; count++) {
    const caller = byRoot ? hypervisor.root : child;
    const request = hypercallRequest(caller, 0);
    const definition = HYPERCALLS[random.below(HYPERCALLS.length)];
    const fast = random.below(5) === 0 ? FAST : 0;
    request.controlLow = definition.code | fast | (definition.variableHeader ? random.below(3) << 17 : 0);
    request.controlHigh = definition.rep ? 1 + random.below(12) : 0;
    if (random.below(20) === 0) request.controlHigh = random.below(2 ** 32);
    request.inputGpa = first * PAGE_SIZE;
    request.outputGpa = (first + CHILD_OUTPUT - CHILD_INPUT) * PAGE_SIZE;
    const view = fast === 0 ? hypervisor.memory.view : new DataView(request.fastBlock.buffer);
    const at = fast === 0 ? ROOT_PAGE * PAGE_SIZE : 0;
    for (let word = 0; word < 14; word++) view.setBigUint64(at + word * 8, random.word(), true);
    // Most calls name a partition that the caller may act on, and few end it.
    if (random.below(4) > 0) view.setBigUint64(at, byRoot ? machine.childId : BigInt(caller.id), true);
    if (definition.code === HypercallCode.FinalizePartition && random.below(100) > 0) continue;
    let outcome = dispatcher.dispatch(request);
    for (let round = 0; outcome === Dispatched.Continue && round < 3; round++)
      outcome = dispatcher.dispatch(request);
    expect(outcome).toBeGreaterThanOrEqual(0);
    rootProcessor.serve();
    machine.now += random.below(100);
  }
  expect(events).toBeGreaterThan(CALLS / 2);
  return machine;
}

function checkPools(machine: Machine): void {
  const { hypervisor } = machine.booted;
  const owned = new Map<number, number>();
  for (let page = 0; page < hypervisor.spaPages.pageCount; page++) {
    const owner = hypervisor.spaPages.poolOwner(page);
    owned.set(owner, (owned.get(owner) ?? 0) + 1);
  }
  for (const { id, pool } of hypervisor.partitions.values())
    expect(pool.free + pool.inUse).toBe(owned.get(id) ?? 0);
}

test.each([11, 12, 13])('by a child (seed %i)', (seed) => checkPools(fuzz(seed, false)));
test.each([21, 22, 23])('by the root (seed %i)', (seed) => checkPools(fuzz(seed, true)));
