/**
 * What the handlers of a processor's exits (exit-*.ts) see of the virtual processor they work for. Every handler
 * ends in one of four ways: the instruction is completed, an exception is injected for it, the VP is suspended
 * for an intercept with nothing of it done, or it simply runs again.
 */
import type { Processor } from '../cpu/processor.ts';
import type { ExitCounters } from './exit-counters.ts';
import type { InterceptMessage } from './intercept-message.ts';
import type { InterceptTable } from './intercept-table.ts';
import type { Partition } from './partition.ts';

/** Exception vectors that the hypervisor itself raises in a guest. */
export const Vector = {
  Debug: 1,
  InvalidOpcode: 6,
  StackFault: 12,
  GeneralProtection: 13,
  PageFault: 14,
  MachineCheck: 18,
} as const;

export interface ExitContext {
  readonly index: number;
  readonly partition: Partition;
  readonly processor: Processor;
  readonly counters: ExitCounters;
  readonly intercepts: InterceptTable;
  /** The VP's one intercept message buffer: fill it, then `suspendForIntercept()`. */
  readonly message: InterceptMessage;
  /** Suspends the VP on the instruction boundary and posts the message to the parent (§9.1.1). */
  suspendForIntercept(): void;
}

/** Reads EAX, ECX, EDX or EBX as an unsigned number. */
export function low32(processor: Processor, gpr: number): number {
  return Number(processor.getGpr(gpr) & 0xffff_ffffn);
}
