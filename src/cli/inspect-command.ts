/** `partita inspect`. */
import { parseArgs } from 'node:util';
import { ExitStatus } from './exit-status.ts';
import { INSPECT_HELP } from './help.ts';
import { askMachine, runningMachines } from './inspect-socket.ts';
import { pictureOfInspection } from './picture/from-inspection.ts';
import { givePicture } from './picture-file.ts';
import { firstSentence } from './run-options.ts';
import { treeText } from './tree-text.ts';
import { UsageError } from './usage-error.ts';

export async function inspectCommand(parameters: readonly string[]): Promise<number> {
  const { values, positionals } = parse(parameters);
  if (values.help) {
    process.stdout.write(INSPECT_HELP);
    return ExitStatus.Success;
  }
  const running = await runningMachines();
  const pid = choose(positionals, running);
  if (pid === undefined) {
    process.stdout.write(`several machines run; choose one: ${running.join(' ')}\n`);
    return ExitStatus.Usage;
  }
  const document = await askMachine(pid).catch((error: unknown) => {
    throw new UsageError(`inspect ${pid}: ${firstSentence(error)}`);
  });
  if (values.map || values.svg !== undefined || values.html !== undefined) {
    givePicture(pictureOfInspection(document), values);
    return ExitStatus.Success;
  }
  process.stdout.write(values.json ? `${JSON.stringify(document, undefined, 2)}\n` : treeText(document));
  return ExitStatus.Success;
}

function parse(parameters: readonly string[]) {
  try {
    return parseArgs({
      args: [...parameters],
      options: {
        json: { type: 'boolean', default: false },
        map: { type: 'boolean', default: false },
        svg: { type: 'string' },
        html: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(firstSentence(error));
  }
}

/** The process asked for, or the only one there is; undefined when there are several. */
function choose(positionals: readonly string[], running: readonly number[]): number | undefined {
  if (positionals.length > 1) throw new UsageError('inspect takes one process number');
  if (positionals.length === 1) {
    const pid = Number(positionals[0]);
    if (!Number.isInteger(pid) || pid <= 0)
      throw new UsageError(`inspect ${positionals[0]}: not a process number`);
    if (!running.includes(pid))
      throw new UsageError(`inspect ${pid}: no machine of yours runs in that process`);
    return pid;
  }
  if (running.length === 0) throw new UsageError('inspect: no machine of yours is running');
  return running.length === 1 ? running[0] : undefined;
}
