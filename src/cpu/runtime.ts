/**
 * The WebAssembly functions that every stage of the processor calls: they are in each module that holds
 * guest semantics. `Imports` are what the processor object supplies from TypeScript.
 */

import { atomics } from '../support/wasm/atomics.ts';
import type { FunctionRef, FunctionType } from '../support/wasm/function-builder.ts';
import type { ModuleBuilder } from '../support/wasm/module-builder.ts';
import { loads, type Value } from '../support/wasm/values.ts';
import type { Imports } from './host-imports.ts';
import { definePaging, type Paging } from './paging.ts';
import { defineSegmentCheck } from './segmentation.ts';
import * as S from './state-layout.ts';

const type = (
  params: FunctionType['params'],
  ...results: FunctionType['results'][number][]
): FunctionType => ({
  params,
  results,
});

export const IMPORT_TYPES: Record<keyof Imports, FunctionType> = {
  translateGpa: type(['i32', 'i32'], 'i32'),
  codeWritten: type(['i32', 'i32', 'i32']),
  microcode: type(['i32', 'i32', 'i32', 'i32'], 'i32'),
  readTsc: type(['i32'], 'f64'),
  decodeBlock: type(['i32', 'i32'], 'i32'),
  blockIsHot: type(['i32']),
  deliverFault: type(['i32'], 'i32'),
  exclusive: type(['i32', 'i32']),
};

export interface Runtime extends Paging {
  imports: Imports;
  /** Other threads execute on the same memory: what is atomic on the processor must be so in WebAssembly. */
  isShared: boolean;
  /** (state, segment's offset in the state page, offset, bytes, access) → 1 with a fault pending, else 0. */
  segmentCheck: FunctionRef;
}

const SHARED_TYPES: Record<Exclude<keyof Runtime, 'imports' | 'isShared'>, FunctionType> = {
  raise: type(['i32', 'i32', 'i32']),
  prepare: type(['i32', 'i64', 'i32', 'i32', 'i32'], 'i32'),
  commit: type(['i32', 'i32', 'i32']),
  flushVirtual: type(['i32']),
  guestPhysical: type(['i32', 'i32', 'i32'], 'i32'),
  walk: type(['i32', 'i64', 'i32', 'i32'], 'i32'),
  segmentCheck: type(['i32', 'i32', 'i64', 'i32', 'i32'], 'i32'),
};

/** As the interpreter's `proceed`, for regions. */
export const importProceed = (m: ModuleBuilder): FunctionRef =>
  m.importFunction('runtime', 'proceed', type(['i32', 'i32'], 'i32'));

/** The shared functions as imports from the interpreter's module: for modules of translated code. */
export function importRuntime(m: ModuleBuilder, isShared = false): Runtime {
  m.importMemory('host', 'memory', 1, 65536);
  const from = (module: string, types: Record<string, FunctionType>): Record<string, FunctionRef> =>
    Object.fromEntries(Object.entries(types).map(([name, t]) => [name, m.importFunction(module, name, t)]));
  const imports = from('host', IMPORT_TYPES) as unknown as Imports;
  return { imports, isShared, ...from('runtime', SHARED_TYPES) } as unknown as Runtime;
}

/** The attention word, which other threads change. */
export function attentionOf(state: Value, { isShared }: Runtime): Value {
  return isShared ? atomics.load32(state, S.ATTENTION) : loads.i32(state, S.ATTENTION);
}

/** Declares imports and defines the shared functions; call it before any other function of the module. */
export function defineRuntime(m: ModuleBuilder, isShared = false): Runtime {
  m.importMemory('host', 'memory', 1, 65536);
  const imports = Object.fromEntries(
    Object.entries(IMPORT_TYPES).map(([name, t]) => [name, m.importFunction('host', name, t)]),
  ) as unknown as Imports;
  const paging = definePaging(m, imports, isShared);
  return { imports, isShared, ...paging, segmentCheck: defineSegmentCheck(m, paging.raise) };
}
