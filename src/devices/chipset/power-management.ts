/**
 * ACPI hardware (ACPI 6.4 §4.8): PM1a event and control registers, the PM timer, and a block of general-purpose
 * events. The machine is always
 * in ACPI mode (SCI_EN reads 1, there is no SMI command port). Sleeping in state S5 is power-off; the other
 * sleep types aren't offered by the DSDT and do nothing.
 */
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import { type InterruptLine, type PortDevice, type TimedDevice, UNITS_PER_SECOND } from './device.ts';
import {
  GPE0_PORTS,
  PM_TIMER_HZ,
  PM_TIMER_PORTS,
  PM1_CONTROL_PORTS,
  PM1_EVENT_PORTS,
  SLEEP_TYPE_S5,
} from './platform.ts';

const TIMER_STATUS = 1 << 0;
const GLOBAL_STATUS = 1 << 5;
const POWER_BUTTON = 1 << 8;
const RTC_STATUS = 1 << 10;
const WAKE_STATUS = 1 << 15;
const STATUS_BITS = TIMER_STATUS | GLOBAL_STATUS | POWER_BUTTON | RTC_STATUS | WAKE_STATUS;
const ENABLE_BITS = TIMER_STATUS | GLOBAL_STATUS | POWER_BUTTON | RTC_STATUS;
const SCI_ENABLED = 1;
const SLEEP_TYPE_SHIFT = 10;
const SLEEP_ENABLE = 1 << 13;
/** The timer's status bit is set whenever its top bit (31 of 32) changes. */
const HALF_PERIOD = 2 ** 31;

export interface PowerManagementEffects {
  /** Reference time, units of 100 ns. */
  now(): number;
  powerOff(): void;
  sci: InterruptLine;
}

export class PowerManagement implements PortDevice, TimedDevice {
  readonly name = 'power-management';
  readonly ports = [PM1_EVENT_PORTS, PM1_CONTROL_PORTS, PM_TIMER_PORTS, GPE0_PORTS];
  readonly width = 4;
  readonly #effects: PowerManagementEffects;
  #status = 0;
  #enable = 0;
  #control = SCI_ENABLED;
  #generalStatus = 0;
  #generalEnable = 0;
  /** Half periods of the timer that have been noted in the status. */
  #halvesSeen = 0;
  #sciAsserted = false;

  constructor(effects: PowerManagementEffects) {
    this.#effects = effects;
  }

  reset(): void {
    this.#status = this.#enable = 0;
    this.#generalStatus = this.#generalEnable = 0;
    this.#control = SCI_ENABLED;
    this.#halvesSeen = Math.floor(this.#ticks() / HALF_PERIOD);
    this.#update();
  }

  inspect(): Record<string, unknown> {
    return {
      status: this.#status,
      enable: this.#enable,
      control: this.#control,
      generalStatus: this.#generalStatus,
      generalEnable: this.#generalEnable,
      timer: this.#ticks() % 2 ** 32,
    };
  }

  save(): StateRecord {
    return {
      status: this.#status,
      enable: this.#enable,
      control: this.#control,
      generalStatus: this.#generalStatus,
      generalEnable: this.#generalEnable,
      halvesSeen: this.#halvesSeen,
      sciAsserted: this.#sciAsserted,
    };
  }

  restore(from: StateReader): void {
    this.#status = from.integer('status', 0xffff);
    this.#enable = from.integer('enable', 0xffff);
    this.#control = from.integer('control', 0xffff);
    this.#generalStatus = from.integer('generalStatus', 0xff);
    this.#generalEnable = from.integer('generalEnable', 0xff);
    this.#halvesSeen = from.time('halvesSeen');
    this.#sciAsserted = from.flag('sciAsserted');
  }

  pressPowerButton(): void {
    this.#status |= POWER_BUTTON;
    this.#update();
  }

  /** General-purpose event `event` (0 to 7) has happened; the DSDT's \_GPE says what the system does about it. */
  raiseGeneralEvent(event: number): void {
    this.#generalStatus |= 1 << event;
    this.#update();
  }

  #ticks(): number {
    return Math.floor((this.#effects.now() * PM_TIMER_HZ) / UNITS_PER_SECOND);
  }

  deadline(): number {
    if ((this.#enable & TIMER_STATUS) === 0 || (this.#status & TIMER_STATUS) !== 0) return Infinity;
    return Math.ceil(((this.#halvesSeen + 1) * HALF_PERIOD * UNITS_PER_SECOND) / PM_TIMER_HZ);
  }

  advance(): void {
    const halves = Math.floor(this.#ticks() / HALF_PERIOD);
    if (halves === this.#halvesSeen) return;
    this.#halvesSeen = halves;
    this.#status |= TIMER_STATUS;
    this.#update();
  }

  readPort(port: number, size: number): number {
    if (port >= GPE0_PORTS.first)
      return part(this.#generalStatus + this.#generalEnable * 0x100, port - GPE0_PORTS.first, size);
    if (port >= PM_TIMER_PORTS.first) return part(this.#ticks() % 2 ** 32, port - PM_TIMER_PORTS.first, size);
    if (port >= PM1_CONTROL_PORTS.first) return part(this.#control, port - PM1_CONTROL_PORTS.first, size);
    this.advance();
    return part(this.#status + this.#enable * 0x1_0000, port - PM1_EVENT_PORTS.first, size);
  }

  writePort(port: number, size: number, value: number): void {
    if (port >= GPE0_PORTS.first) {
      this.#writeGeneralEvents(port - GPE0_PORTS.first, size, value);
      return;
    }
    if (port >= PM_TIMER_PORTS.first) return;
    if (port >= PM1_CONTROL_PORTS.first) {
      this.#writeControl(port - PM1_CONTROL_PORTS.first, size, value);
      return;
    }
    // Status bits are cleared by writing ones; bytes not written count as zeros there.
    const offset = port - PM1_EVENT_PORTS.first;
    const cleared = offset < 2 ? (value << (8 * offset)) & 0xffff : 0;
    this.#status &= ~(cleared & STATUS_BITS);
    const events = this.#status + this.#enable * 0x1_0000;
    this.#enable = Math.floor(merge(events, offset, size, value) / 0x1_0000) & ENABLE_BITS;
    this.#update();
  }

  /** A status bit is cleared by writing one. */
  #writeGeneralEvents(offset: number, size: number, value: number): void {
    if (offset === 0) this.#generalStatus &= ~(value & 0xff);
    const events = this.#generalStatus + this.#generalEnable * 0x100;
    this.#generalEnable = (merge(events, offset, size, value) >>> 8) & 0xff;
    this.#update();
  }

  #writeControl(offset: number, size: number, value: number): void {
    const written = merge(this.#control, offset, size, value) & 0xffff;
    this.#control = (written & ~SLEEP_ENABLE) | SCI_ENABLED;
    const sleepType = (written >> SLEEP_TYPE_SHIFT) & 7;
    if ((written & SLEEP_ENABLE) !== 0 && sleepType === SLEEP_TYPE_S5) this.#effects.powerOff();
  }

  #update(): void {
    const general = this.#generalStatus & this.#generalEnable;
    const asserted = ((this.#status & this.#enable) | general) !== 0;
    if (asserted === this.#sciAsserted) return;
    this.#sciAsserted = asserted;
    this.#effects.sci(asserted);
  }
}

/** `size` bytes at `offset` of a 32-bit register. */
function part(register: number, offset: number, size: number): number {
  const shifted = Math.floor(register / 2 ** (8 * offset));
  return size === 4 ? shifted : shifted % 2 ** (8 * size);
}

/** A 32-bit register after `size` bytes at `offset` were written. */
function merge(register: number, offset: number, size: number, value: number): number {
  let merged = 0;
  for (let byte = 3; byte >= 0; byte--) {
    const taken = byte >= offset && byte < offset + size;
    merged = merged * 256 + (part(taken ? value : register, taken ? byte - offset : byte, 1) & 0xff);
  }
  return merged;
}
