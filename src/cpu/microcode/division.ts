/** 128-by-64-bit division: the cases that 64-bit arithmetic can't do. Divisor in SCRATCH, dividend in RDX:RAX. */
import { VECTOR } from '../../x86/exceptions.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import type { Core } from './core.ts';

const RAX = 0;
const RDX = 2;

function finish(core: Core, quotient: bigint, remainder: bigint, fits: boolean): number {
  if (!fits) return core.fault(VECTOR.DE);
  core.state.setGpr(RAX, BigInt.asUintN(64, quotient));
  core.state.setGpr(RDX, BigInt.asUintN(64, remainder));
  return Status.Next;
}

export function divideUnsigned(core: Core): number {
  const { state } = core;
  const dividend = (state.gpr(RDX) << 64n) | state.gpr(RAX);
  const divisor = state.get64(S.SCRATCH);
  const quotient = dividend / divisor;
  return finish(core, quotient, dividend % divisor, quotient < 1n << 64n);
}

export function divideSigned(core: Core): number {
  const { state } = core;
  const dividend = BigInt.asIntN(128, (state.gpr(RDX) << 64n) | state.gpr(RAX));
  const divisor = BigInt.asIntN(64, state.get64(S.SCRATCH));
  const quotient = dividend / divisor;
  return finish(core, quotient, dividend % divisor, quotient === BigInt.asIntN(64, quotient));
}
