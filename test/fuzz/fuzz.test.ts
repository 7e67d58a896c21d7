/** A short run of the fuzzers (`npm run fuzz` goes on with new seeds), and what they found. */
import { describe, expect, test } from 'vitest';
import { Exit } from '../../src/cpu/processor.ts';
import { Machine } from '../../src/hypervisor/virtual-processor-fixture.ts';
import { CodeWorld } from './code-world.ts';
import { PartitionWorld } from './partition-world.ts';
import { SavedStateWorld } from './saved-state-world.ts';
import { SnapshotWorld } from './snapshot-world.ts';

describe('partitions that do anything to one another', () => {
  test.each([1, 2, 3])('keep the pool invariants and touch nothing that is not theirs (seed %i)', (seed) => {
    const world = new PartitionWorld(seed);
    for (let batch = 0; batch < 20; batch++) world.run(500);
    expect(world.figures.succeeded).toBeGreaterThan(500);
    expect(world.figures.deepest).toBeGreaterThan(1);
    world.checkStatuses();
  });
});

describe('random code in a child', () => {
  test.each([1, 2, 3])(
    'neither throws in the host, nor hangs it, nor writes beside its memory (seed %i)',
    (seed) => {
      const world = new CodeWorld(seed);
      for (let batch = 0; batch < 4; batch++) world.run(25);
      world.finish();
      expect(world.figures.instructions).toBeGreaterThan(10_000);
    },
  );
});

describe('damaged saved states', () => {
  test.each([1, 2, 3])('are refused without a trace or run on, and nothing escapes (seed %i)', (seed) => {
    const world = new SavedStateWorld(seed);
    for (let batch = 0; batch < 3; batch++) world.run(50);
    world.finish();
    expect(world.figures.restoredStates).toBeGreaterThan(20);
    expect(world.figures.restoredStates).toBeLessThan(world.figures.damagedStates);
  });
});

describe('damaged snapshots', () => {
  test.each([1, 2])(
    'are refused as such, or the machine runs to an end that a machine can have, and nothing escapes (seed %i)',
    { timeout: 120_000 },
    async (seed) => {
      const world = await SnapshotWorld.create(seed);
      await world.run(60);
      const { damagedSnapshots, restoredSnapshots, damagedLate } = world.figures;
      expect(restoredSnapshots).toBeGreaterThan(10);
      expect(restoredSnapshots).toBeLessThan(damagedSnapshots);
      expect(damagedLate).toBeGreaterThan(0);
    },
  );
});

describe('findings', () => {
  test('a program that exits without end and retires nothing (REP OUTS, 2^31 elements) gives its turn back', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    let exits = 0;
    processor.run = () => {
      exits++;
      return Exit.Attention;
    };
    machine.scheduler.runSlice(0);
    expect(exits).toBeGreaterThan(10);
    expect(exits).toBeLessThan(10_000);
  });
});
