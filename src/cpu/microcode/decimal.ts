/** DAA, DAS, AAA, AAS, AAM, AAD (SDM vol. 2). Flags the manual leaves undefined are as Intel processors leave them. */
import { VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import type { Core } from './core.ts';

const evenParity = (value: number): boolean => {
  let v = value & 0xff;
  v ^= v >> 4;
  return ((0x9669 >> (v & 15)) & 1) !== 0;
};
const resultFlags = (al: number): number =>
  (al & 0x80 ? FLAG.SF : 0) | (al === 0 ? FLAG.ZF : 0) | (evenParity(al) ? FLAG.PF : 0);
const CLEARED = FLAG.CF | FLAG.AF | FLAG.SF | FLAG.ZF | FLAG.PF | FLAG.OF;

function adjustPacked(core: Core, sign: 1 | -1): number {
  const { state } = core;
  const old = state.rflags;
  const al = Number(state.gpr(0) & 0xffn);
  let result = al;
  let flags = 0;
  if ((al & 15) > 9 || old & FLAG.AF) {
    result += 6 * sign;
    flags |= FLAG.AF;
    if (sign < 0 && (al < 6 || old & FLAG.CF)) flags |= FLAG.CF;
  }
  if (al > 0x99 || old & FLAG.CF) {
    result += 0x60 * sign;
    flags |= FLAG.CF;
  }
  result &= 0xff;
  state.setGpr(0, (state.gpr(0) & ~0xffn) | BigInt(result));
  state.rflags = (old & ~CLEARED) | flags | resultFlags(result);
  return Status.Next;
}

function adjustUnpacked(core: Core, sign: 1 | -1): number {
  const { state } = core;
  const old = state.rflags;
  let ax = Number(state.gpr(0) & 0xffffn);
  let flags = 0;
  if ((ax & 15) > 9 || old & FLAG.AF) {
    ax = sign > 0 ? ax + 0x106 : ax - 0x106;
    flags = FLAG.AF | FLAG.CF;
  }
  ax &= 0xff0f;
  state.setGpr(0, (state.gpr(0) & ~0xffffn) | BigInt(ax));
  state.rflags = (old & ~CLEARED) | flags | resultFlags(ax & 0xff);
  return Status.Next;
}

function setAx(core: Core, ah: number, al: number): number {
  const { state } = core;
  state.setGpr(0, (state.gpr(0) & ~0xffffn) | BigInt((ah << 8) | al));
  state.rflags = (state.rflags & ~CLEARED) | resultFlags(al);
  return Status.Next;
}

/** `which` indexes daa, das, aaa, aas, aam, aad, as in semantics/system.ts. */
export function decimalAdjust(core: Core, which: number): number {
  if (which === 0 || which === 1) return adjustPacked(core, which === 0 ? 1 : -1);
  if (which === 2 || which === 3) return adjustUnpacked(core, which === 2 ? 1 : -1);
  const base = Number(core.state.get64(S.SCRATCH) & 0xffn);
  const al = Number(core.state.gpr(0) & 0xffn);
  const ah = Number((core.state.gpr(0) >> 8n) & 0xffn);
  if (which === 5) return setAx(core, 0, (al + ah * base) & 0xff);
  if (base === 0) return core.fault(VECTOR.DE);
  return setAx(core, Math.floor(al / base), al % base);
}
