/** Every form with an operand in memory does on a device's page what it does on RAM. */
import { expect, test } from 'vitest';
import { type FormCase, madeCases, memoryForms, recordedCases } from './cases.ts';
import { CompletionRig, differences, type Place } from './rig.ts';

const CASES_A_FORM = 3;
/** An operand of two bytes or more crosses from the first data page into the second. */
const BORDER = 0x1000 - 1;

/** Forms that never meet the page that their operand names, by mnemonic. */
const TOUCH_NOTHING: Readonly<Record<string, string>> = {
  lea: 'computes the address only',
  nop: 'ignores its operand',
  prefetch: 'is a hint',
  invlpg: 'takes the address only',
  ud0: 'is undefined before its operand counts',
  ud1: 'is undefined before its operand counts',
};

type Places = readonly [Place, Place];

/** Runs a case on RAM and on `places`; what differs, and whether the parent had to complete it. */
function compare(rig: CompletionRig, each: FormCase, places: Places): { failure: string[]; isMet: boolean } {
  const name = `${each.form} ${Buffer.from(each.bytes).toString('hex')} on ${places.join(', ')}`;
  try {
    const expected = rig.run(each, ['ram', 'ram']);
    const actual = rig.run(each, places);
    const found = differences(expected, actual);
    return {
      failure: found.length > 0 ? [`${name}: ${found.join('; ')}`] : [],
      isMet: actual.intercepts > 0,
    };
  } catch (error) {
    return { failure: [`${name}: ${error instanceof Error ? error.message : error}`], isMet: false };
  }
}

test('registers, flags and memory are the same on a device as on RAM', { timeout: 240_000 }, () => {
  const rig = new CompletionRig();
  const met = new Set<string>();
  const failures: string[] = [];
  const seen = new Set<string>();
  const check = (each: FormCase) => {
    seen.add(each.form);
    const { failure, isMet } = compare(rig, each, ['device', 'device']);
    if (isMet) met.add(each.form);
    failures.push(...failure);
  };
  for (const each of recordedCases(CASES_A_FORM)) check(each);
  for (const form of memoryForms) if (!seen.has(form.key)) for (const each of madeCases(form)) check(each);

  expect(failures).toEqual([]);
  const unmet = memoryForms.filter(({ key }) => !met.has(key)).map(({ mnemonic }) => mnemonic);
  expect([...new Set(unmet)].sort()).toEqual(Object.keys(TOUCH_NOTHING).sort());
});

test.each([
  ['ram', 'device'],
  ['device', 'ram'],
  ['device', 'device'],
] as const)('an operand that crosses from %s into %s is one operand', { timeout: 240_000 }, (...places) => {
  const rig = new CompletionRig();
  const failures: string[] = [];
  let met = 0;
  for (const form of memoryForms) {
    for (const each of [...madeCases(form, BORDER)].slice(0, 2)) {
      const { failure, isMet } = compare(rig, each, places);
      failures.push(...failure);
      if (isMet) met++;
    }
  }
  expect(failures).toEqual([]);
  expect(met).toBeGreaterThan(memoryForms.length / 2);
});
