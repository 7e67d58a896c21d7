/** Instructions that nobody wrote, on pages of RAM and devices: the host goes on, and both do the same. */
import { expect, test } from 'vitest';
import { decode, MAX_INSTRUCTION_LENGTH } from '../../../src/cpu/instructions/decode.ts';
import { Random } from '../../fuzz/random.ts';
import { DATA_ADDRESS, DATA_SIZE } from '../cpu/cpu-state.ts';
import { type FormCase, recordedCases } from './cases.ts';
import { CompletionRig, differences, type Place, type Result } from './rig.ts';

const CASES = 3000;
/** Some wait for what never comes, or jump to themselves. */
const MOST_SLICES = 40;
const PLACES: readonly Place[] = ['ram', 'device'];
/** They write some of it before they meet a fault; completed by the parent they write nothing. */
const WRITES_PARTLY = /^(enter|pusha|fnsave|fnstenv|maskmov.*|sgdt|sidt|ins)$/;
/** No two runs are alike. */
const READS_TIME = /^rdtsc/;

/** Mnemonics of what may be executed in a row, up to the case's end. */
function mnemonicsOf({ bytes, code }: FormCase): string[] {
  const padded = new Uint8Array(bytes.length + MAX_INSTRUCTION_LENGTH);
  padded.set(bytes);
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const result = decode(padded, at, MAX_INSTRUCTION_LENGTH, code);
    if (result.kind !== 'ok') break;
    found.push(result.instruction.row.mnemonic);
    at += result.instruction.length;
  }
  return found;
}

function outcome(rig: CompletionRig, each: FormCase, places: readonly [Place, Place]): Result | string {
  rig.ports.fill(0x5a);
  try {
    return rig.run(each, places, MOST_SLICES);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test('mutated instructions end alike on RAM and on devices', { timeout: 240_000 }, () => {
  const random = new Random(0x5eed);
  const cases = [...recordedCases(2)];
  let rig = new CompletionRig();
  let compared = 0;
  const failures: string[] = [];
  for (let k = 0; k < CASES; k++) {
    const each = { ...cases[random.below(cases.length)]! };
    each.bytes = each.bytes.slice();
    for (let n = random.below(3); n > 0; n--) each.bytes[random.below(each.bytes.length)] = random.below(256);
    each.gpr = each.gpr.slice();
    each.gpr[random.below(16)] = BigInt(DATA_ADDRESS + random.below(DATA_SIZE));
    each.privilege = random.below(4) === 0 ? 0 : 3;
    const places = [PLACES[random.below(2)]!, PLACES[random.below(2)]!] as const;
    const expected = outcome(rig, each, ['ram', 'ram']);
    const actual = typeof expected === 'string' ? expected : outcome(rig, each, places);
    if (typeof expected === 'string' || typeof actual === 'string') {
      if (expected !== actual) failures.push(`${k}: ${String(actual)}`);
      // What system registers it set is anyone's guess.
      rig = new CompletionRig();
      continue;
    }
    compared++;
    const mnemonics = mnemonicsOf(each);
    const isPartial = expected.isFault && mnemonics.some((name) => WRITES_PARTLY.test(name));
    if (isPartial || mnemonics.some((name) => READS_TIME.test(name))) continue;
    const found = differences(expected, actual);
    if (found.length > 0) {
      failures.push(
        `${k} ${Buffer.from(each.bytes).toString('hex')} on ${places.join(', ')}: ${found.join('; ')}`,
      );
    }
  }
  expect(failures).toEqual([]);
  expect(compared).toBeGreaterThan(CASES / 2);
});
