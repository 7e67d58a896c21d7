/** `partita run`. */
import { readFileSync } from 'node:fs';
import { readSnapshot } from '../vm/snapshot/read-snapshot.ts';
import type { NamedFile, VmConfig } from '../vm/vm-config.ts';
import { describeOutcome, ExitStatus } from './exit-status.ts';
import { RUN_HELP } from './help.ts';
import { numaConfig } from './numa-option.ts';
import { runMachine } from './run-machine.ts';
import { parseRunOptions, type RunOptions } from './run-options.ts';
import { openSnapshotFile } from './snapshot-files.ts';
import { requestStartImage, startedFromImage } from './start-image/request.ts';
import { summaryJson } from './summary-text.ts';
import { readSymbols } from './symbols/read-symbols.ts';
import { SymbolTable } from './symbols/symbol-table.ts';
import { UsageError } from './usage-error.ts';

export async function runCommand(parameters: readonly string[]): Promise<number> {
  const options = parseRunOptions(parameters);
  if (options.help) {
    process.stdout.write(RUN_HELP);
    return ExitStatus.Success;
  }
  const symbols = symbolsOf(options);
  const { serial, trace, gdbPort, debugConnection } = options;
  if (options.snapshot !== undefined && !startedFromImage())
    setTimeout(requestStartImage, IMAGE_LATER_MS).unref();
  const config = { ...configOf(options), holdAtStart: options.gdbWait };
  const end = await runMachine(config, { serial, trace, gdbPort, debugConnection, symbols });
  process.stderr.write(`\npartita: ${describeOutcome(end.outcome).message}\n`);
  if (options.json) process.stdout.write(summaryJson(end.outcome, end.status, end.summary));
  return end.status;
}

function symbolsOf(options: RunOptions): SymbolTable | undefined {
  if (options.symbols.length === 0) return undefined;
  const all = options.symbols.flatMap((path) => readSymbols(readNamed('--symbols', path)));
  return new SymbolTable(all, options.symbolOffset);
}

function configOf(options: RunOptions): VmConfig {
  if (options.snapshot !== undefined) return configFrom(options.snapshot, options);
  return {
    kernel: readNamed('--kernel', options.kernel),
    initrd: options.initrd === undefined ? undefined : readNamed('--initrd', options.initrd),
    modules: options.modules.map((module) => ({
      ...readNamed('--module', module.path),
      commandLine: module.commandLine,
    })),
    commandLine: options.append,
    memoryBytes: options.memoryBytes,
    vpCount: options.vpCount,
    numa: numaConfig(options.numa, options.memoryBytes),
    timeoutSeconds: options.timeoutSeconds,
  };
}

/** The machine of a snapshot; its file stays open, for its memory, until this process ends. */
function configFrom(from: NonNullable<RunOptions['snapshot']>, options: RunOptions): VmConfig {
  const snapshot = readSnapshot(opened(from.option, from.path, () => openSnapshotFile(from.path)));
  const { memoryBytes, vpCount } = snapshot;
  const { asked, timeoutSeconds } = options;
  if (asked.memoryBytes !== undefined && asked.memoryBytes !== memoryBytes) {
    const [ours, theirs] = [asked.memoryBytes, memoryBytes].map((bytes) => `${bytes / 2 ** 20} MiB`);
    throw new UsageError(`${from.option} ${from.path}: its machine has ${theirs} of memory, not ${ours}`);
  }
  if (asked.vpCount !== undefined && asked.vpCount !== vpCount) {
    throw new UsageError(
      `${from.option} ${from.path}: its machine has ${vpCount} virtual processors, not ${asked.vpCount}`,
    );
  }
  return {
    kernel: { name: from.path, bytes: new Uint8Array(0) },
    modules: [],
    commandLine: '',
    memoryBytes,
    vpCount,
    numa: numaConfig(options.numa, memoryBytes),
    timeoutSeconds,
    restore: { snapshot, clone: from.clone },
  };
}

/** When the machine is up, an image for the next one is built. */
const IMAGE_LATER_MS = 2000;

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'it is a folder',
};

export function readNamed(option: string, path: string): NamedFile {
  return opened(option, path, () => ({ name: path, bytes: readFileSync(path) }));
}

/** What `open` answers; a file that it can't be had from is a UsageError. */
function opened<T>(option: string, path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(`${option} ${path}: ${REASONS[code ?? ''] ?? message}`);
  }
}
