import { expect, test } from 'vitest';
import { SystemMemory } from '../../src/hypervisor/system-memory.ts';
import { Canary } from './canary.ts';
import { Random } from './random.ts';

const PAGE = 4096;

function made(): { memory: SystemMemory; canary: Canary } {
  const memory = new SystemMemory(2 ** 20);
  return {
    memory,
    canary: new Canary(
      memory,
      [
        { page: 16, pages: 2 },
        { page: 32, pages: 1 },
      ],
      new Random(1),
    ),
  };
}

test('a canary that nobody touched passes', () => {
  expect(() => made().canary.checkAll()).not.toThrow();
});

test.each([16 * PAGE, 18 * PAGE - 1, 32 * PAGE + 777])('a changed byte (at %i) is found', (address) => {
  const { memory, canary } = made();
  memory.bytes[address] ^= 1;
  expect(() => canary.check()).toThrow('has changed');
});

test.each([0, 3, 5])('eight bytes read from it (at offset %i) are found wherever they are', (offset) => {
  const { memory, canary } = made();
  const from = 16 * PAGE + offset;
  memory.bytes.copyWithin(40 * PAGE + 1, from, from + 8);
  expect(() => canary.checkAll()).toThrow('was read');
  expect(() => canary.checkRegister(memory.view.getBigUint64(from, true), 'RAX')).toThrow('RAX');
  expect(() => canary.checkRegister(BigInt(memory.view.getUint32(from, true)), 'EAX')).toThrow('EAX');
  expect(() => canary.checkBytes(memory.bytes.subarray(from, from + 16), 'XMM0')).toThrow('XMM0');
});
