/** The benchmark programs inside the guest: compiled here by gcc, and the lines they print read back. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CpioEntry } from '../src/guests/cpio.ts';

export const PROGRAMS = [
  'integer',
  'sieve',
  'sha256',
  'memcpy',
  'pointer-chase',
  'floating-point',
  'syscalls',
  'fork',
  'page-faults',
  'compression',
] as const;

export interface ProgramResult {
  seconds: number;
  checksum: string;
  /** Guest instructions of the measured loop, where the program knows. */
  instructions?: number;
}

/** Compiles all programs into one static binary; undefined where gcc is missing. Throws with gcc's own words. */
export function compilePrograms(output: string): string | undefined {
  const folder = join(import.meta.dirname, 'programs');
  const sources = readdirSync(folder)
    .filter((file) => file.endsWith('.c'))
    .map((file) => join(folder, file));
  const gcc = spawnSync('gcc', ['-O2', '-static', '-s', '-o', output, ...sources, '-lm'], {
    encoding: 'utf8',
  });
  if (gcc.error) return undefined;
  if (gcc.status !== 0) throw new Error(`gcc failed:\n${gcc.stderr}`);
  return output;
}

/** The binary and the script `bench`, which runs the programs named, for the initial root. */
export function programEntries(binary: string | undefined, programs: readonly string[]): CpioEntry[] {
  const lines = programs.map((name) => `/bin/partita-bench ${name}\n`);
  const script: CpioEntry = {
    kind: 'file',
    path: 'etc/partita/bench',
    data: binary ? lines.join('') : ':\n',
  };
  if (binary === undefined) return [script];
  return [script, { kind: 'file', path: 'bin/partita-bench', data: readFileSync(binary), mode: 0o755 }];
}

export function readResults(text: string): Map<string, ProgramResult> {
  const results = new Map<string, ProgramResult>();
  for (const match of text.matchAll(/^BENCH (\S+) ([\d.]+) ([0-9a-f]{16})(?: (\d+))?/gm)) {
    const [, name, seconds, checksum, instructions] = match;
    results.set(name, {
      seconds: Number(seconds),
      checksum,
      instructions: instructions === undefined ? undefined : Number(instructions),
    });
  }
  return results;
}
