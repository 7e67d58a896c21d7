/** Runs the real command as a user does, and collects what it says. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const COMMAND = join(import.meta.dirname, '../../bin/partita');

export interface CommandResult {
  status: number | null;
  stdout: string;
  stderr: string;
  seconds: number;
}

export interface RunningCommand {
  pid: number;
  input(text: string): void;
  signal(name: NodeJS.Signals): void;
  /** Resolves when standard output holds `text`; rejects when the command ends first. */
  shows(text: string): Promise<void>;
  /** As `shows`, for standard error. */
  complains(text: string): Promise<void>;
  /** Standard error so far. */
  said(): string;
  end: Promise<CommandResult>;
}

export function start(
  parameters: readonly string[],
  environment: Record<string, string> = {},
): RunningCommand {
  const started = performance.now();
  const child = spawn(COMMAND, parameters, { stdio: 'pipe', env: { ...process.env, ...environment } });
  let stdout = '';
  let stderr = '';
  let closed = false;
  let changed = (): void => {};
  const notify = (): void => changed();
  child.stdout.on('data', (part: Buffer) => {
    stdout += part.toString('latin1');
    notify();
  });
  child.stderr.on('data', (part: Buffer) => {
    stderr += part.toString('latin1');
    notify();
  });
  child.stdin.on('error', () => {});
  const end = new Promise<CommandResult>((resolve) => {
    child.on('close', (status) => {
      closed = true;
      resolve({ status, stdout, stderr, seconds: (performance.now() - started) / 1000 });
      notify();
    });
  });
  const saying = async (text: string, where: () => string): Promise<void> => {
    while (!where().includes(text)) {
      if (closed)
        throw new Error(`the command ended without saying ${JSON.stringify(text)}:\n${stdout}${stderr}`);
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
  };
  return {
    pid: child.pid ?? 0,
    input: (text) => child.stdin.write(text),
    signal: (name) => child.kill(name),
    shows: (text) => saying(text, () => stdout),
    complains: (text) => saying(text, () => stderr),
    said: () => stderr,
    end,
  };
}

/** Runs to the end with an empty standard input. */
export function partita(...parameters: string[]): Promise<CommandResult> {
  const command = start(parameters);
  command.input('');
  return command.end;
}

/** A folder for a test's files, with a way to put bytes in it and to remove it. */
export function workFolder(): {
  path(name: string): string;
  write(name: string, bytes: Uint8Array | string): string;
  remove(): void;
} {
  const folder = mkdtempSync(join(tmpdir(), 'partita-it-'));
  const path = (name: string): string => join(folder, name);
  return {
    path,
    write(name, bytes) {
      writeFileSync(path(name), bytes);
      return path(name);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
