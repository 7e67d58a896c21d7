/** How a virtual machine's run ended, and what can be told about it while it runs and afterwards. */

import type { ProcessorProfile } from './host.ts';

export type VmOutcome =
  | { kind: 'power-off' }
  | { kind: 'reset' }
  /** The guest wrote `value` to the exit port; `status` is (value << 1) | 1, taken to 8 bits. */
  | { kind: 'exit-port'; value: number; status: number }
  /** Triple fault, unrecoverable state, or a panic reported through the crash MSRs; `text` says which. */
  | { kind: 'crash'; text: string }
  | { kind: 'timeout'; seconds: number }
  /** The machine was saved and is to go on elsewhere. */
  | { kind: 'saved' }
  /** A page of the snapshot that the machine goes on from can't be had; `text` says which and why. */
  | { kind: 'snapshot-damaged'; text: string }
  /** `stop()` was called. */
  | { kind: 'stopped' }
  /** An invariant of ours broke: this VM ends, the host does not. */
  | { kind: 'error'; error: Error };

export interface VmSummary {
  /** Instructions completed by all virtual processors. */
  instructions: number;
  /** Processor exits by the name of their kind. */
  exits: Record<string, number>;
  /** Calls by hypercall name, then by status name: { HvMapGpaPages: { HV_STATUS_SUCCESS: 4 } }. */
  hypercalls: Record<string, Record<string, number>>;
  /** Where the virtual processors' work went. */
  profile?: ProcessorProfile;
  /** The child partition's memory pool, in pages. */
  pool: { deposited: number; available: number };
  /** Pages in the child's GPA map. */
  pagesMapped: number;
  /** Milliseconds from the start of this process to the end of the guest's first instruction. */
  millisecondsToFirstInstruction?: number;
  /** The same moment, since 1970: for whoever started this process. */
  firstInstructionUnixMs?: number;
  /** Of a machine that goes on from a snapshot: reads of its file, pages that came with them, and those still there. */
  snapshot?: { reads: number; pagesRead: number; pagesAbsent: number };
  /** Seconds from `run()` to the first byte of serial output (undefined: none came) and to the end. */
  secondsToFirstSerial: number | undefined;
  seconds: number;
}
