/** Runs random programs in every way that the processor has of executing code, and compares how they end. */
import type { ProcessorOptions } from '../../src/cpu/create-processor.ts';
import { Draw } from '../conformance/cpu/values.ts';
import { CodeMachine, difference, type Program } from './code-machine.ts';
import { ProgramBuilder } from './code-programs.ts';

/** A program that does not end within so many instructions tells nothing. */
const MOST_INSTRUCTIONS = 4000;

export interface Comparison {
  programs: number;
  blocks: number;
  /** Programs that did not end. */
  endless: number;
  /** Endings by exception vector, for the account of what was exercised. */
  vectors: Map<number, number>;
  differences: string[];
}

interface Way {
  options: ProcessorOptions;
  /** A static block does not look at whether its own code has changed. */
  straightOnly?: boolean;
  /** A module for each block is slow: only one program in so many. */
  oneIn?: number;
}
const WAYS: Record<string, Way> = {
  'translated at once': { options: { translate: 'always' } },
  'translated when hot': {
    options: {
      translate: 'hot',
      hotAfter: { stretch: 3, samples: 1, entries: 2, doublings: 0, batch: 2, longestWait: 2 },
    },
  },
  'translated with room for few regions': { options: { translate: 'always', regionSlots: 3 }, oneIn: 4 },
  'static blocks of 1': { options: { staticBlockLength: 1 }, oneIn: 6 },
  'static blocks of 9': { options: { staticBlockLength: 9 }, straightOnly: true, oneIn: 4 },
};

export class CodeComparison {
  private readonly reference = new CodeMachine('interpreter', { translate: 'never' });
  private readonly others = Object.entries(WAYS).map(([name, way]) => ({
    ...way,
    machine: new CodeMachine(name, way.options),
  }));
  readonly result: Comparison = { programs: 0, blocks: 0, endless: 0, vectors: new Map(), differences: [] };

  /** Runs the program that `seed` names. */
  run(seed: string): void {
    const { result } = this;
    const draw = new Draw(seed);
    const program = new ProgramBuilder(draw).build();
    const budgets = [draw.pick([1, 3, 17, 500, 4000]), draw.pick([1, 2, 7, 40, 4000])] as const;
    this.reference.load(program);
    const expected = this.reference.run(budgets[0], MOST_INSTRUCTIONS);
    result.programs++;
    result.blocks += program.blocks;
    if (!expected) {
      result.endless++;
      return;
    }
    result.vectors.set(expected.vector, (result.vectors.get(expected.vector) ?? 0) + 1);
    for (const { machine, straightOnly, oneIn = 1 } of this.others) {
      if ((straightOnly && expected.codeChanged) || draw.below(oneIn) > 0) continue;
      const found = this.runOn(machine, program, budgets[1]);
      const differs = found ? difference(expected, found) : 'it does not end';
      if (differs) result.differences.push(`${seed}, ${machine.name}: ${differs}`);
    }
  }

  private runOn(machine: CodeMachine, program: Program, budget: number): ReturnType<CodeMachine['run']> {
    machine.load(program);
    return machine.run(budget, 4 * MOST_INSTRUCTIONS);
  }
}
