/** `node compare-native.ts RECORDS`: agreement with the real processor, form by form; the first differences of each. */
import { closeSync, openSync, readSync } from 'node:fs';
import { x87Forms } from './forms.ts';
import { describeRecord, RECORD_BYTES, replayRecord } from './replay.ts';

const SHOWN_PER_MNEMONIC = Number(process.argv[3] ?? 3);
const file = openSync(process.argv[2]!, 'r');
const buffer = new Uint8Array(RECORD_BYTES * 1000);
const seen = new Map<string, number>();
let total = 0;
let wrong = 0;
for (;;) {
  const length = readSync(file, buffer);
  if (length <= 0) break;
  for (let at = 0; at + RECORD_BYTES <= length; at += RECORD_BYTES) {
    const record = buffer.subarray(at, at + RECORD_BYTES);
    const differences = replayRecord(record);
    total++;
    if (differences.length === 0) continue;
    wrong++;
    const { mnemonic } = x87Forms[record[0]! | (record[1]! << 8)]!;
    const count = (seen.get(mnemonic) ?? 0) + 1;
    seen.set(mnemonic, count);
    if (count <= SHOWN_PER_MNEMONIC) console.log(`${describeRecord(record)}\n    ${differences.join('; ')}`);
  }
}
closeSync(file);
console.log([...seen].map(([mnemonic, count]) => `${mnemonic}: ${count}`).join('\n'));
console.log(`${total} records, ${wrong} differ`);
