/**
 * MC146818 real-time clock with 128 bytes of CMOS (ports 0x70 and 0x71). The time of day comes from an injected
 * clock plus what the guest set. Update-in-progress is honest: it holds for the last 2228 µs of each second
 * (244 µs notice and the 1984 µs update of the data sheet). Alarm, periodic and update interrupts work.
 */
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import { type InterruptLine, type PortDevice, type TimedDevice, UNITS_PER_SECOND } from './device.ts';
import { RTC_CENTURY_INDEX, RTC_PORTS } from './platform.ts';

const Index = { Seconds: 0, SecondsAlarm: 1, Minutes: 2, MinutesAlarm: 3, Hours: 4, HoursAlarm: 5 } as const;
const DateIndex = { DayOfWeek: 6, Day: 7, Month: 8, Year: 9 } as const;
const RegisterA = 0xa;
const RegisterB = 0xb;
const RegisterC = 0xc;
const RegisterD = 0xd;
const UPDATE_IN_PROGRESS = 0x80;
const RATE_MASK = 0x0f;
const B = { Set: 0x80, Periodic: 0x40, Alarm: 0x20, Update: 0x10, Binary: 0x04, Hours24: 0x02 } as const;
const C = { Any: 0x80, Periodic: 0x40, Alarm: 0x20, Update: 0x10 } as const;
const VALID_RAM_AND_TIME = 0x80;
const UPDATE_UNITS = 22_280;
const PM_HOUR = 0x80;
const ANY_VALUE = 0xc0;
const CMOS_BYTES = 128;

export interface RealTimeClockEffects {
  /** Reference time, units of 100 ns. */
  now(): number;
  line: InterruptLine;
}

export class RealTimeClock implements PortDevice, TimedDevice {
  readonly name = 'real-time-clock';
  readonly ports = [RTC_PORTS];
  readonly width = 1;
  readonly #effects: RealTimeClockEffects;
  readonly #cmos = new Uint8Array(CMOS_BYTES);
  #index = 0;
  /** Unix time in 100 ns at reference time zero. */
  #epoch: number;
  /** The same without what the guest set. */
  #trueEpoch: number;
  /** Unix time in 100 ns that the registers show while SET holds the clock. */
  #heldAt: number | undefined;
  /** Reference times up to which seconds and periodic ticks have been noted. */
  #secondsSeen: number;
  #periodsSeen = 0;
  #asserted = false;

  /** `startUnixMs` is the time of day at reference time zero. */
  constructor(startUnixMs: number, effects: RealTimeClockEffects) {
    this.#effects = effects;
    this.#epoch = startUnixMs * 10_000;
    this.#trueEpoch = this.#epoch;
    this.#cmos[RegisterA] = 0x26;
    this.#cmos[RegisterB] = B.Hours24;
    this.#secondsSeen = this.#second();
  }

  /** The time and the CMOS bytes survive: they are on battery. */
  reset(): void {
    this.#cmos[RegisterB] &= ~(B.Periodic | B.Alarm | B.Update);
    this.#cmos[RegisterC] = 0;
    this.#index = 0;
    this.#update();
  }

  inspect(): Record<string, unknown> {
    return {
      time: new Date(this.#unix() / 10_000).toISOString(),
      registers: [...this.#cmos.subarray(0, 14)],
    };
  }

  /** What the guest set is kept as its distance from the true time of day, which goes on while the machine doesn't. */
  save(): StateRecord {
    return {
      cmos: this.#cmos.slice(),
      index: this.#index,
      ahead: this.#epoch - this.#trueEpoch,
      held: this.#heldAt !== undefined,
      heldAt: this.#heldAt ?? 0,
      secondsAgo: this.#second() - this.#secondsSeen,
      periodsSeen: this.#periodsSeen,
      asserted: this.#asserted,
    };
  }

  restore(from: StateReader): void {
    this.#cmos.set(from.bytes('cmos', CMOS_BYTES));
    this.#index = from.integer('index', 0x7f);
    this.#epoch = this.#trueEpoch + from.time('ahead');
    this.#heldAt = from.flag('held') ? from.time('heldAt') : undefined;
    this.#secondsSeen = this.#second() - Math.min(Math.max(from.time('secondsAgo'), 0), 86_400);
    this.#periodsSeen = from.time('periodsSeen');
    this.#asserted = from.flag('asserted');
  }

  /** The machine's time changes (it was restored): what the true time of day is at its time zero. */
  setTrueTime(startUnixMs: number): void {
    this.#trueEpoch = startUnixMs * 10_000;
  }

  readPort(port: number): number {
    if (port === RTC_PORTS.first) return 0xff;
    const index = this.#index;
    if (index <= DateIndex.Year || index === RTC_CENTURY_INDEX) return this.#readTime(index);
    if (index === RegisterA) return this.#cmos[RegisterA] | (this.#updating() ? UPDATE_IN_PROGRESS : 0);
    if (index === RegisterD) return VALID_RAM_AND_TIME;
    if (index !== RegisterC) return this.#cmos[index];
    this.advance();
    const flags = this.#cmos[RegisterC];
    this.#cmos[RegisterC] = 0;
    this.#update();
    return flags;
  }

  writePort(port: number, _size: number, value: number): void {
    if (port === RTC_PORTS.first) {
      this.#index = value & 0x7f;
      return;
    }
    this.#write(this.#index, value);
  }

  #write(index: number, value: number): void {
    if (index === RegisterC || index === RegisterD) return;
    if (index === RegisterB) {
      this.#writeControl(value);
      return;
    }
    const isAlarm =
      index === Index.SecondsAlarm || index === Index.MinutesAlarm || index === Index.HoursAlarm;
    const isTime = (index <= DateIndex.Year || index === RTC_CENTURY_INDEX) && !isAlarm;
    if (isTime) {
      this.#writeTime(index, value);
    } else if (index === RegisterA) {
      this.advance();
      this.#cmos[index] = value & 0x7f;
      this.#periodsSeen = this.#periods();
    } else {
      this.#cmos[index] = value;
    }
  }

  #writeControl(value: number): void {
    this.advance();
    const holds = (value & B.Set) !== 0;
    if (holds && this.#heldAt === undefined) this.#heldAt = this.#unix();
    if (!holds && this.#heldAt !== undefined) {
      this.#epoch = this.#heldAt - this.#effects.now();
      this.#heldAt = undefined;
      this.#secondsSeen = this.#second();
    }
    // SET stops updates and, by the data sheet, the update interrupt.
    this.#cmos[RegisterB] = holds ? value & ~B.Update : value;
    this.#periodsSeen = this.#periods();
    this.#update();
  }

  #unix(): number {
    return this.#heldAt ?? this.#epoch + this.#effects.now();
  }
  #second(): number {
    return Math.floor(this.#unix() / UNITS_PER_SECOND);
  }
  #updating(): boolean {
    if (this.#heldAt !== undefined) return false;
    const fraction = this.#unix() - this.#second() * UNITS_PER_SECOND;
    return fraction >= UNITS_PER_SECOND - UPDATE_UNITS;
  }

  #encode(value: number): number {
    if ((this.#cmos[RegisterB] & B.Binary) !== 0) return value;
    return (Math.floor(value / 10) << 4) | (value % 10);
  }
  #decode(value: number): number {
    if ((this.#cmos[RegisterB] & B.Binary) !== 0) return value;
    return (value >> 4) * 10 + (value & 0xf);
  }
  #encodeHour(hour: number): number {
    if ((this.#cmos[RegisterB] & B.Hours24) !== 0) return this.#encode(hour);
    return this.#encode(hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? PM_HOUR : 0);
  }
  #decodeHour(value: number): number {
    if ((this.#cmos[RegisterB] & B.Hours24) !== 0) return this.#decode(value);
    return (this.#decode(value & ~PM_HOUR) % 12) + ((value & PM_HOUR) !== 0 ? 12 : 0);
  }

  #readTime(index: number): number {
    const date = new Date(this.#second() * 1000);
    switch (index) {
      case Index.Seconds:
        return this.#encode(date.getUTCSeconds());
      case Index.Minutes:
        return this.#encode(date.getUTCMinutes());
      case Index.Hours:
        return this.#encodeHour(date.getUTCHours());
      case DateIndex.DayOfWeek:
        return this.#encode(date.getUTCDay() + 1);
      case DateIndex.Day:
        return this.#encode(date.getUTCDate());
      case DateIndex.Month:
        return this.#encode(date.getUTCMonth() + 1);
      case DateIndex.Year:
        return this.#encode(date.getUTCFullYear() % 100);
      case RTC_CENTURY_INDEX:
        return this.#encode(Math.floor(date.getUTCFullYear() / 100));
      default:
        return this.#cmos[index];
    }
  }

  #writeTime(index: number, value: number): void {
    const unix = this.#unix();
    const second = Math.floor(unix / UNITS_PER_SECOND);
    const date = new Date(second * 1000);
    const decoded = this.#decode(value);
    const year = date.getUTCFullYear();
    if (index === Index.Seconds) date.setUTCSeconds(decoded);
    else if (index === Index.Minutes) date.setUTCMinutes(decoded);
    else if (index === Index.Hours) date.setUTCHours(this.#decodeHour(value));
    else if (index === DateIndex.Day) date.setUTCDate(decoded);
    else if (index === DateIndex.Month) date.setUTCMonth(decoded - 1);
    else if (index === DateIndex.Year) date.setUTCFullYear(year - (year % 100) + (decoded % 100));
    else if (index === RTC_CENTURY_INDEX) date.setUTCFullYear(decoded * 100 + (year % 100));
    const changed = date.getTime() * 10_000 + (unix - second * UNITS_PER_SECOND);
    if (this.#heldAt !== undefined) this.#heldAt = changed;
    else this.#epoch = changed - this.#effects.now();
    this.#secondsSeen = this.#second();
  }

  /** Units between periodic ticks; Infinity when the rate selects none. */
  #period(): number {
    const rate = this.#cmos[RegisterA] & RATE_MASK;
    if (rate === 0) return Infinity;
    const hertz = 32_768 >> ((rate <= 2 ? rate + 7 : rate) - 1);
    return UNITS_PER_SECOND / hertz;
  }
  #periods(): number {
    const period = this.#period();
    return period === Infinity ? 0 : Math.floor(this.#effects.now() / period);
  }

  deadline(): number {
    const control = this.#cmos[RegisterB];
    let next = Infinity;
    if (
      (control & B.Periodic) !== 0 &&
      (this.#cmos[RegisterC] & C.Periodic) === 0 &&
      this.#period() !== Infinity
    ) {
      next = (this.#periodsSeen + 1) * this.#period();
    }
    if ((control & (B.Alarm | B.Update)) !== 0 && this.#heldAt === undefined) {
      next = Math.min(next, (this.#secondsSeen + 1) * UNITS_PER_SECOND - this.#epoch);
    }
    return next;
  }

  advance(): void {
    const periods = this.#periods();
    if (periods !== this.#periodsSeen) {
      this.#periodsSeen = periods;
      this.#cmos[RegisterC] |= C.Periodic;
    }
    const second = this.#second();
    if (second !== this.#secondsSeen) {
      this.#cmos[RegisterC] |= C.Update;
      // A VM that slept over many seconds must not miss an alarm among them; a day of them is every alarm.
      const from = Math.max(this.#secondsSeen + 1, second - 86_400);
      const alarmIsOn = (this.#cmos[RegisterB] & B.Alarm) !== 0;
      for (let at = alarmIsOn ? from : second; at <= second; at++) {
        if (this.#alarmMatches(at)) this.#cmos[RegisterC] |= C.Alarm;
      }
      this.#secondsSeen = second;
    }
    this.#update();
  }

  #alarmMatches(second: number): boolean {
    const date = new Date(second * 1000);
    const matches = (alarm: number, value: number) => alarm >= ANY_VALUE || alarm === value;
    return (
      matches(this.#cmos[Index.SecondsAlarm], this.#encode(date.getUTCSeconds())) &&
      matches(this.#cmos[Index.MinutesAlarm], this.#encode(date.getUTCMinutes())) &&
      matches(this.#cmos[Index.HoursAlarm], this.#encodeHour(date.getUTCHours()))
    );
  }

  #update(): void {
    const flags = this.#cmos[RegisterC] & (C.Periodic | C.Alarm | C.Update);
    const asserted = (flags & this.#cmos[RegisterB]) !== 0;
    this.#cmos[RegisterC] = flags | (asserted ? C.Any : 0);
    if (asserted === this.#asserted) return;
    this.#asserted = asserted;
    this.#effects.line(asserted);
  }
}
