import { describe, expect, test } from 'vitest';
import { SCRATCH } from '../state-layout.ts';
import { compareStrings, StringCompareScratch } from './string-compare.ts';

const view = new DataView(new ArrayBuffer(0x1000));
const [CF, ZF, SF, OF] = [1, 0x40, 0x80, 0x800];

function compare(first: string, second: string, control: number, lengths?: [number, number]) {
  const put = (text: string, at: number): void => {
    for (let k = 0; k < 16; k++) view.setUint8(SCRATCH + at + k, text.charCodeAt(k) || 0);
  };
  put(first, StringCompareScratch.First);
  put(second, StringCompareScratch.Second);
  view.setBigInt64(SCRATCH + StringCompareScratch.FirstLength, BigInt(lengths?.[0] ?? -1), true);
  view.setBigInt64(SCRATCH + StringCompareScratch.SecondLength, BigInt(lengths?.[1] ?? -1), true);
  compareStrings(view, 0, control);
  return {
    flags: view.getUint32(SCRATCH + StringCompareScratch.Flags, true),
    index: view.getUint32(SCRATCH + StringCompareScratch.Index, true),
    mask: view.getUint16(SCRATCH + StringCompareScratch.Mask, true),
  };
}

describe('string comparison', () => {
  test('equal any finds the first byte out of a set', () => {
    expect(compare('xyz', 'hello zebra', 0x00)).toMatchObject({ index: 6, flags: CF | ZF | SF });
  });
  test('ranges find bytes between pairs of bounds', () => {
    expect(compare('az09', '--A7b', 0x04)).toMatchObject({ index: 3, mask: 0b11000 });
  });
  test('equal each, negated, finds the first difference', () => {
    expect(compare('same text', 'same test', 0x18)).toMatchObject({ index: 7, flags: CF | ZF | SF });
    expect(compare('same', 'same', 0x18)).toMatchObject({ index: 16, flags: ZF | SF });
  });
  test('equal ordered finds a needle, even one that the register cuts off', () => {
    expect(compare('lo', 'hello', 0x0c).index).toBe(3);
    expect(compare('lost', 'xxxxxxxxxxxxxxlo', 0x0c)).toMatchObject({ index: 14, flags: CF | SF });
  });
  test('explicit lengths count zeros as bytes', () => {
    expect(compare('\0', 'ab\0cd', 0x00, [1, 5])).toMatchObject({ index: 2 });
    expect(compare('a', 'a', 0x08, [16, 16]).flags & OF).toBe(OF);
  });
});
