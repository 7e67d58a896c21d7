/**
 * `npm run conformance`: runs the suite and prints a table by section of TLFS 2.0a, what failed, what is not
 * covered and what can't occur. `--json` prints the figures only; `--static` runs the guests on the static stage.
 */

import { STATUS_ROWS } from '../../../src/hvdef/hypercall-status.ts';
import { HvStatus, statusName } from '../../../src/hvdef/status.ts';
import { IMPOSSIBLE, type Outcome, outcomesOf, runSuite, sectionOf } from './suite.ts';

const TITLES: Record<string, string> = {
  5: 'Partition management',
  6: 'Physical hardware management',
  7: 'Resource management',
  8: 'Guest physical address spaces',
  9: 'Intercepts',
  10: 'Virtual processor management',
  12: 'Virtual MMU and caching',
  13: 'Virtual interrupt control',
  14: 'Inter-partition communication',
  16: 'Message formats',
  17: 'Partition save and restore',
  18: 'Scheduler',
  19: 'Event logging',
  20: 'Guest debugging support',
  21: 'Statistics',
  23: 'System properties',
};

const chapterOf = (section: string): number => Number(section.split('.')[0]);
const holds = ({ failure }: Outcome): boolean => failure === undefined;

const result = runSuite(process.argv.includes('--static') ? { staticBlockLength: 16 } : {});
const { coverage } = result;

const outcomes = outcomesOf(result);
const failed = outcomes.filter((each) => !holds(each));

if (process.argv.includes('--json')) console.log(JSON.stringify(coverage));
else printReport();
process.exitCode = failed.length === 0 ? 0 : 1;

function printReport(): void {
  console.log('TLFS 2.0a, shown by guest code: status rows by chapter\n');
  console.log('chapter                                 rows covered   claims hold');
  const { length } = result.interface;
  const held = `${result.interface.filter(holds).length}/${length}`;
  console.log(` 4 ${'Hypercall interface'.padEnd(37)}${'common'.padStart(12)} ${held.padStart(13)}`);
  for (const [chapter, title] of Object.entries(TITLES)) {
    const inChapter = (section: string) => chapterOf(section) === Number(chapter);
    const rows = STATUS_ROWS.filter(({ call }) => inChapter(sectionOf(call)));
    if (rows.length === 0) continue;
    const claims = result.rows.filter(({ section }) => inChapter(section));
    const covered = rows.filter(({ call, status }) =>
      claims.some((each) => holds(each) && each.claim.call === call && each.claim.status === status),
    );
    const figures = `${covered.length}/${rows.length}`.padStart(12);
    const holding = `${claims.filter(holds).length}/${claims.length}`.padStart(13);
    console.log(`${chapter.padStart(2)} ${title.padEnd(37)}${figures} ${holding}`);
  }
  console.log(
    `\nhypercalls implemented   ${coverage.hypercalls.implemented} of ${coverage.hypercalls.total}`,
  );
  console.log(`status rows covered      ${coverage.statusRows.covered} of ${coverage.statusRows.total}`);
  console.log(`messages received        ${coverage.messages.covered} of ${coverage.messages.total}`);
  console.log(`registers set and read   ${coverage.registers.covered} of ${coverage.registers.total}`);
  printList(
    'Claims that fail',
    failed.map(({ section, name, failure }) => `§${section} ${name}: ${failure}`),
  );
  printList(
    'Rows that nothing shows',
    result.uncovered.map(
      ({ call, status }) => `§${sectionOf(call)} Hv${call}: ${statusName(HvStatus[status])}`,
    ),
  );
  printList(
    'What cannot occur here',
    IMPOSSIBLE.map(({ name, reason }) => `${name}: ${reason}`),
  );
  console.log(`\n${outcomes.length} claims, ${failed.length} fail.`);
}

function printList(title: string, lines: readonly string[]): void {
  if (lines.length === 0) return;
  console.log(`\n${title}:`);
  for (const line of lines) console.log(`  ${line}`);
}
