/** What a machine's end means to the shell that started us, and the one line that tells a person. */
import { ConfigurationError } from '../vm/vm-config.ts';
import type { VmOutcome } from '../vm/vm-outcome.ts';

/** Exit statuses of the command that are not the guest's own (the guest's: see `describeOutcome`). */
export const ExitStatus = {
  Success: 0,
  /** The command line, a file or the machine asked for cannot be. */
  Usage: 2,
  GuestCrash: 3,
  /** A defect of ours. */
  Internal: 70,
  Timeout: 124,
  /** Ended from the keyboard or by a signal: 128 + SIGINT, 128 + SIGTERM, as shells count. */
  Interrupted: 130,
  Terminated: 143,
} as const;

export interface Ending {
  status: number;
  message: string;
}

export function describeOutcome(outcome: VmOutcome): Ending {
  switch (outcome.kind) {
    case 'power-off':
      return { status: ExitStatus.Success, message: 'the guest powered off' };
    case 'reset':
      return { status: ExitStatus.Success, message: 'the guest asked for a reset' };
    case 'saved':
      return { status: ExitStatus.Success, message: 'the machine was saved' };
    case 'exit-port':
      return { status: outcome.status, message: `the guest wrote ${outcome.value} to the exit port` };
    case 'crash':
      return { status: ExitStatus.GuestCrash, message: `the guest crashed: ${outcome.text}` };
    case 'snapshot-damaged':
      return { status: ExitStatus.Usage, message: outcome.text };
    case 'timeout':
      return { status: ExitStatus.Timeout, message: `stopped after ${outcome.seconds} seconds (--timeout)` };
    case 'stopped':
      return { status: ExitStatus.Interrupted, message: 'stopped' };
    case 'error':
      if (outcome.error instanceof ConfigurationError) {
        return { status: ExitStatus.Usage, message: outcome.error.message };
      }
      return {
        status: ExitStatus.Internal,
        message: `a defect of partita ended the machine: ${outcome.error.stack ?? outcome.error.message}`,
      };
  }
}
