/**
 * What processors ask of each other's threads: to drop write permissions of a page that becomes code, decoded code of
 * a page that was written, translations that are stale. A request is queued in the target's mailbox and its attention
 * raised; it is served between two instructions.
 *
 *   post             the target serves it before it executes a block that it has not begun
 *   post, then wait  when `wait` returns, every target has served it or is stopped and will serve it first
 *
 * Who waits serves what others ask of it meanwhile, so two that wait for each other end. A thread therefore waits only
 * where it holds no address that serving could make stale. A stopped target needs no waiting: its thread serves before it runs.
 */
import { Attention } from '../processor.ts';
import { ATTENTION } from '../state-layout.ts';
import { DirectoryWord, Forget, Mailbox, QUEUE_LENGTH, ring, SLOTS, Status, Word } from './mailbox.ts';

export const Request = {
  /** Nothing writes to the page without being noticed. */
  GuardPage: 1,
  /** The page's bytes have changed. */
  DropCode: 2,
} as const;
type Request = (typeof Request)[keyof typeof Request];
const PAGE_BITS = 24;
const PAGE_MASK = (1 << PAGE_BITS) - 1;
/** Looks at a word before sleeping on it. */
const SPINS = 2000;
const WAIT_MILLISECONDS = 50;
/** A thread that does not answer for so long is gone. Being woken counts a little too, so that this ends. */
const LONGEST_WAIT_MILLISECONDS = 20_000;
const WOKEN_MILLISECONDS = 0.01;

export const kindOf = (request: number): number => request >>> PAGE_BITS;
export const pageOf = (request: number): number => request & PAGE_MASK;

function lock({ words }: Mailbox): void {
  while (Atomics.compareExchange(words, Word.Lock, 0, 1) !== 0);
}
function unlock(mailbox: Mailbox): void {
  mailbox.set(Word.Lock, 0);
}

/** What was asked: `Forget` bits and queued requests. */
export interface Requests {
  forget: number;
  queue: number[];
  /** For `acknowledge`. */
  upTo: number;
}

export class Requester {
  readonly directory: Int32Array;
  private readonly buffer: ArrayBufferLike;
  private readonly memory: Int32Array;
  /** The mailbox of this thread's processor; the root has none. */
  private readonly own: Mailbox | undefined;
  /** Serves what others ask of this thread. */
  private readonly serve: () => void;
  private readonly mailboxes = new Map<number, Mailbox>();

  /** `directoryAddress` is a byte address in `buffer`. */
  constructor(
    buffer: ArrayBufferLike,
    directoryAddress: number,
    own: Mailbox | undefined,
    serve: () => void,
  ) {
    this.buffer = buffer;
    this.memory = new Int32Array(buffer);
    this.directory = new Int32Array(buffer, directoryAddress, DirectoryWord.Slots + SLOTS);
    this.own = own;
    this.serve = serve;
  }

  /** Mailboxes of the other processors. */
  *others(): Generator<Mailbox> {
    for (let slot = 0; slot < SLOTS; slot++) {
      const address = Atomics.load(this.directory, DirectoryWord.Slots + slot) >>> 0;
      if (address === 0 || address === this.own?.address) continue;
      yield this.mailboxAt(address);
    }
  }

  private mailboxAt(address: number): Mailbox {
    let mailbox = this.mailboxes.get(address);
    if (mailbox === undefined) {
      mailbox = new Mailbox(this.buffer, address);
      this.mailboxes.set(address, mailbox);
    }
    return mailbox;
  }

  /** Asks `target`; answers what to wait for. */
  post(target: Mailbox, request: Request, page: number): number {
    lock(target);
    const queued = target.get(Word.Queued);
    if (queued < QUEUE_LENGTH) {
      target.set(Word.Queue + queued, (request << PAGE_BITS) | page);
      target.set(Word.Queued, queued + 1);
    } else this.widen(target, request);
    return this.finishPost(target);
  }

  /** No room for single pages: all of the kind. */
  private widen(target: Mailbox, request: Request): void {
    const bits = request === Request.DropCode ? Forget.Code : Forget.Virtual;
    target.set(Word.Forget, target.get(Word.Forget) | bits);
  }

  postForget(target: Mailbox, bits: number): number {
    lock(target);
    target.set(Word.Forget, target.get(Word.Forget) | bits);
    return this.finishPost(target);
  }

  private finishPost(target: Mailbox): number {
    const ticket = (target.get(Word.Requested) + 1) | 0;
    target.set(Word.Requested, ticket);
    unlock(target);
    Atomics.or(this.memory, ((target.get(Word.State) >>> 0) + ATTENTION) >>> 2, Attention.Service);
    return ticket;
  }

  postToOthers(request: Request, page: number): void {
    for (const target of this.others()) this.post(target, request, page);
  }

  /** Asks all others and waits until none of them executes on without having served. */
  demand(request: Request, page: number): void {
    const asked: [Mailbox, number][] = [];
    for (const target of this.others()) asked.push([target, this.post(target, request, page)]);
    for (const [target, ticket] of asked) this.waitFor(target, ticket);
  }

  // Executing alone

  /** When it returns, no other processor executes. To be called where serving others is safe. */
  enterAlone(): void {
    const { directory } = this;
    const number = Atomics.add(directory, DirectoryWord.LastAlone, 1) + 1 || 1;
    const enter = () => Atomics.compareExchange(directory, DirectoryWord.Alone, 0, number) === 0;
    this.waitUntil(enter);
    const asked: [Mailbox, number][] = [];
    for (const target of this.others()) asked.push([target, this.postForget(target, Forget.Pause)]);
    for (const [target, ticket] of asked) this.waitFor(target, ticket);
  }

  leaveAlone(): void {
    Atomics.store(this.directory, DirectoryWord.Alone, 0);
    Atomics.notify(this.directory, DirectoryWord.Alone);
    // Those that wait to be alone sleep on their own words.
    this.ringWaiters();
  }

  /** Who executes alone; read before a request to pause is acknowledged. */
  get whoIsAlone(): number {
    return Atomics.load(this.directory, DirectoryWord.Alone);
  }

  /** Stands still while that processor executes alone. */
  pause(number: number): void {
    const { directory } = this;
    while (number !== 0 && Atomics.load(directory, DirectoryWord.Alone) === number)
      Atomics.wait(directory, DirectoryWord.Alone, number, WAIT_MILLISECONDS);
  }

  enterPair(): void {
    while (Atomics.compareExchange(this.directory, DirectoryWord.PairLock, 0, 1) !== 0);
  }
  leavePair(): void {
    Atomics.store(this.directory, DirectoryWord.PairLock, 0);
  }

  /** Throws when the target's thread is gone. */
  waitFor(target: Mailbox, ticket: number): void {
    const served = () =>
      target.get(Word.Status) !== Status.Running || ((target.get(Word.Served) - ticket) | 0) >= 0;
    this.waitUntil(served);
  }

  /** Serves others until `done`. */
  waitUntil(done: () => boolean): void {
    for (let spin = 0; spin < SPINS; spin++) {
      if (done()) return;
      this.serve();
    }
    const { own, directory } = this;
    const [words, wake] = own ? [own.words, Word.Wake] : [directory, DirectoryWord.Doorbell];
    const [flags, flag] = own ? [own.words, Word.Waits] : [directory, DirectoryWord.RootWaits];
    Atomics.store(flags, flag, 1);
    try {
      for (let waited = 0; waited < LONGEST_WAIT_MILLISECONDS; ) {
        const seen = Atomics.load(words, wake);
        this.serve();
        if (done()) return;
        const result = Atomics.wait(words, wake, seen, WAIT_MILLISECONDS);
        waited += result === 'timed-out' ? WAIT_MILLISECONDS : WOKEN_MILLISECONDS;
      }
    } finally {
      Atomics.store(flags, flag, 0);
    }
    throw new Error('the thread of a virtual processor does not answer');
  }

  /** Lets those look again that wait for acknowledgements. */
  ringWaiters(): void {
    for (const other of this.others()) if (other.get(Word.Waits) !== 0) other.wake();
    if (Atomics.load(this.directory, DirectoryWord.RootWaits) !== 0)
      ring(this.directory, DirectoryWord.Doorbell);
  }

  // The target's side

  /** True when something was asked of this thread that it has not taken. */
  get isAsked(): boolean {
    return this.own!.get(Word.Requested) !== this.own!.get(Word.Served);
  }

  take(): Requests {
    const own = this.own!;
    Atomics.and(this.memory, ((own.get(Word.State) >>> 0) + ATTENTION) >>> 2, ~Attention.Service);
    lock(own);
    const queue: number[] = [];
    for (let k = 0; k < own.get(Word.Queued); k++) queue.push(own.get(Word.Queue + k));
    const requests = { forget: own.get(Word.Forget), queue, upTo: own.get(Word.Requested) };
    own.set(Word.Queued, 0);
    own.set(Word.Forget, 0);
    unlock(own);
    return requests;
  }

  acknowledge({ upTo }: Requests): void {
    this.own!.set(Word.Served, upTo);
    this.ringWaiters();
  }
}
