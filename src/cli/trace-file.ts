/** `--trace`: one JSON object a line, in the order of events. 64-bit values are written as hexadecimal text. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { TraceRecord } from '../vm/virtual-machine.ts';

const FLUSH_CHARACTERS = 1 << 16;

export function traceLine(record: TraceRecord): string {
  return `${JSON.stringify(record, (_, value: unknown) => {
    if (typeof value === 'bigint') return `0x${value.toString(16)}`;
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
    return value;
  })}\n`;
}

export class TraceFile {
  private readonly descriptor: number;
  private pending: string[] = [];
  private size = 0;

  /** Throws when the file cannot be created. */
  constructor(path: string) {
    this.descriptor = openSync(path, 'w');
  }

  write(record: TraceRecord): void {
    const line = traceLine(record);
    this.pending.push(line);
    this.size += line.length;
    if (this.size >= FLUSH_CHARACTERS) this.flush();
  }

  close(): void {
    this.flush();
    closeSync(this.descriptor);
  }

  private flush(): void {
    let bytes = Buffer.from(this.pending.join(''));
    this.pending = [];
    this.size = 0;
    while (bytes.length > 0) bytes = bytes.subarray(writeSync(this.descriptor, bytes));
  }
}
