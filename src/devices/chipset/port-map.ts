/** Which device answers on which I/O port. Where none does, reads are all ones and writes are dropped. */
import type { PortDevice } from './device.ts';
import type { PortRange } from './platform.ts';

const ones = (size: number): number => (size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff);

export class PortMap {
  readonly #byPort = new Map<number, PortDevice>();
  readonly #devices: readonly PortDevice[];

  /** Devices must not share a port: that is a mistake in the platform and throws. */
  constructor(devices: readonly PortDevice[]) {
    this.#devices = devices;
    for (const device of devices) for (const range of device.ports) this.#claim(device, range);
  }

  #claim(device: PortDevice, range: PortRange): void {
    for (let port = range.first; port < range.first + range.count; port++) {
      const owner = this.#byPort.get(port);
      if (owner !== undefined) throw new Error(`port ${port.toString(16)}: ${owner.name} and ${device.name}`);
      this.#byPort.set(port, device);
    }
  }

  get devices(): readonly PortDevice[] {
    return this.#devices;
  }

  /** An unsigned value of `size` bytes. The device at the first port decides how the access is split. */
  read(port: number, size: number): number {
    const device = this.#byPort.get(port);
    if (device === undefined) return ones(size);
    if (size <= device.width) return (device.readPort(port, size) & ones(size)) >>> 0;
    let value = 0;
    for (let at = size - 1; at >= 0; at--) value = value * 256 + (this.read((port + at) & 0xffff, 1) & 0xff);
    return value;
  }

  write(port: number, size: number, value: number): void {
    const device = this.#byPort.get(port);
    if (device === undefined) return;
    if (size <= device.width) {
      device.writePort(port, size, (value & ones(size)) >>> 0);
      return;
    }
    for (let at = 0; at < size; at++) this.write((port + at) & 0xffff, 1, (value >>> (8 * at)) & 0xff);
  }
}
