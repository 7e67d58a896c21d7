import { describe, expect, test } from 'vitest';
import { type ApicInterrupt, IoApic } from './ioapic.ts';

function ioapic() {
  const sent: ApicInterrupt[] = [];
  const device = new IoApic((interrupt) => sent.push(interrupt));
  const write = (index: number, value: number) => {
    device.writeMemory(0, 4, BigInt(index));
    device.writeMemory(0x10, 4, BigInt(value));
  };
  const read = (index: number) => {
    device.writeMemory(0, 4, BigInt(index));
    return Number(device.readMemory(0x10, 4));
  };
  return { device, sent, write, read };
}
const EDGE_40 = 0x40;
const LEVEL_41 = 0x8041;
const REMOTE_IRR = 0x4000;

describe('I/O APIC', () => {
  test('says that it has 24 pins, all masked after reset', () => {
    const { read } = ioapic();
    expect(read(1)).toBe(0x0017_0020);
    expect(read(0x10)).toBe(0x1_0000);
    expect(read(0x3e)).toBe(0x1_0000);
  });

  test('an edge is delivered once, and lost while the pin is masked', () => {
    const { device, sent, write } = ioapic();
    device.setPin(4, true);
    device.setPin(4, false);
    expect(sent).toEqual([]);
    write(0x18, EDGE_40);
    write(0x19, 0x0300_0000);
    device.setPin(4, true);
    device.setPin(4, true);
    expect(sent).toEqual([
      { vector: 0x40, deliveryMode: 0, logicalDestination: false, destination: 3, level: false },
    ]);
  });

  test('a level is delivered again after its end of interrupt while it stays asserted', () => {
    const { device, sent, write, read } = ioapic();
    write(0x22, LEVEL_41);
    device.setPin(9, true);
    expect(sent.length).toBe(1);
    expect(read(0x22) & REMOTE_IRR).toBe(REMOTE_IRR);
    device.endOfInterrupt(0x41);
    expect(sent.length).toBe(2);
    device.setPin(9, false);
    device.endOfInterrupt(0x41);
    expect(sent.length).toBe(2);
    expect(read(0x22) & REMOTE_IRR).toBe(0);
  });

  test('unmasking a level pin that is asserted delivers it', () => {
    const { device, sent, write } = ioapic();
    write(0x22, LEVEL_41 | 0x1_0000);
    device.setPin(9, true);
    expect(sent).toEqual([]);
    write(0x22, LEVEL_41);
    expect(sent.length).toBe(1);
  });

  test('its EOI register ends an interrupt, and read-only bits stay', () => {
    const { device, write, read } = ioapic();
    write(0x22, LEVEL_41);
    device.setPin(9, true);
    write(0x22, LEVEL_41);
    expect(read(0x22) & REMOTE_IRR).toBe(REMOTE_IRR);
    device.setPin(9, false);
    device.writeMemory(0x40, 4, 0x41n);
    expect(read(0x22) & REMOTE_IRR).toBe(0);
  });
});
