/**
 * Guest debugging (TLFS 2.0a ch. 20): the physical connection as an in-memory byte channel with a host end, and a
 * session per partition on it, told apart by the partition's debug channel identifier.
 *
 *   guest --HvPostDebugData--> outgoing buffer --host end: take()--> debugger
 *   guest <--HvRetrieveDebugData-- incoming buffer <--host end: deliver()-- debugger
 *
 * The buffers are a page each, drawn from the partition's pool when it gets its channel identifier. What does not fit
 * the incoming buffer is discarded, as on the wire (§20.1.3). Session data are no saved state (§20.1.1).
 */
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { Partition } from './partition.ts';
import { type Part, partKey } from './parts.ts';

/** A ring of bytes in a page of a pool. */
class DebugBuffer {
  readonly page: number;
  readonly #bytes: Uint8Array;
  #start = 0;
  length = 0;

  constructor(memory: Uint8Array, page: number) {
    this.page = page;
    this.#bytes = memory.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  }

  get room(): number {
    return PAGE_SIZE - this.length;
  }

  /** At most `room` bytes. */
  put(data: Uint8Array): void {
    for (const byte of data) this.#bytes[(this.#start + this.length++) % PAGE_SIZE] = byte;
  }

  take(maximum: number): Uint8Array {
    const taken = new Uint8Array(Math.min(maximum, this.length));
    for (let index = 0; index < taken.length; index++)
      taken[index] = this.#bytes[(this.#start + index) % PAGE_SIZE];
    this.#start = (this.#start + taken.length) % PAGE_SIZE;
    this.length -= taken.length;
    return taken;
  }
}

/** The connection; the methods are its host end. */
export class DebugTransport {
  /** Bytes ever received, for any session (§20.1.5); wraps. */
  received = 0;
  readonly #sessions = new Map<number, DebugSession>();
  /** Called when a guest has posted data on a channel. */
  onPosted: ((channel: number) => void) | undefined;

  attach(channel: number, session: DebugSession): void {
    this.#sessions.set(channel, session);
  }
  detach(session: DebugSession): void {
    for (const [channel, each] of this.#sessions) if (each === session) this.#sessions.delete(channel);
  }

  /** Bytes from the debugger. Answers how many the session could take; a channel that nobody has takes none. */
  deliver(channel: number, bytes: Uint8Array): number {
    this.received = (this.received + bytes.length) >>> 0;
    return this.#sessions.get(channel)?.receive(bytes) ?? 0;
  }

  /** Bytes for the debugger that a guest has posted. */
  take(channel: number, maximum: number = PAGE_SIZE): Uint8Array {
    return this.#sessions.get(channel)?.transmit(maximum) ?? new Uint8Array(0);
  }
}

export class DebugSession implements Part {
  readonly #partition: Partition;
  #incoming: DebugBuffer | undefined;
  #outgoing: DebugBuffer | undefined;
  #transport: DebugTransport | undefined;
  /** The transport's count when data were last asked for. */
  #seen = 0;
  channel = 0;

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** Gives the session a channel, or takes it away with 0. False: the pool has too few pages. */
  assign(transport: DebugTransport, channel: number): boolean {
    const { pool, machine } = this.#partition;
    if (channel !== 0 && this.#incoming === undefined) {
      if (pool.free < 2) return false;
      this.#incoming = new DebugBuffer(machine.memory.bytes, pool.draw('debug-session'));
      this.#outgoing = new DebugBuffer(machine.memory.bytes, pool.draw('debug-session'));
    }
    this.#transport?.detach(this);
    if (channel === 0) this.release();
    else transport.attach(channel, this);
    this.#transport = transport;
    this.channel = channel;
    return true;
  }

  /** The guest's end. */
  get pending(): number {
    return this.#outgoing?.length ?? 0;
  }
  get available(): number {
    return this.#incoming?.length ?? 0;
  }
  /** False, with nothing posted, when there is too little room. */
  post(data: Uint8Array): boolean {
    if (this.#outgoing === undefined || data.length > this.#outgoing.room) return false;
    this.#outgoing.put(data);
    if (data.length > 0) this.#transport?.onPosted?.(this.channel);
    return true;
  }
  retrieve(maximum: number): Uint8Array {
    return this.#incoming?.take(maximum) ?? new Uint8Array(0);
  }
  /** True when anything came in on the connection since this was last asked; `note` takes the count over. */
  get active(): boolean {
    return this.#transport !== undefined && this.#transport.received !== this.#seen;
  }
  note(): void {
    this.#seen = this.#transport?.received ?? 0;
  }
  /** Answers how many bytes are gone. */
  purge(incoming: boolean, outgoing: boolean): number {
    let purged = 0;
    if (incoming) purged += this.#incoming?.take(PAGE_SIZE).length ?? 0;
    if (outgoing) purged += this.#outgoing?.take(PAGE_SIZE).length ?? 0;
    return purged;
  }

  /** The transport's end. */
  receive(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, this.#incoming?.room ?? 0);
    this.#incoming?.put(taken);
    return taken.length;
  }
  transmit(maximum: number): Uint8Array {
    return this.#outgoing?.take(maximum) ?? new Uint8Array(0);
  }

  release(): void {
    this.#transport?.detach(this);
    for (const buffer of [this.#incoming, this.#outgoing]) {
      if (buffer !== undefined) this.#partition.pool.release(buffer.page);
    }
    this.#incoming = undefined;
    this.#outgoing = undefined;
  }

  inspect(): unknown {
    return { channel: this.channel, pending: this.pending, available: this.available };
  }
}

export const DEBUG_SESSION = partKey<Partition, DebugSession>(
  'debug-session',
  (partition) => new DebugSession(partition),
);
