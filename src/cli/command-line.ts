/** What a command line comes to: picks the subcommand and turns refusals into messages and exit statuses. */
import { readFileSync } from 'node:fs';
import { demoCommand } from './demo-command.ts';
import { ExitStatus } from './exit-status.ts';
import { GENERAL_HELP } from './help.ts';
import { inspectCommand } from './inspect-command.ts';
import { pictureCommand } from './picture-command.ts';
import { runCommand } from './run-command.ts';
import { saveCommand, snapshotCommand } from './save-command.ts';
import { symbolsCommand } from './symbols-command.ts';
import { UsageError } from './usage-error.ts';
import { withExitStatus } from './with-exit-status.ts';

const COMMANDS: Record<string, (parameters: readonly string[]) => Promise<number>> = {
  run: runCommand,
  inspect: inspectCommand,
  picture: pictureCommand,
  symbols: symbolsCommand,
  snapshot: snapshotCommand,
  save: saveCommand,
  demo: demoCommand,
};

async function main(parameters: readonly string[]): Promise<number> {
  const [name, ...rest] = parameters;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(GENERAL_HELP);
    return name === undefined ? ExitStatus.Usage : ExitStatus.Success;
  }
  if (name === '--version') {
    const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    process.stdout.write(`partita ${(JSON.parse(manifest) as { version: string }).version}\n`);
    return ExitStatus.Success;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new UsageError(`there is no command '${name}'; partita --help lists them`);
  return command(rest);
}

/** Runs the command and sets the process's exit status. */
export function runCommandLine(parameters: readonly string[]): Promise<void> {
  return withExitStatus(() => main(parameters));
}
