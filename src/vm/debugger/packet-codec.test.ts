import { describe, expect, test } from 'vitest';
import { escapeBinary, framed, PACKET_SIZE, type PacketEvent, PacketReader } from './packet-codec.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

function read(...chunks: Uint8Array[]): PacketEvent[] {
  const reader = new PacketReader();
  const events: PacketEvent[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let event = reader.next(); event !== undefined; event = reader.next()) {
      events.push(event);
      if (event.kind === 'hostile') return events;
    }
  }
  return events;
}

describe('the framing of packets', () => {
  test('reads packets, acknowledgements and the interrupt, however they are cut into chunks', () => {
    const stream = bytes('+$qSupported:a+#fd-\x03$m0,4#fd');
    const whole = read(stream);
    expect(whole.map(({ kind }) => kind)).toEqual(['ack', 'packet', 'nak', 'interrupt', 'packet']);
    for (let cut = 1; cut < stream.length; cut++) {
      expect(read(stream.subarray(0, cut), stream.subarray(cut))).toEqual(whole);
    }
    expect(read(...[...stream].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
  });

  test('a binary payload survives escaping and framing', () => {
    const payload = Uint8Array.from({ length: 256 }, (_, index) => index);
    expect(read(framed(escapeBinary(payload)))).toEqual([{ kind: 'packet', payload }]);
  });

  test('a wrong checksum, one that is no number and a packet that breaks off are damaged, and the next is read', () => {
    const good = { kind: 'packet', payload: new Uint8Array(bytes('g')) };
    expect(read(bytes('$g#68$g#67'))).toEqual([{ kind: 'damaged' }, good]);
    expect(read(bytes('$g#6x$g#67'))).toEqual([{ kind: 'damaged' }, good]);
    expect(read(bytes('$m00$g#67'))).toEqual([{ kind: 'damaged' }, good]);
  });

  test('a stream that begins as another protocol, endless noise and an endless packet are hostile', () => {
    expect(read(bytes('GET / HTTP/1.1'))).toMatchObject([{ kind: 'hostile' }]);
    expect(read(bytes(`+${'x'.repeat(100)}`)).at(-1)).toMatchObject({ kind: 'hostile' });
    const long = read(bytes(`$${'x'.repeat(PACKET_SIZE)}`), bytes('xxxxx'));
    expect(long).toMatchObject([{ kind: 'hostile', reason: expect.stringContaining(String(PACKET_SIZE)) }]);
  });

  test('a packet of the size that is told is taken', () => {
    expect(read(framed('x'.repeat(PACKET_SIZE)))).toMatchObject([{ kind: 'packet' }]);
  });
});
