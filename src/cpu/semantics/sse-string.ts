/** SSE4.2 string comparison: operands and lengths go to microcode (microcode/string-compare.ts), the answer comes back. */
import { i64, select, type Value } from '../../support/wasm/values.ts';
import { Operation } from '../microcode/operations.ts';
import { StringCompareScratch } from '../microcode/string-compare.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';
import { unpackArithmetic } from './flags.ts';
import { immediateByte, readVector } from './vector-operands.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;

/** An explicit length: its magnitude, at most 16 (i64). */
function explicitLength(s: Stage, register: number): Value {
  const { f } = s;
  const value = f.let(s.bits === 64 ? s.gpr(register) : i64.extend32S(s.gpr(register, 32)));
  const magnitude = f.let(select(i64.ltS(value, i64.const(0)), i64.sub(i64.const(0), value), value));
  return select(i64.gtU(magnitude, i64.const(16)), i64.const(16), magnitude);
}

const compareStrings =
  (explicit: boolean, mask: boolean): Semantics =>
  (s) => {
    const control = immediateByte(s, 2);
    const source = readVector(s, 1, true);
    s.setField('v128', S.SCRATCH + StringCompareScratch.First, readVector(s, 0));
    s.setField('v128', S.SCRATCH + StringCompareScratch.Second, source);
    const implicit = i64.const(-1);
    s.setField(
      'i64',
      S.SCRATCH + StringCompareScratch.FirstLength,
      explicit ? explicitLength(s, RAX) : implicit,
    );
    s.setField(
      'i64',
      S.SCRATCH + StringCompareScratch.SecondLength,
      explicit ? explicitLength(s, RDX) : implicit,
    );
    s.microcode(Operation.StringCompareSse, control);
    unpackArithmetic(s, s.field('i32', S.SCRATCH + StringCompareScratch.Flags));
    if (mask) s.setField('v128', S.XMM, s.field('v128', S.SCRATCH + StringCompareScratch.Mask));
    else s.setGpr(RCX, 32, s.field('i64_32u', S.SCRATCH + StringCompareScratch.Index));
  };

export const sseString: Record<string, Semantics> = {
  pcmpestrm: compareStrings(true, true),
  pcmpestri: compareStrings(true, false),
  pcmpistrm: compareStrings(false, true),
  pcmpistri: compareStrings(false, false),
};
