/**
 * The hypervisor's event logs (TLFS 2.0a ch. 19): a buffer group per type, whose buffers and infrastructure lie in pages
 * of the root's pool, and the events themselves. The root sees a mapped buffer through read-only overlays at the
 * pages' own GPAs.
 *
 *   standby --map--> free --an event needs room--> in use --full, flush--> complete --threshold, flush--> ready
 *      ^---unmap------'^-----------------------------------release-----------------------------------------'
 *      '---unmap (from ready)
 *
 * The local type keeps, per logical processor, one buffer in use and one list of complete ones. Chosen: entries never
 * cross from one buffer to the next; a notification that finds all sixteen message buffers of the group queued waits
 * until the next completion.
 */
import { Access } from '../cpu/processor.ts';
import {
  DiagnosticSource,
  EventLogEntryHeader as Entry,
  EVENT_LOG_INDEX_NONE,
  EventLogMessage,
  EventLogTimeBasis,
  EventLogType,
  EventLogBufferHeader as Header,
  EventLogBufferState as State,
} from '../hvdef/event-log.ts';
import { MESSAGE_HEADER_SIZE, MessageType } from '../hvdef/messages.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { EventSink } from './event-log-sink.ts';
import { type MessageBuffer, messageBuffersOf } from './message-buffer.ts';
import type { Partition } from './partition.ts';
import { SYNICS } from './partition-interrupts.ts';

const TSC_TICKS_PER_UNIT = 100;
/** Overlay owners: below every VP index, apart by type, buffer and page. */
const OWNER_BASE = -2;
const OWNERS_PER_BUFFER = 512;
const OWNERS_PER_TYPE = 512 * OWNERS_PER_BUFFER;

export interface Geometry {
  maximumBuffers: number;
  bufferPages: number;
  threshold: number;
  timeBasis: number;
}

interface EventLogBuffer {
  readonly index: number;
  readonly pages: readonly number[];
  state: number;
  nextOffset: number;
  /** Logical processor that fills it; 0 for the global type. */
  processor: number;
}

/** What is kept per logical processor, or once for the global type. */
interface Producer {
  inUse: EventLogBuffer | undefined;
  complete: EventLogBuffer[];
  lost: number;
  count: number;
}

export class EventLogGroup {
  readonly type: number;
  readonly geometry: Geometry;
  sources = 0n;
  readonly buffers = new Map<number, EventLogBuffer>();
  readonly #root: Partition;
  readonly #page: number;
  readonly #messages: readonly MessageBuffer[];
  readonly #producers = new Map<number, Producer>();

  constructor(type: number, geometry: Geometry, root: Partition, page: number) {
    this.type = type;
    this.geometry = geometry;
    this.#root = root;
    this.#page = page;
    this.#messages = messageBuffersOf(root.machine.memory, page);
  }

  get bufferBytes(): number {
    return this.geometry.bufferPages * PAGE_SIZE;
  }

  /** False: the pool has too few pages. */
  create(index: number): boolean {
    const { pool } = this.#root;
    if (pool.available < this.geometry.bufferPages) return false;
    const pages = Array.from({ length: this.geometry.bufferPages }, () => pool.draw('event-log'));
    this.buffers.set(index, { index, pages, state: State.Standby, nextOffset: 0, processor: 0 });
    return true;
  }

  delete(buffer: EventLogBuffer): void {
    for (const page of buffer.pages) this.#root.pool.release(page);
    this.buffers.delete(buffer.index);
  }

  /** Shows the buffer at the GPAs of its pages, and answers them. */
  map(buffer: EventLogBuffer): number[] {
    const { overlays, machine } = this.#root;
    const gpns = buffer.pages.map((spn) => machine.spaPages.depositGpn(spn));
    buffer.pages.forEach((spn, page) => {
      const place = { kind: 'event-log', vp: this.#owner(buffer, page), gpn: gpns[page], spn } as const;
      overlays.place({ ...place, rights: Access.Read, isPrivate: false });
    });
    this.#free(buffer);
    return gpns;
  }

  unmap(buffer: EventLogBuffer): void {
    buffer.pages.forEach((_, page) => {
      this.#root.overlays.remove('event-log', this.#owner(buffer, page));
    });
    buffer.state = State.Standby;
  }

  #owner(buffer: EventLogBuffer, page: number): number {
    return OWNER_BASE - this.type * OWNERS_PER_TYPE - buffer.index * OWNERS_PER_BUFFER - page;
  }

  /** A ready buffer may be filled again. */
  release(buffer: EventLogBuffer): void {
    this.#free(buffer);
  }

  /** Completes a buffer in use and notifies of all that are complete with it. */
  flush(buffer: EventLogBuffer): void {
    const producer = this.#producer(buffer.processor);
    this.#complete(producer, buffer);
    this.#notify(producer);
  }

  #free(buffer: EventLogBuffer): void {
    buffer.nextOffset = Header.End;
    this.#put32(buffer, Header.BufferSize, this.bufferBytes);
    this.#put32(buffer, Header.BufferIndex, buffer.index);
    this.#put32(buffer, Header.Type, this.type);
    this.#put32(buffer, Header.NextBufferIndex, EVENT_LOG_INDEX_NONE);
    this.#setState(buffer, State.Free);
  }

  #producer(processor: number): Producer {
    const key = this.type === EventLogType.LocalDiagnostics ? processor : 0;
    let producer = this.#producers.get(key);
    if (producer === undefined) {
      producer = { inUse: undefined, complete: [], lost: 0, count: 0 };
      this.#producers.set(key, producer);
    }
    return producer;
  }

  /** Appends an entry of `words`; it is lost when there is no free buffer. */
  log(processor: number, time: number, type: number, context: number, words: readonly bigint[]): void {
    const producer = this.#producer(processor);
    const size = Entry.End + 8 * words.length;
    let buffer = producer.inUse;
    if (buffer !== undefined && buffer.nextOffset + size > this.bufferBytes) {
      this.#complete(producer, buffer);
      if (producer.complete.length >= this.geometry.threshold) this.#notify(producer);
      buffer = undefined;
    }
    buffer ??= this.#use(producer, processor, time);
    producer.count++;
    if (buffer === undefined) {
      producer.lost++;
      return;
    }
    const at = buffer.nextOffset;
    this.#put32(buffer, at + Entry.Context, context);
    this.#put32(buffer, at + Entry.Size, size | (type << 16));
    const inTsc = this.geometry.timeBasis === EventLogTimeBasis.Tsc;
    this.#put64(buffer, at + Entry.TimeStamp, BigInt(Math.floor(inTsc ? time * TSC_TICKS_PER_UNIT : time)));
    words.forEach((word, index) => {
      this.#put64(buffer, at + Entry.End + 8 * index, word);
    });
    buffer.nextOffset = at + size;
    // After the entry: what lies before this offset is whole.
    this.#put64(buffer, Header.NextBufferOffset, BigInt(buffer.nextOffset));
  }

  #use(producer: Producer, processor: number, time: number): EventLogBuffer | undefined {
    for (const buffer of this.buffers.values()) {
      if (buffer.state !== State.Free) continue;
      buffer.processor = processor;
      this.#put32(buffer, Header.EventsLost, producer.lost);
      this.#put32(buffer, Header.EventCount, producer.count);
      this.#put64(buffer, Header.TimeStamp, BigInt(Math.floor(time)));
      this.#put32(buffer, Header.LogicalProcessor, processor);
      this.#put64(buffer, Header.NextBufferOffset, BigInt(Header.End));
      this.#setState(buffer, State.InUse);
      producer.lost = 0;
      producer.inUse = buffer;
      return buffer;
    }
    return undefined;
  }

  #complete(producer: Producer, buffer: EventLogBuffer): void {
    producer.inUse = undefined;
    producer.complete.push(buffer);
    this.#setState(buffer, State.Complete);
  }

  /** Hands the list of complete buffers to the root. */
  #notify(producer: Producer): void {
    const message = this.#messages.find((candidate) => !candidate.queued);
    const synic = this.#root.parts.get(SYNICS).of(0);
    const list = producer.complete;
    if (message === undefined || synic === undefined || list.length === 0) return;
    list.forEach((buffer, position) => {
      this.#put32(buffer, Header.NextBufferIndex, list[position + 1]?.index ?? EVENT_LOG_INDEX_NONE);
      this.#setState(buffer, State.Ready);
    });
    producer.complete = [];
    const payload = new Uint8Array(EventLogMessage.End - MESSAGE_HEADER_SIZE);
    const view = new DataView(payload.buffer);
    view.setUint32(EventLogMessage.Type - MESSAGE_HEADER_SIZE, this.type, true);
    view.setUint32(EventLogMessage.BufferIndex - MESSAGE_HEADER_SIZE, list[0].index, true);
    message.fill(MessageType.EventLogBuffersComplete, 0n, payload, payload.length);
    synic.post(0, message);
  }

  #setState(buffer: EventLogBuffer, state: number): void {
    buffer.state = state;
    this.#put32(buffer, Header.BufferState, state);
  }

  /** Offsets are multiples of 4, so nothing crosses a page. */
  #put32(buffer: EventLogBuffer, offset: number, value: number): void {
    const address = buffer.pages[Math.floor(offset / PAGE_SIZE)] * PAGE_SIZE + (offset % PAGE_SIZE);
    this.#root.machine.memory.view.setUint32(address, value, true);
  }
  #put64(buffer: EventLogBuffer, offset: number, value: bigint): void {
    this.#put32(buffer, offset, Number(value & 0xffff_ffffn));
    this.#put32(buffer, offset + 4, Number((value >> 32n) & 0xffff_ffffn));
  }

  /** Gives the infrastructure back; there are no buffers left. */
  finalize(): void {
    for (const message of this.#messages) message.withdraw();
    this.#root.pool.release(this.#page);
  }

  inspect(): unknown {
    const buffers = [...this.buffers.values()].map(({ index, state, nextOffset }) => ({
      index,
      state,
      nextOffset,
    }));
    return { type: this.type, sources: `0x${this.sources.toString(16)}`, ...this.geometry, buffers };
  }
}

export class EventLog implements EventSink {
  readonly #groups = new Map<number, EventLogGroup>();
  readonly #clock: () => number;
  readonly #processor: () => number;
  active = false;

  /** `processor`: index of the logical processor that executes now. */
  constructor(clock: () => number, processor: () => number) {
    this.#clock = clock;
    this.#processor = processor;
  }

  group(type: number): EventLogGroup | undefined {
    return this.#groups.get(type);
  }
  add(group: EventLogGroup): void {
    this.#groups.set(group.type, group);
  }
  remove(group: EventLogGroup): void {
    group.finalize();
    this.#groups.delete(group.type);
  }
  setSources(group: EventLogGroup, sources: bigint): void {
    group.sources = sources;
    this.active = [...this.#groups.values()].some((each) => each.sources !== 0n);
  }

  get profiling(): boolean {
    return (
      ((this.#groups.get(EventLogType.LocalDiagnostics)?.sources ?? 0n) & DiagnosticSource.Profiler) !== 0n
    );
  }

  diagnose(sources: bigint, entry: number, context: number, ...words: bigint[]): void {
    this.#log(EventLogType.LocalDiagnostics, sources, entry, context, words);
  }
  report(source: bigint, entry: number, context: number, ...words: bigint[]): void {
    this.#log(EventLogType.GlobalSystemEvents, source, entry, context, words);
  }

  #log(type: number, sources: bigint, entry: number, context: number, words: readonly bigint[]): void {
    const group = this.#groups.get(type);
    if (group === undefined || (group.sources & sources) === 0n) return;
    group.log(this.#processor(), this.#clock(), entry, context, words);
  }

  inspect(): unknown {
    return [...this.#groups.values()].map((group) => group.inspect());
  }
}
