/** What an x87 instruction is once decoded: resolved once (resolve.ts), run any number of times. */
import type { X87Unit } from './unit.ts';

export interface X87Operation {
  /** Bytes of memory the instruction reads and writes, before and after `run`; 0 for none. */
  readonly reads: number;
  readonly writes: number;
  /** Reports a pending exception first (all but the FN... control instructions). */
  readonly waiting: boolean;
  /** Records instruction and data pointers (all but the control instructions). */
  readonly recordsPointers: boolean;
  /** FCMOVcc: the caller sets `unit.condition`. */
  readonly needsCondition: boolean;
  /** FCOMI and its kin: the caller takes `unit.comparison`. */
  readonly setsFlags: boolean;
  run(unit: X87Unit): void;
}

/** Operands as an operation's maker wants them. */
export interface X87Operands {
  /** Size of the memory operand in bits; 0 without one or where it has no fixed size. */
  memoryBits: number;
  /** First and second stack register, or -1. ST(0) left unsaid is 0. */
  destination: number;
  source: number;
  /** 16 or 32: the environment's form. */
  environmentBits: number;
}

export function operation(
  run: (unit: X87Unit) => void,
  properties: Partial<Omit<X87Operation, 'run'>> = {},
): X87Operation {
  return {
    reads: 0,
    writes: 0,
    waiting: true,
    recordsPointers: true,
    needsCondition: false,
    setsFlags: false,
    ...properties,
    run,
  };
}
