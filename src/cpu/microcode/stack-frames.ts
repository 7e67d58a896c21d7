/** ENTER, PUSHA, POPA. */
import { Access, Segment } from '../processor.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import { type Bytes, type Core, cut } from './core.ts';

const RSP = 4;
const RBP = 5;

interface StackWidth {
  base: bigint;
  bits: number;
}
function stackWidth(core: Core): StackWidth {
  const { state } = core;
  if (state.code64) return { base: 0n, bits: 64 };
  const ss = state.segment(Segment.SS);
  return { base: ss.base, bits: ss.attributes & 0x4000 ? 32 : 16 };
}
const merge = (old: bigint, value: bigint, bits: number): bigint =>
  bits === 64 ? cut(value, 64) : bits === 32 ? cut(value, 32) : (old & ~0xffffn) | cut(value, 16);

export function enter(core: Core, bits: number): number {
  const { state } = core;
  const size = (bits / 8) as Bytes;
  const frameSize = state.get64(S.SCRATCH) & 0xffffn;
  const level = Number(state.get64(S.SCRATCH + 8) & 31n);
  const { base, bits: width } = stackWidth(core);
  const user = state.cpl === 3;
  const sp = cut(state.gpr(RSP), width);
  const frame = cut(sp - BigInt(size), width);
  const count = 1 + level;
  // All of the frame must be writable; then the pushes go one by one, for what is copied may have just been pushed.
  if (core.host(base + sp - BigInt(count * size), count * size, Access.Write, user) === undefined)
    return Status.Leave;
  for (let k = 0; k < count; k++) {
    const last = k === level && level > 0;
    const copied = base + cut(state.gpr(RBP) - BigInt(k * size), width);
    const value = k === 0 ? state.gpr(RBP) : last ? frame : core.read(copied, size);
    if (value === undefined || !core.write(base + sp - BigInt((k + 1) * size), size, value))
      return Status.Leave;
  }
  const top = cut(sp - BigInt(count * size) - frameSize, width);
  state.setGpr(RBP, merge(state.gpr(RBP), frame, bits));
  state.setGpr(RSP, merge(state.gpr(RSP), top, width));
  return Status.Next;
}

export function pushAllRegisters(core: Core, bits: number): number {
  const { state } = core;
  const size = (bits / 8) as Bytes;
  const { base, bits: width } = stackWidth(core);
  const sp = cut(state.gpr(RSP), width);
  const values = Array.from({ length: 8 }, (_, k) => cut(state.gpr(k), bits));
  if (!core.pushAll(base + sp, size, values, state.cpl === 3)) return Status.Leave;
  state.setGpr(RSP, merge(state.gpr(RSP), sp - BigInt(8 * size), width));
  return Status.Next;
}

export function popAllRegisters(core: Core, bits: number): number {
  const { state } = core;
  const size = (bits / 8) as Bytes;
  const { base, bits: width } = stackWidth(core);
  const sp = cut(state.gpr(RSP), width);
  const values = core.readAll(base + sp, size, 8, state.cpl === 3);
  if (!values) return Status.Leave;
  values.forEach((value, k) => {
    if (7 - k !== RSP) state.setGpr(7 - k, merge(state.gpr(7 - k), value, bits));
  });
  state.setGpr(RSP, merge(state.gpr(RSP), sp + BigInt(8 * size), width));
  return Status.Next;
}
