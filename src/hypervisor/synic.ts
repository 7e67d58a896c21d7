/**
 * The synthetic interrupt controller of a virtual processor (TLFS 2.0a ch. 14): its MSRs, SIM and SIEF pages, a
 * message queue per SINT, event flags. One per VP; the root partition's VP has the same one, whose interrupts
 * its host turns into a callback.
 *
 *   sent --> queue of (VP, SINT) --slot empty--> SIM slot + interrupt --guest empties slot, EOM/EOI--> next
 *
 * Pages: SIM, SIEF and one that holds the VP's own message buffers (four for timers, one for intercepts), drawn
 * from the partition's pool when the VP is created. Chosen where the TLFS leaves it open:
 * - A message that found its slot in use is tried again after 1 ms if no EOM or EOI comes before.
 * - A masked SINT with vector 0 can be written back (it is the reset value); any other vector below 16 is #GP.
 */
import { Access } from '../cpu/processor.ts';
import {
  MESSAGE_HEADER_SIZE,
  MESSAGE_MAX_PAYLOAD,
  MESSAGE_SIZE,
  MessageFlag,
  MessageHeader,
  MessageType,
  TimerMessage,
} from '../hvdef/messages.ts';
import { SyntheticMsr } from '../hvdef/msr.ts';
import { HvStatus } from '../hvdef/status.ts';
import {
  EVENT_FLAGS_COUNT,
  FIRST_SINT_VECTOR,
  SCONTROL_ENABLE,
  SINT_COUNT,
  SINT_RESET_VALUE,
  SintBit,
  SYNIC_SLOT_SIZE,
  SYNIC_VERSION,
  SYNTHETIC_TIMER_COUNT,
} from '../hvdef/synic.ts';
import { type StateReader, type StateRecord, wordBytes } from '../support/saved-state/state-value.ts';
import { type MessageBuffer, type MessageQueue, messageBuffersOf } from './message-buffer.ts';
import { type OverlayHost, OverlayRegister } from './overlay-register.ts';

const RETRY_AFTER_NS = 1_000_000;
/** Messages of one queue in a saved state. */
const MOST_QUEUED = 4096;
const NONE = new Uint8Array(0);

export interface SynicHost extends OverlayHost {
  readonly vpIndex: number;
  /** Partition time in TSC ticks (nanoseconds). */
  readTsc(): number;
  /** The reference counter, in 100 ns. */
  referenceCount(): number;
  /** An edge-triggered interrupt for this VP's local APIC. */
  requestInterrupt(vector: number, autoEoi: boolean): void;
  /** A message now stands in the slot of `sint`; for the trace. */
  messageDelivered?(sint: number, slotAddress: number): void;
  /** A free message buffer of this partition's port, if there is such a port and it has one. */
  portBuffer?(portId: number): MessageBuffer | undefined;
}

class SintQueue implements MessageQueue {
  readonly buffers: MessageBuffer[] = [];

  remove(buffer: MessageBuffer): void {
    const index = this.buffers.indexOf(buffer);
    if (index >= 0) this.buffers.splice(index, 1);
    buffer.queue = undefined;
  }
}

export class Synic {
  readonly vpIndex: number;
  readonly #host: SynicHost;
  readonly #simp: OverlayRegister;
  readonly #siefp: OverlayRegister;
  readonly #bufferPage: number;
  readonly timerBuffers: readonly MessageBuffer[];
  readonly interceptBuffer: MessageBuffer;
  /** For restored messages whose sender is not there again. */
  readonly #spare: readonly MessageBuffer[];
  readonly #queues = Array.from({ length: SINT_COUNT }, () => new SintQueue());
  readonly #sintLow = new Uint32Array(SINT_COUNT).fill(SINT_RESET_VALUE);
  readonly #sintHigh = new Uint32Array(SINT_COUNT);
  #controlLow = 0;
  #controlHigh = 0;
  #retryAt = Infinity;
  /** Result of the last `readMsr` that returned true. */
  low = 0;
  high = 0;

  private constructor(host: SynicHost, simp: OverlayRegister, siefp: OverlayRegister, bufferPage: number) {
    this.#host = host;
    this.vpIndex = host.vpIndex;
    this.#simp = simp;
    this.#siefp = siefp;
    this.#bufferPage = bufferPage;
    const buffers = messageBuffersOf(host.memory, bufferPage);
    this.timerBuffers = buffers.slice(0, SYNTHETIC_TIMER_COUNT);
    this.interceptBuffer = buffers[SYNTHETIC_TIMER_COUNT];
    this.#spare = buffers.slice(SYNTHETIC_TIMER_COUNT + 1);
  }

  /** Undefined when the pool has too few pages; then none is taken. */
  static create(host: SynicHost): Synic | undefined {
    const rights = Access.Read | Access.Write;
    const simp = OverlayRegister.create(host, 'message-page', rights);
    const siefp = simp && OverlayRegister.create(host, 'event-flags-page', rights);
    const bufferPage = siefp ? host.allocatePage('message-buffers') : -1;
    if (simp && siefp && bufferPage >= 0) return new Synic(host, simp, siefp, bufferPage);
    siefp?.release();
    simp?.release();
    return undefined;
  }

  // State that decides what may be sent

  get enabled(): boolean {
    return (this.#controlLow & SCONTROL_ENABLE) !== 0;
  }
  get acceptsMessages(): boolean {
    return this.enabled && this.#simp.enabled;
  }
  get acceptsEvents(): boolean {
    return this.enabled && this.#siefp.enabled;
  }
  /** Byte address of the SIM page in system physical memory. */
  get messagePageAddress(): number {
    return this.#simp.address;
  }
  get eventFlagsPageAddress(): number {
    return this.#siefp.address;
  }

  // Messages

  /** Queues a filled buffer behind what waits for `sint` and delivers what can be delivered. */
  post(sint: number, buffer: MessageBuffer): void {
    const queue = this.#queues[sint];
    queue.buffers.push(buffer);
    buffer.queue = queue;
    this.#deliver(sint);
  }

  /**
   * Sends this VP's intercept message (header included) to `target`, a VP of the parent, at SINT0. A message that
   * the parent has not received is overwritten and queued anew (§14.2.6).
   */
  postIntercept(target: Synic, message: Uint8Array): void {
    this.interceptBuffer.withdraw();
    this.interceptBuffer.fillWhole(message);
    target.post(0, this.interceptBuffer);
  }

  /** Sends timer `index`'s expiration message (§16.4.1). False while its last one has not been delivered. */
  postTimer(index: number, sint: number, expirationTime: number): boolean {
    const buffer = this.timerBuffers[index];
    if (buffer.queued) return false;
    buffer.fill(MessageType.TimerExpired, 0n, NONE, TimerMessage.End - MESSAGE_HEADER_SIZE);
    const { view } = this.#host.memory;
    view.setUint32(buffer.address + TimerMessage.TimerIndex, index, true);
    view.setUint32(buffer.address + TimerMessage.TimerIndex + 4, 0, true);
    view.setBigUint64(buffer.address + TimerMessage.ExpirationTime, BigInt(expirationTime), true);
    this.post(sint, buffer);
    return true;
  }

  /** Tries every queue; runs at EOM, at an EOI, and when the SynIC or the SIM page becomes enabled. */
  scan(): void {
    this.#retryAt = Infinity;
    for (let sint = 0; sint < SINT_COUNT; sint++) {
      if (this.#queues[sint].buffers.length !== 0) this.#deliver(sint);
    }
  }

  #deliver(sint: number): void {
    if (!this.acceptsMessages) return;
    const { buffers } = this.#queues[sint];
    const { memory } = this.#host;
    const { view, bytes } = memory;
    const slot = this.#simp.address + sint * SYNIC_SLOT_SIZE;
    if (view.getUint32(slot + MessageHeader.Type, true) !== MessageType.None) {
      // A guest that empties the slot now looks at the flag afterwards; should it have looked before, we see the slot.
      Atomics.or(bytes, slot + MessageHeader.Flags, MessageFlag.Pending);
      if (view.getUint32(slot + MessageHeader.Type, true) !== MessageType.None) {
        this.#retryAt = Math.min(this.#retryAt, this.#host.readTsc() + RETRY_AFTER_NS);
        return;
      }
    }
    const buffer = buffers.shift();
    if (buffer === undefined) return;
    buffer.queue = undefined;
    const from = buffer.address;
    const end = from + MESSAGE_HEADER_SIZE + buffer.payloadSize;
    bytes.copyWithin(slot + MESSAGE_HEADER_SIZE, from + MESSAGE_HEADER_SIZE, end);
    if (buffer.type === MessageType.TimerExpired) {
      view.setBigUint64(slot + TimerMessage.DeliveryTime, BigInt(this.#host.referenceCount()), true);
    }
    bytes.copyWithin(slot + 4, from + 4, from + MESSAGE_HEADER_SIZE);
    bytes[slot + MessageHeader.Flags] = buffers.length > 0 ? MessageFlag.Pending : 0;
    // The type last: a slot with a type is a message.
    view.setUint32(slot + MessageHeader.Type, buffer.type, true);
    memory.noteWritten(this.#simp.spn);
    this.#host.messageDelivered?.(sint, slot);
    this.#raise(sint);
    buffer.onDelivered?.();
  }

  #raise(sint: number): void {
    const value = this.#sintLow[sint];
    if ((value & (SintBit.Masked | SintBit.Polling)) !== 0) return;
    this.#host.requestInterrupt(value & SintBit.VectorMask, (value & SintBit.AutoEoi) !== 0);
  }

  // Event flags

  /** Sets event flag `flag` of `sint`; interrupts if it was clear (§14.3.1). Answers an HV_STATUS. */
  signalEvent(sint: number, flag: number): number {
    if (!this.acceptsEvents || flag >= EVENT_FLAGS_COUNT) return HvStatus.INVALID_SYNIC_STATE;
    if ((this.#sintLow[sint] & SintBit.Masked) !== 0) return HvStatus.INVALID_SYNIC_STATE;
    const memory = this.#host.memory;
    const at = this.#siefp.address + sint * SYNIC_SLOT_SIZE + (flag >>> 3);
    const bit = 1 << (flag & 7);
    if ((Atomics.or(memory.bytes, at, bit) & bit) !== 0) return HvStatus.SUCCESS;
    memory.noteWritten(this.#siefp.spn);
    this.#raise(sint);
    return HvStatus.SUCCESS;
  }

  /** Whether event flag `flag` of `sint` is set. */
  eventFlag(sint: number, flag: number): boolean {
    const at = this.#siefp.address + sint * SYNIC_SLOT_SIZE + (flag >>> 3);
    return (this.#host.memory.bytes[at] & (1 << (flag & 7))) !== 0;
  }

  // MSRs

  /** False: #GP (not one of the SynIC's). The value is left in `low` and `high`. */
  readMsr(msr: number): boolean {
    this.low = 0;
    this.high = 0;
    if (msr >= SyntheticMsr.Sint0 && msr <= SyntheticMsr.Sint15) {
      this.low = this.#sintLow[msr - SyntheticMsr.Sint0];
      this.high = this.#sintHigh[msr - SyntheticMsr.Sint0];
      return true;
    }
    switch (msr) {
      case SyntheticMsr.Scontrol:
        this.low = this.#controlLow;
        this.high = this.#controlHigh;
        return true;
      case SyntheticMsr.Sversion:
        this.low = SYNIC_VERSION;
        return true;
      case SyntheticMsr.Siefp:
        this.low = this.#siefp.low;
        this.high = this.#siefp.high;
        return true;
      case SyntheticMsr.Simp:
        this.low = this.#simp.low;
        this.high = this.#simp.high;
        return true;
      case SyntheticMsr.Eom:
        return true;
      default:
        return false;
    }
  }

  /** False: #GP. */
  writeMsr(msr: number, low: number, high: number): boolean {
    if (msr >= SyntheticMsr.Sint0 && msr <= SyntheticMsr.Sint15) {
      return this.#writeSint(msr - SyntheticMsr.Sint0, low, high);
    }
    switch (msr) {
      case SyntheticMsr.Scontrol:
        this.#controlLow = low >>> 0;
        this.#controlHigh = high >>> 0;
        this.scan();
        return true;
      case SyntheticMsr.Siefp:
        this.#siefp.write(low, high);
        return true;
      case SyntheticMsr.Simp:
        this.#simp.write(low, high);
        this.scan();
        return true;
      case SyntheticMsr.Eom:
        this.scan();
        return true;
      default:
        return false;
    }
  }

  #writeSint(index: number, low: number, high: number): boolean {
    const vector = low & SintBit.VectorMask;
    const isResetVector = vector === 0 && (low & SintBit.Masked) !== 0;
    if (vector < FIRST_SINT_VECTOR && !isResetVector) return false;
    this.#sintLow[index] = low;
    this.#sintHigh[index] = high;
    return true;
  }

  // Time

  /** When a message that waits for its slot is tried again. */
  nextDeadline(): number {
    return this.#retryAt;
  }
  expire(now: number): void {
    if (now >= this.#retryAt) this.scan();
  }

  // Saved state

  save(): StateRecord {
    return {
      sintLow: wordBytes(this.#sintLow),
      sintHigh: wordBytes(this.#sintHigh),
      controlLow: this.#controlLow,
      controlHigh: this.#controlHigh,
      retryAt: this.#retryAt,
      simp: this.#simp.save(),
      siefp: this.#siefp.save(),
      queues: this.#queues.map((queue) => ({
        messages: queue.buffers.map((buffer) => this.#saveMessage(buffer)),
      })),
    };
  }

  #saveMessage(buffer: MessageBuffer): StateRecord {
    const { bytes } = this.#host.memory;
    const message = bytes.slice(buffer.address, buffer.address + MESSAGE_SIZE);
    const timer = this.timerBuffers.indexOf(buffer);
    return timer < 0 ? { message } : { message, timer };
  }

  /** Messages take the buffers of the ports they came through, where those exist again, else spare ones. */
  restore(from: StateReader): void {
    for (const queue of this.#queues) for (const buffer of [...queue.buffers]) queue.remove(buffer);
    this.#sintLow.set(from.words('sintLow', SINT_COUNT));
    this.#sintHigh.set(from.words('sintHigh', SINT_COUNT));
    this.#controlLow = from.u32('controlLow');
    this.#controlHigh = from.u32('controlHigh');
    this.#retryAt = from.deadline('retryAt');
    this.#simp.restore(from.record('simp'));
    this.#siefp.restore(from.record('siefp'));
    from.records('queues', SINT_COUNT, true).forEach((queue, sint) => {
      for (const each of queue.records('messages', MOST_QUEUED))
        this.#restoreMessage(this.#queues[sint], each);
    });
  }

  #restoreMessage(queue: SintQueue, from: StateReader): void {
    const message = from.bytes('message', MESSAGE_SIZE);
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const timer = from.has('timer') ? from.integer('timer', SYNTHETIC_TIMER_COUNT - 1) : -1;
    const port = this.#host.portBuffer?.(view.getUint32(MessageHeader.Origination, true));
    const buffer = timer >= 0 ? this.timerBuffers[timer] : (port ?? this.#spare.find((each) => !each.queued));
    const size = message[MessageHeader.PayloadSize];
    const isMessage =
      view.getUint32(MessageHeader.Type, true) !== MessageType.None && size <= MESSAGE_MAX_PAYLOAD;
    if (buffer === undefined || buffer.queued || !isMessage) {
      from.fail('message');
      return;
    }
    buffer.fillWhole(message);
    queue.buffers.push(buffer);
    buffer.queue = queue;
  }

  // Life

  /** As after creation: registers at their reset values, queues empty, pages zero. */
  reset(): void {
    for (const queue of this.#queues) for (const buffer of [...queue.buffers]) queue.remove(buffer);
    this.#sintLow.fill(SINT_RESET_VALUE);
    this.#sintHigh.fill(0);
    this.#controlLow = 0;
    this.#controlHigh = 0;
    this.#retryAt = Infinity;
    this.#simp.reset();
    this.#siefp.reset();
  }

  release(): void {
    this.reset();
    for (const buffer of [...this.timerBuffers, this.interceptBuffer, ...this.#spare]) buffer.withdraw();
    this.#simp.release();
    this.#siefp.release();
    this.#host.freePage(this.#bufferPage);
  }

  inspect(): unknown {
    return {
      enabled: this.enabled,
      messagePage: this.#simp.inspect(),
      eventFlagsPage: this.#siefp.inspect(),
      sints: Array.from(this.#sintLow)
        .map((value, sint) => ({
          sint,
          vector: value & SintBit.VectorMask,
          masked: (value & SintBit.Masked) !== 0,
          queued: this.#queues[sint].buffers.length,
        }))
        .filter((entry) => !entry.masked || entry.queued > 0),
    };
  }
}
