/**
 * The checked-in native results: records of native.c and native-sse.c, packed. Packing stores what comes after
 * as its difference from before, turns records into columns and compresses; `node vectors.ts pack RECORDS FILE
 * x87|sse` does it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { RECORD_BYTES } from './replay.ts';
import { SSE_RECORD_BYTES } from './sse-replay.ts';

/** Where `size` bytes of a record repeat what lies `distance` earlier. */
interface Layout {
  recordBytes: number;
  repeats: readonly { at: number; size: number; distance: number }[];
}

export const LAYOUTS: Readonly<Record<string, Layout>> = {
  x87: { recordBytes: RECORD_BYTES, repeats: [{ at: 224, size: 220, distance: 220 }] },
  sse: { recordBytes: SSE_RECORD_BYTES, repeats: [{ at: 40, size: 8, distance: 32 }] },
};

function difference(record: Uint8Array, layout: Layout): void {
  for (const { at, size, distance } of layout.repeats) {
    for (let i = at; i < at + size; i++) record[i]! ^= record[i - distance]!;
  }
}

export function packVectors(records: Uint8Array, layout: Layout): Uint8Array {
  const count = records.length / layout.recordBytes;
  const columns = new Uint8Array(records.length);
  for (let index = 0; index < count; index++) {
    const record = records.slice(index * layout.recordBytes, (index + 1) * layout.recordBytes);
    difference(record, layout);
    record.forEach((byte, at) => {
      columns[at * count + index] = byte;
    });
  }
  return brotliCompressSync(columns, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 },
  });
}

/** One record after the other. */
export function unpackVectors(packed: Uint8Array, layout: Layout): Uint8Array[] {
  const columns = brotliDecompressSync(packed);
  const count = columns.length / layout.recordBytes;
  return Array.from({ length: count }, (_, index) => {
    const record = Uint8Array.from({ length: layout.recordBytes }, (_, at) => columns[at * count + index]!);
    difference(record, layout);
    return record;
  });
}

if (process.argv[2] === 'pack') {
  writeFileSync(process.argv[4]!, packVectors(readFileSync(process.argv[3]!), LAYOUTS[process.argv[5]!]!));
}
