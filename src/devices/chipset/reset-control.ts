/**
 * The two ways a PC is reset by a port: the reset control register (0xCF9), and the keyboard controller's
 * command to pulse the reset line (0xFE to 0x64). Of the keyboard controller nothing else is here: its status
 * reads as all ones, as where nothing is.
 */
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import type { PortDevice } from './device.ts';
import { KEYBOARD_CONTROLLER_PORTS, RESET_PORTS } from './platform.ts';

const SYSTEM_RESET = 0x02;
const RESET_CPU = 0x04;
const FULL_RESET = 0x08;
const PULSE_RESET_LINE = 0xfe;

export class ResetControl implements PortDevice {
  readonly name = 'reset-control';
  readonly ports = [RESET_PORTS, KEYBOARD_CONTROLLER_PORTS];
  readonly width = 1;
  readonly #requestReset: () => void;
  #control = 0;

  constructor(requestReset: () => void) {
    this.#requestReset = requestReset;
  }
  reset(): void {
    this.#control = 0;
  }
  inspect(): Record<string, unknown> {
    return { control: this.#control };
  }
  save(): StateRecord {
    return { control: this.#control };
  }
  restore(from: StateReader): void {
    this.#control = from.integer('control', 0xff);
  }
  readPort(port: number): number {
    return port === RESET_PORTS.first ? this.#control : 0xff;
  }
  writePort(port: number, _size: number, value: number): void {
    if (port === KEYBOARD_CONTROLLER_PORTS.first) {
      if (value === PULSE_RESET_LINE) this.#requestReset();
      return;
    }
    const rising = value & ~this.#control & RESET_CPU;
    this.#control = value & (SYSTEM_RESET | RESET_CPU | FULL_RESET);
    if (rising !== 0) this.#requestReset();
  }
}
