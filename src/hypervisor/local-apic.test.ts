import { describe, expect, test } from 'vitest';
import { LocalApic, type LocalApicHost } from './local-apic.ts';
import { LocalApicBus } from './local-apic-bus.ts';
import { LocalApicRegisters } from './local-apic-registers.ts';
import { apicHost } from './synic-fixture.ts';

const SVR = 0xf0;
const X2APIC_ON = 0xfee0_0d00;

function enabledApic(events: string[] = [], vpIndex = 0) {
  const host = apicHost(events);
  const apic = new LocalApic(host, { apicId: vpIndex, vpIndex });
  const registers = new LocalApicRegisters(apic);
  registers.writePage(SVR, 4, 0x1ff);
  return { host, apic, registers };
}

describe('priorities', () => {
  test('accepts the highest request first and holds lower ones back until EOI', () => {
    const { apic } = enabledApic();
    apic.requestInterrupt(0x31, false, false);
    apic.requestInterrupt(0x52, false, false);
    expect(apic.acceptInterrupt()).toBe(0x52);
    expect(apic.hasDeliverable()).toBe(false);
    apic.requestInterrupt(0x61, false, false);
    expect(apic.acceptInterrupt()).toBe(0x61);
    apic.endOfInterrupt();
    expect(apic.acceptInterrupt()).toBe(-1);
    apic.endOfInterrupt();
    expect(apic.acceptInterrupt()).toBe(0x31);
  });

  test('CR8 and TPR are one register', () => {
    const { apic, host, registers } = enabledApic();
    host.cr8 = 5;
    apic.requestInterrupt(0x5f, false, false);
    expect(apic.hasDeliverable()).toBe(false);
    registers.writePage(0x80, 4, 0x43);
    expect(host.cr8).toBe(4);
    expect(registers.readPage(0x80, 4)).toBe(0x43);
    expect(apic.acceptInterrupt()).toBe(0x5f);
  });

  test('a software-disabled APIC loses interrupts', () => {
    const { apic, registers } = enabledApic();
    registers.writePage(SVR, 4, 0xff);
    apic.requestInterrupt(0x40, false, false);
    registers.writePage(SVR, 4, 0x1ff);
    expect(apic.hasDeliverable()).toBe(false);
  });

  test('an auto-EOI interrupt is never in service', () => {
    const { apic } = enabledApic();
    apic.requestInterrupt(0x50, false, true);
    expect(apic.acceptInterrupt()).toBe(0x50);
    expect(apic.isr.highest()).toBe(-1);
  });

  test('the EOI of a level-triggered interrupt is reported, that of an edge is not', () => {
    const events: string[] = [];
    const { apic } = enabledApic(events);
    apic.requestInterrupt(0x40, true, false);
    apic.acceptInterrupt();
    apic.endOfInterrupt();
    apic.requestInterrupt(0x41, false, false);
    apic.acceptInterrupt();
    apic.endOfInterrupt();
    expect(events).toEqual(['eoi 64', 'after-eoi', 'after-eoi']);
  });

  test('withdrawing clears level requests and leaves edges', () => {
    const { apic } = enabledApic();
    apic.requestInterrupt(0x60, true, false);
    apic.requestInterrupt(0x50, false, false);
    apic.withdrawLevelRequests();
    expect(apic.acceptInterrupt()).toBe(0x50);
  });
});

describe('no EOI required', () => {
  function assisted(): { apic: LocalApic; bit: () => boolean; guestEoi: () => void; events: string[] } {
    const events: string[] = [];
    let bit = false;
    const set = (on: boolean) => {
      const before = bit;
      bit = on;
      return before;
    };
    const eoiAssist = { enabled: true, get: () => bit, set };
    const host: LocalApicHost = { ...apicHost(events), eoiAssist };
    const apic = new LocalApic(host, { apicId: 0, vpIndex: 0 });
    apic.writeSpurious(0x1ff);
    const guestEoi = () => {
      if (bit) bit = false;
      else apic.endOfInterrupt();
    };
    return { apic, bit: () => bit, guestEoi, events };
  }

  test('saves the EOI of a lone edge', () => {
    const { apic, bit, guestEoi, events } = assisted();
    apic.requestInterrupt(0x50, false, false);
    apic.acceptInterrupt();
    expect(bit()).toBe(true);
    guestEoi();
    apic.requestInterrupt(0x50, false, false);
    expect(apic.acceptInterrupt()).toBe(0x50);
    expect(events).toEqual([]);
  });

  test('is withdrawn when a lower request has to wait', () => {
    const { apic, bit, guestEoi } = assisted();
    apic.requestInterrupt(0x50, false, false);
    apic.acceptInterrupt();
    apic.requestInterrupt(0x30, false, false);
    expect(bit()).toBe(false);
    guestEoi();
    expect(apic.acceptInterrupt()).toBe(0x30);
  });

  test('is not set for level-triggered interrupts', () => {
    const { apic, bit } = assisted();
    apic.requestInterrupt(0x50, true, false);
    apic.acceptInterrupt();
    expect(bit()).toBe(false);
  });

  test('nesting keeps the order of EOIs', () => {
    const { apic, guestEoi } = assisted();
    apic.requestInterrupt(0x50, false, false);
    apic.acceptInterrupt();
    apic.requestInterrupt(0x70, false, false);
    apic.acceptInterrupt();
    guestEoi();
    expect(apic.processorPriority).toBe(0x50);
    guestEoi();
    expect(apic.processorPriority).toBe(0);
  });
});

describe('timer', () => {
  test('one-shot fires once after count times divider input ticks', () => {
    const { apic, host, registers } = enabledApic();
    registers.writePage(0x3e0, 4, 0x3); // divide by 16
    registers.writePage(0x320, 4, 0xec);
    registers.writePage(0x380, 4, 1000);
    expect(apic.nextDeadline()).toBe(1000 * 16 * 5);
    host.now = 40_000;
    expect(registers.readPage(0x390, 4)).toBe(500);
    apic.expire(79_999);
    expect(apic.hasDeliverable()).toBe(false);
    apic.expire(80_000);
    expect(apic.acceptInterrupt()).toBe(0xec);
    expect(apic.nextDeadline()).toBe(Infinity);
  });

  test('periodic goes on and its count wraps', () => {
    const { apic, host, registers } = enabledApic();
    registers.writePage(0x3e0, 4, 0xb); // divide by 1
    registers.writePage(0x320, 4, 0x2_00ec);
    registers.writePage(0x380, 4, 100);
    apic.expire(1250);
    expect(apic.acceptInterrupt()).toBe(0xec);
    expect(apic.nextDeadline()).toBe(1500);
    host.now = 1300;
    expect(registers.readPage(0x390, 4)).toBe(40);
  });

  test('TSC deadline fires when the TSC reaches it and disarms', () => {
    const { apic, registers } = enabledApic();
    registers.writePage(0x320, 4, 0x4_00ec);
    registers.writeMsr(0x6e0, 5000, 1);
    expect(apic.nextDeadline()).toBe(2 ** 32 + 5000);
    apic.expire(2 ** 32 + 5000);
    expect(apic.acceptInterrupt()).toBe(0xec);
    registers.readMsr(0x6e0);
    expect([registers.low, registers.high]).toEqual([0, 0]);
  });

  test('a masked timer has no deadline', () => {
    const { apic, registers } = enabledApic();
    registers.writePage(0x320, 4, 0x1_00ec);
    registers.writePage(0x380, 4, 100);
    expect(apic.nextDeadline()).toBe(Infinity);
  });
});

describe('registers', () => {
  test('reset values are those of the SDM', () => {
    const host = apicHost();
    const registers = new LocalApicRegisters(new LocalApic(host, { apicId: 3, vpIndex: 3 }));
    expect(registers.readPage(0x20, 4)).toBe(0x0300_0000);
    expect(registers.readPage(0x30, 4)).toBe(0x0005_0014);
    expect(registers.readPage(0xe0, 4)).toBe(0xffff_ffff);
    expect(registers.readPage(SVR, 4)).toBe(0xff);
    expect(registers.readPage(0x350, 4)).toBe(0x1_0000);
    registers.readMsr(0x1b);
    expect(registers.low).toBe(0xfee0_0800);
  });

  test('x2APIC hides the page and opens the MSRs', () => {
    const { apic, registers } = enabledApic();
    expect(apic.pageGpn).toBe(0xfee00);
    expect(registers.readMsr(0x802)).toBe(false);
    expect(registers.writeMsr(0x1b, X2APIC_ON, 0)).toBe(true);
    expect(apic.pageGpn).toBe(-1);
    expect(registers.readMsr(0x802)).toBe(true);
    expect(registers.low).toBe(0);
    expect(registers.writeMsr(0x1b, 0xfee0_0900, 0)).toBe(false);
    expect(registers.writeMsr(0x1b, 0xfee0_0100, 0)).toBe(true);
    expect(registers.writeMsr(0x1b, X2APIC_ON, 0)).toBe(false);
  });

  test('x2APIC refuses reserved bits, wrong directions and missing registers', () => {
    const { registers } = enabledApic();
    registers.writeMsr(0x1b, X2APIC_ON, 0);
    expect(registers.writeMsr(0x80b, 1, 0)).toBe(false);
    expect(registers.writeMsr(0x80b, 0, 0)).toBe(true);
    expect(registers.readMsr(0x80b)).toBe(false);
    expect(registers.writeMsr(0x802, 0, 0)).toBe(false);
    expect(registers.readMsr(0x831)).toBe(false);
    expect(registers.readMsr(0x80e)).toBe(false);
    expect(registers.writeMsr(0x808, 0x100, 0)).toBe(false);
    expect(registers.writeMsr(0x832, 0xec, 1)).toBe(false);
  });

  test('self IPI requests an interrupt', () => {
    const { apic, registers } = enabledApic();
    registers.writeMsr(0x1b, X2APIC_ON, 0);
    expect(registers.writeMsr(0x83f, 0x55, 0)).toBe(true);
    expect(apic.acceptInterrupt()).toBe(0x55);
  });

  test('an illegal vector in ICR is an error that ESR latches', () => {
    const { registers } = enabledApic();
    registers.writePage(0x370, 4, 0xfe);
    registers.writePage(0x300, 4, 5);
    registers.writePage(0x280, 4, 0);
    expect(registers.readPage(0x280, 4)).toBe(1 << 5);
  });

  test('accesses that are not aligned dwords change nothing', () => {
    const { registers } = enabledApic();
    registers.writePage(0x80, 2, 0x40);
    registers.writePage(0x82, 4, 0x40);
    expect(registers.readPage(0x80, 4)).toBe(0);
  });
});

describe('bus', () => {
  function four() {
    const bus = new LocalApicBus();
    const log: string[] = [];
    const apics = [0, 1, 2, 3].map((vpIndex) => {
      const events: string[] = [];
      const { apic } = enabledApic(events, vpIndex);
      apic.logicalDestination = (1 << (24 + vpIndex)) >>> 0;
      Object.assign(apic.host, {
        init: () => log.push(`init ${vpIndex}`),
        nmi: () => log.push(`nmi ${vpIndex}`),
        startup: (vector: number) => log.push(`startup ${vpIndex} ${vector}`),
      });
      bus.add(apic);
      return apic;
    });
    return { bus, apics, log };
  }
  const fixed = {
    mode: 0,
    vector: 0x40,
    levelTriggered: false,
    logical: false,
    destination: 0,
    shorthand: 0,
  };
  const receivers = (apics: LocalApic[]) => apics.filter((apic) => apic.irr.has(0x40)).map((a) => a.vpIndex);

  test('physical destinations name one APIC, 0xFF all', () => {
    const { bus, apics } = four();
    expect(bus.deliver({ ...fixed, destination: 2 })).toBe(1);
    expect(receivers(apics)).toEqual([2]);
    expect(bus.deliver({ ...fixed, destination: 0xff })).toBe(4);
    expect(bus.deliver({ ...fixed, destination: 9 })).toBe(0);
  });

  test('flat logical destinations are masks', () => {
    const { bus, apics } = four();
    bus.deliver({ ...fixed, logical: true, destination: 0b1010 });
    expect(receivers(apics)).toEqual([1, 3]);
  });

  test('lowest priority goes to one of the addressed', () => {
    const { bus, apics } = four();
    apics[0].setTaskPriority(0x20);
    bus.deliver({ ...fixed, mode: 1, logical: true, destination: 0b0111 });
    expect(receivers(apics)).toEqual([1]);
  });

  test('shorthands see the sender', () => {
    const { bus, apics } = four();
    bus.deliver({ ...fixed, shorthand: 3 }, apics[1]);
    expect(receivers(apics)).toEqual([0, 2, 3]);
  });

  test('INIT, start-up and NMI reach their callbacks', () => {
    const { bus, log } = four();
    bus.deliver({ ...fixed, mode: 5, destination: 1 });
    bus.deliver({ ...fixed, mode: 6, vector: 0x9a, destination: 1 });
    bus.deliver({ ...fixed, mode: 4, destination: 3 });
    expect(log).toEqual(['init 1', 'startup 1 154', 'nmi 3']);
  });

  test('x2APIC logical destinations are cluster and mask', () => {
    const host = apicHost();
    const apic = new LocalApic(host, { apicId: 0x23, vpIndex: 0 });
    new LocalApicRegisters(apic).writeMsr(0x1b, X2APIC_ON, 0);
    expect(apic.matches(0x0002_0008, true)).toBe(true);
    expect(apic.matches(0x0002_0004, true)).toBe(false);
    expect(apic.matches(0x0001_0008, true)).toBe(false);
    expect(apic.matches(0xffff_ffff, true)).toBe(true);
  });
});

describe('external interrupts', () => {
  test('wait for HvClearVirtualInterrupt once acknowledged', () => {
    const { apic } = enabledApic();
    apic.writeSpurious(0xff);
    expect(apic.clearExternalInterrupt()).toBe(false);
    expect(apic.assertExternalInterrupt(0x20)).toBe(true);
    expect(apic.assertExternalInterrupt(0x21)).toBe(true);
    expect(apic.acceptInterrupt()).toBe(0x21);
    expect(apic.assertExternalInterrupt(0x22)).toBe(false);
    expect(apic.clearExternalInterrupt()).toBe(true);
    expect(apic.assertExternalInterrupt(0x22)).toBe(true);
    apic.withdrawExternalInterrupt();
    expect(apic.hasDeliverable()).toBe(false);
  });
});
