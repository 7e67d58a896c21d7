/**
 * Reads little-endian fields of an image whose contents nobody vouches for: each read beyond the end is a
 * ConfigurationError that names the file, what was read and where.
 */
import { ConfigurationError, type NamedFile } from '../vm-config.ts';

export const hex = (value: number): string => `0x${value.toString(16)}`;

export class ImageReader {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(file: NamedFile) {
    this.name = file.name;
    this.bytes = file.bytes;
    this.#view = new DataView(file.bytes.buffer, file.bytes.byteOffset, file.bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  fail(problem: string): never {
    throw new ConfigurationError(this.name, problem);
  }

  #check(offset: number, size: number, what: string): void {
    if (offset >= 0 && size >= 0 && offset + size <= this.length) return;
    this.fail(
      `truncated: ${what} at ${hex(offset)} needs ${size} bytes, the file ends at ${hex(this.length)}`,
    );
  }

  u8(offset: number, what: string): number {
    this.#check(offset, 1, what);
    return this.#view.getUint8(offset);
  }
  u16(offset: number, what: string): number {
    this.#check(offset, 2, what);
    return this.#view.getUint16(offset, true);
  }
  u32(offset: number, what: string): number {
    this.#check(offset, 4, what);
    return this.#view.getUint32(offset, true);
  }
  /** A 64-bit field as a number; one above 2^53 cannot be an address or size here and is refused. */
  u64(offset: number, what: string): number {
    this.#check(offset, 8, what);
    const value = this.#view.getBigUint64(offset, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      this.fail(`${what} at ${hex(offset)} is 0x${value.toString(16)}`);
    return Number(value);
  }
  slice(offset: number, size: number, what: string): Uint8Array {
    this.#check(offset, size, what);
    return this.bytes.subarray(offset, offset + size);
  }
}
