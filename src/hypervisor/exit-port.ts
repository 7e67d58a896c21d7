/**
 * I/O port exits (TLFS 2.0a §11.9): intercepted accesses go to the parent; every other port of a child is
 * empty: reads answer all ones, writes are discarded. The one port that the hypervisor itself may answer is the
 * PM timer's, before any intercept (§15.1.6).
 */
import type { Processor } from '../cpu/processor.ts';
import type { MemoryExitContext } from './exit-memory.ts';
import { completeEmptyStringPort } from './exit-port-string.ts';
import { assistedPmTimer } from './pm-timer-assist.ts';

const KEEP_ABOVE: Readonly<Record<number, bigint>> = {
  1: 0xffff_ffff_ffff_ff00n,
  2: 0xffff_ffff_ffff_0000n,
  4: 0n,
};
const ALL_ONES: Readonly<Record<number, bigint>> = { 1: 0xffn, 2: 0xffffn, 4: 0xffff_ffffn };

export function handlePortExit(vp: MemoryExitContext): void {
  const { processor } = vp;
  const exit = processor.portExit;
  if (!exit.write && !exit.string) {
    const timer = assistedPmTimer(vp.partition, exit.port);
    if (timer >= 0) {
      answer(processor, exit.size, BigInt(timer) & ALL_ONES[exit.size]);
      return;
    }
  }
  if (vp.intercepts.interceptsPort(exit.port, exit.size, exit.write)) {
    vp.message.ioPort();
    vp.suspendForIntercept();
    return;
  }
  if (exit.string) {
    completeEmptyStringPort(vp);
    return;
  }
  if (exit.write) processor.completeInstruction();
  else answer(processor, exit.size, ALL_ONES[exit.size]);
}

/** Completes an IN with `value`. */
function answer(processor: Processor, size: number, value: bigint): void {
  processor.setGpr(0, (processor.getGpr(0) & KEEP_ABOVE[size]) | value);
  processor.completeInstruction();
}
