/**
 * `npm run fuzz -- [--seconds N] [--seed N] [--only NAME]`, NAME one of partitions, code, states, snapshots,
 * completion, translation: the fuzzers in turn until the time is up, a new seed each round. A finding prints its seed
 * and ends with status 1; the same seed finds it again.
 */
import { parseArgs } from 'node:util';
import { CodeComparison } from './code-comparison.ts';
import { CodeWorld } from './code-world.ts';
import { CompletionComparison } from './completion-comparison.ts';
import { PartitionWorld } from './partition-world.ts';
import { SavedStateWorld } from './saved-state-world.ts';
import { SnapshotWorld } from './snapshot-world.ts';

const OPERATIONS = 20_000;
const BATCH = 500;
const PROGRAMS = 300;
const PROGRAM_BATCH = 25;
const STATES = 400;
const STATE_BATCH = 50;
const SNAPSHOTS = 200;
const STREAMS = 3000;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    only: { type: 'string' },
  },
});

const total: Record<string, number> = { seeds: 0 };
function add(figures: object): void {
  for (const [name, value] of Object.entries(figures)) {
    total[name] = name === 'deepest' ? Math.max(total[name] ?? 0, value) : (total[name] ?? 0) + value;
  }
}

const comparison = new CodeComparison();
const completion = new CompletionComparison();

const FUZZERS: Readonly<Record<string, (seed: number) => void | Promise<void>>> = {
  partitions: (seed) => {
    const world = new PartitionWorld(seed);
    for (let done = 0; done < OPERATIONS; done += BATCH) world.run(BATCH);
    world.checkStatuses();
    add(world.figures);
  },
  code: (seed) => {
    const world = new CodeWorld(seed);
    for (let done = 0; done < PROGRAMS; done += PROGRAM_BATCH) world.run(PROGRAM_BATCH);
    world.finish();
    add(world.figures);
  },
  states: (seed) => {
    const world = new SavedStateWorld(seed);
    for (let done = 0; done < STATES; done += STATE_BATCH) world.run(STATE_BATCH);
    world.finish();
    add(world.figures);
  },
  snapshots: async (seed) => {
    const world = await SnapshotWorld.create(seed);
    await world.run(SNAPSHOTS);
    add(world.figures);
  },
  completion: (seed) => {
    const before = { ...completion.figures };
    completion.run(seed, STREAMS);
    const { completionStreams, comparedStreams, completedInstructions } = completion.figures;
    add({
      completionStreams: completionStreams - before.completionStreams,
      comparedStreams: comparedStreams - before.comparedStreams,
      completedInstructions: completedInstructions - before.completedInstructions,
    });
    if (completion.differences.length > 0) throw new Error(completion.differences.splice(0).join('\n'));
  },
  translation: (seed) => {
    const { result } = comparison;
    const before = { comparedPrograms: result.programs, comparedBlocks: result.blocks };
    for (let k = 0; k < PROGRAMS; k++) comparison.run(`${seed} ${k}`);
    add({
      comparedPrograms: result.programs - before.comparedPrograms,
      comparedBlocks: result.blocks - before.comparedBlocks,
    });
    if (result.differences.length > 0) throw new Error(result.differences.splice(0).join('\n'));
  },
};

const end = performance.now() + Number(values.seconds) * 1000;
const first = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
console.log(`seeds from ${first}, for ${values.seconds} s`);
for (let seed = first; performance.now() < end && process.exitCode !== 1; seed++) {
  for (const [name, fuzz] of Object.entries(FUZZERS)) {
    if (values.only !== undefined && values.only !== name) continue;
    try {
      await fuzz(seed);
    } catch (error) {
      console.error(`seed ${seed}, ${name}:`, error);
      process.exitCode = 1;
    }
  }
  total.seeds++;
}
console.log(
  Object.entries(total)
    .map(([name, value]) => `${value} ${name}`)
    .join(', '),
);
