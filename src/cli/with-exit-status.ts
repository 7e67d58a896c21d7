/** How a command ends: refusals are messages and statuses, a defect shows where it is. */
import { ConfigurationError } from '../vm/vm-config.ts';
import { ExitStatus } from './exit-status.ts';
import { UsageError } from './usage-error.ts';

/** Options of the machine by the name that `checkConfig` uses for them. */
const OPTION_SUBJECTS = ['memory', 'vps', 'numa', 'timeout', 'append', 'initrd', 'kernel', 'module'];

/** Runs a command; what it answers or throws becomes the process's exit status, with a message. */
export async function withExitStatus(command: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command();
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
}
