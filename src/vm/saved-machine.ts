/**
 * A whole machine as one file: what the parent keeps (memory, chipset, shape of the machine) and the hypervisor's part
 * (TLFS 2.0a §17.1.4, §17.1.5).
 *
 *   "PARTITA\n"   length of the state (4)   state (support/saved-state/state-stream.ts)
 *   then runs of RAM that is not zero: first page (4)   pages (4)   their bytes; ended by a run of no pages
 *
 * Nothing here opens a file. Reading refuses what is no such file, with the reason, before a machine is made.
 */
import { PAGE_SIZE } from '../hvdef/types.ts';
import {
  decodeStream,
  encodeStream,
  STREAM_HEADER_BYTES,
  streamHeader,
} from '../support/saved-state/state-stream.ts';
import { StateReader, type StateRecord } from '../support/saved-state/state-value.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { MemoryRun, SavedMachine } from './saved-contents.ts';
import { ConfigurationError, type NamedFile } from './vm-config.ts';

const MARK = new TextEncoder().encode('PARTITA\n');
const PREFIX_BYTES = MARK.length + 4;
const RUN_HEADER_BYTES = 8;
const MACHINE_STATE = 2;
/** Pages of one run: bounds the copies that are made. */
const LONGEST_RUN = 4096;
const MOST_PARTITION_BYTES = 16 * 2 ** 20;

export interface MachineState {
  memoryBytes: number;
  vpCount: number;
  partition: Uint8Array;
  chipset: StateRecord;
}

/** The file, piece by piece; each piece is the consumer's until it asks for the next. */
export function* savedMachineBytes(state: MachineState, memory: GuestMemory): Generator<Uint8Array> {
  const stream = encodeStream(MACHINE_STATE, { ...state });
  yield MARK;
  yield words(stream.length);
  yield stream;
  for (let gpn = 0; gpn < memory.pages; ) {
    if (memory.isZero(gpn)) {
      gpn++;
      continue;
    }
    let end = gpn + 1;
    while (end < memory.pages && end - gpn < LONGEST_RUN && !memory.isZero(end)) end++;
    yield words(gpn, end - gpn);
    yield memory.read(gpn * PAGE_SIZE, (end - gpn) * PAGE_SIZE);
    gpn = end;
  }
  yield words(0, 0);
}

function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setUint32(index * 4, value, true);
  });
  return bytes;
}

/** Throws a ConfigurationError for bytes that are no saved machine. */
export function readSavedMachine({ name, bytes }: NamedFile): SavedMachine {
  const refuse = (problem: string): never => {
    throw new ConfigurationError(name, problem);
  };
  if (bytes.length < PREFIX_BYTES || !MARK.every((byte, index) => bytes[index] === byte)) {
    return refuse('not a saved machine');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const memoryAt = PREFIX_BYTES + view.getUint32(MARK.length, true);
  if (memoryAt > bytes.length) return refuse('the saved machine is cut off');
  const stream = bytes.subarray(PREFIX_BYTES, memoryAt);
  const header = stream.length < STREAM_HEADER_BYTES ? undefined : streamHeader(stream);
  if (header?.kind === 'unsupported-version') return refuse('the machine was saved by another version');
  const whole =
    header?.kind === 'ok' && header.contents === MACHINE_STATE && header.totalBytes === stream.length;
  const state = whole ? decodeStream(stream) : undefined;
  if (state === undefined) return refuse('the saved state is damaged');
  const from = new StateReader(state);
  const saved = {
    name,
    memoryBytes: from.integer('memoryBytes', 2 ** 32),
    vpCount: from.integer('vpCount', 4096),
    partition: from.bytesUpTo('partition', MOST_PARTITION_BYTES),
    chipset: from.record('chipset'),
  };
  if (from.failed) return refuse(`the saved state is damaged at ${from.failedAt}`);
  const runs = readRuns(bytes, memoryAt, saved.memoryBytes / PAGE_SIZE);
  return runs === undefined ? refuse('the saved memory is cut off or damaged') : { ...saved, runs };
}

function readRuns(bytes: Uint8Array, start: number, pageLimit: number): MemoryRun[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const runs: MemoryRun[] = [];
  for (let at = start; at + RUN_HEADER_BYTES <= bytes.length; ) {
    const gpn = view.getUint32(at, true);
    const pages = view.getUint32(at + 4, true);
    at += RUN_HEADER_BYTES;
    if (pages === 0) return runs;
    const end = at + pages * PAGE_SIZE;
    if (gpn + pages > pageLimit || end > bytes.length) return undefined;
    runs.push({ gpn, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return undefined;
}
