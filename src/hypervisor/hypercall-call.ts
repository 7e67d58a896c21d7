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

  /** Bytes of input there are behind the fixed part, up to what the call may have and the page holds. */
  readonly inputTail: number;
  /** Bytes of output that fit behind the fixed part. */
  readonly outputRoom: number;
  /** Writes output behind the fixed part; at most `outputRoom` bytes. */
  putTail(bytes: Uint8Array): void;

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

  /** Byte address, in system memory, of the copied element in turn: for handlers that do many at once. */
  readonly elementAddress: number;
  /** Input elements from the one in turn on whose first 64-bit field rises by one from element to element; at least 1. */
  risingElements(): number;

  /** A rep handler's loop: `while (call.hasRep()) { ...; call.repDone(); }`. False at the end or at the deadline. */
  hasRep(): boolean;
  /** One element is done, or `count` of them. */
  repDone(count?: number): void;
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
