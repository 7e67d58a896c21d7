/** `node compare-native-sse.ts RECORDS`: agreement of the precise SSE arithmetic with the real processor. */
import { readFileSync } from 'node:fs';
import { replaySse, SSE_RECORD_BYTES } from './sse-replay.ts';

const data = readFileSync(process.argv[2]!);
const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
let wrong = 0;
let total = 0;
const seen = new Map<string, number>();
for (let at = 0; at + SSE_RECORD_BYTES <= data.length; at += SSE_RECORD_BYTES) {
  total++;
  const difference = replaySse(view, at);
  if (difference === '') continue;
  wrong++;
  const name = difference.split(' mxcsr')[0]!;
  const count = (seen.get(name) ?? 0) + 1;
  seen.set(name, count);
  if (count <= 3) console.log(difference);
}
console.log(`${total} records, ${wrong} differ`);
