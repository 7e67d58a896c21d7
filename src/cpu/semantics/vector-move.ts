/** Moves of MMX and SSE registers, whole and in part. Only moves that say so take unaligned 128-bit memory. */
import { i8x16 } from '../../support/wasm/simd.ts';
import { i32, i64, loads, type Value } from '../../support/wasm/values.ts';
import { Access } from '../processor.ts';
import type { Semantics, Stage } from '../stage.ts';
import { emms, readVector, vectorBytes, writeVector } from './vector-operands.ts';

const move =
  (unaligned: boolean): Semantics =>
  (s) =>
    writeVector(s, 0, readVector(s, 1, unaligned), unaligned);

/** 64 bits of register operand `k`, its low or high half. */
const half = (s: Stage, k: number, high: boolean): Value => {
  const { base, offset } = s.place(k);
  return s.f.let(loads.i64(base, offset + (high ? 8 : 0)));
};
const setHalf = (s: Stage, k: number, high: boolean, value: Value): void => {
  const { base, offset } = s.place(k);
  s.f.store('i64', base, offset + (high ? 8 : 0), value);
};

/** MOVLPS, MOVHPS and their kin: one half of a register and memory, or halves of two registers. */
const moveHalf =
  (destinationHigh: boolean, sourceHigh: boolean): Semantics =>
  (s) => {
    if (s.isMemory(0)) s.write(0, half(s, 1, sourceHigh));
    else setHalf(s, 0, destinationHigh, s.isMemory(1) ? s.f.let(s.read(1)) : half(s, 1, sourceHigh));
  };

/** MOVSS, MOVSD: between registers the rest stays, a load clears it. */
const moveScalar =
  (bits: 32 | 64): Semantics =>
  (s) => {
    const kind = bits === 32 ? 'i64_32' : 'i64';
    const load = bits === 32 ? loads.i64_32u : loads.i64;
    if (s.isMemory(1)) {
      writeVector(s, 0, readVector(s, 1));
      return;
    }
    const from = s.place(1);
    const value = s.f.let(load(from.base, from.offset));
    if (s.isMemory(0)) s.store(bits, s.linearAddress(0, bits / 8, Access.Write), value);
    else s.f.store(kind, s.place(0).base, s.place(0).offset, value);
  };

/** MOVD, MOVQ with a general register or memory of its width on one side. */
const moveGeneral: Semantics = (s) => {
  if (s.shape(0) === 'x' || s.shape(0) === 'mm') writeQuad(s, s.f.let(s.read(1)));
  else s.write(0, half(s, 1, false));
};

/** Register operand 0 becomes a 64-bit value; an XMM register's high half zero. */
function writeQuad(s: Stage, value: Value): void {
  setHalf(s, 0, false, value);
  if (s.shape(0) === 'mm') s.f.store('i32_16', s.place(0).base, s.place(0).offset + 8, i32.const(0xffff));
  else setHalf(s, 0, true, i64.const(0));
}

/** MOVQ, MOVQ2DQ, MOVDQ2Q: 64 bits between vector registers and memory. */
const moveQuad: Semantics = (s) => {
  const value = s.isMemory(1) ? s.f.let(s.load(64, s.linearAddress(1, 8, Access.Read))) : half(s, 1, false);
  if (s.isMemory(0)) s.store(64, s.linearAddress(0, 8, Access.Write), value);
  else writeQuad(s, value);
};

/**
 * Stores the bytes whose mask sign is set; the others are not written at all, so that another processor's stores
 * stay. Whether any byte is selected or not, Intel processors check 8 bytes at a time, the high ones first; we
 * check only if one is selected.
 */
const moveMasked: Semantics = (s) => {
  const { f } = s;
  const selected = i8x16.bitmask(readVector(s, 1));
  const mask = f.let(vectorBytes(s) === 8 ? i32.and(selected, i32.const(0xff)) : selected);
  const { base, offset } = s.place(0);
  const va = f.let(s.linearAddress(2, 1, Access.Write));
  f.if(mask, () => {
    if (vectorBytes(s) === 16) s.probeWrite(f.let(i64.add(va, i64.const(8))), 8);
    s.probeWrite(va, 8);
    const rest = f.variable(mask);
    f.loop((again) => {
      const k = f.let(i32.ctz(rest.get));
      s.store(8, i64.add(va, i64.extendU(k)), loads.i64_8u(i32.add(base, k), offset));
      f.set(rest, i32.and(rest.get, i32.sub(rest.get, i32.const(1))));
      f.branchIf(again, rest.get);
    });
  });
};

export const vectorMove: Record<string, Semantics> = {
  movaps: move(false),
  movapd: move(false),
  movdqa: move(false),
  movntps: move(false),
  movntpd: move(false),
  movntdq: move(false),
  movntdqa: move(false),
  movntq: move(false),
  movups: move(true),
  movupd: move(true),
  movdqu: move(true),
  lddqu: move(true),
  movss: moveScalar(32),
  movsd: moveScalar(64),
  movlps: moveHalf(false, false),
  movlpd: moveHalf(false, false),
  movhps: moveHalf(true, true),
  movhpd: moveHalf(true, true),
  movhlps: moveHalf(false, true),
  movlhps: moveHalf(true, false),
  movd: moveGeneral,
  movq: moveQuad,
  movq2dq: moveQuad,
  movdq2q: moveQuad,
  maskmovq: moveMasked,
  maskmovdqu: moveMasked,
  emms,
};
