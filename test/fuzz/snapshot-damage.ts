/**
 * What can be wrong with a snapshot's file. Damage that its checksums find is made of bytes; what they do not find is
 * made of parts: the file is taken apart, some of them are changed or taken from another snapshot, and it is put
 * together with every length and checksum right again.
 */
import { crc32 } from 'node:zlib';
import { PAGE_SIZE } from '../../src/hvdef/types.ts';
import { decodeStream, encodeStream, StreamKind } from '../../src/support/saved-state/state-stream.ts';
import type { StateRecord, StateValue } from '../../src/support/saved-state/state-value.ts';
import { decodeHeader, encodeHeader, HEADER_BYTES, layOut } from '../../src/vm/snapshot/format.ts';
import { MACHINE_STATE } from '../../src/vm/snapshot/write-snapshot.ts';
import type { Random } from './random.ts';
import { damageBytes, mutateState } from './state-mutation.ts';

/** A snapshot's parts; `memory` has the stored pages. */
interface Parts {
  memoryBytes: number;
  state: Uint8Array;
  index: Uint8Array;
  checksums: Uint8Array;
  memory: Uint8Array;
}

/** From `FIRST_FIELD` on a header has its fields, and its own checksum at its end. */
const FIRST_FIELD = 8;
const LAST_FIELD = 76;
const CHECKSUM_AT = HEADER_BYTES - 4;
const BYTES_OF_STRAY = 64;

/** A snapshot like `one` that is wrong somewhere; parts come from `other`, a snapshot of the same machine. */
export function damagedSnapshot(one: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const kind = random.below(16);
  if (kind < 2) return damageBytes(one, random);
  if (kind === 2) {
    const cut = random.below(Math.min(one.length, other.length));
    return Uint8Array.from(Buffer.concat([one.subarray(0, cut), other.subarray(cut)]));
  }
  if (kind === 3) return withDamagedHeader(one, random);
  const parts = apart(one);
  const donor = apart(other);
  if (kind < 10) parts.state = withOtherState(parts.state, donor.state, random);
  else if (kind === 10) damageIndex(parts, random);
  else if (kind === 11) damageWords(parts.checksums, random);
  else if (kind === 12) damagePages(parts, random);
  else if (kind === 13) parts.state = donor.state;
  else if (kind === 14)
    Object.assign(parts, { index: donor.index, checksums: donor.checksums, memory: donor.memory });
  else parts.memoryBytes = otherSize(parts.memoryBytes, random);
  return together(parts);
}

function apart(file: Uint8Array): Parts {
  const header = decodeHeader(file.subarray(0, HEADER_BYTES));
  if (typeof header === 'string') throw new Error(header);
  const [state, index, checksums] = header.sections.map(({ offset, bytes }) =>
    file.slice(offset, offset + bytes),
  );
  const memory = file.slice(header.firstMemoryPage * PAGE_SIZE);
  return { memoryBytes: header.memoryBytes, state, index, checksums, memory };
}

function together({ memoryBytes, state, index, checksums, memory }: Parts): Uint8Array {
  const parts = [state, index, checksums];
  const stored = Math.floor(memory.length / PAGE_SIZE);
  const header = layOut(
    memoryBytes,
    stored,
    parts.map(({ length }) => length),
  );
  const file = new Uint8Array(header.fileBytes);
  const sections = parts.map((bytes, which) => {
    const { offset } = header.sections[which];
    file.set(bytes, offset);
    return { offset, bytes: bytes.length, checksum: crc32(bytes) };
  });
  file.set(encodeHeader({ ...header, sections }));
  file.set(memory, header.firstMemoryPage * PAGE_SIZE);
  return file;
}

/** Other numbers in the header, whose checksum is right. */
function withDamagedHeader(one: Uint8Array, random: Random): Uint8Array {
  const file = one.slice();
  const view = new DataView(file.buffer);
  for (let count = random.below(3); count >= 0; count--) {
    const at = FIRST_FIELD + 4 * random.below((LAST_FIELD - FIRST_FIELD) / 4);
    const old = view.getUint32(at, true);
    view.setUint32(at, random.oneIn(2) ? random.bits() : old ^ (1 << random.below(32)), true);
  }
  view.setUint32(CHECKSUM_AT, crc32(file.subarray(0, CHECKSUM_AT)), true);
  return file;
}

/** Fields of the machine's state, or of the hypervisor's part of it, which is a stream within. */
function withOtherState(one: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const [record, donor] = [one, other].map(decoded);
  if (random.oneIn(2)) return mutateState(MACHINE_STATE, record, donor, random);
  const [inner, innerDonor] = [record, donor].map(({ partition }) => decoded(partition));
  const kind = random.below(4);
  const partition =
    kind === 0
      ? damageBytes(record.partition as Uint8Array, random)
      : mutateState(StreamKind.Complete, inner, innerDonor, random);
  return encodeStream(MACHINE_STATE, { ...record, partition });
}

function decoded(stream: StateValue): StateRecord {
  const state = stream instanceof Uint8Array ? decodeStream(stream) : undefined;
  if (state === undefined) throw new Error('a sound state does not decode');
  return state;
}

function damageIndex(parts: Parts, random: Random): void {
  const kind = random.below(3);
  if (kind === 0) parts.index = parts.index.slice(0, 8 * random.below(parts.index.length / 8));
  else damageWords(parts.index, random);
}

function damageWords(bytes: Uint8Array, random: Random): void {
  const view = new DataView(bytes.buffer);
  for (let count = random.below(4); count >= 0; count--) {
    const at = 4 * random.below(bytes.length / 4);
    const old = view.getUint32(at, true);
    view.setUint32(at, random.oneIn(2) ? old + random.below(5) - 2 : random.bits(), true);
  }
}

/** Other contents, known to the checksums or not. */
function damagePages(parts: Parts, random: Random): void {
  const pages = parts.memory.length / PAGE_SIZE;
  const view = new DataView(parts.checksums.buffer);
  for (let count = random.below(8); count >= 0; count--) {
    const page = random.below(pages);
    const contents = parts.memory.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    const at = random.below(PAGE_SIZE - BYTES_OF_STRAY);
    for (let k = 0; k < BYTES_OF_STRAY; k++) contents[at + k] = random.below(256);
    if (!random.oneIn(3)) view.setUint32(page * 4, crc32(contents), true);
  }
}

function otherSize(memoryBytes: number, random: Random): number {
  return random.pick([
    0,
    PAGE_SIZE,
    memoryBytes - PAGE_SIZE,
    memoryBytes / 2,
    memoryBytes * 2,
    0xc000_0000,
    2 ** 32,
  ]);
}
