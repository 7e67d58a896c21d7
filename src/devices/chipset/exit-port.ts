/** The exit port of test kernels: writing v ends the machine with status (v << 1) | 1. Reads as all ones. */
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import type { PortDevice } from './device.ts';
import { EXIT_PORTS } from './platform.ts';

export class ExitPort implements PortDevice {
  readonly name = 'exit-port';
  readonly ports = [EXIT_PORTS];
  readonly width = 4;
  readonly #exit: (value: number) => void;

  constructor(exit: (value: number) => void) {
    this.#exit = exit;
  }
  reset(): void {}
  inspect(): Record<string, unknown> {
    return {};
  }
  save(): StateRecord {
    return {};
  }
  restore(_from: StateReader): void {}
  readPort(): number {
    return 0xffff_ffff;
  }
  writePort(_port: number, _size: number, value: number): void {
    this.#exit(value);
  }
}
