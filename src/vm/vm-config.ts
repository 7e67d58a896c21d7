/**
 * What a virtual machine is asked to be, and the one error for what cannot be built. Files come as bytes with
 * the name the user knows them by: nothing in this room opens a file.
 */
import type { NumaConfig } from './numa-config.ts';
import type { Snapshot } from './snapshot/snapshot.ts';

export interface NamedFile {
  /** What messages call it: the path as the user gave it. */
  name: string;
  bytes: Uint8Array;
}

export interface ModuleFile extends NamedFile {
  /** The module's own command line (Multiboot, PVH); may be empty. */
  commandLine: string;
}

export interface VmConfig {
  /** A bzImage, a PVH or Multiboot ELF, or a Multiboot image with load addresses: told apart by its bytes. */
  kernel: NamedFile;
  initrd?: NamedFile;
  modules: readonly ModuleFile[];
  commandLine: string;
  /** A multiple of 2 MiB, from `MIN_MEMORY_BYTES` to `MAX_MEMORY_BYTES`. */
  memoryBytes: number;
  vpCount: number;
  /** Without it the machine has one node and does not speak of it, or has those of its snapshot. */
  numa?: NumaConfig;
  /** Wall-clock limit of `run()`; none when undefined. */
  timeoutSeconds?: number;
  /** The guest gets a debug session (TLFS 2.0a ch. 20); its connection is `VmIo.debugConnection`. */
  guestDebugging?: boolean;
  /** No instruction is executed until a debugger lets the machine go. */
  holdAtStart?: boolean;
  /** Go on from this snapshot instead of booting the kernel; memory, processors and nodes are as they were there. */
  restore?: {
    snapshot: Snapshot;
    /** Others go on from it too: the machine gets a new generation ID. */
    clone: boolean;
  };
}

export const MEMORY_GRANULE_BYTES = 0x20_0000;
export const MIN_MEMORY_BYTES = 0x40_0000;
/** RAM lies below the hole for the local APIC and the IOAPIC, and system physical memory is 4 GiB. */
export const MAX_MEMORY_BYTES = 0xc000_0000;
export const MAX_VP_COUNT = 8;

/** The request cannot be met: what was wrong, in which file or option, and where in it. */
export class ConfigurationError extends Error {
  readonly code = 'configuration';
  /** A file name or an option name. */
  readonly subject: string;

  constructor(subject: string, problem: string) {
    super(`${subject}: ${problem}`);
    this.name = 'ConfigurationError';
    this.subject = subject;
  }
}

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Checks what needs no file: throws a ConfigurationError that names the option. */
export function checkConfig(config: VmConfig): void {
  const { memoryBytes, vpCount, timeoutSeconds } = config;
  if (!Number.isInteger(memoryBytes) || memoryBytes <= 0) {
    throw new ConfigurationError('memory', `${memoryBytes} is not a number of bytes`);
  }
  if (memoryBytes % MEMORY_GRANULE_BYTES !== 0) {
    throw new ConfigurationError('memory', `${hex(memoryBytes)} bytes is not a multiple of 2 MiB`);
  }
  if (memoryBytes < MIN_MEMORY_BYTES || memoryBytes > MAX_MEMORY_BYTES) {
    const mib = memoryBytes / 0x10_0000;
    throw new ConfigurationError('memory', `${mib} MiB is outside what is possible, 4 MiB to 3072 MiB`);
  }
  if (!Number.isInteger(vpCount) || vpCount < 1 || vpCount > MAX_VP_COUNT) {
    throw new ConfigurationError('vps', `${vpCount} virtual processors; possible are 1 to ${MAX_VP_COUNT}`);
  }
  if (timeoutSeconds !== undefined && !(timeoutSeconds > 0)) {
    throw new ConfigurationError('timeout', `${timeoutSeconds} is not a positive number of seconds`);
  }
}
