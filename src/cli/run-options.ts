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
  /** A saved machine to go on with, instead of a kernel. */
  restore?: string;
  kernel: string;
  initrd?: string;
  append: string;
  memoryBytes: number;
  vpCount: number;
  numa?: NumaOption;
  modules: readonly ModuleOption[];
  serial: SerialTarget;
  trace?: string;
  timeoutSeconds?: number;
  json: boolean;
  help: boolean;
}

const DEFAULT_MEMORY_BYTES = 512 * 2 ** 20;

const OPTIONS = {
  kernel: { type: 'string' },
  restore: { type: 'string' },
  initrd: { type: 'string' },
  append: { type: 'string', default: '' },
  memory: { type: 'string' },
  numa: { type: 'string' },
  vps: { type: 'string', default: '1' },
  module: { type: 'string', multiple: true, default: [] as string[] },
  serial: { type: 'string', default: 'stdio' },
  trace: { type: 'string' },
  timeout: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export function parseRunOptions(parameters: readonly string[]): RunOptions {
  const values = parse(parameters);
  if (values.restore !== undefined && values.kernel !== undefined) {
    throw new UsageError('--restore goes on with a saved machine: it takes no --kernel');
  }
  if (values.kernel === undefined && values.restore === undefined && !values.help) {
    throw new UsageError(
      '--kernel FILE is required: a bzImage, or an ELF file with a PVH or Multiboot header',
    );
  }
  const numa = values.numa === undefined ? undefined : parseNuma(values.numa, parseMemory);
  const memory = values.memory === undefined ? memoryOfNuma(numa) : parseMemory(values.memory);
  return {
    restore: values.restore,
    kernel: values.kernel ?? '',
    initrd: values.initrd,
    append: values.append,
    memoryBytes: memory ?? DEFAULT_MEMORY_BYTES,
    vpCount: parseCount('--vps', values.vps),
    numa,
    modules: values.module.map(parseModule),
    serial: parseSerial(values.serial),
    trace: values.trace,
    timeoutSeconds: values.timeout === undefined ? undefined : parseSeconds('--timeout', values.timeout),
    json: values.json,
    help: values.help,
  };
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
