/**
 * Runs one monitor as a process and times from outside what its guest does between the lines `BEGIN name` and
 * `END name checksum`: the guests' own clocks differ in what they count.
 */
import { type ChildProcess, spawn } from 'node:child_process';

export interface TimedProgram {
  seconds: number;
  checksum: string;
}

export interface TimedRun {
  programs: ReadonlyMap<string, TimedProgram>;
  /** The last line came. */
  finished: boolean;
  /** The last of what it printed, for when it did not. */
  tail: string;
}

/** Ends the process, and those it has started, when `lastLine` has come or after `timeoutSeconds`. */
export function timeLines(
  command: readonly string[],
  lastLine: string,
  timeoutSeconds: number,
): Promise<TimedRun> {
  return new Promise((resolve, reject) => {
    const [program, ...parameters] = command;
    // A process group of its own: a shell's children end with it.
    const child = spawn(program!, parameters, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const end = (): void => endGroup(child);
    const interrupted = (): void => {
      end();
      process.exit(130);
    };
    process.once('exit', end);
    process.once('SIGINT', interrupted);
    const limit = setTimeout(end, timeoutSeconds * 1000);
    const programs = new Map<string, TimedProgram>();
    const begun = new Map<string, number>();
    let finished = false;
    let partial = '';
    let tail = '';
    const line = (text: string): void => {
      const [, word, name, checksum] = /(BEGIN|END) (\S+)(?: ([0-9a-f]{8}))?$/.exec(text) ?? [];
      if (word === 'BEGIN') begun.set(name!, performance.now());
      const since = word === 'END' ? begun.get(name!) : undefined;
      if (since !== undefined && checksum !== undefined) {
        programs.set(name!, { seconds: (performance.now() - since) / 1000, checksum });
      }
      if (!text.endsWith(lastLine)) return;
      finished = true;
      end();
    };
    const receive = (part: Buffer): void => {
      tail = (tail + part.toString('latin1')).slice(-2000);
    };
    child.stdout.on('data', (part: Buffer) => {
      receive(part);
      const lines = (partial + part.toString('latin1').replaceAll('\r', '')).split('\n');
      partial = lines.pop() ?? '';
      for (const each of lines) line(each);
    });
    child.stderr.on('data', receive);
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(limit);
      process.off('exit', end);
      process.off('SIGINT', interrupted);
      resolve({ programs, finished, tail });
    });
  });
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
