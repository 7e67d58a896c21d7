/** What a saved machine's file holds, once it was read and found whole (saved-machine.ts). */
import type { StateReader } from '../support/saved-state/state-value.ts';

export interface MemoryRun {
  gpn: number;
  bytes: Uint8Array;
}

/** A file that was read and found whole. */
export interface SavedMachine {
  name: string;
  memoryBytes: number;
  vpCount: number;
  /** The stream for HvRestorePartitionState. */
  partition: Uint8Array;
  chipset: StateReader;
  runs: readonly MemoryRun[];
}
