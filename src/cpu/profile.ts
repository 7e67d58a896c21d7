/**
 * Where a processor's work went: counters for people, in no way part of its state. Those that generated code keeps
 * lie in the logical processor's area, 64 bits each, and only slow paths touch them (a miss of the soft TLB, the
 * return from a region). The rest is counted in TypeScript where blocks are decoded and regions made, and lies behind
 * them as doubles: the processor may run on another thread than who reads.
 */
import type { FunctionBuilder } from '../support/wasm/function-builder.ts';
import { i32, i64, loads, type Value } from '../support/wasm/values.ts';
import { AREA_COUNTERS, AREA_TLB, COUNTER_BYTES } from './logical-processor-area.ts';
import { Operation } from './microcode/operations.ts';
import type { ProcessorProfile } from './processor-profile.ts';
import * as S from './state-layout.ts';

/** Offsets from AREA_COUNTERS. */
export const Counter = {
  /** Instructions completed in translated regions. */
  InRegions: 0,
  /** Translations that the second level of the soft TLB had. */
  SecondLevelHits: 8,
  /** Translations that neither level had. */
  Walks: 16,
} as const;
export type Counter = (typeof Counter)[keyof typeof Counter];
const GENERATED_BYTES = 24;
const DECODER_COUNTS = ['blocks', 'instructions', 'milliseconds', 'pagesWritten', 'flushes'] as const;
const TRANSLATOR_COUNTS = ['regions', 'instructions', 'milliseconds', 'regionsDropped'] as const;
/** Microcode's operations by number. */
const OPERATION_NAMES: readonly string[] = (() => {
  const names: string[] = [];
  for (const [name, operation] of Object.entries(Operation)) names[operation] = name;
  return names;
})();
const DOUBLES = DECODER_COUNTS.length + TRANSLATOR_COUNTS.length + OPERATION_NAMES.length;
if (GENERATED_BYTES + 8 * DOUBLES > COUNTER_BYTES)
  throw new RangeError('the area has no room for the counters');

/** Adds a value of 64 bits to a counter. */
export function count(f: FunctionBuilder, state: Value, counter: Counter, amount: Value): void {
  const at = f.let(i32.add(loads.i32(state, S.TLB_BASE), i32.const(AREA_COUNTERS - AREA_TLB + counter)));
  f.store('i64', at, 0, i64.add(loads.i64(at), amount));
}

/** The counters in a logical processor's area: its processor counts with them, anyone reads. */
export class ProfileCounters {
  readonly decoder: Record<(typeof DECODER_COUNTS)[number], number>;
  readonly translator: Record<(typeof TRANSLATOR_COUNTS)[number], number>;
  /** Calls, by `Operation`. */
  readonly microcode: Float64Array;
  private readonly generated: BigUint64Array;

  /** `area` is the byte address of the logical processor's area in `buffer`; what another has left there counts until `clear`. */
  constructor(buffer: ArrayBufferLike, area: number) {
    const at = area + AREA_COUNTERS;
    this.generated = new BigUint64Array(buffer, at, GENERATED_BYTES / 8);
    const doubles = new Float64Array(buffer, at + GENERATED_BYTES, DOUBLES);
    const translator = doubles.subarray(DECODER_COUNTS.length);
    this.decoder = named(DECODER_COUNTS, doubles);
    this.translator = named(TRANSLATOR_COUNTS, translator);
    this.microcode = translator.subarray(TRANSLATOR_COUNTS.length);
  }

  clear(): void {
    this.generated.fill(0n);
    for (const name of DECODER_COUNTS) this.decoder[name] = 0;
    for (const name of TRANSLATOR_COUNTS) this.translator[name] = 0;
    this.microcode.fill(0);
  }

  /** `retired`: instructions completed, in whichever tier. */
  read(retired: number): ProcessorProfile {
    const counter = (which: Counter) => Number(this.generated[which / 8]);
    const regions = counter(Counter.InRegions);
    const secondLevelHits = counter(Counter.SecondLevelHits);
    const walks = counter(Counter.Walks);
    const calls = OPERATION_NAMES.map((name, operation) => [name, this.microcode[operation]!] as const);
    return {
      instructions: { interpreter: retired - regions, regions },
      tlb: { misses: secondLevelHits + walks, secondLevelHits, walks },
      decoder: { ...this.decoder },
      translator: { ...this.translator },
      microcode: Object.fromEntries(calls.filter(([, number]) => number > 0)),
    };
  }
}

/** An object whose fields are elements of `place`. */
function named<Name extends string>(names: readonly Name[], place: Float64Array): Record<Name, number> {
  const fields = {} as Record<Name, number>;
  names.forEach((name, k) => {
    const set = (value: number) => {
      place[k] = value;
    };
    Object.defineProperty(fields, name, { enumerable: true, get: () => place[k], set });
  });
  return fields;
}

export function emptyProfile(): ProcessorProfile {
  return {
    instructions: { interpreter: 0, regions: 0 },
    tlb: { misses: 0, secondLevelHits: 0, walks: 0 },
    decoder: { blocks: 0, instructions: 0, milliseconds: 0, pagesWritten: 0, flushes: 0 },
    translator: { regions: 0, instructions: 0, milliseconds: 0, regionsDropped: 0 },
    microcode: {},
  };
}

/** Adds each number of `more` to the same one of `total`. */
export function addProfile(total: ProcessorProfile, more: ProcessorProfile): void {
  for (const group of Object.keys(total) as (keyof ProcessorProfile)[]) {
    const into = total[group] as Record<string, number>;
    for (const [name, amount] of Object.entries(more[group])) into[name] = (into[name] ?? 0) + amount;
  }
}
