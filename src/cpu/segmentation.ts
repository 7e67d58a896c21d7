/**
 * Limit and type checks of data segments (SDM vol. 3 §5.3, §5.5) for code whose segments are not all flat.
 * 64-bit code never comes here.
 */
import type { FunctionRef } from '../support/wasm/function-builder.ts';
import type { ModuleBuilder } from '../support/wasm/module-builder.ts';
import { i32, i64, loads, select, type Value } from '../support/wasm/values.ts';
import { CR0 } from '../x86/control-registers.ts';
import { VECTOR } from '../x86/exceptions.ts';
import { FLAG } from '../x86/flags.ts';
import { Access, Segment } from './processor.ts';
import * as S from './state-layout.ts';

/** Attribute bits (descriptor bits 40..55). */
export const ATTRIBUTE = {
  Type: 0xf,
  Writable: 1 << 1,
  ExpandDown: 1 << 2,
  Code: 1 << 3,
  System: 1 << 4,
  Present: 1 << 7,
  Big: 1 << 14,
} as const;

export function defineSegmentCheck(m: ModuleBuilder, raise: FunctionRef): FunctionRef {
  return m.function(
    'segmentCheck',
    { params: ['i32', 'i32', 'i64', 'i32', 'i32'], results: ['i32'] },
    (f) => {
      const [state, slot, offset, bytes, access] = f.params.map((p) => p.get) as [
        Value,
        Value,
        Value,
        Value,
        Value,
      ];
      const segment = f.let(i32.add(state, slot));
      const attributes = f.let(loads.i32_16u(segment, S.SEGMENT_ATTRIBUTES));
      const has = (bit: number): Value => i32.ne(i32.and(attributes, i32.const(bit)), i32.const(0));
      const limit = f.let(loads.i64_32u(segment, S.SEGMENT_LIMIT));
      const last = f.let(i64.add(offset, i64.extendU(i32.sub(bytes, i32.const(1)))));
      const isData = i32.eqz(has(ATTRIBUTE.Code));
      const top = select(has(ATTRIBUTE.Big), i64.const(0xffffffffn), i64.const(0xffff));
      const outside = select(
        i32.and(isData, has(ATTRIBUTE.ExpandDown)),
        i32.or(i64.leU(offset, limit), i64.gtU(last, top)),
        i64.gtU(last, limit),
      );
      const protectedMode = i32.and(
        i32.and(loads.i32(state, S.CR0), i32.const(CR0.PE)),
        i32.eqz(i32.and(loads.i32(state, S.FLAGS_SYSTEM), i32.const(FLAG.VM))),
      );
      const unusable = i32.eqz(has(ATTRIBUTE.Present));
      const readOnly = i32.and(
        i32.eq(access, i32.const(Access.Write)),
        i32.or(has(ATTRIBUTE.Code), i32.eqz(has(ATTRIBUTE.Writable))),
      );
      const noRead = i32.and(has(ATTRIBUTE.Code), i32.eqz(has(ATTRIBUTE.Writable)));
      const wrongType = i32.and(protectedMode, i32.or(unusable, i32.or(readOnly, noRead)));
      f.if(i32.eqz(i32.or(outside, wrongType)), () => f.return(i32.const(0)), undefined, 'likely');
      const stack = i32.eq(slot, i32.const(S.SEGMENT + Segment.SS * S.SEGMENT_SIZE));
      f.run(raise, state, select(stack, i32.const(VECTOR.SS), i32.const(VECTOR.GP)), i32.const(0));
      f.emit(i32.const(1));
    },
  );
}
