import { describe, expect, test } from 'vitest';
import { INTEGER_EFFECTS } from './integer-effects.ts';

const run = (
  mnemonic: string,
  left: bigint,
  right: bigint,
  more: { rflags?: bigint; accumulator?: bigint; bits?: number } = {},
) => INTEGER_EFFECTS[mnemonic]({ bits: 32, accumulator: 0n, rflags: 2n, left, right, ...more });

describe('integer instructions on intercepted memory', () => {
  // [mnemonic, left, right, result, flags: C=1 P=4 A=10 Z=40 S=80 O=800]
  test.each([
    ['add', 0xffff_ffffn, 1n, 0n, 0x57n],
    ['add', 0x7fff_ffffn, 1n, 0x8000_0000n, 0x896n],
    ['sub', 0n, 1n, 0xffff_ffffn, 0x97n],
    ['or', 0xf0n, 0x0fn, 0xffn, 0x6n],
    ['and', 0xf0n, 0x0fn, 0n, 0x46n],
    ['xor', 5n, 4n, 1n, 0x2n],
    ['inc', 0xfn, 0n, 0x10n, 0x12n],
    ['dec', 1n, 0n, 0n, 0x46n],
    ['neg', 1n, 0n, 0xffff_ffffn, 0x97n],
    ['shl', 0x8000_0001n, 1n, 2n, 0x803n],
    ['shr', 3n, 1n, 1n, 0x3n],
    ['bts', 1n, 4n, 0x11n, 0x2n],
    ['btr', 0x11n, 4n, 1n, 0x3n],
  ] as const)('%s %i, %i', (mnemonic, left, right, result, rflags) => {
    expect(run(mnemonic, left, right)).toMatchObject({ destination: result, rflags });
  });

  test('comparisons and tests write nothing', () => {
    expect(run('cmp', 1n, 1n)).toEqual({ rflags: 0x46n });
    expect(run('test', 1n, 2n)).toEqual({ rflags: 0x46n });
    expect(run('bt', 4n, 2n)).toEqual({ destination: undefined, rflags: 3n });
  });
  test('exchanges give the old value to the register', () => {
    expect(run('xchg', 1n, 2n)).toMatchObject({ destination: 2n, source: 1n });
    expect(run('xadd', 1n, 2n)).toMatchObject({ destination: 3n, source: 1n });
  });
  test('CMPXCHG stores when the accumulator is equal, and loads it otherwise', () => {
    expect(run('cmpxchg', 7n, 9n, { accumulator: 7n })).toEqual({ destination: 9n, rflags: 0x46n });
    expect(run('cmpxchg', 7n, 9n, { accumulator: 8n })).toMatchObject({ destination: 7n, accumulator: 7n });
  });
  test('INC and DEC keep the carry, ADC and SBB use it', () => {
    expect(run('inc', 0n, 0n, { rflags: 3n }).rflags & 1n).toBe(1n);
    expect(run('adc', 1n, 1n, { rflags: 3n }).destination).toBe(3n);
    expect(run('sbb', 1n, 0n, { rflags: 3n }).destination).toBe(0n);
  });
});
