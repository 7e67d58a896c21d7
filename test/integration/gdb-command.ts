/**
 * Debian's gdb for the integration tests: the machine's own, or unpacked from Debian's packages like the guests'
 * kernels and run where it lies, without root.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { PackageError } from '../../src/guests/debian-packages.ts';
import { prepareUserland } from '../../src/guests/debian-userland.ts';

export type Gdb = { kind: 'ready'; command: readonly string[] } | { kind: 'missing'; reason: string };

/** On continuous integration a gdb that cannot be had is a failure, not a reason to skip. */
export function findGdb(): Gdb {
  if (runs(['gdb'])) return { kind: 'ready', command: ['gdb'] };
  try {
    const command = unpackedGdb(prepareUserland(['gdb'], () => {}));
    if (!runs(command)) throw new PackageError('apt-failed', "Debian's gdb does not run on this machine");
    return { kind: 'ready', command };
  } catch (error) {
    if (!(error instanceof PackageError) || process.env.CI === 'true') throw error;
    return { kind: 'missing', reason: error.message };
  }
}

function unpackedGdb(folder: string): string[] {
  const libraries = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'].map((each) => join(folder, each));
  return [
    ...[join(folder, 'lib64/ld-linux-x86-64.so.2'), '--library-path', libraries.join(':')],
    ...[join(folder, 'usr/bin/gdb'), '--data-directory', join(folder, 'usr/share/gdb')],
  ];
}

function runs(command: readonly string[]): boolean {
  const [program, ...parameters] = command;
  return spawnSync(program, [...parameters, '--version'], { stdio: 'ignore' }).status === 0;
}

/** Runs gdb's commands one after another and answers all it said. */
export function runGdb(
  gdb: readonly string[],
  commands: readonly string[],
  seconds: number,
): Promise<string> {
  const [program, ...parameters] = gdb;
  const settings = ['set pagination off', 'set confirm off', `set remotetimeout ${seconds}`];
  const each = [...settings, ...commands].flatMap((command) => ['-ex', command]);
  const child = spawn(program, [...parameters, '-nx', '-batch', ...each], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const take = (part: Buffer): void => {
    text += part.toString('utf8');
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}
