/** `partita run`. */
import { readFileSync } from 'node:fs';
import { readSavedMachine } from '../vm/saved-machine.ts';
import type { NamedFile, VmConfig } from '../vm/vm-config.ts';
import { describeOutcome, ExitStatus } from './exit-status.ts';
import { RUN_HELP } from './help.ts';
import { numaConfig } from './numa-option.ts';
import { runMachine } from './run-machine.ts';
import { parseRunOptions, type RunOptions } from './run-options.ts';
import { summaryJson } from './summary-text.ts';
import { UsageError } from './usage-error.ts';

export async function runCommand(parameters: readonly string[]): Promise<number> {
  const options = parseRunOptions(parameters);
  if (options.help) {
    process.stdout.write(RUN_HELP);
    return ExitStatus.Success;
  }
  const end = await runMachine(configOf(options), { serial: options.serial, trace: options.trace });
  process.stderr.write(`\npartita: ${describeOutcome(end.outcome).message}\n`);
  if (options.json) process.stdout.write(summaryJson(end.outcome, end.status, end.summary));
  return end.status;
}

function configOf(options: RunOptions): VmConfig {
  if (options.restore !== undefined) {
    const file = readNamed('--restore', options.restore);
    const restore = readSavedMachine(file);
    const { memoryBytes, vpCount } = restore;
    const kernel = { name: file.name, bytes: new Uint8Array(0) };
    const { timeoutSeconds } = options;
    const numa = numaConfig(options.numa, memoryBytes);
    return { kernel, modules: [], commandLine: '', memoryBytes, vpCount, numa, timeoutSeconds, restore };
  }
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

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'it is a folder',
};

export function readNamed(option: string, path: string): NamedFile {
  try {
    return { name: path, bytes: readFileSync(path) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(`${option} ${path}: ${REASONS[code ?? ''] ?? message}`);
  }
}
