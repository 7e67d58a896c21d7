/**
 * Reads all of a snapshot but its memory, and refuses what is none, with the part that is wrong, before a machine is
 * made. The pages of memory are read when they are needed (lazy-memory.ts).
 */
import { crc32 } from 'node:zlib';
import { PAGE_SIZE } from '../../hvdef/types.ts';
import { decodeStream, STREAM_HEADER_BYTES, streamHeader } from '../../support/saved-state/state-stream.ts';
import { StateReader, type StateRecord } from '../../support/saved-state/state-value.ts';
import { ConfigurationError } from '../vm-config.ts';
import { decodeHeader, HEADER_BYTES, SECTION_NAMES, type SnapshotHeader } from './format.ts';
import { PageIndex } from './page-index.ts';
import { restoredNuma } from './saved-numa.ts';
import type { Snapshot } from './snapshot.ts';
import type { SnapshotFile } from './snapshot-file.ts';
import { MACHINE_STATE } from './write-snapshot.ts';

const MOST_PARTITION_BYTES = 16 * 2 ** 20;

/** Throws a ConfigurationError for a file that is no whole snapshot of this version. */
export function readSnapshot(file: SnapshotFile): Snapshot {
  const refuse = (problem: string): never => {
    throw new ConfigurationError(file.name, problem);
  };
  const start = new Uint8Array(HEADER_BYTES);
  const header = decodeHeader(start.subarray(0, file.read(start, 0)));
  if (typeof header === 'string') return refuse(header);
  const { bytes } = file;
  if (bytes < header.fileBytes) refuse(`it is cut off: ${bytes} of ${header.fileBytes} bytes are there`);
  if (bytes > header.fileBytes)
    refuse(`it is longer than its header says: ${bytes}, not ${header.fileBytes} bytes`);

  const [stream, runs, checksums] = readSections(file, header);
  const from = new StateReader(machineState(file, stream));
  const saved = {
    memoryBytes: from.integer('memoryBytes', 2 ** 32),
    vpCount: from.integer('vpCount', 4096),
    partition: from.bytesUpTo('partition', MOST_PARTITION_BYTES),
    chipset: from.record('chipset'),
  };
  const numa = from.has('numa') ? restoredNuma(from.record('numa'), saved.memoryBytes) : undefined;
  if (from.failed) refuse(`its state is damaged at ${from.failedAt}`);
  if (saved.memoryBytes !== header.memoryBytes) {
    refuse(
      `its state is of a machine with ${saved.memoryBytes} bytes of memory, its pages of ${header.memoryBytes}`,
    );
  }
  const index = PageIndex.decode(runs, header.memoryBytes / PAGE_SIZE, header.storedPages);
  if (index === undefined) return refuse('its page index contradicts itself');
  const pages = { file, index, checksums: words(checksums), firstPage: header.firstMemoryPage };
  return { name: file.name, ...saved, numa, pages };
}

/** The sections, each found whole. They stand behind one another, so one read brings them. */
function readSections(file: SnapshotFile, { sections, firstMemoryPage }: SnapshotHeader): Uint8Array[] {
  const bytes = new Uint8Array(firstMemoryPage * PAGE_SIZE - HEADER_BYTES);
  const got = file.read(bytes, HEADER_BYTES);
  return sections.map(({ offset, bytes: size, checksum }, which) => {
    const section = bytes.subarray(offset - HEADER_BYTES, offset - HEADER_BYTES + size);
    if (offset - HEADER_BYTES + size > got)
      throw new ConfigurationError(file.name, `its ${SECTION_NAMES[which]} section is cut off`);
    if (crc32(section) !== checksum)
      throw new ConfigurationError(file.name, `its ${SECTION_NAMES[which]} section is damaged`);
    return section;
  });
}

function machineState(file: SnapshotFile, stream: Uint8Array): StateRecord {
  const header = stream.length < STREAM_HEADER_BYTES ? undefined : streamHeader(stream);
  if (header?.kind === 'unsupported-version') {
    throw new ConfigurationError(file.name, 'its state was written by another version');
  }
  const whole =
    header?.kind === 'ok' && header.contents === MACHINE_STATE && header.totalBytes === stream.length;
  const state = whole ? decodeStream(stream) : undefined;
  if (state === undefined) throw new ConfigurationError(file.name, 'its state is damaged');
  return state;
}

/** A copy that starts at a multiple of four; this machine is little-endian, as WebAssembly is. */
function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer);
}
