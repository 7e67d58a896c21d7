/** The side-by-side table: medians over runs, and the first monitor's figure divided by the second's. */
import type { ProgramResult } from './guest-programs.ts';
import type { Measurement } from './measured-process.ts';
import { geometricMean, median, printColumns } from './ratios.ts';

export interface MonitorFigures {
  name: string;
  runs: readonly Measurement[];
  /** The guest's own results, by program, for each run. */
  results: readonly ReadonlyMap<string, ProgramResult>[];
}

interface Row {
  title: string;
  digits: number;
  value(figures: MonitorFigures): number | undefined;
}

export function printTable(monitors: readonly MonitorFigures[], programs: readonly string[]): void {
  const rows = [...machineRows(), ...programs.map(programRow), instructionRow()];
  const cells = rows.map((row) => {
    const numbers = monitors.map((monitor) => row.value(monitor));
    const [ours, theirs] = numbers;
    const ratio = ours !== undefined && theirs ? (ours / theirs).toFixed(2) : '';
    const figures = numbers.map((number) => number?.toFixed(row.digits) ?? '-');
    return [row.title, ...figures, ...(monitors.length === 2 ? [ratio] : [])];
  });
  const head = ['', ...monitors.map((monitor) => monitor.name), ...(monitors.length === 2 ? ['ratio'] : [])];
  const mean = geometricMean(Object.values(ratiosOf(monitors, programs)));
  const last = mean === undefined ? [] : [['geometric mean', '', '', mean.toFixed(2)]];
  printColumns([head, ...cells, ...last]);
  for (const program of programs) checkSums(monitors, program);
}

/** The first monitor's medians by the second's: `boot` and each program. Empty unless there are two. */
export function ratiosOf(
  monitors: readonly MonitorFigures[],
  programs: readonly string[],
): Record<string, number> {
  const ratios: Record<string, number> = {};
  if (monitors.length !== 2) return ratios;
  const rows = new Map([
    ['boot', machineRows()[0]!],
    ...programs.map((each) => [each, programRow(each)] as const),
  ]);
  for (const [name, row] of rows) {
    const [ours, theirs] = monitors.map((monitor) => row.value(monitor));
    if (ours !== undefined && theirs) ratios[name] = ours / theirs;
  }
  return ratios;
}

function machineRows(): Row[] {
  const row = (title: string, digits: number, pick: (run: Measurement) => number | undefined): Row => ({
    title,
    digits,
    value: (figures) => median(figures.runs.map(pick)),
  });
  return [
    row('boot to the first line of /init, s', 2, (run) => run.markerSeconds),
    row('whole run, s', 2, (run) => run.seconds),
    row('host processor time, s', 2, (run) => run.processorSeconds),
    row('peak memory, MiB', 0, (run) => run.peakMebibytes),
  ];
}

function programRow(program: string): Row {
  return {
    title: `${program}, s`,
    digits: 3,
    value: (figures) => median(figures.results.map((results) => results.get(program)?.seconds)),
  };
}

function instructionRow(): Row {
  return {
    title: 'integer loop, million guest instructions/s',
    digits: 0,
    value: (figures) =>
      median(
        figures.results.map((results) => {
          const result = results.get('integer');
          return result?.instructions === undefined ? undefined : result.instructions / result.seconds / 1e6;
        }),
      ),
  };
}

/** A program that computes something else on one of the monitors has found a defect. */
function checkSums(monitors: readonly MonitorFigures[], program: string): void {
  const sums = new Set(
    monitors.flatMap((monitor) => monitor.results.map((each) => each.get(program)?.checksum)),
  );
  if (sums.size <= 1 && !sums.has(undefined)) return;
  console.log(`${program}: checksums differ or are missing: ${[...sums].join(' ')}`);
  process.exitCode = 1;
}
