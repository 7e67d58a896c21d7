/**
 * Runs vitest and prints `N passed, N failed` as the very last line. Fails when a test fails, when a file cannot
 * be loaded, when vitest itself stumbles, and when nothing ran at all.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  testResults: { status: string; assertionResults: unknown[] }[];
}

const folder = mkdtempSync(join(tmpdir(), 'partita-test-'));
const output = join(folder, 'report.json');
const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs');
const run = spawnSync(
  process.execPath,
  [
    vitest,
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${output}`,
    ...process.argv.slice(2),
  ],
  { cwd: join(import.meta.dirname, '..'), stdio: 'inherit' },
);

let passed = 0;
let failed = 0;
if (existsSync(output)) {
  const report = JSON.parse(readFileSync(output, 'utf8')) as Report;
  passed = report.numPassedTests;
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  failed = report.numFailedTests + broken.length;
}
rmSync(folder, { recursive: true, force: true });
if (failed === 0 && (run.status !== 0 || passed === 0)) failed = 1;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
