/**
 * The table over time: bench/history.jsonl has a line for each commit of note, bench/history.svg is drawn from it.
 * Ratios are Partita's seconds by those of QEMU's TCG in the same run, so that lines from different machines can
 * stand beside each other.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HistoryLine } from './history-line.ts';
import { drawHistory } from './history-svg.ts';

const FILE = join(import.meta.dirname, 'history.jsonl');
const PICTURE = join(import.meta.dirname, 'history.svg');

export function readHistory(): HistoryLine[] {
  if (!existsSync(FILE)) return [];
  const lines = readFileSync(FILE, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as HistoryLine);
}

/** Adds a line for the commit that is checked out, and draws the picture anew. */
export function recordHistory(
  ratios: Record<string, number>,
  runs: number,
  log: (line: string) => void,
): void {
  if (Object.keys(ratios).length === 0) {
    log('nothing to record: a ratio needs both monitors');
    process.exitCode = 1;
    return;
  }
  const [commit, date, subject] = git('log', '-1', '--format=%h%n%cs%n%s').split('\n');
  const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
  const line: HistoryLine = {
    commit: `${commit}${changed ? '+' : ''}`,
    date: date ?? '',
    subject: subject ?? '',
    runs,
    ratios: Object.fromEntries(
      Object.entries(ratios).map(([name, ratio]) => [name, Number(ratio.toFixed(3))]),
    ),
  };
  appendFileSync(FILE, `${JSON.stringify(line)}\n`);
  writeHistoryPicture();
  log(`recorded ${line.commit} in bench/history.jsonl`);
}

export function writeHistoryPicture(): void {
  writeFileSync(PICTURE, drawHistory(readHistory()));
}

function git(...parameters: string[]): string {
  const result = spawnSync('git', parameters, { cwd: import.meta.dirname, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`git ${parameters[0]} failed: ${result.stderr ?? result.error}`);
  return result.stdout.trim();
}

// `node bench/history.ts` draws the picture without measuring.
if (process.argv[1] === import.meta.filename) writeHistoryPicture();
