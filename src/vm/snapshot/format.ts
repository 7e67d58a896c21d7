/**
 * The file of a snapshot: a machine that stood still, with all that is needed to go on.
 *
 *   page 0      header: what is where, with a checksum for each section, and one for itself
 *   from 1 on   state         names and values (support/saved-state/state-stream.ts)
 *               page index    runs of stored pages (page-index.ts)
 *               checksums     CRC-32 of each stored page (4 bytes each)
 *   then        memory        the stored pages, page-aligned; a page that held only zeros is not there
 *
 *   header   0  "PARTSNAP" (8)   8  format version (4)   12  bytes of a page (4)   16  machine's memory in bytes (8)
 *           24  stored pages (4) 28  first page of the file that holds memory (4)  32  bytes of the file (8)
 *           40  for state, page index and checksums: offset (4), bytes (4), CRC-32 (4)
 *         4092  CRC-32 of what is before it
 *
 * All is little-endian. The version counts layouts of this header; what the state must have in it is checked by name.
 */
import { crc32 } from 'node:zlib';
import { PAGE_SIZE } from '../../hvdef/types.ts';
import { STREAM_HEADER_BYTES, STREAM_MAXIMUM_BYTES } from '../../support/saved-state/state-stream.ts';
import { RUN_BYTES } from './page-index.ts';

const MAGIC = new TextEncoder().encode('PARTSNAP');
export const FORMAT_VERSION = 1;
export const HEADER_BYTES = PAGE_SIZE;
const SECTIONS_AT = 40;
const SECTION_BYTES = 12;
const MOST_MEMORY_BYTES = 2 ** 32;
const MOST_STATE_BYTES = STREAM_HEADER_BYTES + STREAM_MAXIMUM_BYTES;
const CHECKSUM_AT = HEADER_BYTES - 4;

export interface Section {
  offset: number;
  bytes: number;
  checksum: number;
}

/** In the order in which they stand in the header and in the file. */
export const SECTION_NAMES = ['state', 'page index', 'page checksums'] as const;

export interface SnapshotHeader {
  /** RAM of the machine. */
  memoryBytes: number;
  storedPages: number;
  /** Page of the file. */
  firstMemoryPage: number;
  fileBytes: number;
  /** One for each of SECTION_NAMES. */
  sections: readonly Section[];
}

/** The header of a file with sections of these sizes; their checksums are still to be filled in. */
export function layOut(memoryBytes: number, storedPages: number, sizes: readonly number[]): SnapshotHeader {
  let offset = HEADER_BYTES;
  const sections = sizes.map((bytes) => {
    const section = { offset, bytes, checksum: 0 };
    offset += bytes;
    return section;
  });
  const firstMemoryPage = Math.ceil(offset / PAGE_SIZE);
  const fileBytes = (firstMemoryPage + storedPages) * PAGE_SIZE;
  return { memoryBytes, storedPages, firstMemoryPage, fileBytes, sections };
}

export function encodeHeader(header: SnapshotHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, PAGE_SIZE, true);
  view.setBigUint64(16, BigInt(header.memoryBytes), true);
  view.setUint32(24, header.storedPages, true);
  view.setUint32(28, header.firstMemoryPage, true);
  view.setBigUint64(32, BigInt(header.fileBytes), true);
  header.sections.forEach(({ offset, bytes: size, checksum }, index) => {
    const at = SECTIONS_AT + index * SECTION_BYTES;
    view.setUint32(at, offset, true);
    view.setUint32(at + 4, size, true);
    view.setUint32(at + 8, checksum, true);
  });
  view.setUint32(CHECKSUM_AT, crc32(bytes.subarray(0, CHECKSUM_AT)), true);
  return bytes;
}

/** The header in the first bytes of a file, or what is wrong with it. Bounds are checked against each other. */
export function decodeHeader(bytes: Uint8Array): SnapshotHeader | string {
  if (bytes.length < MAGIC.length || !MAGIC.every((byte, index) => bytes[index] === byte)) {
    return 'it is not a snapshot';
  }
  if (bytes.length < HEADER_BYTES) return 'its header is cut off';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(8, true);
  if (version !== FORMAT_VERSION) {
    return `it has the format of version ${version}; this partita reads version ${FORMAT_VERSION}`;
  }
  if (view.getUint32(CHECKSUM_AT, true) !== crc32(bytes.subarray(0, CHECKSUM_AT)))
    return 'its header is damaged';
  const sections = SECTION_NAMES.map((_, index): Section => {
    const at = SECTIONS_AT + index * SECTION_BYTES;
    const [offset, size, checksum] = [0, 4, 8].map((field) => view.getUint32(at + field, true));
    return { offset, bytes: size, checksum };
  });
  const header = {
    memoryBytes: Number(view.getBigUint64(16, true)),
    storedPages: view.getUint32(24, true),
    firstMemoryPage: view.getUint32(28, true),
    fileBytes: Number(view.getBigUint64(32, true)),
    sections,
  };
  return isSound(header) && view.getUint32(12, true) === PAGE_SIZE ? header : 'its header contradicts itself';
}

/** The layout is the one that the sizes give, and no size is more than there can be. */
function isSound(header: SnapshotHeader): boolean {
  const { memoryBytes, storedPages, sections } = header;
  const sizes = sections.map(({ bytes }) => bytes);
  const [state, runs, checksums] = sizes;
  if (memoryBytes > MOST_MEMORY_BYTES || memoryBytes % PAGE_SIZE !== 0) return false;
  if (state > MOST_STATE_BYTES || runs > storedPages * RUN_BYTES || checksums !== storedPages * 4)
    return false;
  const expected = layOut(memoryBytes, storedPages, sizes);
  return (
    storedPages * PAGE_SIZE <= memoryBytes &&
    expected.firstMemoryPage === header.firstMemoryPage &&
    expected.fileBytes === header.fileBytes &&
    sections.every(({ offset }, index) => offset === expected.sections[index].offset)
  );
}
