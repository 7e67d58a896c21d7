/** A partition with everything in it, from creation to deletion: whatever was drawn comes back. */
import { describe, expect, test } from 'vitest';
import { HypercallCode } from '../hvdef/hypercalls.ts';
import { DEFAULT_CHILD_PRIVILEGES } from '../hvdef/privileges.ts';
import { HvStatus } from '../hvdef/status.ts';
import type { TraceEvent } from './trace.ts';
import { Machine } from './virtual-processor-fixture.ts';

const POOL = 64;

describe('the life of a populated partition', () => {
  test('finalization releases VPs, overlays, ports and maps; all pages can then be withdrawn and it is deleted', () => {
    const fixture = new Machine({ depositPages: POOL });
    const { child } = fixture;
    const poolBefore = fixture.booted.hypervisor.root.pool.inspect();
    for (const index of [0, 1, 2]) fixture.start(index);
    expect(fixture.map(0, 200, 40, 7).status).toBe(HvStatus.SUCCESS);
    const port = [fixture.childId, 5n, 1n, 1n, 3n, 0n];
    expect(fixture.call(HypercallCode.CreatePort, port).status).toBe(HvStatus.SUCCESS);
    expect(child.pool.inUse).toBeGreaterThan(10);

    expect(fixture.call(HypercallCode.FinalizePartition, [fixture.childId]).status).toBe(HvStatus.SUCCESS);
    expect(child.pool.inspect()).toEqual({ free: POOL, inUse: 0, causes: {} });
    expect(child.overlays.list()).toEqual([]);
    expect(child.virtualProcessors.size).toBe(0);
    fixture.scheduler.runSlice(1);

    const withdrawn = fixture.call(HypercallCode.WithdrawMemory, [fixture.childId, 0n], POOL);
    expect([withdrawn.status, withdrawn.reps]).toEqual([HvStatus.SUCCESS, POOL]);
    expect(fixture.call(HypercallCode.DeletePartition, [fixture.childId]).status).toBe(HvStatus.SUCCESS);
    const poolAfter = fixture.booted.hypervisor.root.pool.inspect();
    expect(poolAfter.inUse).toBe(poolBefore.inUse - 1);
  });

  test('a VP that finds too little memory leaves none behind, and succeeds after a deposit', () => {
    const fixture = new Machine({ depositPages: 4 });
    const create = () => fixture.call(HypercallCode.CreateVp, [fixture.childId, 0n, 0n, 0n]).status;
    expect(create()).toBe(HvStatus.INSUFFICIENT_MEMORY);
    expect(fixture.child.virtualProcessors.size).toBe(0);
    fixture.deposit(fixture.childId, 600, 16);
    expect(create()).toBe(HvStatus.SUCCESS);
  });

  test('every kind of event of it appears in the trace', () => {
    const kinds = new Set<string>();
    const trace = (event: TraceEvent) =>
      kinds.add(event.kind === 'pool' ? `pool ${event.action}` : event.kind);
    const fixture = new Machine({ trace });
    fixture.start(0);
    fixture.map(0, 200, 4, 7);
    expect(fixture.child.privileges).toBe(DEFAULT_CHILD_PRIVILEGES);
    fixture.call(HypercallCode.FinalizePartition, [fixture.childId]);
    fixture.call(HypercallCode.WithdrawMemory, [fixture.childId, 0n], 1);
    expect([...kinds].sort()).toEqual([
      'hypercall',
      'mapping',
      'overlay',
      'partition',
      'pool deposit',
      'pool draw',
      'pool release',
      'pool withdraw',
      'virtual-processor',
    ]);
  });

  test('inspection shows partitions, pools, ranges with rights, overlays and processors', () => {
    const fixture = new Machine();
    fixture.start(0);
    fixture.map(16, 200, 4, 5);
    expect(fixture.booted.hypervisor.inspect()).toMatchObject({
      partitions: [
        { id: 1, state: 'active', overlays: [{ kind: 'message-page' }] },
        {
          parent: 1,
          gpaMap: { pagesMapped: 4, ranges: [{ gpn: 16, pages: 4, spn: 200, rights: 'RX' }] },
          virtualProcessors: [{ index: 0 }],
        },
      ],
    });
  });
});
