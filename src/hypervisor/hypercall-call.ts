/**
 * One hypercall on its way through the dispatcher, as its handler sees it. The input block was copied out of
 * guest memory (or registers) before the handler runs, so that a guest can't change what was checked; the
 * output block is copied back afterwards. One object per dispatcher, reused: a handler keeps nothing of it.
 * Handlers decode first, refuse, and only then change anything. TLFS 2.0a §4.
 */
import type { HypercallDefinition } from '../hvdef/hypercall-definition.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { Partition } from './partition.ts';

export interface HypercallCall {
  readonly hypervisor: Hypervisor;
  readonly definition: HypercallDefinition;
  /** The partition that called. */
  readonly caller: Partition;
  /** Index of the VP that called. */
  readonly callerVp: number;
  readonly repCount: number;
  /** Elements done so far, counted from the start of the list. */
  readonly rep: number;
  /** Bytes of the input header, a variable one included: where the first element lies. */
  readonly headerBytes: number;

  /** Input header fields, by byte offset. */
  u8(offset: number): number;
  u16(offset: number): number;
  u32(offset: number): number;
  u64(offset: number): bigint;
  /** An unsigned 64-bit field as a Number; above 2^53 it is rounded, and certainly out of every range. */
  number(offset: number): number;
  /** Input bytes; valid until the handler returns. */
  inputBytes(offset: number, length: number): Uint8Array;

  /** Fields of the input element in turn (`rep`). */
  elementU8(offset: number): number;
  elementU32(offset: number): number;
  elementU64(offset: number): bigint;
  elementNumber(offset: number): number;
  elementBytes(offset: number, length: number): Uint8Array;

  /** Writes output header fields. */
  putU8(offset: number, value: number): void;
  putU32(offset: number, value: number): void;
  putU64(offset: number, value: bigint | number): void;
  putBytes(offset: number, bytes: Uint8Array): void;
  /** Writes fields of the output element in turn (`rep`). */
  putElementU32(offset: number, value: number): void;
  putElementU64(offset: number, value: bigint | number): void;
  putElementBytes(offset: number, bytes: Uint8Array): void;

  /** A rep handler's loop: `while (call.hasRep()) { ...; call.repDone(); }`. False at the end or at the deadline. */
  hasRep(): boolean;
  repDone(): void;
  /** For simple calls that use continuation: true once the time of this invocation is used up. */
  timeIsUp(): boolean;

  /**
   * The partition that an HV_PARTITION_ID field names, or undefined (HV_STATUS_INVALID_PARTITION_ID).
   * HV_PARTITION_ID_SELF names the caller.
   */
  partition(id: bigint): Partition | undefined;
}

/** What a handler answers: an HV_STATUS, or CONTINUE: run the instruction again later. */
export type HypercallHandler = (call: HypercallCall) => number;
/** A simple hypercall is not done yet; the caller's instruction is executed again (§4.3). */
export const CONTINUE = -1;

export interface HypercallImplementation {
  readonly code: number;
  readonly handle: HypercallHandler;
}

/** How a dispatch ended. */
export const Dispatched = {
  /** The result value is in `resultStatus` and `repsCompleted`. RIP moves on. */
  Done: 0,
  /** Time is up: execute the instruction again, with `repsCompleted` as its rep start index. */
  Continue: 1,
  /** The input or output page can't be accessed: a memory intercept at `interceptGpa` is due. */
  MemoryIntercept: 2,
  /** #UD: the calling convention is not available. */
  UndefinedOpcode: 3,
} as const;
export type Dispatched = (typeof Dispatched)[keyof typeof Dispatched];

/** Bytes of a fast hypercall's register block: RDX, R8, XMM0..XMM5. */
export const FAST_BLOCK_BYTES = 112;

/** A hypercall as a caller presents it, and the place for its result. Reused by the caller. */
export interface HypercallRequest {
  caller: Partition;
  callerVp: number;
  /** Call code and flags: bits 0..31 of the input value. */
  controlLow: number;
  /** Rep count and start index: bits 32..63. */
  controlHigh: number;
  /** Memory convention: GPAs. Rounded above 2^53, which is out of bounds anyway. */
  inputGpa: number;
  outputGpa: number;
  /** Fast convention: register block in, and output behind the input (rounded up to 16 bytes) where the call has one. */
  readonly fastBlock: Uint8Array;

  resultStatus: number;
  repsCompleted: number;
  interceptGpa: number;
  /** Bit of `Access`. */
  interceptAccess: number;
  /** The first byte of `fastBlock` that holds output and the byte behind the last one; equal where there is none. */
  fastOutputStart: number;
  fastOutputEnd: number;
}

export function hypercallRequest(caller: Partition, callerVp: number): HypercallRequest {
  return {
    caller,
    callerVp,
    controlLow: 0,
    controlHigh: 0,
    inputGpa: 0,
    outputGpa: 0,
    fastBlock: new Uint8Array(FAST_BLOCK_BYTES),
    resultStatus: 0,
    repsCompleted: 0,
    interceptGpa: 0,
    interceptAccess: 0,
    fastOutputStart: 0,
    fastOutputEnd: 0,
  };
}

/** The entry that virtual processors and the parent surface call. CPL and mode were checked by the caller. */
export interface HypercallEntry {
  dispatch(request: HypercallRequest): Dispatched;
}

/** The 64-bit result value (§4.8). */
export function resultValue(request: HypercallRequest): bigint {
  return (BigInt(request.repsCompleted) << 32n) | BigInt(request.resultStatus);
}
