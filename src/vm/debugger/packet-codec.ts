/**
 * The framing of GDB's remote serial protocol (GDB manual, "Remote Protocol: Overview"): `$payload#checksum`, single
 * bytes for acknowledgements and the interrupt, `}` as the escape of binary data. Bytes in, events out; no I/O.
 *
 * The peer is hostile: a packet has a longest length, bytes that belong to nothing are counted, and a stream that does
 * not begin as the protocol does (an HTTP request, say) is no debugger's.
 */

/** Bytes of a packet's payload as they travel; told to gdb as PacketSize. */
export const PACKET_SIZE = 0x4000;
/** Bytes outside packets that are put up with: noise on a line. */
const MOST_JUNK = 64;

const ESCAPE = 0x7d;
const ESCAPE_FLIP = 0x20;
const START = 0x24;
const END = 0x23;
const ACK = 0x2b;
const NAK = 0x2d;
const INTERRUPT = 0x03;
const RUN_LENGTH = 0x2a;

export type PacketEvent =
  | { kind: 'packet'; payload: Uint8Array }
  | { kind: 'ack' | 'nak' | 'interrupt' }
  /** A packet whose checksum is wrong: it is to be sent again. */
  | { kind: 'damaged' }
  /** Nothing good comes from this peer any more. */
  | { kind: 'hostile'; reason: string };

export class PacketReader {
  #bytes = new Uint8Array(0);
  /** How far an unfinished packet has been searched for its end. */
  #searched = 0;
  #junk = 0;
  #begun = false;

  /** Bytes that wait; the caller stops reading from the peer while there are many. */
  get waiting(): number {
    return this.#bytes.length;
  }

  push(chunk: Uint8Array): void {
    const joined = new Uint8Array(this.#bytes.length + chunk.length);
    joined.set(this.#bytes);
    joined.set(chunk, this.#bytes.length);
    this.#bytes = joined;
  }

  /** Undefined when more bytes are needed. */
  next(): PacketEvent | undefined {
    while (this.#bytes.length > 0) {
      const first = this.#bytes[0];
      if (first === START) return this.#packet();
      this.#drop(1);
      const event =
        first === ACK ? 'ack' : first === NAK ? 'nak' : first === INTERRUPT ? 'interrupt' : undefined;
      if (event !== undefined) {
        this.#begun = true;
        return { kind: event };
      }
      if (!this.#begun) return { kind: 'hostile', reason: 'it does not speak the remote protocol' };
      if (++this.#junk > MOST_JUNK) return { kind: 'hostile', reason: 'it sends bytes outside packets' };
    }
    return undefined;
  }

  #packet(): PacketEvent | undefined {
    this.#begun = true;
    const bytes = this.#bytes;
    for (let at = Math.max(this.#searched, 1); at < bytes.length; at++) {
      if (at > PACKET_SIZE + 1)
        return { kind: 'hostile', reason: `its packet is longer than ${PACKET_SIZE} bytes` };
      if (bytes[at] === START) {
        // The packet before broke off: a new one starts here.
        this.#drop(at);
        return { kind: 'damaged' };
      }
      if (bytes[at] !== END) continue;
      if (bytes.length < at + 3) {
        this.#searched = at;
        return undefined;
      }
      const event = finish(bytes.subarray(1, at), bytes[at + 1], bytes[at + 2]);
      this.#drop(at + 3);
      return event;
    }
    this.#searched = bytes.length;
    return undefined;
  }

  #drop(count: number): void {
    this.#bytes = this.#bytes.subarray(count);
    this.#searched = 0;
  }
}

function finish(raw: Uint8Array, high: number, low: number): PacketEvent {
  const told = Number.parseInt(String.fromCharCode(high, low), 16);
  const isHex = /^[0-9a-fA-F]{2}$/.test(String.fromCharCode(high, low));
  return isHex && told === checksum(raw) ? { kind: 'packet', payload: unescaped(raw) } : { kind: 'damaged' };
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = (sum + byte) & 0xff;
  return sum;
}

function unescaped(raw: Uint8Array): Uint8Array {
  const plain = new Uint8Array(raw.length);
  let length = 0;
  for (let at = 0; at < raw.length; at++) {
    const escaped = raw[at] === ESCAPE && at + 1 < raw.length;
    plain[length++] = escaped ? raw[++at] ^ ESCAPE_FLIP : raw[at];
  }
  return plain.slice(0, length);
}

/** `payload` with the bytes escaped that mean something to the framing; for binary answers. */
export function escapeBinary(payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(payload.length * 2);
  let length = 0;
  for (const byte of payload) {
    const special = byte === START || byte === END || byte === ESCAPE || byte === RUN_LENGTH;
    if (special) out[length++] = ESCAPE;
    out[length++] = special ? byte ^ ESCAPE_FLIP : byte;
  }
  return out.slice(0, length);
}

/** The whole packet, ready to send. Text must be free of `$`, `#`, `}` and `*`. */
export function framed(payload: string | Uint8Array): Uint8Array {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const packet = new Uint8Array(body.length + 4);
  packet[0] = START;
  packet.set(body, 1);
  packet[body.length + 1] = END;
  packet.set(Buffer.from(checksum(body).toString(16).padStart(2, '0'), 'latin1'), body.length + 2);
  return packet;
}
