import { expect, test } from 'vitest';
import { Assembler, Condition, Register } from './assembler.ts';
import { multibootKernel } from './multiboot-kernel.ts';
import { SMALL_GUEST_GREETING, smallGuest } from './small-guest.ts';

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset);

test('the header lies in the first 8 KiB and its three words add up to zero', () => {
  const kernel = view(multibootKernel(({ exit }) => exit(0)));
  let at = 0;
  while (kernel.getUint32(at, true) !== 0x1bad_b002) at += 4;
  expect(at).toBeLessThan(8192);
  const sum = [0, 4, 8].reduce((total, offset) => total + kernel.getUint32(at + offset, true), 0);
  expect(sum % 2 ** 32).toBe(0);
});

test('the entry point lies in the one segment, which fills the file', () => {
  const file = smallGuest();
  const elf = view(file);
  const [offset, address, size] = [56, 60, 68].map((at) => elf.getUint32(at, true));
  const entry = elf.getUint32(24, true);
  expect(entry).toBeGreaterThan(address);
  expect(entry).toBeLessThan(address + size);
  expect(offset + size).toBe(file.length);
  expect(Buffer.from(file).includes(SMALL_GUEST_GREETING)).toBe(true);
});

test('branches reach their labels, forwards and backwards', () => {
  const asm = new Assembler(0x1000);
  asm.label('start');
  asm.jump('end');
  asm.jumpIf(Condition.NotEqual, 'start');
  asm.label('end');
  asm.mov(Register.EAX, 'start');
  expect([...asm.assemble()]).toEqual([
    0xe9, 6, 0, 0, 0, 0x0f, 0x85, 0xf5, 0xff, 0xff, 0xff, 0xb8, 0, 0x10, 0, 0,
  ]);
});

test('a label that is missing or defined twice is refused', () => {
  const asm = new Assembler(0);
  asm.label('a');
  expect(() => asm.label('a')).toThrow('twice');
  asm.jump('nowhere');
  expect(() => asm.assemble()).toThrow('nowhere');
});
