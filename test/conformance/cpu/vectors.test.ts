import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decode } from '../../../src/cpu/instructions/decode.ts';
import { formOf, plainKey } from '../../../src/cpu/instructions/forms.ts';
import { FAMILIES, formsOfFamily } from './coverage.ts';
import { type CpuFault, type CpuState, type CpuUnderTest, cloneState, DATA_SIZE } from './cpu-state.ts';
import { replayVector } from './replay.ts';
import { applyPatches, encodeVectors, readVectors, type Vector } from './vector-format.ts';

const fileOf = (family: string): Uint8Array =>
  readFileSync(join(import.meta.dirname, 'vectors', `${family}.bin.gz`));

/** Knows the answer: what remains to be tested with it is the comparison. */
class RecordedCpu implements CpuUnderTest {
  readonly memory = new Uint8Array(DATA_SIZE);
  readonly #vector: Vector;
  #state: CpuState;
  constructor(vector: Vector) {
    this.#vector = vector;
    this.#state = vector.before.cpu;
  }
  setState(state: CpuState): void {
    this.#state = state;
  }
  getState(): CpuState {
    return this.#state;
  }
  setCode(): void {}
  step(): CpuFault | undefined {
    this.#state = cloneState(this.#vector.after.cpu);
    applyPatches(this.#vector.after.memory, this.memory);
    return this.#vector.fault;
  }
}

describe('vector files', () => {
  test('hold at least fifty cases for every covered form', () => {
    for (const family of FAMILIES) {
      const counts = new Map<string, number>();
      for (const { form } of readVectors(fileOf(family))) counts.set(form, (counts.get(form) ?? 0) + 1);
      const keys = formsOfFamily(family).map(({ form }) => form.key);
      expect(keys.filter((key) => (counts.get(key) ?? 0) < 50)).toEqual([]);
      expect(counts.size).toBe(keys.length);
    }
  });

  test('hold instructions of the form they stand under', () => {
    for (const family of FAMILIES) {
      for (const { form, bytes, before } of readVectors(fileOf(family))) {
        const result = decode(bytes, 0, bytes.length, before.cpu.code);
        if (result.kind !== 'ok' || plainKey(formOf(result.instruction)) !== form)
          throw new Error(`${form}: ${bytes}`);
      }
    }
  });

  test('survive being written and read again', () => {
    const vectors = [...readVectors(fileOf('x87'))].slice(0, 500);
    expect([...readVectors(encodeVectors(vectors))]).toEqual(vectors);
  });
});

describe('replay', () => {
  const vectors = [...readVectors(fileOf('integer'))].slice(0, 2000);

  test('finds nothing where the processor answers as recorded', () => {
    for (const vector of vectors) expect(replayVector(vector, new RecordedCpu(vector))).toEqual([]);
  });

  test('reports a wrong register, flag, memory byte, fault and address', () => {
    const vector = vectors.find(({ fault, undefinedFlags }) => fault === undefined && undefinedFlags === 0)!;
    const withChange = (change: (cpu: RecordedCpu) => CpuFault | undefined): string => {
      const cpu = new RecordedCpu(vector);
      const step = cpu.step.bind(cpu);
      cpu.step = () => {
        step();
        return change(cpu);
      };
      return replayVector(vector, cpu).join();
    };
    const changed = (change: (state: CpuState) => void): string =>
      withChange((cpu) => {
        change(cpu.getState());
        return undefined;
      });
    expect(changed((state) => (state.gpr[7]! ^= 1n))).toMatch(/^r7 /);
    expect(changed((state) => (state.rflags ^= 1))).toMatch(/^flags /);
    expect(changed((state) => (state.rip += 1n))).toMatch(/^rip /);
    expect(changed((state) => (state.floating[160]! ^= 1))).toMatch(/^XMM0 /);
    expect(changed((state) => (state.floating[24]! ^= 1))).toMatch(/^MXCSR /);
    expect(
      withChange((cpu) => {
        cpu.memory[5]! ^= 1;
        return undefined;
      }),
    ).toMatch(/^memory at 0x5 /);
    expect(withChange(() => ({ vector: 13, errorCode: 0, address: 0n }))).toMatch(/^fault #13/);
  });
});
