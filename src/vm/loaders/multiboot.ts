/**
 * Multiboot 0.6.96 ("Multiboot 1"): ELF files of either class entered in 32-bit protected mode, and images that
 * give their load addresses in the header. A header that asks for a video mode gets none: there is no display,
 * and the information structure says so by its flags.
 */
import { LOW_MEMORY_END } from '../../devices/chipset/platform.ts';
import {
  type BootImage,
  type BootRequest,
  descriptorTable,
  EMPTY_TASK,
  FLAT_CODE_32,
  FLAT_DATA,
  zeroTerminated,
} from './boot-image.ts';
import { isElf, parseElf, physicalEntry, placeElf } from './elf.ts';
import { hex, ImageReader } from './image-reader.ts';
import { MemoryPlan, memoryMap } from './memory-plan.ts';

const HEADER_MAGIC = 0x1bad_b002;
const BOOT_MAGIC = 0x2bad_b002;
const SEARCH_BYTES = 8192;
const HeaderFlag = { AlignModules: 1, MemoryInformation: 2, VideoMode: 4, Addresses: 0x1_0000 } as const;
/** Bits 0 to 15 are demands: one we don't know means the image can't be booted. */
const DEMANDS = 0xffff;
const KNOWN_DEMANDS = HeaderFlag.AlignModules | HeaderFlag.MemoryInformation | HeaderFlag.VideoMode;

const Information = { Memory: 1, CommandLine: 4, Modules: 8, MemoryMap: 0x40, LoaderName: 0x200 } as const;
const INFORMATION_BYTES = 120;
const MAP_ENTRY_BYTES = 24;
const MODULE_BYTES = 16;
const LOADER_NAME = 'Partita';

const LOW_DATA_GPA = 0x1000;
const ONE_MIB = 0x10_0000;
const FOUR_GIB = 0x1_0000_0000;
const CR0_PROTECTED = 0x11;

/** Where the header stands, or undefined where there is none. */
export function multibootHeader(reader: ImageReader): number | undefined {
  const last = Math.min(SEARCH_BYTES, reader.length) - 12;
  for (let at = 0; at <= last; at += 4) {
    if (reader.u32(at, 'magic') !== HEADER_MAGIC) continue;
    const sum = HEADER_MAGIC + reader.u32(at + 4, 'flags') + reader.u32(at + 8, 'checksum');
    if (sum % FOUR_GIB === 0) return at;
  }
  return undefined;
}

export function loadMultiboot(request: BootRequest, header: number): BootImage {
  const reader = new ImageReader(request.kernel);
  const flags = reader.u32(header + 4, 'Multiboot flags');
  const unknown = flags & DEMANDS & ~KNOWN_DEMANDS;
  if (unknown !== 0) reader.fail(`the Multiboot header at ${hex(header)} demands features ${hex(unknown)}`);

  const plan = new MemoryPlan(request.memoryBytes);
  const byAddresses = (flags & HeaderFlag.Addresses) !== 0;
  if (!byAddresses && !isElf(reader)) {
    reader.fail(`the Multiboot header at ${hex(header)} gives no load addresses and the file is no ELF`);
  }
  const entry = byAddresses ? placeByAddresses(reader, header, plan) : placeByElf(reader, plan);
  const gdt = descriptorTable(FLAT_CODE_32);
  const gdtGpa = plan.placeLow(reader.name, 'the boot GDT', gdt, LOW_DATA_GPA);
  const information = placeInformation(reader, request, plan);
  return {
    kind: 'multiboot',
    placements: plan.placements,
    registers: {
      rip: entry,
      rflags: 2,
      rax: BOOT_MAGIC,
      rbx: information,
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

function placeByElf(reader: ImageReader, plan: MemoryPlan): number {
  const elf = parseElf(reader);
  placeElf(reader, elf, plan);
  const entry = physicalEntry(reader, elf);
  if (entry >= FOUR_GIB) reader.fail(`the entry ${hex(entry)} is out of reach of 32-bit code`);
  return entry;
}

/** The address fields (§3.1.3): an a.out or flat image that says itself where it belongs. */
function placeByAddresses(reader: ImageReader, header: number, plan: MemoryPlan): number {
  const field = (offset: number, what: string) => reader.u32(header + offset, `Multiboot ${what}`);
  const headerAddress = field(12, 'header_addr');
  const loadAddress = field(16, 'load_addr');
  const loadEnd = field(20, 'load_end_addr');
  const bssEnd = field(24, 'bss_end_addr');
  const entry = field(28, 'entry_addr');

  const fileOffset = header - (headerAddress - loadAddress);
  if (headerAddress < loadAddress || fileOffset < 0) {
    reader.fail(
      `Multiboot load_addr ${hex(loadAddress)} and header_addr ${hex(headerAddress)} contradict each other`,
    );
  }
  const bytesInFile = loadEnd === 0 ? reader.length - fileOffset : loadEnd - loadAddress;
  if (bytesInFile < 0)
    reader.fail(`Multiboot load_end_addr ${hex(loadEnd)} lies below load_addr ${hex(loadAddress)}`);
  const bytes = reader.slice(fileOffset, bytesInFile, 'the Multiboot image');
  const end = bssEnd === 0 ? loadAddress + bytesInFile : bssEnd;
  if (end < loadAddress + bytesInFile) {
    reader.fail(
      `Multiboot bss_end_addr ${hex(bssEnd)} lies below the image's end ${hex(loadAddress + bytesInFile)}`,
    );
  }
  if (entry < loadAddress || entry >= end)
    reader.fail(`Multiboot entry_addr ${hex(entry)} lies outside the image`);
  plan.place(reader.name, 'the Multiboot image', loadAddress, bytes, end - loadAddress);
  return entry;
}

function placeInformation(reader: ImageReader, request: BootRequest, plan: MemoryPlan): number {
  const low = (owner: string, bytes: Uint8Array) => plan.placeLow(reader.name, owner, bytes, LOW_DATA_GPA);
  const information = new Uint8Array(INFORMATION_BYTES);
  const view = new DataView(information.buffer);
  const put = (offset: number, value: number) => view.setUint32(offset, value, true);

  put(4, LOW_MEMORY_END / 1024);
  put(8, (request.memoryBytes - ONE_MIB) / 1024);
  // The first argument is the image's name, as loaders have it.
  put(16, low('the command line', zeroTerminated(`${request.kernel.name} ${request.commandLine}`.trimEnd())));
  const modules = placeModules(request, plan, low);
  put(20, modules.count);
  put(24, modules.gpa);
  const ranges = memoryMap(request.memoryBytes);
  const map = new Uint8Array(ranges.length * MAP_ENTRY_BYTES);
  const mapView = new DataView(map.buffer);
  ranges.forEach((range, index) => {
    const at = index * MAP_ENTRY_BYTES;
    mapView.setUint32(at, MAP_ENTRY_BYTES - 4, true);
    mapView.setBigUint64(at + 4, BigInt(range.base), true);
    mapView.setBigUint64(at + 12, BigInt(range.bytes), true);
    mapView.setUint32(at + 20, range.type, true);
  });
  put(44, map.length);
  put(48, low('the memory map', map));
  put(64, low('the loader name', zeroTerminated(LOADER_NAME)));
  put(
    0,
    Information.Memory |
      Information.CommandLine |
      Information.Modules |
      Information.MemoryMap |
      Information.LoaderName,
  );
  return low('the Multiboot information', information);
}

/** An initrd counts as the first module. Modules lie page-aligned, above the kernel where there is room. */
function placeModules(
  request: BootRequest,
  plan: MemoryPlan,
  low: (owner: string, bytes: Uint8Array) => number,
): { count: number; gpa: number } {
  const initrd = request.initrd === undefined ? [] : [{ ...request.initrd, commandLine: '' }];
  const modules = [...initrd, ...request.modules];
  if (modules.length === 0) return { count: 0, gpa: 0 };
  const list = new Uint8Array(modules.length * MODULE_BYTES);
  const view = new DataView(list.buffer);
  modules.forEach((module, index) => {
    const gpa = plan.placeLow(module.name, 'the module', module.bytes, ONE_MIB);
    const line = `${module.name} ${module.commandLine}`.trimEnd();
    view.setUint32(index * MODULE_BYTES, gpa, true);
    view.setUint32(index * MODULE_BYTES + 4, gpa + module.bytes.length, true);
    view.setUint32(index * MODULE_BYTES + 8, low('a module command line', zeroTerminated(line)), true);
  });
  return { count: modules.length, gpa: low('the module list', list) };
}
