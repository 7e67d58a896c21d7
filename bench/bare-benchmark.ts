/** The second table of `npm run bench`: the same 32-bit programs on Partita and on each peer, without a kernel of theirs. */
import { join } from 'node:path';
import { cacheFolder } from '../src/guests/debian-guest.ts';
import type { Progress } from '../src/guests/debian-packages.ts';
import { type BareMachine, type Peer, partitaMachine, peerMachine } from './bare-machines.ts';
import { ALL_DONE, BARE_PROGRAMS, compileBareImages } from './bare-programs.ts';
import { geometricMean, median, printColumns } from './ratios.ts';
import { type TimedRun, timeLines } from './timed-lines.ts';

const RUN_TIMEOUT_SECONDS = 240;

export interface BareFigures {
  name: string;
  runs: readonly TimedRun[];
}

/** Runs the programs on Partita and on `peers`, those that are missing left out by name. Partita comes first. */
export async function measureBare(
  peers: readonly Peer[],
  runs: number,
  log: Progress,
): Promise<BareFigures[]> {
  const images = compileBareImages(join(cacheFolder(), 'bench-bare'));
  if (images === undefined) {
    log('gcc is not installed: leaving out the programs on the bare processor');
    return [];
  }
  const machines: BareMachine[] = [partitaMachine(images)];
  for (const peer of peers) {
    const machine = peerMachine(peer, images, log);
    if (typeof machine === 'string') log(`${peer} is left out: ${machine}`);
    else machines.push(machine);
  }
  const figures: BareFigures[] = [];
  for (const machine of machines) figures.push(await measureMachine(machine, runs, log));
  return figures;
}

async function measureMachine(
  { name, command }: BareMachine,
  count: number,
  log: Progress,
): Promise<BareFigures> {
  const runs: TimedRun[] = [];
  for (let run = 1; run <= count; run++) {
    log(`${name}, bare processor: run ${run} of ${count}`);
    const result = await timeLines(command, ALL_DONE, RUN_TIMEOUT_SECONDS);
    runs.push(result);
    if (result.finished) continue;
    log(`${name} did not finish; its last lines:\n${result.tail}`);
    process.exitCode = 1;
    break;
  }
  return { name, runs };
}

/** Partita's medians by a peer's, by program. */
export function bareRatios(ours: BareFigures, theirs: BareFigures): Record<string, number> {
  const ratios: Record<string, number> = {};
  for (const program of BARE_PROGRAMS) {
    const [mine, other] = [secondsOf(ours, program), secondsOf(theirs, program)];
    if (mine !== undefined && other) ratios[program] = mine / other;
  }
  return ratios;
}

export function printBareTable(figures: readonly BareFigures[]): void {
  const [ours, ...peers] = figures;
  if (ours === undefined) return;
  const ratios = peers.map((peer) => bareRatios(ours, peer));
  const head = ['32-bit, no kernel', ...figures.map(({ name }) => `${name}, s`)];
  const rows = BARE_PROGRAMS.map((program) => [
    program,
    ...figures.map((each) => secondsOf(each, program)?.toFixed(3) ?? '-'),
    ...ratios.map((each) => each[program]?.toFixed(2) ?? '-'),
  ]);
  const means = ratios.map((each) => geometricMean(Object.values(each))?.toFixed(2) ?? '-');
  printColumns([
    [...head, ...peers.map(({ name }) => `ratio to ${name}`)],
    ...rows,
    ['geometric mean', ...figures.map(() => ''), ...means],
  ]);
  for (const program of BARE_PROGRAMS) checkSums(figures, program);
}

const secondsOf = (figures: BareFigures, program: string): number | undefined =>
  median(figures.runs.map((run) => run.programs.get(program)?.seconds));

/** A program that computes something else on one of the monitors has found a defect. */
function checkSums(figures: readonly BareFigures[], program: string): void {
  const sums = new Set(figures.flatMap(({ runs }) => runs.map((run) => run.programs.get(program)?.checksum)));
  if (sums.size <= 1 && !sums.has(undefined)) return;
  console.log(`${program}: checksums differ or are missing: ${[...sums].join(' ')}`);
  process.exitCode = 1;
}
