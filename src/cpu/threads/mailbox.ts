/**
 * What a processor's thread and the others tell each other, in shared memory: a page of the logical processor's area
 * (the mailbox) for each processor, and one page for all of them (the directory). Each word has one writer at a time:
 *
 *   root ── Command, Budget, clock ──▶ thread         the thread is stopped while these are written
 *   root ◀── Status, exit details ──── thread         written before Status becomes Stopped
 *   root ◀── Call, its arguments ───── thread         a question in the middle of an instruction; the thread waits
 *   anyone ── requests, under the lock ─▶ thread      (requests.ts)
 *
 * A thread sleeps on Wake, the root on the directory's Doorbell: whoever changes something for them adds one there.
 */

/** Words of 4 bytes from the mailbox's start; those marked with 64 take two. */
export const Word = {
  /** `Status`. */
  Status: 0,
  /** `Command`. */
  Command: 1,
  /** `Exit` of the last run. */
  Exit: 2,
  /** Most instructions of the next run. */
  Budget: 3,
  Wake: 4,
  /** 1 while the thread waits for others' acknowledgements. */
  Waits: 5,
  Lock: 6,
  /** Requests in the queue. */
  Queued: 7,
  /** `Forget` bits. */
  Forget: 8,
  /** Counts requests, and up to which they have been served. */
  Requested: 9,
  Served: 10,
  /** 1: the thread asks for the translation of a guest physical page. */
  Call: 11,
  CallGpn: 12,
  CallAccess: 13,
  CallAnswer: 14,
  Port: 15,
  PortSize: 16,
  /** 1 write, 2 string, 4 rep. */
  PortFlags: 17,
  PortValue: 18,
  Msr: 19,
  ExceptionVector: 20,
  HasErrorCode: 21,
  ErrorCode: 22,
  ExceptionIntercepts: 23,
  /** Byte address of the state page. */
  State: 24,
  /** Instructions since creation (64, f64). */
  Instructions: 26,
  /** Time spent executing, in ns (64, f64). */
  RunTime: 28,
  /** Reading of the host's clock, in ns, at which the partition's time stamp counter was 0 (64, f64). */
  TscOrigin: 30,
  /** Bytes of the text at TEXT: why the thread has died. */
  TextLength: 32,
  Queue: 64,
  /** Translations of the 512 pages around CallGpn. */
  Translations: 512,
} as const;
export const QUEUE_LENGTH = 64;
export const TRANSLATIONS = 512;
/** Byte offset and room of the text. */
const TEXT = 512;
const TEXT_ROOM = 1024;
export const MAILBOX_SIZE = 4096;

export const Status = { Stopped: 0, Running: 1, Dead: 2 } as const;
export const Command = { None: 0, Run: 1, Quit: 2 } as const;
/** What a thread is to forget before it executes on. */
export const Forget = {
  /** Guest virtual translations. */
  Virtual: 1,
  /** Guest physical translations too. */
  Physical: 2,
  /** All decoded code. */
  Code: 4,
  /** Nothing; but to stand still until `DirectoryWord.Alone` is 0. */
  Pause: 8,
} as const;

/** Words of the directory. */
export const DirectoryWord = {
  Doorbell: 0,
  /** 1 while the root waits for acknowledgements. */
  RootWaits: 1,
  /** Not 0 while one processor executes alone (a locked access that is not aligned): a number of its own each time. */
  Alone: 2,
  /** The last such number. */
  LastAlone: 4,
  /** 1 while a CMPXCHG16B exchanges its two halves. */
  PairLock: 3,
  /** Mailbox addresses of all processors; 0 = an empty slot. */
  Slots: 16,
} as const;
export const SLOTS = 64;
export const DIRECTORY_SIZE = 4096;

/** Lets whoever sleeps on `word` look again. */
export function ring(words: Int32Array, word: number): void {
  Atomics.add(words, word, 1);
  Atomics.notify(words, word);
}

export class Mailbox {
  readonly address: number;
  readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly text: Uint8Array;

  constructor(buffer: ArrayBufferLike, address: number) {
    this.address = address;
    this.words = new Int32Array(buffer, address, MAILBOX_SIZE / 4);
    this.doubles = new Float64Array(buffer, address, MAILBOX_SIZE / 8);
    this.text = new Uint8Array(buffer, address + TEXT, TEXT_ROOM);
  }

  get(word: number): number {
    return Atomics.load(this.words, word);
  }
  set(word: number, value: number): void {
    Atomics.store(this.words, word, value);
  }
  getDouble(word: number): number {
    return this.doubles[word >> 1];
  }
  setDouble(word: number, value: number): void {
    this.doubles[word >> 1] = value;
  }

  wake(): void {
    ring(this.words, Word.Wake);
  }

  /** Why the thread has died. */
  get lastWords(): string {
    return new TextDecoder().decode(this.text.slice(0, this.get(Word.TextLength)));
  }
  set lastWords(text: string) {
    const bytes = new TextEncoder().encode(text).subarray(0, TEXT_ROOM);
    this.text.set(bytes);
    this.set(Word.TextLength, bytes.length);
  }

  clear(): void {
    this.words.fill(0);
  }
}

/** Nanoseconds of the host's monotonic clock, the same in all threads. */
export function hostNanoseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}
