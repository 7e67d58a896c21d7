/** A snapshot's file as this room sees it; whoever opens files stands behind these (cli/snapshot-files.ts). */

/** A file to read from. It is never written. */
export interface SnapshotFile {
  /** What messages call it. */
  readonly name: string;
  readonly bytes: number;
  /** Fills `into` from byte `offset` on; answers how many bytes there were. Throws what the system refuses with. */
  read(into: Uint8Array, offset: number): number;
}

/** A file that comes into being: nobody sees it under its name before it is whole. */
export interface SnapshotSink {
  write(bytes: Uint8Array, offset: number): void;
  /** On the disk and under its name; rejects when that can't be. */
  commit(): Promise<void>;
  /** Nothing of it stays. */
  abandon(): void;
}
