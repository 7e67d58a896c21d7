import { expect, test } from 'vitest';
import { emptyProfile } from '../cpu/profile.ts';
import { describeOutcome } from './exit-status.ts';
import { summaryJson, summaryText } from './summary-text.ts';
import { traceLine } from './trace-file.ts';
import { tableText, treeText } from './tree-text.ts';

const SUMMARY = {
  instructions: 5_000_000,
  exits: { port: 3, halt: 9, none: 0 },
  hypercalls: { HvMapGpaPages: { HV_STATUS_SUCCESS: 4, HV_STATUS_INSUFFICIENT_MEMORY: 1 } },
  pool: { deposited: 64, available: 12 },
  pagesMapped: 1024,
  secondsToFirstSerial: 0.25,
  seconds: 2,
};

test('each way to end has the status that the manual promises', () => {
  const status = (outcome: Parameters<typeof describeOutcome>[0]): number => describeOutcome(outcome).status;
  expect(status({ kind: 'power-off' })).toBe(0);
  expect(status({ kind: 'reset' })).toBe(0);
  expect(status({ kind: 'exit-port', value: 16, status: 33 })).toBe(33);
  expect(status({ kind: 'crash', text: 'triple fault' })).toBe(3);
  expect(status({ kind: 'timeout', seconds: 5 })).toBe(124);
  expect(status({ kind: 'stopped' })).toBe(130);
  expect(status({ kind: 'error', error: new Error('x') })).toBe(70);
});

test('a crash is told with the text the guest left', () => {
  expect(describeOutcome({ kind: 'crash', text: 'Kernel panic: no init' }).message).toContain('no init');
});

test('trace lines are JSON with 64-bit values in hexadecimal', () => {
  const line = traceLine({ kind: 'intercept', rip: 0xffff_ffff_8100_0000n, bytes: Uint8Array.of(15, 1) });
  expect(line).toBe('{"kind":"intercept","rip":"0xffffffff81000000","bytes":"0f01"}\n');
});

test('the JSON summary is one line with outcome and status', () => {
  const line = summaryJson({ kind: 'power-off' }, 0, SUMMARY);
  expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(JSON.parse(line)).toMatchObject({ outcome: 'power-off', status: 0, instructions: 5_000_000 });
});

test('the summary for people tells how much was translated', () => {
  const profile = emptyProfile();
  profile.instructions = { interpreter: 1_000_000, regions: 4_000_000 };
  Object.assign(profile.translator, { regions: 12, milliseconds: 340 });
  expect(summaryText({ ...SUMMARY, profile })).toContain('80 % of them, in 12 regions made in 0.34 s');
  expect(summaryText(SUMMARY)).not.toContain('translated');
});

test('the summary for people counts exits by frequency and calls by status', () => {
  const text = summaryText(SUMMARY);
  expect(text.indexOf('halt')).toBeLessThan(text.indexOf('port'));
  expect(text).not.toContain('none');
  expect(text).toMatch(/HvMapGpaPages\s+HV_STATUS_INSUFFICIENT_MEMORY\s+1/);
  expect(text).toContain('5.0 million (3 million a second)');
});

test('lists of flat records print as aligned tables', () => {
  expect(
    tableText([
      { gpa: 0, pages: 5 },
      { gpa: 0x10000, pages: 120 },
    ]),
  ).toBe('    gpa  pages\n    0x0      5\n0x10000    120\n');
});

test('nested data prints by indentation', () => {
  const text = treeText({ partition: { id: 1, ranges: [{ a: 1 }, { a: 2 }] }, overlays: [], list: [1, 2] });
  expect(text).toBe('partition:\n  id: 1\n  ranges:\n    a\n    1\n    2\noverlays: none\nlist: 1 2\n');
});
