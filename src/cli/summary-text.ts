/** The closing summary, for programs (`--json`) and for people. */
import type { VmOutcome, VmSummary } from '../vm/vm-outcome.ts';
import { describeOutcome } from './exit-status.ts';
import { startedFromImage } from './start-image/request.ts';
import { tableText } from './tree-text.ts';

/** One line of JSON: how it ended, the command's exit status, and the machine's summary. */
export function summaryJson(outcome: VmOutcome, status: number, summary: VmSummary): string {
  const { message } = describeOutcome(outcome);
  const startImage = startedFromImage();
  return `${JSON.stringify({ outcome: outcome.kind, status, message, ...summary, startImage })}\n`;
}

export function summaryText(summary: VmSummary): string {
  const rate = summary.seconds > 0 ? summary.instructions / summary.seconds / 1e6 : 0;
  const pool = `${summary.pool.deposited} deposited, ${summary.pool.available} available`;
  return [
    `seconds:       ${summary.seconds.toFixed(2)} (first serial output after ${seconds(summary.secondsToFirstSerial)})`,
    `instructions:  ${(summary.instructions / 1e6).toFixed(1)} million (${rate.toFixed(0)} million a second)`,
    ...translatedLines(summary),
    `GPA map:       ${summary.pagesMapped} pages of 4 KiB`,
    `memory pool:   ${pool}`,
    '',
    tableText(countRows(summary.exits)).trimEnd(),
    '',
    tableText(hypercallRows(summary.hypercalls)).trimEnd(),
    '',
  ].join('\n');
}

function translatedLines({ profile, instructions }: VmSummary): string[] {
  if (profile === undefined || instructions === 0) return [];
  const share = (100 * profile.instructions.regions) / instructions;
  const { regions, milliseconds } = profile.translator;
  return [
    `translated:    ${share.toFixed(0)} % of them, in ${regions} regions made in ${(milliseconds / 1000).toFixed(2)} s`,
  ];
}

function countRows(exits: VmSummary['exits']): { exit: string; count: number }[] {
  return Object.entries(exits)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([exit, count]) => ({ exit, count }));
}

function hypercallRows(
  calls: VmSummary['hypercalls'],
): { hypercall: string; status: string; count: number }[] {
  return Object.entries(calls).flatMap(([hypercall, statuses]) =>
    Object.entries(statuses).map(([status, count]) => ({ hypercall, status, count })),
  );
}

function seconds(value: number | undefined): string {
  return value === undefined ? 'none' : value.toFixed(2);
}
