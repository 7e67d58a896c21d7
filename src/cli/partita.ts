/** The `partita` command: picks the subcommand and turns refusals into messages and exit statuses. */
import { readFileSync } from 'node:fs';
import { ConfigurationError } from '../vm/vm-config.ts';
import { demoCommand } from './demo-command.ts';
import { ExitStatus } from './exit-status.ts';
import { GENERAL_HELP } from './help.ts';
import { inspectCommand } from './inspect-command.ts';
import { pictureCommand } from './picture-command.ts';
import { runCommand } from './run-command.ts';
import { saveCommand } from './save-command.ts';
import { UsageError } from './usage-error.ts';

const COMMANDS: Record<string, (parameters: readonly string[]) => Promise<number>> = {
  run: runCommand,
  inspect: inspectCommand,
  picture: pictureCommand,
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

/** Options of the machine by the name that `checkConfig` uses for them. */
const OPTION_SUBJECTS = ['memory', 'vps', 'numa', 'timeout', 'append', 'initrd', 'kernel', 'module'];

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof ConfigurationError) {
    const dashes = OPTION_SUBJECTS.includes(error.subject) ? '--' : '';
    process.stderr.write(`partita: ${dashes}${error.message}\n`);
    process.exitCode = ExitStatus.Usage;
  } else if (error instanceof UsageError) {
    process.stderr.write(`partita: ${error.message}\n`);
    process.exitCode = ExitStatus.Usage;
  } else {
    process.stderr.write(`partita: ${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = ExitStatus.Internal;
  }
}
