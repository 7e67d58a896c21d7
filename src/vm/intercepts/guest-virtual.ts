/**
 * Guest virtual memory on behalf of an instruction that the parent completes: each page is translated with the
 * instruction's rights, and bytes move by HvReadGpa and HvWriteGpa. The whole access is translated before a byte
 * moves (TLFS 2.0a §8.1.2); a refusal is the page fault that the instruction would have raised.
 */
import { TranslateGvaFlag, TranslateGvaResult } from '../../hvdef/intercepts.ts';
import type { ChildPartition } from '../parent/child-partition.ts';

const PAGE = 0x1000n;
const ErrorCode = { Present: 1, Write: 2, User: 4, Reserved: 8 } as const;

export interface GuestFault {
  gva: bigint;
  errorCode: number;
}

export interface GuestAccess {
  vp: number;
  privilegeLevel: number;
  gva: bigint;
  bytes: number;
}

interface Piece {
  gpa: number;
  bytes: number;
}

function translatePieces(
  partition: ChildPartition,
  access: GuestAccess,
  write: boolean,
): Piece[] | GuestFault {
  const validate = write ? TranslateGvaFlag.ValidateWrite : TranslateGvaFlag.ValidateRead;
  const pieces: Piece[] = [];
  for (let done = 0; done < access.bytes; ) {
    const gva = BigInt.asUintN(64, access.gva + BigInt(done));
    const { result, gpa } = partition.translate(access.vp, gva, validate | TranslateGvaFlag.SetPageTableBits);
    if (result !== TranslateGvaResult.Success) return { gva, errorCode: errorCodeOf(result, access, write) };
    const bytes = Math.min(access.bytes - done, Number(PAGE - (gva % PAGE)));
    pieces.push({ gpa, bytes });
    done += bytes;
  }
  return pieces;
}

function errorCodeOf(result: number, access: GuestAccess, write: boolean): number {
  let code = (write ? ErrorCode.Write : 0) | (access.privilegeLevel === 3 ? ErrorCode.User : 0);
  if (result === TranslateGvaResult.PrivilegeViolation) code |= ErrorCode.Present;
  if (result === TranslateGvaResult.InvalidPageTableFlags) code |= ErrorCode.Present | ErrorCode.Reserved;
  return code;
}

/** Memory that is not there reads as ones. */
export function readGuest(partition: ChildPartition, access: GuestAccess): Uint8Array | GuestFault {
  const pieces = translatePieces(partition, access, false);
  if (!Array.isArray(pieces)) return pieces;
  const data = new Uint8Array(access.bytes).fill(0xff);
  let at = 0;
  for (const { gpa, bytes } of pieces) {
    const read = partition.readGpa(access.vp, gpa, bytes);
    if (read !== undefined) data.set(read, at);
    at += bytes;
  }
  return data;
}

/** Undefined when done. Bytes for memory that is not there are dropped. */
export function writeGuest(
  partition: ChildPartition,
  access: GuestAccess,
  data: Uint8Array,
): GuestFault | undefined {
  const pieces = translatePieces(partition, access, true);
  if (!Array.isArray(pieces)) return pieces;
  let at = 0;
  for (const { gpa, bytes } of pieces) {
    partition.writeGpa(access.vp, gpa, data.subarray(at, at + bytes));
    at += bytes;
  }
  return undefined;
}
