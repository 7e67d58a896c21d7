/**
 * What every intercept message says about the instruction that was intercepted (TLFS 2.0a §16.2), and how the
 * instruction ends: RIP moves behind it, or an exception is due in its place. Either resumes the VP in the same
 * hypercall that sets the registers.
 */
import { PendingInterruptionType } from '../../hvdef/intercepts.ts';
import { ExecutionState, InterceptHeader } from '../../hvdef/messages.ts';
import { PendingInterruption, RegisterName, SegmentLayout } from '../../hvdef/registers.ts';
import { FLAG } from '../../x86/flags.ts';
import type { RegisterBatch } from '../parent/register-batch.ts';

const CS_LONG = 1 << 13;
const CS_DEFAULT_32 = 1 << 14;

/** DR6 with BS alone: the breakpoint bits of an earlier exception go, as they may. */
const DR6_SINGLE_STEP = 0xffff4ff0;

export const Vector = { Debug: 1, InvalidOpcode: 6, GeneralProtection: 13 } as const;

export function vpIndexOf(message: DataView): number {
  return message.getUint32(InterceptHeader.VpIndex, true);
}

export function codeSizeOf(message: DataView): 16 | 32 | 64 {
  const attributes = message.getUint16(InterceptHeader.CsSegment + SegmentLayout.Attributes, true);
  const state = message.getUint16(InterceptHeader.ExecutionState, true);
  if ((state & ExecutionState.EferLma) !== 0 && (attributes & CS_LONG) !== 0) return 64;
  return (attributes & CS_DEFAULT_32) !== 0 ? 32 : 16;
}

export function privilegeLevelOf(message: DataView): number {
  return message.getUint16(InterceptHeader.ExecutionState, true) & ExecutionState.CplMask;
}

/** RIP behind the instruction. */
export function nextRip(message: DataView, length: number): bigint {
  const rip = message.getBigUint64(InterceptHeader.Rip, true) + BigInt(length);
  return BigInt.asUintN(codeSizeOf(message), rip);
}

/** The instruction is done; `batch` already has what it changed. */
export function complete(batch: RegisterBatch, message: DataView, length: number): void {
  const traps = (message.getUint32(InterceptHeader.Rflags, true) & FLAG.TF) !== 0;
  completeBatch(batch.put(RegisterName.Rip, nextRip(message, length)), traps);
}

/** As `complete`, with RIP in the batch where it moves. `traps`: a single step's debug trap follows the instruction. */
export function completeBatch(batch: RegisterBatch, traps: boolean): void {
  if (!traps) batch.resume().commit();
  else raise(batch.putNumber(RegisterName.Dr6, DR6_SINGLE_STEP), Vector.Debug);
}

/** The exception is delivered in the instruction's place. */
export function raise(batch: RegisterBatch, vector: number, errorCode?: number): void {
  let word =
    PendingInterruption.Pending | (PendingInterruptionType.Exception << PendingInterruption.TypeShift);
  if (errorCode !== undefined) word |= PendingInterruption.DeliverErrorCode;
  const low = (word | (vector << PendingInterruption.VectorShift)) >>> 0;
  const value = (BigInt(errorCode ?? 0) << 32n) | BigInt(low);
  batch.put(RegisterName.PendingInterruption, value).resume().commit();
}

/** `register` after its low `size` bytes were written: 4 bytes clear the upper half, 1 and 2 keep the rest. */
export function merged(register: bigint, size: number, value: bigint): bigint {
  if (size >= 4) return BigInt.asUintN(size * 8, value);
  const mask = (1n << BigInt(size * 8)) - 1n;
  return (register & ~mask) | (value & mask);
}
