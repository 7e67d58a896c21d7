/**
 * Saved state as bytes. The stream names every field, so that a later version can tell what it lacks:
 *
 *   0  magic (4)   4  version (2)   6  kind (2)   8  body length (4)   12  CRC-32 of the body (4)   16  body
 *
 * The body is one value: a tag byte, then its data, all little-endian. A record is a count and as many names and
 * values; a list a count and values. Decoding trusts nothing: lengths, depth and duplicate names are checked.
 */
import { crc32 } from 'node:zlib';
import type { StateRecord, StateValue } from './state-value.ts';

/** "PHS1" */
const MAGIC = 0x31534850;
export const STREAM_VERSION = 1;
export const STREAM_HEADER_BYTES = 16;
/** A stream that claims more is not one. */
export const STREAM_MAXIMUM_BYTES = 16 * 2 ** 20;
export const StreamKind = { Complete: 0, Summary: 1 } as const;
const DEEPEST = 16;

const Tag = { Number: 1, Word: 2, False: 3, True: 4, Text: 5, Bytes: 6, List: 7, Record: 8 } as const;

export type StreamHeader =
  | { kind: 'ok'; contents: number; totalBytes: number }
  | { kind: 'corrupt' }
  | { kind: 'unsupported-version' };

/** Reads the first STREAM_HEADER_BYTES of a stream. */
export function streamHeader(bytes: Uint8Array): StreamHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) return { kind: 'corrupt' };
  if (view.getUint16(4, true) !== STREAM_VERSION) return { kind: 'unsupported-version' };
  const totalBytes = STREAM_HEADER_BYTES + view.getUint32(8, true);
  if (totalBytes > STREAM_MAXIMUM_BYTES) return { kind: 'corrupt' };
  return { kind: 'ok', contents: view.getUint16(6, true), totalBytes };
}

export function encodeStream(contents: number, record: StateRecord): Uint8Array {
  const writer = new Writer();
  writer.value(record);
  const body = writer.finish();
  const stream = new Uint8Array(STREAM_HEADER_BYTES + body.length);
  const view = new DataView(stream.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, STREAM_VERSION, true);
  view.setUint16(6, contents, true);
  view.setUint32(8, body.length, true);
  view.setUint32(12, crc32(body), true);
  stream.set(body, STREAM_HEADER_BYTES);
  return stream;
}

/** The record in a whole stream whose header was looked at; undefined: it is corrupt. */
export function decodeStream(stream: Uint8Array): StateRecord | undefined {
  const body = stream.subarray(STREAM_HEADER_BYTES);
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  if (view.getUint32(12, true) !== crc32(body)) return undefined;
  const parser = new Parser(body);
  const value = parser.value(0);
  if (!parser.atEnd || typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array) {
    return undefined;
  }
  return value as StateRecord;
}

class Writer {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }

  value(value: StateValue): void {
    if (typeof value === 'number') {
      this.#tag(Tag.Number, 8);
      this.#view.setFloat64(this.#at, value, true);
      this.#at += 8;
    } else if (typeof value === 'bigint') {
      this.#tag(Tag.Word, 8);
      this.#view.setBigUint64(this.#at, BigInt.asUintN(64, value), true);
      this.#at += 8;
    } else if (typeof value === 'boolean') this.#tag(value ? Tag.True : Tag.False, 0);
    else if (typeof value === 'string') this.#counted(Tag.Text, new TextEncoder().encode(value));
    else if (value instanceof Uint8Array) this.#counted(Tag.Bytes, value);
    else if (Array.isArray(value)) {
      this.#count(Tag.List, value.length);
      for (const each of value) this.value(each);
    } else {
      const entries = Object.entries(value);
      this.#count(Tag.Record, entries.length);
      for (const [name, each] of entries) {
        this.value(name);
        this.value(each as StateValue);
      }
    }
  }

  #counted(tag: number, bytes: Uint8Array): void {
    this.#count(tag, bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }
  #count(tag: number, count: number): void {
    this.#tag(tag, 4);
    this.#view.setUint32(this.#at, count, true);
    this.#at += 4;
  }
  #tag(tag: number, following: number): void {
    this.#room(1 + following);
    this.#bytes[this.#at++] = tag;
  }
  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + bytes));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

class Parser {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Undefined where the bytes are no value. */
  value(depth: number): StateValue | undefined {
    if (depth > DEEPEST || this.#left < 1) return undefined;
    const tag = this.#bytes[this.#at++];
    switch (tag) {
      case Tag.Number:
      case Tag.Word: {
        if (this.#left < 8) return undefined;
        const at = this.#at;
        this.#at += 8;
        return tag === Tag.Word ? this.#view.getBigUint64(at, true) : this.#view.getFloat64(at, true);
      }
      case Tag.False:
        return false;
      case Tag.True:
        return true;
      case Tag.Text: {
        const bytes = this.#counted();
        return bytes && new TextDecoder().decode(bytes);
      }
      case Tag.Bytes:
        return this.#counted()?.slice();
      case Tag.List:
        return this.#list(depth);
      case Tag.Record:
        return this.#record(depth);
      default:
        return undefined;
    }
  }

  #list(depth: number): StateValue[] | undefined {
    const count = this.#count();
    if (count === undefined) return undefined;
    const list: StateValue[] = [];
    for (let index = 0; index < count; index++) {
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      list.push(value);
    }
    return list;
  }

  #record(depth: number): StateRecord | undefined {
    const count = this.#count();
    if (count === undefined) return undefined;
    const record: Record<string, StateValue> = Object.create(null) as Record<string, StateValue>;
    for (let index = 0; index < count; index++) {
      const name = this.value(depth + 1);
      const value = this.value(depth + 1);
      if (typeof name !== 'string' || value === undefined || name in record) return undefined;
      record[name] = value;
    }
    return record;
  }

  get #left(): number {
    return this.#bytes.length - this.#at;
  }
  /** A count of things that take at least a byte each. */
  #count(): number | undefined {
    if (this.#left < 4) return undefined;
    const count = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return count <= this.#left ? count : undefined;
  }
  #counted(): Uint8Array | undefined {
    const count = this.#count();
    if (count === undefined) return undefined;
    const bytes = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += count;
    return bytes;
  }
}
