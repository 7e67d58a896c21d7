/**
 * Writes a machine that stands still. A generator, so that the writer's event loop gets a turn between steps and can
 * tell how far it is: memory is looked through once for pages that are zero, then written with the checksum of each
 * page, and the header last. A file that was left half-way has no header.
 */
import { crc32 } from 'node:zlib';
import { PAGE_SIZE } from '../../hvdef/types.ts';
import { encodeStream } from '../../support/saved-state/state-stream.ts';
import type { StateRecord } from '../../support/saved-state/state-value.ts';
import type { NumaConfig } from '../numa-config.ts';
import { encodeHeader, layOut } from './format.ts';
import { PageIndex } from './page-index.ts';
import { savedNuma } from './saved-numa.ts';
import type { SnapshotSink } from './snapshot-file.ts';

/** Kind of the state's stream. */
export const MACHINE_STATE = 2;
/** Pages looked at in a step. */
const SCAN_STEP = 16_384;
/** Pages written in a step. */
const WRITE_STEP = 256;

export interface MachineState {
  memoryBytes: number;
  vpCount: number;
  numa: NumaConfig | undefined;
  /** The stream of HvSavePartitionState. */
  partition: Uint8Array;
  chipset: StateRecord;
}

/** Guest RAM to be saved. */
export interface SavedMemory {
  readonly pages: number;
  isZero(gpn: number): boolean;
  /** Copies `pages` pages from `gpn` on. */
  copy(gpn: number, pages: number, into: Uint8Array): void;
}

export interface SnapshotProgress {
  /** Pages written so far. */
  done: number;
  /** Pages to be written. */
  total: number;
}

/** Throws what the sink and the memory throw; the sink is then to be abandoned. */
export function* writeSnapshot(
  state: MachineState,
  memory: SavedMemory,
  sink: SnapshotSink,
): Generator<SnapshotProgress, void> {
  const scan = PageIndex.scan(memory.pages, (gpn) => !memory.isZero(gpn), SCAN_STEP);
  let found = scan.next();
  for (; !found.done; found = scan.next()) yield { done: 0, total: 0 };
  const index = found.value;
  const total = index.storedPages;

  const { numa, ...rest } = state;
  const stream = encodeStream(MACHINE_STATE, numa === undefined ? rest : { ...rest, numa: savedNuma(numa) });
  const runs = index.encode();
  const header = layOut(state.memoryBytes, total, [stream.length, runs.length, total * 4]);
  const checksums = new Uint8Array(total * 4);
  yield* writePages(index, memory, sink, header.firstMemoryPage * PAGE_SIZE, new DataView(checksums.buffer));

  const sections = [stream, runs, checksums].map((bytes, which) => {
    const { offset } = header.sections[which];
    sink.write(bytes, offset);
    return { offset, bytes: bytes.length, checksum: crc32(bytes) };
  });
  sink.write(encodeHeader({ ...header, sections }), 0);
}

function* writePages(
  index: PageIndex,
  memory: SavedMemory,
  sink: SnapshotSink,
  memoryOffset: number,
  checksums: DataView,
): Generator<SnapshotProgress, void> {
  const buffer = new Uint8Array(WRITE_STEP * PAGE_SIZE);
  const total = index.storedPages;
  for (const run of index.runs) {
    for (let done = 0; done < run.pages; done += WRITE_STEP) {
      const pages = Math.min(WRITE_STEP, run.pages - done);
      const stored = run.stored + done;
      memory.copy(run.gpn + done, pages, buffer);
      for (let page = 0; page < pages; page++) {
        const contents = buffer.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
        checksums.setUint32((stored + page) * 4, crc32(contents), true);
      }
      sink.write(buffer.subarray(0, pages * PAGE_SIZE), memoryOffset + stored * PAGE_SIZE);
      if ((stored + pages) % WRITE_STEP < pages) yield { done: stored + pages, total };
    }
  }
}
