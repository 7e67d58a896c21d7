/**
 * Linux bzImage by its 64-bit entry (Documentation/arch/x86/boot.rst, protocol 2.12 and later): the protected
 * mode part goes to its preferred address, the zero page tells the rest, and the processor starts in long mode
 * with the low 4 GiB identity-mapped.
 */
import {
  type BootImage,
  type BootRequest,
  descriptorTable,
  EMPTY_TASK,
  FLAT_CODE_64,
  FLAT_DATA,
  zeroTerminated,
} from './boot-image.ts';
import { hex, ImageReader } from './image-reader.ts';
import { MemoryPlan, memoryMap } from './memory-plan.ts';

/** Offsets of the setup header in the file, and in the zero page. */
const Header = {
  SetupSectors: 0x1f1,
  BootFlag: 0x1fe,
  Jump: 0x200,
  Magic: 0x202,
  Version: 0x206,
  TypeOfLoader: 0x210,
  LoadFlags: 0x211,
  RamdiskImage: 0x218,
  RamdiskSize: 0x21c,
  CommandLinePointer: 0x228,
  InitrdAddressMaximum: 0x22c,
  KernelAlignment: 0x230,
  Relocatable: 0x234,
  XLoadFlags: 0x236,
  CommandLineSize: 0x238,
  PreferredAddress: 0x258,
  InitSize: 0x260,
} as const;
const ZeroPage = { RsdpAddress: 0x070, E820Count: 0x1e8, E820Table: 0x2d0, E820EntryBytes: 20 } as const;

const HEADER_START = 0x1f1;
const MAGIC = 0x5372_6448; // "HdrS"
const OLDEST_VERSION = 0x020c;
const LOADED_HIGH = 1;
const KERNEL_64 = 1;
const ENTRY_64 = 0x200;
const SECTOR = 512;
const UNDEFINED_LOADER = 0xff;
const ONE_MIB = 0x10_0000;
const PAGE = 0x1000;

const PAGE_TABLE_PAGES = 6;
const PRESENT_WRITABLE = 3;
const LARGE = 0x80;
const TABLES_GPA = 0x1000;
const STACK_TOP = 0x9000;
const LOW_DATA_GPA = 0x9000;

const CR0 = 0x8000_0033; // PG, NE, ET, MP, PE
const CR4_PAE = 0x20;
const EFER_LONG_MODE = 0x500;

export function isBzImage(reader: ImageReader): boolean {
  return reader.length > Header.Magic + 4 && reader.u32(Header.Magic, 'magic') === MAGIC;
}

export function loadBzImage(request: BootRequest): BootImage {
  const reader = new ImageReader(request.kernel);
  const setupBytes = checkHeader(reader);
  const plan = new MemoryPlan(request.memoryBytes);

  const image = reader.bytes.subarray(setupBytes);
  const initBytes = Math.max(reader.u32(Header.InitSize, 'init_size'), image.length);
  const loadGpa = chooseAddress(reader, initBytes, request.memoryBytes);
  plan.place(reader.name, 'the kernel', loadGpa, image, initBytes);
  plan.place(reader.name, 'the boot page tables', TABLES_GPA, identityMap(TABLES_GPA));
  plan.take(
    reader.name,
    'the boot stack',
    TABLES_GPA + PAGE_TABLE_PAGES * PAGE,
    STACK_TOP - TABLES_GPA - PAGE_TABLE_PAGES * PAGE,
  );

  const zeroPage = new Uint8Array(PAGE);
  fillZeroPage(zeroPage, reader, request, plan);
  const zeroPageGpa = plan.placeLow(reader.name, 'the zero page', zeroPage, LOW_DATA_GPA);
  const gdt = descriptorTable(FLAT_CODE_64);
  const gdtGpa = plan.placeLow(reader.name, 'the boot GDT', gdt, LOW_DATA_GPA);

  return {
    kind: 'linux-bzimage',
    placements: plan.placements,
    registers: {
      rip: loadGpa + ENTRY_64,
      rflags: 2,
      rax: 0,
      rbx: 0,
      rsi: zeroPageGpa,
      rsp: STACK_TOP,
      cr0: CR0,
      cr3: TABLES_GPA,
      cr4: CR4_PAE,
      efer: EFER_LONG_MODE,
      code: FLAT_CODE_64,
      data: FLAT_DATA,
      task: EMPTY_TASK,
      gdt: { base: gdtGpa, limit: gdt.length - 1 },
    },
  };
}

/** Refuses what cannot be booted this way; returns the size of the real-mode part. */
function checkHeader(reader: ImageReader): number {
  const version = reader.u16(Header.Version, 'boot protocol version');
  if (version < OLDEST_VERSION) {
    reader.fail(
      `boot protocol ${version >> 8}.${version & 0xff} at ${hex(Header.Version)}; 2.12 or later is needed`,
    );
  }
  if ((reader.u8(Header.LoadFlags, 'loadflags') & LOADED_HIGH) === 0) {
    reader.fail(`loadflags at ${hex(Header.LoadFlags)}: a zImage, not a bzImage`);
  }
  if ((reader.u16(Header.XLoadFlags, 'xloadflags') & KERNEL_64) === 0) {
    reader.fail(`xloadflags at ${hex(Header.XLoadFlags)}: the kernel has no 64-bit entry`);
  }
  const sectors = reader.u8(Header.SetupSectors, 'setup_sects');
  const setupBytes = ((sectors === 0 ? 4 : sectors) + 1) * SECTOR;
  reader.slice(setupBytes, ENTRY_64 + 1, 'the protected-mode kernel');
  // The header says how long the protected-mode code is, in units of 16 bytes (syssize).
  const declared = reader.u32(0x1f4, 'syssize') * 16;
  if (setupBytes + declared > reader.length + SECTOR) {
    reader.fail(
      `truncated: the kernel has ${declared} bytes at ${hex(setupBytes)}, the file ends at ${hex(reader.length)}`,
    );
  }
  return setupBytes;
}

/** The preferred address where that fits, else the lowest aligned one if the kernel can be moved. */
function chooseAddress(reader: ImageReader, initBytes: number, memoryBytes: number): number {
  const preferred = reader.u64(Header.PreferredAddress, 'pref_address');
  if (preferred >= ONE_MIB && preferred + initBytes <= memoryBytes) return preferred;
  const alignment = Math.max(reader.u32(Header.KernelAlignment, 'kernel_alignment'), PAGE);
  const lowest = Math.ceil(ONE_MIB / alignment) * alignment;
  const movable = reader.u8(Header.Relocatable, 'relocatable_kernel') !== 0;
  if (movable && lowest + initBytes <= memoryBytes) return lowest;
  const need = Math.ceil(((movable ? Math.min(lowest, preferred) : preferred) + initBytes) / ONE_MIB);
  return reader.fail(
    `the kernel needs ${need} MiB of memory to start, there are ${memoryBytes / ONE_MIB} MiB`,
  );
}

function fillZeroPage(page: Uint8Array, reader: ImageReader, request: BootRequest, plan: MemoryPlan): void {
  const view = new DataView(page.buffer);
  const headerEnd = Header.Magic + reader.u8(Header.Jump + 1, 'setup header length');
  page.set(reader.slice(HEADER_START, headerEnd - HEADER_START, 'setup header'), HEADER_START);
  page[Header.TypeOfLoader] = UNDEFINED_LOADER;

  const commandLine = zeroTerminated(request.commandLine);
  const limit = reader.u32(Header.CommandLineSize, 'cmdline_size');
  if (commandLine.length - 1 > limit) {
    reader.fail(`the command line has ${commandLine.length - 1} bytes, the kernel takes at most ${limit}`);
  }
  view.setUint32(
    Header.CommandLinePointer,
    plan.placeLow(reader.name, 'the command line', commandLine, LOW_DATA_GPA),
    true,
  );

  if (request.initrd !== undefined) {
    const { name, bytes } = request.initrd;
    const highest = reader.u32(Header.InitrdAddressMaximum, 'initrd_addr_max') + 1;
    view.setUint32(Header.RamdiskImage, plan.placeHigh(name, 'the initrd', bytes, highest), true);
    view.setUint32(Header.RamdiskSize, bytes.length, true);
  }

  view.setBigUint64(ZeroPage.RsdpAddress, BigInt(request.rsdpGpa), true);
  const ranges = memoryMap(request.memoryBytes);
  page[ZeroPage.E820Count] = ranges.length;
  ranges.forEach((range, index) => {
    const at = ZeroPage.E820Table + index * ZeroPage.E820EntryBytes;
    view.setBigUint64(at, BigInt(range.base), true);
    view.setBigUint64(at + 8, BigInt(range.bytes), true);
    view.setUint32(at + 16, range.type, true);
  });
}

/** One PML4, one PDPT and four page directories of 2 MiB pages: the first 4 GiB onto themselves. */
function identityMap(gpa: number): Uint8Array {
  const bytes = new Uint8Array(PAGE_TABLE_PAGES * PAGE);
  const view = new DataView(bytes.buffer);
  const entry = (page: number, index: number, value: number) =>
    view.setBigUint64(page * PAGE + index * 8, BigInt(value), true);
  entry(0, 0, gpa + PAGE + PRESENT_WRITABLE);
  for (let directory = 0; directory < 4; directory++) {
    entry(1, directory, gpa + (2 + directory) * PAGE + PRESENT_WRITABLE);
    for (let index = 0; index < 512; index++) {
      entry(2 + directory, index, (directory * 512 + index) * 0x20_0000 + LARGE + PRESENT_WRITABLE);
    }
  }
  return bytes;
}
