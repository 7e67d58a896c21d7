/**
 * PVH direct boot (Xen's docs/misc/pvh.pandoc and include/public/arch-x86/hvm/start_info.h): an ELF file whose
 * note names a 32-bit entry; EBX points to the start information. Protected mode, paging off.
 */
import {
  type BootImage,
  type BootRequest,
  descriptorTable,
  EMPTY_TASK,
  FLAT_CODE_32,
  FLAT_DATA,
  zeroTerminated,
} from './boot-image.ts';
import { type Elf, findNote, placeElf } from './elf.ts';
import { hex, ImageReader } from './image-reader.ts';
import { MemoryPlan, memoryMap } from './memory-plan.ts';

const NOTE_NAME = 'Xen';
const NOTE_PHYS32_ENTRY = 18;
const START_MAGIC = 0x336e_c578;
const START_BYTES = 56;
const MODULE_BYTES = 32;
const MEMORY_ENTRY_BYTES = 24;
const LOW_DATA_GPA = 0x1000;
const FOUR_GIB = 0x1_0000_0000;
const CR0_PROTECTED = 0x11;

/** The entry that the note names, or undefined where there is no such note. */
export function pvhEntry(reader: ImageReader, elf: Elf): number | undefined {
  const note = findNote(reader, elf, NOTE_NAME, NOTE_PHYS32_ENTRY);
  if (note === undefined) return undefined;
  if (note.length !== 4 && note.length !== 8) reader.fail(`the PVH entry note has ${note.length} bytes`);
  return new DataView(note.buffer, note.byteOffset).getUint32(0, true);
}

export function loadPvh(request: BootRequest, elf: Elf, entry: number): BootImage {
  const reader = new ImageReader(request.kernel);
  const plan = new MemoryPlan(request.memoryBytes);
  placeElf(reader, elf, plan);
  if (!plan.placements.some((p) => entry >= p.gpa && entry < p.gpa + p.bytes.length)) {
    reader.fail(`the PVH entry ${hex(entry)} lies in no loaded segment`);
  }
  const gdt = descriptorTable(FLAT_CODE_32);
  const gdtGpa = plan.placeLow(reader.name, 'the boot GDT', gdt, LOW_DATA_GPA);
  const startGpa = placeStartInformation(reader, request, plan);
  return {
    kind: 'pvh',
    placements: plan.placements,
    registers: {
      rip: entry,
      rflags: 2,
      rax: 0,
      rbx: startGpa,
      rsi: 0,
      rsp: 0,
      cr0: CR0_PROTECTED,
      cr3: 0,
      cr4: 0,
      efer: 0,
      code: FLAT_CODE_32,
      data: FLAT_DATA,
      task: EMPTY_TASK,
      gdt: { base: gdtGpa, limit: gdt.length - 1 },
    },
  };
}

function placeStartInformation(reader: ImageReader, request: BootRequest, plan: MemoryPlan): number {
  const low = (owner: string, bytes: Uint8Array) => plan.placeLow(reader.name, owner, bytes, LOW_DATA_GPA);
  const files = request.initrd === undefined ? [] : [{ ...request.initrd, commandLine: '' }];
  const modules = [...files, ...request.modules];

  const list = new Uint8Array(modules.length * MODULE_BYTES);
  const listView = new DataView(list.buffer);
  modules.forEach((module, index) => {
    const gpa = plan.placeHigh(
      module.name,
      index < files.length ? 'the initrd' : 'the module',
      module.bytes,
      FOUR_GIB,
    );
    const line =
      module.commandLine === '' ? 0 : low('a module command line', zeroTerminated(module.commandLine));
    [gpa, module.bytes.length, line, 0].forEach((value, field) => {
      listView.setBigUint64(index * MODULE_BYTES + field * 8, BigInt(value), true);
    });
  });

  const ranges = memoryMap(request.memoryBytes);
  const map = new Uint8Array(ranges.length * MEMORY_ENTRY_BYTES);
  const mapView = new DataView(map.buffer);
  ranges.forEach((range, index) => {
    const at = index * MEMORY_ENTRY_BYTES;
    mapView.setBigUint64(at, BigInt(range.base), true);
    mapView.setBigUint64(at + 8, BigInt(range.bytes), true);
    mapView.setUint32(at + 16, range.type, true);
  });

  const start = new Uint8Array(START_BYTES);
  const view = new DataView(start.buffer);
  view.setUint32(0, START_MAGIC, true);
  view.setUint32(4, 1, true); // version: the memory map is there
  view.setUint32(12, modules.length, true);
  const pointer = (offset: number, gpa: number) => view.setBigUint64(offset, BigInt(gpa), true);
  if (modules.length > 0) pointer(16, low('the module list', list));
  pointer(24, low('the command line', zeroTerminated(request.commandLine)));
  pointer(32, request.rsdpGpa);
  pointer(40, low('the memory map', map));
  view.setUint32(48, ranges.length, true);
  return low('the start information', start);
}
