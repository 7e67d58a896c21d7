/**
 * Where a processor's work went: counters for people, in no way part of its state. Those that generated code keeps
 * lie in the logical processor's area, 64 bits each, and only slow paths touch them (a miss of the soft TLB, the
 * return from a region); the rest is counted in TypeScript where blocks are decoded and regions made.
 */
import type { FunctionBuilder } from '../support/wasm/function-builder.ts';
import { i32, i64, loads, type Value } from '../support/wasm/values.ts';
import { AREA_COUNTERS, AREA_TLB } from './logical-processor-area.ts';
import * as S from './state-layout.ts';

/** Offsets from AREA_COUNTERS. */
export const Counter = {
  /** Instructions completed in translated regions. */
  InRegions: 0,
  /** Translations that the second level of the soft TLB had. */
  SecondLevelHits: 8,
  /** Translations that neither level had. */
  Walks: 16,
  /** Entries of regions by the interpreter. */
  RegionEntries: 24,
} as const;
export type Counter = (typeof Counter)[keyof typeof Counter];
export const COUNTER_BYTES = 32;

/** Adds a value of 64 bits to a counter. */
export function count(f: FunctionBuilder, state: Value, counter: Counter, amount: Value): void {
  const at = f.let(i32.add(loads.i32(state, S.TLB_BASE), i32.const(AREA_COUNTERS - AREA_TLB + counter)));
  f.store('i64', at, 0, i64.add(loads.i64(at), amount));
}

/** All since the processor was made. */
export interface ProcessorProfile {
  /** Instructions completed, by the tier that executed them. */
  instructions: { interpreter: number; regions: number };
  /** Translations of guest virtual addresses that the first level of the soft TLB did not answer. */
  tlb: { misses: number; secondLevelHits: number; walks: number };
  /** Code made ready for the interpreter. Pages: those that lost code to a store. */
  decoder: {
    blocks: number;
    instructions: number;
    milliseconds: number;
    pagesWritten: number;
    flushes: number;
  };
  /** Code translated to WebAssembly. */
  translator: {
    regions: number;
    instructions: number;
    milliseconds: number;
    regionsDropped: number;
    entries: number;
  };
  /** Calls of microcode by operation, those that never happened left out. */
  microcode: Record<string, number>;
}

export function emptyProfile(): ProcessorProfile {
  return {
    instructions: { interpreter: 0, regions: 0 },
    tlb: { misses: 0, secondLevelHits: 0, walks: 0 },
    decoder: { blocks: 0, instructions: 0, milliseconds: 0, pagesWritten: 0, flushes: 0 },
    translator: { regions: 0, instructions: 0, milliseconds: 0, regionsDropped: 0, entries: 0 },
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
