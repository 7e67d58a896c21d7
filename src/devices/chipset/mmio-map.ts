/** Which device answers at which guest physical address. Where none does, reads are all ones. */
import type { MmioDevice } from './device.ts';

export class MmioMap {
  readonly #devices: readonly MmioDevice[];

  constructor(devices: readonly MmioDevice[]) {
    this.#devices = devices;
  }

  #find(gpa: number, size: number): MmioDevice | undefined {
    return this.#devices.find((d) => gpa >= d.firstGpa && gpa + size <= d.firstGpa + d.bytes);
  }

  read(gpa: number, size: number): bigint {
    const device = this.#find(gpa, size);
    if (device === undefined) return (1n << BigInt(size * 8)) - 1n;
    return device.readMemory(gpa - device.firstGpa, size);
  }

  write(gpa: number, size: number, value: bigint): void {
    const device = this.#find(gpa, size);
    device?.writeMemory(gpa - device.firstGpa, size, value);
  }
}
