/** `partita save`: asks a running machine to write itself to a file. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ExitStatus } from './exit-status.ts';
import { SAVE_HELP } from './help.ts';
import { askToSave, runningMachines } from './inspect-socket.ts';
import { firstSentence } from './run-options.ts';
import { UsageError } from './usage-error.ts';

export async function saveCommand(parameters: readonly string[]): Promise<number> {
  const { values, positionals } = parse(parameters);
  if (values.help) {
    process.stdout.write(SAVE_HELP);
    return ExitStatus.Success;
  }
  const file = positionals.at(-1);
  if (file === undefined || positionals.length > 2) throw new UsageError('save takes [PID] FILE');
  const running = await runningMachines();
  const pid = positionals.length === 2 ? Number(positionals[0]) : running[0];
  if (pid === undefined) throw new UsageError('save: no machine of yours is running');
  if (positionals.length === 1 && running.length > 1) {
    throw new UsageError(`save: several machines run; choose one: ${running.join(' ')}`);
  }
  if (!running.includes(pid))
    throw new UsageError(`save ${positionals[0]}: no machine of yours runs in that process`);
  const problem = await askToSave(pid, { file: resolve(file), goOn: values.continue }).catch(firstSentence);
  if (problem !== undefined) throw new UsageError(`save ${file}: ${problem}`);
  return ExitStatus.Success;
}

function parse(parameters: readonly string[]) {
  try {
    return parseArgs({
      args: [...parameters],
      options: {
        continue: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(firstSentence(error));
  }
}
