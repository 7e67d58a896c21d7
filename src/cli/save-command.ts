/**
 * `partita snapshot` and `partita save`: both ask a running machine to write itself to a file, and write the same file.
 * A machine that was saved ends, one of which a snapshot was taken runs on.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ExitStatus } from './exit-status.ts';
import { SAVE_HELP, SNAPSHOT_HELP } from './help.ts';
import { askForSnapshot, runningMachines } from './inspect-socket.ts';
import { firstSentence } from './run-options.ts';
import { requestStartImage } from './start-image/request.ts';
import { UsageError } from './usage-error.ts';

/** A snapshot that takes longer tells how far it is. */
const QUIET_MILLISECONDS = 500;

export function snapshotCommand(parameters: readonly string[]): Promise<number> {
  const { values, positionals } = parse(parameters, 'snapshot');
  return writeMachine('snapshot', positionals, !values.stop, values.help ? SNAPSHOT_HELP : undefined);
}

export function saveCommand(parameters: readonly string[]): Promise<number> {
  const { values, positionals } = parse(parameters, 'save');
  return writeMachine('save', positionals, values.continue, values.help ? SAVE_HELP : undefined);
}

async function writeMachine(
  command: string,
  positionals: readonly string[],
  goOn: boolean,
  help: string | undefined,
): Promise<number> {
  if (help !== undefined) {
    process.stdout.write(help);
    return ExitStatus.Success;
  }
  const file = positionals.at(-1);
  if (file === undefined || positionals.length > 2) throw new UsageError(`${command} takes [PID] FILE`);
  const running = await runningMachines();
  const pid = positionals.length === 2 ? Number(positionals[0]) : running[0];
  if (pid === undefined) throw new UsageError(`${command}: no machine of yours is running`);
  if (positionals.length === 1 && running.length > 1) {
    throw new UsageError(`${command}: several machines run; choose one: ${running.join(' ')}`);
  }
  if (!running.includes(pid))
    throw new UsageError(`${command} ${positionals[0]}: no machine of yours runs in that process`);
  const progress = progressLine(file);
  const order = { file: resolve(file), goOn };
  const problem = await askForSnapshot(pid, order, progress.tell).catch(firstSentence);
  progress.end();
  if (problem !== undefined) throw new UsageError(`${command} ${file}: ${problem}`);
  requestStartImage();
  return ExitStatus.Success;
}

/** A line on the terminal, once it takes long. */
function progressLine(file: string): { tell(done: number, total: number): void; end(): void } {
  const started = performance.now();
  let shown = false;
  return {
    tell(done, total) {
      if (!process.stderr.isTTY || performance.now() - started < QUIET_MILLISECONDS) return;
      const part = total === 0 ? 0 : Math.floor((done / total) * 100);
      const mebibytes = (pages: number): string => (pages / 256).toFixed(0);
      process.stderr.write(`\r${file}: ${mebibytes(done)} of ${mebibytes(total)} MiB, ${part} %\x1b[K`);
      shown = true;
    },
    end() {
      if (shown) process.stderr.write('\n');
    },
  };
}

const FLAG = { type: 'boolean', default: false } as const;
const HELP = { ...FLAG, short: 'h' } as const;
const OPTIONS = {
  snapshot: { stop: FLAG, help: HELP },
  save: { continue: FLAG, help: HELP },
} as const;

function parse<Command extends keyof typeof OPTIONS>(parameters: readonly string[], command: Command) {
  try {
    return parseArgs({ args: [...parameters], options: OPTIONS[command], allowPositionals: true });
  } catch (error) {
    throw new UsageError(firstSentence(error));
  }
}
