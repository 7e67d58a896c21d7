/** The command line of `partita run`, checked: every refusal names the option and what it would accept. */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { memoryOfNuma, type NumaOption, parseNuma } from './numa-option.ts';
import { UsageError } from './usage-error.ts';

export type SerialTarget = { kind: 'stdio' } | { kind: 'file'; path: string } | { kind: 'none' };

export interface ModuleOption {
  path: string;
  commandLine: string;
}

export interface RunOptions {
  /** A snapshot to go on from, instead of a kernel. */
  snapshot?: {
    option: '--from' | '--restore';
    path: string;
    /** Others go on from it as well: `--from`. */
    clone: boolean;
  };
  kernel: string;
  initrd?: string;
  append: string;
  memoryBytes: number;
  vpCount: number;
  /** What the command line says itself of memory and processors. */
  asked: { memoryBytes?: number; vpCount?: number };
  numa?: NumaOption;
  modules: readonly ModuleOption[];
  serial: SerialTarget;
  trace?: string;
  timeoutSeconds?: number;
  /** TCP port of the remote stub; 0 for any. */
  gdbPort?: number;
  gdbWait: boolean;
  /** Path of a socket for the guest's debug connection. */
  debugConnection?: string;
  /** Files of symbols for what is printed, and what to add to their addresses. */
  symbols: readonly string[];
  symbolOffset?: bigint;
  json: boolean;
  help: boolean;
}

const DEFAULT_MEMORY_BYTES = 512 * 2 ** 20;

const OPTIONS = {
  kernel: { type: 'string' },
  from: { type: 'string' },
  restore: { type: 'string' },
  initrd: { type: 'string' },
  append: { type: 'string', default: '' },
  memory: { type: 'string' },
  numa: { type: 'string' },
  vps: { type: 'string' },
  module: { type: 'string', multiple: true, default: [] as string[] },
  serial: { type: 'string', default: 'stdio' },
  trace: { type: 'string' },
  timeout: { type: 'string' },
  gdb: { type: 'string' },
  'debug-connection': { type: 'string' },
  'gdb-wait': { type: 'boolean', default: false },
  symbols: { type: 'string', multiple: true, default: [] as string[] },
  'symbol-offset': { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export function parseRunOptions(parameters: readonly string[]): RunOptions {
  const values = parse(parameters);
  const snapshot = snapshotOf(values);
  if (values.kernel === undefined && snapshot === undefined && !values.help) {
    throw new UsageError(
      '--kernel FILE is required: a bzImage, or an ELF file with a PVH or Multiboot header',
    );
  }
  const numa = values.numa === undefined ? undefined : parseNuma(values.numa, parseMemory);
  const vpCount = values.vps === undefined ? undefined : parseCount('--vps', values.vps);
  const memory = values.memory === undefined ? memoryOfNuma(numa) : parseMemory(values.memory);
  return {
    snapshot,
    kernel: values.kernel ?? '',
    initrd: values.initrd,
    append: values.append,
    memoryBytes: memory ?? DEFAULT_MEMORY_BYTES,
    vpCount: vpCount ?? 1,
    asked: { memoryBytes: memory, vpCount },
    numa,
    modules: values.module.map(parseModule),
    serial: parseSerial(values.serial),
    trace: values.trace,
    timeoutSeconds: values.timeout === undefined ? undefined : parseSeconds('--timeout', values.timeout),
    ...parseDebugging(values),
    debugConnection: values['debug-connection'],
    json: values.json,
    help: values.help,
  };
}

/** What a snapshot has in it already. */
const BOOT_OPTIONS = ['kernel', 'initrd', 'append', 'module'] as const;

function snapshotOf(values: ReturnType<typeof parse>): RunOptions['snapshot'] {
  const { from, restore } = values;
  const path = from ?? restore;
  if (path === undefined) return undefined;
  const option = from === undefined ? '--restore' : '--from';
  if (from !== undefined && restore !== undefined) throw new UsageError('--from and --restore: choose one');
  for (const name of BOOT_OPTIONS) {
    if (values[name] !== undefined && values[name].length > 0) {
      throw new UsageError(`${option} goes on from a snapshot: it takes no --${name}`);
    }
  }
  return { option, path, clone: from !== undefined };
}

const HIGHEST_PORT = 65535;

function parseDebugging(
  values: ReturnType<typeof parse>,
): Pick<RunOptions, 'gdbPort' | 'gdbWait' | 'symbols' | 'symbolOffset'> {
  const gdbPort = values.gdb === undefined ? undefined : parseCount('--gdb', values.gdb);
  if (gdbPort !== undefined && gdbPort > HIGHEST_PORT) {
    throw new UsageError(`--gdb ${values.gdb}: not a port; the highest is ${HIGHEST_PORT}, 0 takes any`);
  }
  if (values['gdb-wait'] && gdbPort === undefined) {
    throw new UsageError('--gdb-wait waits for a debugger on --gdb PORT: it needs that option too');
  }
  const symbolOffset = values['symbol-offset'];
  if (symbolOffset !== undefined && values.symbols.length === 0) {
    throw new UsageError('--symbol-offset moves the symbols of --symbols FILE: it needs that option too');
  }
  return {
    gdbPort,
    gdbWait: values['gdb-wait'],
    symbols: values.symbols,
    symbolOffset: symbolOffset === undefined ? undefined : parseOffset('--symbol-offset', symbolOffset),
  };
}

/** Hexadecimal, or decimal without the 0x. */
export function parseOffset(option: string, text: string): bigint {
  if (!/^(0x[0-9a-fA-F]{1,16}|\d{1,19})$/.test(text))
    throw new UsageError(`${option} ${text}: not a number, such as 0x1e000000`);
  return BigInt(text);
}

function parse(parameters: readonly string[]) {
  try {
    return parseArgs({ args: [...parameters], options: OPTIONS, strict: true, allowPositionals: false })
      .values;
  } catch (error) {
    throw new UsageError(firstSentence(error));
  }
}

/** parseArgs explains at length how to pass odd values; its first sentence names the option. */
export function firstSentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split(/\. |\n/)[0];
}

const SUFFIX: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** `512M` in bytes. */
export function parseMemory(text: string): number {
  const match = /^(\d+)([KMG]?)B?$/i.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * SUFFIX[match[2].toUpperCase()];
  if (!Number.isSafeInteger(bytes)) {
    throw new UsageError(
      `--memory ${text}: not a size; write a number with K, M or G behind it, such as 512M`,
    );
  }
  return bytes;
}

export function parseSeconds(option: string, text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds > 0 && seconds < 1e7))
    throw new UsageError(`${option} ${text}: not a positive number of seconds`);
  return seconds;
}

function parseCount(option: string, text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new UsageError(`${option} ${text}: not a whole number`);
  return Number(text);
}

function parseSerial(text: string): SerialTarget {
  if (text === 'stdio' || text === 'none') return { kind: text };
  if (text.startsWith('file:') && text.length > 'file:'.length) return { kind: 'file', path: text.slice(5) };
  throw new UsageError(`--serial ${text}: not one of stdio, file:PATH, none`);
}

/** `FILE arguments`: the first space parts them, unless a file is named exactly so. */
function parseModule(text: string): ModuleOption {
  const space = text.indexOf(' ');
  if (space < 0 || existsSync(text)) return { path: text, commandLine: '' };
  return { path: text.slice(0, space), commandLine: text.slice(space + 1) };
}
