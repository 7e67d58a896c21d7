/**
 * The root's end of the message line: its SynIC is set up as any guest's, the interrupt says that a message lies
 * in slot 0 of the SIM page, and taking it out with EOM lets the next one in (TLFS 2.0a §14.2 to §14.6).
 */
import { MESSAGE_SIZE, MessageFlag, MessageHeader, MessageType } from '../../hvdef/messages.ts';
import { SyntheticMsr } from '../../hvdef/msr.ts';
import { SCONTROL_ENABLE } from '../../hvdef/synic.ts';
import { PAGE_SIZE } from '../../hvdef/types.ts';
import type { ParentSurface } from '../../hypervisor/root-surface.ts';
import type { RootMemory } from './root-memory.ts';

/** The vector that the root uses for intercept messages. */
const MESSAGE_VECTOR = 0x50;
const INTERCEPT_SINT = 0;
const ENABLE = 1;
/** A guard against a line that never runs dry; the next interrupt goes on. */
const MAX_MESSAGES_PER_INTERRUPT = 4096;

export type MessageHandler = (message: DataView) => void;

export class MessagePump {
  readonly #surface: ParentSurface;
  readonly #simGpn: number;
  readonly #handlers = new Map<number, MessageHandler>();
  /** The message being handled, copied out of the slot before the slot is freed. */
  readonly #bytes = new Uint8Array(MESSAGE_SIZE);
  readonly #message = new DataView(this.#bytes.buffer);
  readonly #fallback: MessageHandler;
  /** Stands between messages and their handlers while somebody wants to: a debugger. */
  around: ((message: DataView, handle: MessageHandler) => void) | undefined;

  /** `fallback` gets the types that nobody handles. */
  constructor(surface: ParentSurface, memory: RootMemory, fallback: MessageHandler) {
    this.#surface = surface;
    this.#fallback = fallback;
    this.#simGpn = memory.allocate(1);
    if (this.#simGpn < 0) throw new Error('the root has no memory for its message page');
    surface.onInterrupt((vector) => {
      if (vector === MESSAGE_VECTOR) this.drain();
    });
    this.#write(SyntheticMsr.Simp, BigInt(this.#simGpn * PAGE_SIZE + ENABLE));
    this.#write(SyntheticMsr.Sint0 + INTERCEPT_SINT, BigInt(MESSAGE_VECTOR));
    this.#write(SyntheticMsr.Scontrol, BigInt(SCONTROL_ENABLE));
  }

  handle(type: number, handler: MessageHandler): void {
    this.#handlers.set(type, handler);
  }

  /** Takes out and dispatches what lies in the slot, until it stays empty. */
  drain(): void {
    const slot = this.#surface.pageAddress(this.#simGpn);
    const { view, bytes } = this.#surface.memory;
    for (let count = 0; count < MAX_MESSAGES_PER_INTERRUPT; count++) {
      const type = view.getUint32(slot + MessageHeader.Type, true);
      if (type === MessageType.None) return;
      this.#bytes.set(bytes.subarray(slot, slot + MESSAGE_SIZE));
      view.setUint32(slot + MessageHeader.Type, MessageType.None, true);
      const more = bytes[slot + MessageHeader.Flags] & MessageFlag.Pending;
      if (more !== 0) this.#write(SyntheticMsr.Eom, 0n);
      const handler = this.#handlers.get(type) ?? this.#fallback;
      if (this.around === undefined) handler(this.#message);
      else this.around(this.#message, handler);
    }
  }

  #write(msr: number, value: bigint): void {
    if (!this.#surface.writeMsr(msr, value))
      throw new Error(`the root may not write MSR 0x${msr.toString(16)}`);
  }
}
