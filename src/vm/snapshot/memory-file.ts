/** A snapshot's file in memory: for rehearsals and tests. */
import type { SnapshotFile, SnapshotSink } from './snapshot-file.ts';

export class MemoryFile implements SnapshotFile, SnapshotSink {
  readonly name: string;
  #contents = new Uint8Array(0x1_0000);
  bytes = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** What is in it; changes to it are changes to the file. */
  get contents(): Uint8Array {
    return this.#contents.subarray(0, this.bytes);
  }

  read(into: Uint8Array, offset: number): number {
    const part = this.#contents.subarray(
      Math.min(offset, this.bytes),
      Math.min(offset + into.length, this.bytes),
    );
    into.set(part);
    return part.length;
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    if (end > this.#contents.length) {
      const larger = new Uint8Array(Math.max(end, this.#contents.length * 2));
      larger.set(this.#contents);
      this.#contents = larger;
    }
    this.#contents.set(bytes, offset);
    this.bytes = Math.max(this.bytes, end);
  }

  commit(): Promise<void> {
    return Promise.resolve();
  }

  abandon(): void {
    this.bytes = 0;
  }
}
