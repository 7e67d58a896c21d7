import { beforeEach, describe, expect, test } from 'vitest';
import { Chipset } from './chipset.ts';
import {
  EXIT_PORTS,
  GENERATION_EVENT,
  GPE0_PORTS,
  PM_TIMER_PORTS,
  PM1_CONTROL_PORTS,
  RESET_VALUE,
  SLEEP_TYPE_S5,
} from './platform.ts';

const SECOND = 10_000_000;
const START = Date.UTC(2026, 1, 28, 23, 59, 50);

describe('chipset', () => {
  let now: number;
  let events: string[];
  let chipset: Chipset;
  beforeEach(() => {
    now = 0;
    events = [];
    chipset = new Chipset({
      now: () => now,
      startUnixMs: START,
      transmit: (byte) => events.push(`tx ${byte}`),
      deliverInterrupt: ({ vector }) => events.push(`interrupt ${vector}`),
      powerOff: () => events.push('power-off'),
      reset: () => events.push('reset'),
      exit: (value) => events.push(`exit ${value}`),
    });
  });
  const cmos = (index: number) => {
    chipset.ports.write(0x70, 1, index);
    return chipset.ports.read(0x71, 1);
  };
  const setCmos = (index: number, value: number) => {
    chipset.ports.write(0x70, 1, index);
    chipset.ports.write(0x71, 1, value);
  };
  const unmask = (pin: number, vector: number) => {
    chipset.mmio.write(0xfec0_0000, 4, BigInt(0x10 + pin * 2));
    chipset.mmio.write(0xfec0_0010, 4, BigInt(vector));
  };

  test('ports where nothing is read as ones of the access size', () => {
    expect(chipset.ports.read(0x20, 1)).toBe(0xff);
    expect(chipset.ports.read(0xcf8, 4)).toBe(0xffff_ffff);
    expect(chipset.ports.read(0x64, 1)).toBe(0xff);
  });

  test('writing SLP_EN with the type of S5 powers off, with another type nothing happens', () => {
    const port = PM1_CONTROL_PORTS.first;
    chipset.ports.write(port, 2, 0x2000 | (1 << 10));
    expect(events).toEqual([]);
    chipset.ports.write(port, 2, 0x2000 | (SLEEP_TYPE_S5 << 10));
    expect(events).toEqual(['power-off']);
    expect(chipset.ports.read(port, 2) & 1).toBe(1);
  });

  test('the reset port resets on its rising bit, the keyboard controller on its command', () => {
    chipset.ports.write(0xcf9, 1, 0x02);
    expect(events).toEqual([]);
    chipset.ports.write(0xcf9, 1, RESET_VALUE);
    chipset.ports.write(0x64, 1, 0xfe);
    chipset.ports.write(0xcf8, 4, 0x8000_0600);
    expect(events).toEqual(['reset', 'reset']);
  });

  test('the exit port tells the value written, of any size', () => {
    chipset.ports.write(EXIT_PORTS.first, 4, 0x10);
    chipset.ports.write(EXIT_PORTS.first, 1, 0x121);
    expect(events).toEqual(['exit 16', 'exit 33']);
  });

  test('the PM timer counts 3.579545 MHz in 32 bits', () => {
    now = 10 * SECOND;
    expect(chipset.ports.read(PM_TIMER_PORTS.first, 4)).toBe(35_795_450);
    now = 1300 * SECOND;
    expect(chipset.ports.read(PM_TIMER_PORTS.first, 4)).toBe((1300 * 3_579_545) % 2 ** 32);
  });

  test('the power button raises the level-triggered system control interrupt until it is acknowledged', () => {
    unmask(9, 0x8031);
    chipset.ports.write(0x402, 2, 0x100);
    chipset.power.pressPowerButton();
    expect(events).toEqual(['interrupt 49']);
    expect(chipset.ports.read(0x400, 2)).toBe(0x100);
    chipset.ports.write(0x400, 2, 0x100);
    chipset.ioapic.endOfInterrupt(0x31);
    expect(events).toEqual(['interrupt 49']);
  });

  test('a general-purpose event raises it too, where the guest has enabled that event', () => {
    const [status, enable] = [GPE0_PORTS.first, GPE0_PORTS.first + 1];
    unmask(9, 0x8031);
    chipset.power.raiseGeneralEvent(GENERATION_EVENT);
    chipset.power.raiseGeneralEvent(3);
    expect(events).toEqual([]);
    chipset.ports.write(enable, 1, 1 << GENERATION_EVENT);
    expect(events).toEqual(['interrupt 49']);
    expect(chipset.ports.read(status, 2)).toBe(0x109);
    chipset.ports.write(status, 1, 1 << GENERATION_EVENT);
    expect([chipset.ports.read(status, 1), chipset.ports.read(enable, 1)]).toEqual([8, 1]);
    chipset.ioapic.endOfInterrupt(0x31);
    expect(events).toEqual(['interrupt 49']);
  });

  test('the clock tells the time in BCD and rolls over into the next month', () => {
    expect([cmos(0), cmos(2), cmos(4), cmos(7), cmos(8), cmos(9), cmos(0x32)]).toEqual([
      0x50, 0x59, 0x23, 0x28, 0x02, 0x26, 0x20,
    ]);
    now = 10 * SECOND;
    expect([cmos(0), cmos(2), cmos(4), cmos(7), cmos(8)]).toEqual([0, 0, 0, 1, 3]);
    expect(cmos(0xd)).toBe(0x80);
  });

  test('an update is in progress just before the second turns', () => {
    expect(cmos(0xa) & 0x80).toBe(0);
    now = SECOND - 1000;
    expect(cmos(0xa) & 0x80).toBe(0x80);
    now = SECOND;
    expect(cmos(0xa) & 0x80).toBe(0);
  });

  test('a time that is set while the clock is held goes on from there', () => {
    setCmos(0xb, 0x82);
    setCmos(0, 0x05);
    now = 7 * SECOND;
    expect(cmos(0)).toBe(0x05);
    setCmos(0xb, 0x02);
    now = 9 * SECOND;
    expect(cmos(0)).toBe(0x07);
  });

  test('the alarm interrupts at its second and says so once', () => {
    unmask(8, 0x28);
    setCmos(1, 0x55);
    setCmos(3, 0xc0);
    setCmos(5, 0xc0);
    setCmos(0xb, 0x22);
    expect(chipset.untilDeadline()).toBe(SECOND);
    now = 4 * SECOND;
    chipset.advance();
    expect(events).toEqual([]);
    now = 5 * SECOND;
    chipset.advance();
    expect(events).toEqual(['interrupt 40']);
    expect(cmos(0xc) & 0xa0).toBe(0xa0);
    expect(cmos(0xc)).toBe(0);
  });

  test('periodic interrupts come at the rate that is set', () => {
    unmask(8, 0x28);
    setCmos(0xa, 0x26);
    setCmos(0xb, 0x42);
    expect(chipset.untilDeadline()).toBeCloseTo(SECOND / 1024);
    now = Math.ceil(SECOND / 1024);
    chipset.advance();
    expect(events).toEqual(['interrupt 40']);
  });
});
