/**
 * Message buffers and the pages they lie in (TLFS 2.0a §14.2.1). A buffer is 256 bytes of a page that was drawn
 * from its owner's pool, and holds one message from when it is sent until it stands in a SIM page.
 *
 *   free --fill, enqueue--> queued --delivered--> free
 *                             '----withdrawn-----> free     (port deleted, VP reset)
 */
import type { PhysicalMemory } from '../cpu/processor.ts';
import { MESSAGE_HEADER_SIZE, MESSAGE_SIZE, MessageHeader } from '../hvdef/messages.ts';

export const BUFFERS_PER_PAGE = 16;

/** The queue that a buffer waits in. */
export interface MessageQueue {
  remove(buffer: MessageBuffer): void;
}

export class MessageBuffer {
  readonly #memory: PhysicalMemory;
  /** Byte address in system physical memory. */
  readonly address: number;
  /** Set while queued. */
  queue: MessageQueue | undefined;
  /** Runs after the message was copied into a SIM page and the buffer is free. */
  onDelivered: (() => void) | undefined;

  constructor(memory: PhysicalMemory, address: number) {
    this.#memory = memory;
    this.address = address;
  }

  get queued(): boolean {
    return this.queue !== undefined;
  }
  get type(): number {
    return this.#memory.view.getUint32(this.address + MessageHeader.Type, true);
  }
  get payloadSize(): number {
    return this.#memory.bytes[this.address + MessageHeader.PayloadSize];
  }

  /** Writes a header of `type` from `origination` and `size` payload bytes. */
  fill(type: number, origination: bigint, payload: Uint8Array, size: number): void {
    this.#writeHeader(type, origination, size);
    this.#memory.bytes.set(payload.subarray(0, size), this.address + MESSAGE_HEADER_SIZE);
  }

  /** Takes a whole message, header included. */
  fillWhole(message: Uint8Array): void {
    this.#memory.bytes.set(message.subarray(0, MESSAGE_SIZE), this.address);
  }

  #writeHeader(type: number, origination: bigint, size: number): void {
    const { view, bytes } = this.#memory;
    bytes.fill(0, this.address, this.address + MESSAGE_HEADER_SIZE);
    view.setUint32(this.address + MessageHeader.Type, type, true);
    bytes[this.address + MessageHeader.PayloadSize] = size;
    view.setBigUint64(this.address + MessageHeader.Origination, origination, true);
  }

  /** Takes the message out of whatever queue it waits in. */
  withdraw(): void {
    this.queue?.remove(this);
  }
}

/** The sixteen buffers of one page. */
export function messageBuffersOf(memory: PhysicalMemory, spn: number): MessageBuffer[] {
  return Array.from(
    { length: BUFFERS_PER_PAGE },
    (_, index) => new MessageBuffer(memory, spn * 4096 + index * MESSAGE_SIZE),
  );
}
