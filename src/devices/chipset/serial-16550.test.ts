import { describe, expect, test } from 'vitest';
import { COM1_PORTS } from './platform.ts';
import { Serial16550 } from './serial-16550.ts';

const Offset = { data: 0, ier: 1, iir: 2, fcr: 2, lcr: 3, mcr: 4, lsr: 5, msr: 6, scratch: 7 } as const;
const NO_INTERRUPT = 1;
const THRE = 2;

function port() {
  const sent: number[] = [];
  const line: boolean[] = [];
  const serial = new Serial16550(
    'com1',
    COM1_PORTS,
    (byte) => sent.push(byte),
    (level) => line.push(level),
  );
  return {
    serial,
    sent,
    line,
    read: (register: keyof typeof Offset) => serial.readPort(COM1_PORTS.first + Offset[register]),
    write: (register: keyof typeof Offset, value: number) =>
      serial.writePort(COM1_PORTS.first + Offset[register], 1, value),
  };
}

describe('16550 serial port', () => {
  test("passes the checks of Linux's autoconfiguration: IER, loopback and FIFO identification", () => {
    const { read, write } = port();
    write('ier', 0xff);
    expect(read('ier')).toBe(0x0f);
    write('ier', 0);
    write('mcr', 0x1a);
    expect(read('msr') & 0xf0).toBe(0x90);
    write('mcr', 0);
    expect(read('msr') & 0xf0).toBe(0xb0);
    write('fcr', 1);
    expect(read('iir') >> 6).toBe(3);
    write('fcr', 0x21);
    expect(read('iir') & 0x20).toBe(0);
    write('scratch', 0xa5);
    expect(read('scratch')).toBe(0xa5);
  });

  test('keeps the divisor apart from data and interrupt enable', () => {
    const { read, write, sent } = port();
    write('lcr', 0x83);
    write('data', 1);
    write('ier', 0);
    expect([read('data'), read('ier')]).toEqual([1, 0]);
    write('lcr', 3);
    expect(sent).toEqual([]);
    write('data', 0x41);
    expect(sent).toEqual([0x41]);
  });

  test('the empty transmitter interrupts again each time its interrupt is enabled', () => {
    const { read, write } = port();
    write('ier', 2);
    expect(read('iir') & 0xf).toBe(THRE);
    expect(read('iir') & 0xf).toBe(NO_INTERRUPT);
    write('ier', 0);
    write('ier', 2);
    expect(read('iir') & 0xf).toBe(THRE);
    write('data', 0x42);
    expect(read('iir') & 0xf).toBe(THRE);
  });

  test('the line follows OUT2 and falls when the source is read', () => {
    const { read, write, line } = port();
    write('ier', 2);
    expect(line).toEqual([]);
    write('mcr', 8);
    expect(line).toEqual([true]);
    read('iir');
    expect(line).toEqual([true, false]);
  });

  test('received bytes wait outside the FIFO, so that none is lost', () => {
    const { serial, read, write } = port();
    write('fcr', 1);
    write('ier', 1);
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    serial.receive(bytes);
    const got: number[] = [];
    while ((read('lsr') & 1) !== 0) got.push(read('data'));
    expect(got).toEqual([...bytes]);
  });

  test('tells a full FIFO from a few waiting bytes', () => {
    const { serial, read, write } = port();
    write('fcr', 0x81);
    write('ier', 1);
    serial.receive(Uint8Array.of(1, 2));
    expect(read('iir') & 0xf).toBe(0xc);
    serial.receive(new Uint8Array(8));
    expect(read('iir') & 0xf).toBe(4);
  });

  test('a byte sent in loopback comes back and does not leave', () => {
    const { sent, read, write } = port();
    write('mcr', 0x10);
    write('data', 0x55);
    expect(sent).toEqual([]);
    expect(read('data')).toBe(0x55);
  });
});
