/**
 * `npm run bench`: two tables, each with ratios to peers in the same run.
 *
 *   npm run bench -- [--runs N] [--tables linux,bare] [--record]
 *                    [--memory SIZE] [--programs a,b,c] [--only partita|qemu] [--flavour cloud|full|rt]
 *                    [--peers qemu,bochs,v86]
 *
 * `linux`: the same kernel, initial root and command line on Partita and on QEMU's TCG. Boot time runs from the
 * start of the monitor's process to the first line of /init; program times are taken inside the guest. `bare`: the
 * same 32-bit programs without an operating system, on the peers named, timed from outside. Several runs give
 * medians. `--record` adds the first table's ratios to bench/history.jsonl and draws bench/history.svg anew.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildInitramfs, cacheFolder, type Flavour, prepareDebianGuest } from '../src/guests/debian-guest.ts';
import { commandLine, INIT_FIRST_LINE, SCRIPT_DONE } from '../src/guests/initramfs.ts';
import { measureBare, printBareTable } from './bare-benchmark.ts';
import { PEERS } from './bare-machines.ts';
import { compilePrograms, PROGRAMS, programEntries, readResults } from './guest-programs.ts';
import { recordHistory } from './history.ts';
import { type Measurement, measure } from './measured-process.ts';
import { type MonitorFigures, printTable, ratiosOf } from './table.ts';

const RUN_TIMEOUT_SECONDS = 600;

interface Monitor {
  name: string;
  program: string;
  parameters(files: GuestFiles): string[];
}

interface GuestFiles {
  kernel: string;
  initrd: string;
  append: string;
  mebibytes: number;
}

const PARTITA: Monitor = {
  name: 'partita',
  program: process.execPath,
  parameters: ({ kernel, initrd, append, mebibytes }) => [
    ...[join(import.meta.dirname, '../src/cli/partita.ts'), 'run', '--json'],
    ...['--kernel', kernel, '--initrd', initrd, '--append', append, '--memory', `${mebibytes}M`],
  ],
};

const QEMU: Monitor = {
  name: 'qemu tcg',
  program: 'qemu-system-x86_64',
  parameters: ({ kernel, initrd, append, mebibytes }) => [
    ...['-accel', 'tcg', '-m', `${mebibytes}M`, '-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
    ...['-no-reboot', '-kernel', kernel, '-initrd', initrd, '-append', append],
  ],
};

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1' },
    memory: { type: 'string', default: '512' },
    programs: { type: 'string', default: PROGRAMS.join(',') },
    only: { type: 'string' },
    flavour: { type: 'string', default: 'cloud' },
    tables: { type: 'string', default: 'linux,bare' },
    peers: { type: 'string', default: PEERS.join(',') },
    record: { type: 'boolean', default: false },
  },
});

const log = (line: string): void => console.error(`bench: ${line}`);
const runCount = Math.max(1, Number.parseInt(values.runs, 10) || 1);
const tables = words('--tables', values.tables, ['linux', 'bare']);
const peers = words('--peers', values.peers, PEERS);
if (tables.includes('linux')) await linuxTable();
if (tables.includes('bare')) {
  const figures = await measureBare(peers, runCount, log);
  console.log();
  printBareTable(figures);
}

/** The words of a list with commas; one that is not known ends the command. */
function words<Word extends string>(option: string, list: string, known: readonly Word[]): Word[] {
  const unknown = list.split(',').filter((word) => !known.some((each) => each === word));
  if (unknown.length > 0) {
    log(`${option}: ${unknown.join(', ')} is none of ${known.join(', ')}`);
    process.exit(2);
  }
  return known.filter((word) => list.split(',').includes(word));
}

async function linuxTable(): Promise<void> {
  const guest = prepareDebianGuest(values.flavour as Flavour, log);
  const binary = compilePrograms(join(cacheFolder(), 'partita-bench'));
  if (binary === undefined) log('gcc is not installed: measuring the boot alone');
  const programs = values.programs.split(',');
  const files: GuestFiles = {
    kernel: guest.kernel,
    initrd: buildInitramfs(
      guest,
      join(cacheFolder(), 'initramfs-bench.cpio.gz'),
      programEntries(binary, programs),
    ),
    append: commandLine('bench'),
    mebibytes: Number.parseInt(values.memory, 10),
  };

  const monitors = [PARTITA, QEMU].filter(
    (monitor) => values.only === undefined || monitor.name.startsWith(values.only),
  );
  const figures: MonitorFigures[] = [];
  for (const monitor of monitors) {
    if (spawnSync(monitor.program, ['--version'], { stdio: 'ignore' }).error) {
      log(`${monitor.program} is not installed (Debian's package qemu-system-x86); leaving that column out`);
      continue;
    }
    figures.push(await measureMonitor(monitor, files));
  }
  const measured = binary === undefined ? [] : programs;
  printTable(figures, measured);
  if (values.record) recordHistory(ratiosOf(figures, measured), runCount, log);
}

async function measureMonitor(monitor: Monitor, files: GuestFiles): Promise<MonitorFigures> {
  const runs: Measurement[] = [];
  for (let run = 1; run <= runCount; run++) {
    log(`${monitor.name}: run ${run} of ${runCount}`);
    const result = await measure(
      monitor.program,
      monitor.parameters(files),
      INIT_FIRST_LINE,
      RUN_TIMEOUT_SECONDS,
    );
    if (!result.text.includes(SCRIPT_DONE) || result.status !== 0) {
      log(`${monitor.name} ended with status ${result.status} and did not finish; its last lines:`);
      console.error(result.text.split('\n').slice(-15).join('\n'));
      process.exitCode = 1;
    }
    runs.push(result);
  }
  return { name: monitor.name, runs, results: runs.map((run) => readResults(run.text)) };
}
