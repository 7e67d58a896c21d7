/**
 * State as plain named data to be kept, and how it is read back. Whoever owns state writes a record of it (`save`) and
 * takes one back through a `StateReader` (`restore`). What is read may be hostile: a field that is missing, of the
 * wrong type or out of range marks the reader as failed and reads as zero; who started the restore then undoes it.
 */

export type StateValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly StateValue[]
  | StateRecord;
export interface StateRecord {
  readonly [name: string]: StateValue;
}

const WORD = 0x1_0000_0000;
/** Times count in 100 ns or less since some start, or since 1970. */
const LATEST = 2 ** 60;
const NO_RECORD: StateRecord = {};

export class StateReader {
  readonly #record: StateRecord;
  readonly #failure: { path: string | undefined };
  readonly #path: string;

  constructor(record: StateRecord, path = '', failure: { path: string | undefined } = { path: undefined }) {
    this.#record = record;
    this.#path = path;
    this.#failure = failure;
  }

  get failed(): boolean {
    return this.#failure.path !== undefined;
  }
  /** The field that failed first. */
  get failedAt(): string | undefined {
    return this.#failure.path;
  }

  fail(name: string): void {
    this.#failure.path ??= `${this.#path}${name}`;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#record, name);
  }

  #value(name: string): StateValue | undefined {
    return Object.hasOwn(this.#record, name) ? this.#record[name] : undefined;
  }

  /** A whole number from 0 to `maximum`. */
  integer(name: string, maximum: number): number {
    const value = this.#value(name);
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maximum) return value;
    this.fail(name);
    return 0;
  }
  u32(name: string): number {
    return this.integer(name, WORD - 1);
  }
  /** A finite number, negative ones included: a time. */
  time(name: string): number {
    const value = this.#value(name);
    if (typeof value === 'number' && Math.abs(value) <= LATEST) return value;
    this.fail(name);
    return 0;
  }
  /** A time, or Infinity: never. */
  deadline(name: string): number {
    return this.#value(name) === Infinity ? Infinity : this.time(name);
  }
  u64(name: string): bigint {
    const value = this.#value(name);
    if (typeof value === 'bigint') return value;
    this.fail(name);
    return 0n;
  }
  flag(name: string): boolean {
    const value = this.#value(name);
    if (typeof value === 'boolean') return value;
    this.fail(name);
    return false;
  }
  /** One of the given texts. */
  choice<T extends string>(name: string, choices: readonly T[]): T {
    const value = this.#value(name);
    const found = choices.find((choice) => choice === value);
    if (found === undefined) this.fail(name);
    return found ?? choices[0];
  }
  bytes(name: string, length: number): Uint8Array {
    const value = this.#value(name);
    if (value instanceof Uint8Array && value.length === length) return value;
    this.fail(name);
    return new Uint8Array(length);
  }
  bytesUpTo(name: string, maximum: number): Uint8Array {
    const value = this.#value(name);
    if (value instanceof Uint8Array && value.length <= maximum) return value;
    this.fail(name);
    return new Uint8Array(0);
  }
  record(name: string): StateReader {
    const value = this.#value(name);
    if (isRecord(value)) return new StateReader(value, `${this.#path}${name}.`, this.#failure);
    this.fail(name);
    return new StateReader(NO_RECORD, `${this.#path}${name}.`, this.#failure);
  }
  /** A list of at most `maximum` records; of exactly so many with `exact`. */
  records(name: string, maximum: number, exact = false): StateReader[] {
    const value = this.#value(name);
    const right =
      Array.isArray(value) &&
      (exact ? value.length === maximum : value.length <= maximum) &&
      value.every(isRecord);
    if (!right) {
      this.fail(name);
      return [];
    }
    return (value as StateRecord[]).map(
      (each, index) => new StateReader(each, `${this.#path}${name}[${index}].`, this.#failure),
    );
  }
  /** 32-bit words, exactly so many. */
  words(name: string, count: number): Uint32Array {
    const bytes = this.bytes(name, count * 4);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Uint32Array.from({ length: count }, (_, index) => view.getUint32(index * 4, true));
  }
}

/** For `StateReader.words`. */
export function wordBytes(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => {
    view.setUint32(index * 4, word, true);
  });
  return bytes;
}

function isRecord(value: StateValue | undefined): value is StateRecord {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
}
