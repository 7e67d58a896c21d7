import { expect, test } from 'vitest';
import { FIRMWARE_TABLES } from './platform.ts';
import { RESET_VECTOR } from './reset-vector.ts';

test('a jump to FFFF:0000 writes the reset value to the reset port and waits', () => {
  expect(RESET_VECTOR.gpa).toBe(0xffff * 16);
  expect([...RESET_VECTOR.bytes]).toEqual([0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd]);
});

test('it ends below 1 MiB, in memory that the guest is told not to use', () => {
  const end = RESET_VECTOR.gpa + RESET_VECTOR.bytes.length;
  expect(RESET_VECTOR.gpa).toBeGreaterThanOrEqual(FIRMWARE_TABLES.first);
  expect(end).toBeLessThanOrEqual(FIRMWARE_TABLES.first + FIRMWARE_TABLES.bytes);
});
