/** What a snapshot holds, once it was read and found whole but for its memory (read-snapshot.ts). */
import type { StateReader } from '../../support/saved-state/state-value.ts';
import type { NumaConfig } from '../numa-config.ts';
import type { PageIndex } from './page-index.ts';
import type { SnapshotFile } from './snapshot-file.ts';

/** The stored pages of guest RAM. */
export interface StoredPages {
  file: SnapshotFile;
  index: PageIndex;
  /** CRC-32 by number of the stored page. */
  checksums: Uint32Array;
  /** Page of the file that holds stored page 0. */
  firstPage: number;
}

export interface Snapshot {
  name: string;
  memoryBytes: number;
  vpCount: number;
  /** NUMA nodes; undefined: the machine did not speak of any. */
  numa?: NumaConfig;
  /** The stream for HvRestorePartitionState. */
  partition: Uint8Array;
  chipset: StateReader;
  pages: StoredPages;
}
