import { describe, expect, test } from 'vitest';
import { ConfigurationError } from '../vm-config.ts';
import type { BootImage, BootRequest } from './boot-image.ts';
import { bzImage, type ElfPart, elfImage, multibootImage, noteBytes } from './hand-made-images.ts';
import { loadKernel } from './load.ts';

const MIB = 0x10_0000;
const CODE = Uint8Array.of(0xf4);
const RSDP = 0xe_0000;

function request(kernel: Uint8Array, change: Partial<BootRequest> = {}): BootRequest {
  return {
    kernel: { name: 'kernel.bin', bytes: kernel },
    initrd: undefined,
    modules: [],
    commandLine: 'quiet',
    memoryBytes: 64 * MIB,
    rsdpGpa: RSDP,
    ...change,
  };
}
const load = (kernel: Uint8Array, change: Partial<BootRequest> = {}) => loadKernel(request(kernel, change));
const problem = (kernel: Uint8Array, change: Partial<BootRequest> = {}): string => {
  try {
    load(kernel, change);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message;
  }
  return 'no problem';
};
/** Guest memory at `gpa` as the placements leave it. */
function memory(image: BootImage, gpa: number): DataView {
  const found = image.placements.find((p) => gpa >= p.gpa && gpa < p.gpa + p.bytes.length);
  if (found === undefined) throw new Error(`nothing at 0x${gpa.toString(16)}`);
  return new DataView(found.bytes.buffer, found.bytes.byteOffset + gpa - found.gpa);
}
function text(image: BootImage, gpa: number): string {
  const view = memory(image, gpa);
  let result = '';
  for (let at = 0; view.getUint8(at) !== 0; at++) result += String.fromCharCode(view.getUint8(at));
  return result;
}
const kernelPart = (part: Partial<ElfPart> = {}): ElfPart => ({ physicalAddress: MIB, bytes: CODE, ...part });
const entryNote = noteBytes('Xen', 18, Uint8Array.of(0, 0, 0x10, 0));

describe('what is no kernel', () => {
  test('is told apart and named', () => {
    expect(problem(new Uint8Array(0))).toBe('kernel.bin: the file is empty');
    expect(problem(new TextEncoder().encode('#!/bin/sh\n'))).toMatch(/kernel\.bin: no kernel: neither/);
    expect(problem(elfImage(true, 0x10_0000n, [kernelPart()]))).toMatch(
      /neither a Multiboot header nor a PVH/,
    );
  });

  test('no truncation of any image makes a loader crash', () => {
    const images = [
      elfImage(true, 0x10_0000n, [kernelPart(), { physicalAddress: 0, bytes: entryNote, type: 4 }]),
      elfImage(false, 0x10_0000n, [kernelPart({ bytes: multibootImage(MIB, CODE, 3) })]),
      multibootImage(MIB, CODE),
      bzImage(new Uint8Array(0x300)),
    ];
    for (const image of images) {
      for (let length = 0; length < image.length; length++) {
        try {
          load(image.subarray(0, length));
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigurationError);
        }
      }
    }
  });
});

describe('Multiboot', () => {
  const elf = elfImage(false, 0x10_0030n, [
    kernelPart({ bytes: multibootImage(MIB, CODE, 3), memoryBytes: 0x2000 }),
  ]);

  test('an ELF image is entered in flat 32-bit protected mode with the magic and the information', () => {
    const { kind, registers } = load(elf);
    expect(kind).toBe('multiboot');
    expect([registers.rip, registers.rax, registers.cr0 & 1, registers.cr0 >>> 31]).toEqual([
      0x10_0030, 0x2bad_b002, 1, 0,
    ]);
    expect(registers.code.attributes & 0x6000).toBe(0x4000);
  });

  test('the information tells memory, command line, map and modules', () => {
    const modules = [{ name: 'mod', bytes: Uint8Array.of(1, 2, 3), commandLine: 'x=1' }];
    const image = load(elf, { modules });
    const info = memory(image, image.registers.rbx);
    expect(info.getUint32(4, true)).toBe(640);
    expect(info.getUint32(8, true)).toBe(63 * 1024);
    expect(text(image, info.getUint32(16, true))).toBe('kernel.bin quiet');
    expect(info.getUint32(20, true)).toBe(1);
    const module = memory(image, info.getUint32(24, true));
    const start = module.getUint32(0, true);
    expect(start % 4096).toBe(0);
    expect(start).toBeGreaterThanOrEqual(MIB + 0x2000);
    expect(module.getUint32(4, true) - start).toBe(3);
    expect(text(image, module.getUint32(8, true))).toBe('mod x=1');
    const map = memory(image, info.getUint32(48, true));
    expect([map.getUint32(0, true), map.getUint32(12, true), map.getUint32(20, true)]).toEqual([
      20, 0xa_0000, 1,
    ]);
  });

  test('an ELF64 file whose entry is virtual is entered at its physical address', () => {
    const part = kernelPart({ bytes: multibootImage(MIB, CODE, 3), virtualAddress: 0xffff_ffff_8010_0000n });
    expect(load(elfImage(true, 0xffff_ffff_8010_0030n, [part])).registers.rip).toBe(0x10_0030);
  });

  test('an image with load addresses goes where it says', () => {
    const image = load(multibootImage(2 * MIB, CODE));
    expect(image.registers.rip).toBe(2 * MIB + 48);
    expect(memory(image, 2 * MIB + 48).getUint8(0)).toBe(0xf4);
  });

  test('what asks for impossible addresses or features is refused with the addresses', () => {
    expect(problem(multibootImage(128 * MIB, CODE))).toMatch(
      /0x8000000\.\.0x8000031, but memory ends at 0x4000000/,
    );
    expect(problem(multibootImage(0xa_0000, CODE))).toMatch(/overlaps the firmware area/);
    expect(problem(multibootImage(MIB, CODE, 0x1_0103))).toMatch(/demands features 0x100/);
    const overlapping = [
      kernelPart({ bytes: multibootImage(MIB, CODE, 3) }),
      kernelPart({ physicalAddress: MIB + 16 }),
    ];
    expect(problem(elfImage(false, 0x10_0030n, overlapping))).toMatch(
      /program header 1 wants .* overlaps program header 0/,
    );
    expect(
      problem(elfImage(false, 0x20_0000n, [kernelPart({ bytes: multibootImage(MIB, CODE, 3) })])),
    ).toMatch(/entry 0x200000 lies in no loaded segment/);
  });
});

describe('PVH', () => {
  const image = elfImage(true, 0n, [kernelPart(), { physicalAddress: 0, bytes: entryNote, type: 4 }]);

  test('is entered where its note says, with the start information in EBX', () => {
    const loaded = load(image, { initrd: { name: 'initrd', bytes: new Uint8Array(10) } });
    expect([loaded.kind, loaded.registers.rip]).toEqual(['pvh', MIB]);
    const start = memory(loaded, loaded.registers.rbx);
    expect(start.getUint32(0, true)).toBe(0x336e_c578);
    expect(start.getUint32(12, true)).toBe(1);
    expect(text(loaded, Number(start.getBigUint64(24, true)))).toBe('quiet');
    expect(Number(start.getBigUint64(32, true))).toBe(RSDP);
    const module = memory(loaded, Number(start.getBigUint64(16, true)));
    expect(Number(module.getBigUint64(8, true))).toBe(10);
    const map = memory(loaded, Number(start.getBigUint64(40, true)));
    expect(Number(map.getBigUint64(8, true))).toBe(0xa_0000);
  });

  test('a segment that is longer in the file than in memory is refused', () => {
    const parts = [
      kernelPart({ bytes: new Uint8Array(16), memoryBytes: 8 }),
      { physicalAddress: 0, bytes: entryNote, type: 4 },
    ];
    expect(problem(elfImage(true, 0n, parts))).toMatch(
      /program header 0 has 16 bytes in the file and only 8 in memory/,
    );
  });
});

describe('Linux bzImage', () => {
  const kernel = new Uint8Array(0x300).fill(0x90);

  test('is entered in long mode behind its preferred address, with the zero page in RSI', () => {
    const image = load(bzImage(kernel));
    const { registers } = image;
    expect([image.kind, registers.rip, registers.efer]).toEqual(['linux-bzimage', 0x100_0200, 0x500]);
    expect(registers.code.attributes & 0x6000).toBe(0x2000);
    const zeroPage = memory(image, registers.rsi);
    expect(text(image, zeroPage.getUint32(0x228, true))).toBe('quiet');
    expect(Number(zeroPage.getBigUint64(0x70, true))).toBe(RSDP);
    expect(zeroPage.getUint8(0x1e8)).toBe(3);
    expect(Number(zeroPage.getBigUint64(0x2d0 + 40 + 8, true))).toBe(63 * MIB);
  });

  test('its page tables map the first 4 GiB onto themselves', () => {
    const image = load(bzImage(kernel));
    const entry = (gpa: number) => Number(memory(image, gpa).getBigUint64(0, true));
    for (const address of [0, 0x100_0200, 0xfec0_0000, 0xffff_ffff]) {
      const pointers = entry(image.registers.cr3) & ~0xfff;
      const directory = entry(pointers + 8 * Math.floor(address / 2 ** 30)) & ~0xfff;
      const leaf = entry(directory + 8 * (Math.floor(address / 2 ** 21) % 512));
      expect(leaf).toBe(Math.floor(address / 2 ** 21) * 2 ** 21 + 0x83);
    }
  });

  test('an initrd lies at the top of memory, below what the kernel allows', () => {
    const initrd = { name: 'initrd', bytes: new Uint8Array(5000) };
    const high = memory(load(bzImage(kernel), { initrd }), load(bzImage(kernel), { initrd }).registers.rsi);
    expect(high.getUint32(0x218, true)).toBe(64 * MIB - 8192);
    const limited = load(
      bzImage(kernel, (header) => header.setUint32(0x22c, 0x1ff_ffff, true)),
      { initrd },
    );
    expect(memory(limited, limited.registers.rsi).getUint32(0x218, true)).toBe(32 * MIB - 8192);
  });

  test('moves to the lowest aligned address where its preferred one does not fit', () => {
    expect(load(bzImage(kernel), { memoryBytes: 16 * MIB }).registers.rip).toBe(2 * MIB + 0x200);
    const fixed = bzImage(kernel, (header) => header.setUint8(0x234, 0));
    expect(problem(fixed, { memoryBytes: 16 * MIB })).toMatch(
      /needs 17 MiB of memory to start, there are 16 MiB/,
    );
  });

  test('what cannot be booted is refused with the reason', () => {
    expect(problem(bzImage(kernel, (header) => header.setUint16(0x206, 0x20b, true)))).toMatch(
      /boot protocol 2\.11/,
    );
    expect(problem(bzImage(kernel, (header) => header.setUint16(0x236, 0, true)))).toMatch(/no 64-bit entry/);
    expect(problem(bzImage(kernel).subarray(0, 1100))).toMatch(/truncated/);
    expect(problem(bzImage(kernel), { commandLine: 'x'.repeat(3000) })).toMatch(
      /3000 bytes, the kernel takes at most 2047/,
    );
    const initrd = { name: 'big.gz', bytes: new Uint8Array(60 * MIB) };
    expect(problem(bzImage(kernel), { initrd })).toMatch(
      /big\.gz: the initrd of 62914560 bytes does not fit into 64 MiB/,
    );
    const modules = [{ name: 'm', bytes: CODE, commandLine: '' }];
    expect(problem(bzImage(kernel), { modules })).toMatch(/takes an initrd, not modules/);
  });
});
