/**
 * ELF executables for x86, 32 and 64 bits, as far as a loader needs them: program headers and notes. Everything
 * is checked against the file's size before it is believed.
 */
import { hex, type ImageReader } from './image-reader.ts';
import type { MemoryPlan } from './memory-plan.ts';

export interface ElfSegment {
  type: number;
  fileOffset: number;
  fileBytes: number;
  virtualAddress: number;
  physicalAddress: number;
  memoryBytes: number;
}

export interface Elf {
  is64: boolean;
  entry: number;
  segments: readonly ElfSegment[];
}

export const SegmentType = { Load: 1, Note: 4 } as const;
const MAGIC = 0x464c_457f;
const CLASS_32 = 1;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const TYPE_EXECUTABLE = 2;
const TYPE_SHARED = 3;
const MACHINE_386 = 3;
const MACHINE_X86_64 = 62;
const MAX_SEGMENTS = 256;
/** Virtual addresses of a 64-bit kernel lie in the top 2 GiB; only their distances matter. */
const truncated = (value: bigint): number => Number(BigInt.asUintN(52, value));

export function isElf(reader: ImageReader): boolean {
  return reader.length >= 4 && reader.u32(0, 'magic') === MAGIC;
}

export function parseElf(reader: ImageReader): Elf {
  const elfClass = reader.u8(4, 'ELF class');
  if (elfClass !== CLASS_32 && elfClass !== CLASS_64) reader.fail(`ELF class ${elfClass} at 0x4`);
  if (reader.u8(5, 'ELF byte order') !== LITTLE_ENDIAN) reader.fail('a big-endian ELF file');
  const type = reader.u16(16, 'ELF type');
  if (type !== TYPE_EXECUTABLE && type !== TYPE_SHARED)
    reader.fail(`ELF type ${type} at 0x10: not an executable`);
  const machine = reader.u16(18, 'ELF machine');
  if (machine !== MACHINE_386 && machine !== MACHINE_X86_64)
    reader.fail(`ELF machine ${machine} at 0x12: not x86`);

  const is64 = elfClass === CLASS_64;
  const address = (offset: number, what: string) =>
    is64 ? truncated(read64(reader, offset, what)) : reader.u32(offset, what);
  const entry = address(24, 'ELF entry');
  const tableOffset = is64
    ? reader.u64(32, 'program header offset')
    : reader.u32(28, 'program header offset');
  const entryBytes = reader.u16(is64 ? 54 : 42, 'program header size');
  const count = reader.u16(is64 ? 56 : 44, 'program header count');
  if (count === 0) reader.fail('an ELF file without program headers');
  if (count > MAX_SEGMENTS) reader.fail(`${count} program headers`);
  if (entryBytes < (is64 ? 56 : 32)) reader.fail(`program headers of ${entryBytes} bytes`);

  const segments: ElfSegment[] = [];
  for (let index = 0; index < count; index++) {
    segments.push(segmentAt(reader, is64, tableOffset + index * entryBytes, `program header ${index}`));
  }
  return { is64, entry, segments };
}

function read64(reader: ImageReader, offset: number, what: string): bigint {
  return BigInt(reader.u32(offset, what)) | (BigInt(reader.u32(offset + 4, what)) << 32n);
}

function segmentAt(reader: ImageReader, is64: boolean, at: number, what: string): ElfSegment {
  const field = (wide: number, narrow: number) =>
    is64 ? reader.u64(at + wide, what) : reader.u32(at + narrow, what);
  const segment = {
    type: reader.u32(at, what),
    fileOffset: field(8, 4),
    fileBytes: field(32, 16),
    virtualAddress: is64 ? truncated(read64(reader, at + 16, what)) : reader.u32(at + 8, what),
    physicalAddress: is64 ? truncated(read64(reader, at + 24, what)) : reader.u32(at + 12, what),
    memoryBytes: field(40, 20),
  };
  if (segment.type !== SegmentType.Load && segment.type !== SegmentType.Note) return segment;
  reader.slice(segment.fileOffset, segment.fileBytes, `the segment of ${what}`);
  if (segment.type === SegmentType.Load && segment.fileBytes > segment.memoryBytes) {
    reader.fail(
      `${what} has ${segment.fileBytes} bytes in the file and only ${segment.memoryBytes} in memory`,
    );
  }
  return segment;
}

/** Places every loadable segment at its physical address. */
export function placeElf(reader: ImageReader, elf: Elf, plan: MemoryPlan): void {
  let placed = 0;
  elf.segments.forEach((segment, index) => {
    if (segment.type !== SegmentType.Load || segment.memoryBytes === 0) return;
    const bytes = reader.bytes.subarray(segment.fileOffset, segment.fileOffset + segment.fileBytes);
    plan.place(reader.name, `program header ${index}`, segment.physicalAddress, bytes, segment.memoryBytes);
    placed++;
  });
  if (placed === 0) reader.fail('an ELF file with nothing to load');
}

/** The physical address of the entry: some files give it as a virtual address, within some segment. */
export function physicalEntry(reader: ImageReader, elf: Elf): number {
  const loads = elf.segments.filter((segment) => segment.type === SegmentType.Load);
  const within = (address: number, start: number, bytes: number) =>
    address >= start && address < start + bytes;
  if (loads.some((s) => within(elf.entry, s.physicalAddress, s.memoryBytes))) return elf.entry;
  const home = loads.find((s) => within(elf.entry, s.virtualAddress, s.memoryBytes));
  if (home === undefined) reader.fail(`the entry ${hex(elf.entry)} lies in no loaded segment`);
  return elf.entry - home.virtualAddress + home.physicalAddress;
}

/** The descriptor of the first note with this name and type. */
export function findNote(reader: ImageReader, elf: Elf, name: string, type: number): Uint8Array | undefined {
  for (const segment of elf.segments) {
    if (segment.type !== SegmentType.Note) continue;
    const end = segment.fileOffset + segment.fileBytes;
    let at = segment.fileOffset;
    while (at + 12 <= end) {
      const nameBytes = reader.u32(at, 'ELF note');
      const bytes = reader.u32(at + 4, 'ELF note');
      const nameAt = at + 12;
      const descriptorAt = nameAt + Math.ceil(nameBytes / 4) * 4;
      if (descriptorAt + bytes > end) reader.fail(`truncated: the ELF note at ${hex(at)} leaves its segment`);
      const text = new TextDecoder().decode(
        reader.bytes.subarray(nameAt, nameAt + Math.max(nameBytes - 1, 0)),
      );
      if (text === name && reader.u32(at + 8, 'ELF note') === type) {
        return reader.slice(descriptorAt, bytes, 'ELF note');
      }
      at = descriptorAt + Math.ceil(bytes / 4) * 4;
    }
  }
  return undefined;
}
