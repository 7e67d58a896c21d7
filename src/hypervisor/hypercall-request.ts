/**
 * A hypercall as a caller (a virtual processor, the root's surface) presents it to the dispatcher, and how that
 * ends. TLFS 2.0a §4.7, §4.8.
 */
import type { Partition } from './partition.ts';

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
