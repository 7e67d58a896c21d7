/**
 * All chipset devices of one machine, wired to each other: lines to I/O APIC pins, and what a guest can ask
 * of the machine as a whole. The embedder gives the outside world as callbacks.
 */
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import type { Device, TimedDevice } from './device.ts';
import { ExitPort } from './exit-port.ts';
import { type ApicInterrupt, IoApic } from './ioapic.ts';
import { MmioMap } from './mmio-map.ts';
import { COM1_GSI, COM1_PORTS, RTC_GSI, SCI_GSI } from './platform.ts';
import { PortMap } from './port-map.ts';
import { PowerManagement } from './power-management.ts';
import { RealTimeClock } from './real-time-clock.ts';
import { ResetControl } from './reset-control.ts';
import { Serial16550 } from './serial-16550.ts';

export interface ChipsetEffects {
  /** Reference time of the machine, units of 100 ns. */
  now(): number;
  /** Time of day at reference time zero. */
  startUnixMs: number;
  transmit(byte: number): void;
  deliverInterrupt(interrupt: ApicInterrupt): void;
  powerOff(): void;
  reset(): void;
  exit(value: number): void;
}

export class Chipset {
  readonly serial: Serial16550;
  readonly ioapic: IoApic;
  readonly power: PowerManagement;
  readonly ports: PortMap;
  readonly mmio: MmioMap;
  readonly #now: () => number;
  readonly #clock: RealTimeClock;
  readonly #machineTime: () => number;
  /** What this machine's time is ahead of the time it is told: a restored machine goes on where it stood. */
  #ahead = 0;
  readonly #timed: readonly TimedDevice[];
  readonly #devices: readonly Device[];

  constructor(effects: ChipsetEffects) {
    const now = () => effects.now() + this.#ahead;
    this.#machineTime = () => effects.now();
    this.#now = now;
    this.ioapic = new IoApic((interrupt) => effects.deliverInterrupt(interrupt));
    const pin = (gsi: number) => (asserted: boolean) => this.ioapic.setPin(gsi, asserted);
    this.serial = new Serial16550('com1', COM1_PORTS, (byte) => effects.transmit(byte), pin(COM1_GSI));
    this.power = new PowerManagement({ now, powerOff: () => effects.powerOff(), sci: pin(SCI_GSI) });
    const clock = new RealTimeClock(effects.startUnixMs, { now, line: pin(RTC_GSI) });
    this.#clock = clock;
    const portDevices = [
      this.serial,
      clock,
      this.power,
      new ResetControl(() => effects.reset()),
      new ExitPort((value) => effects.exit(value)),
    ];
    this.ports = new PortMap(portDevices);
    this.mmio = new MmioMap([this.ioapic]);
    this.#timed = [this.power, clock];
    this.#devices = [...portDevices, this.ioapic];
  }

  /** Units of 100 ns until a device wants to act; Infinity for never. */
  untilDeadline(): number {
    const deadline = Math.min(...this.#timed.map((device) => device.deadline()));
    return deadline === Infinity ? Infinity : Math.max(deadline - this.#now(), 0);
  }

  advance(): void {
    for (const device of this.#timed) device.advance();
  }

  reset(): void {
    for (const device of this.#devices) device.reset();
  }

  save(): StateRecord {
    const devices = this.#devices.map((device): [string, StateRecord] => [device.name, device.save()]);
    return { now: this.#now(), devices: Object.fromEntries(devices) };
  }

  /** `unixMs`: the time of day now. The reader may fail: the machine must not run then. */
  restore(from: StateReader, unixMs: number): void {
    const now = from.time('now');
    this.#ahead = now - this.#machineTime();
    this.#clock.setTrueTime(unixMs - now / 10_000);
    const devices = from.record('devices');
    for (const device of this.#devices) device.restore(devices.record(device.name));
  }

  inspect(): Record<string, unknown> {
    return Object.fromEntries(this.#devices.map((device) => [device.name, device.inspect()]));
  }
}
