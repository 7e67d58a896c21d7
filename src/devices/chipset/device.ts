/**
 * The shape of every chipset device. A device does no I/O of its own: it is told about accesses and time, and
 * speaks through the callbacks it was made with. Guests cause no exceptions here: an access that means nothing
 * reads as all ones or is dropped.
 */
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import type { PortRange } from './platform.ts';

export interface Device {
  readonly name: string;
  /** Back to the state after power-on. */
  reset(): void;
  /** Plain data for `partita inspect`. */
  inspect(): Record<string, unknown>;
  /** State to keep, by name. */
  save(): StateRecord;
  /** Takes saved state back, in silence: no line moves, nothing is sent. The reader may fail. */
  restore(from: StateReader): void;
}

export interface PortDevice extends Device {
  readonly ports: readonly PortRange[];
  /** Widest access the device takes at once, in bytes; the port map splits wider ones. */
  readonly width: 1 | 2 | 4;
  readPort(port: number, size: number): number;
  writePort(port: number, size: number, value: number): void;
}

export interface MmioDevice extends Device {
  readonly firstGpa: number;
  readonly bytes: number;
  /** `offset` lies within the device; `size` is 1, 2, 4 or 8. Values are unsigned. */
  readMemory(offset: number, size: number): bigint;
  writeMemory(offset: number, size: number, value: bigint): void;
}

/** A device that acts on its own at some time. Times are reference time: units of 100 ns since the VM's start. */
export interface TimedDevice {
  /** When `advance` is next needed; Infinity for never. */
  deadline(): number;
  advance(): void;
}

/** An interrupt line between a device and a pin: true is asserted. */
export type InterruptLine = (asserted: boolean) => void;
export const UNITS_PER_SECOND = 10_000_000;
