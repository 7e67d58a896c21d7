import { beforeEach, describe, expect, test } from 'vitest';
import { CR4 } from '../../x86/control-registers.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import { preciseFloat } from './precise-float.ts';
import { PRECISE_OPERATIONS, PreciseArgument } from './precise-operations.ts';

const view = new DataView(new ArrayBuffer(S.STATE_SIZE));
const [INVALID, DENORMAL, PRECISION] = [1, 2, 0x20];
const [DAZ, ROUND_UP] = [0x40, 0x4000];

function run(name: string, mxcsr: number, immediate = 0): number {
  view.setUint32(S.MXCSR, mxcsr, true);
  return preciseFloat(
    view,
    0,
    PRECISE_OPERATIONS.indexOf(name) | (immediate << PreciseArgument.ImmediateShift),
  );
}
const put = (at: number, ...values: number[]): void => {
  values.forEach((value, k) => {
    view.setFloat64(S.SCRATCH + at + 8 * k, value, true);
  });
};
const result = (k = 0): number => view.getFloat64(S.SCRATCH + 32 + 8 * k, true);
const flags = (): number => view.getUint32(S.MXCSR, true) & 0x3f;

beforeEach(() => {
  view.setUint32(S.CR4, CR4.OSXMMEXCPT, true);
  view.setUint32(S.FAULT_VECTOR, 0, true);
});

describe('precise floating point', () => {
  test('rounds as MXCSR says and sets the precision flag', () => {
    put(0, 1, 7);
    put(16, 2 ** -60, 9);
    expect(run('addsd', 0x1f80)).toBe(Status.Next);
    expect([result(), result(1), flags()]).toEqual([1, 7, PRECISION]);
    run('addsd', 0x1f80 | ROUND_UP);
    expect(result()).toBe(1 + Number.EPSILON);
  });

  test('takes denormals for zeros under DAZ', () => {
    put(0, 5e-324);
    put(16, 1e300);
    run('mulsd', 0x1f80 | DAZ);
    expect([result(), flags()]).toEqual([0, 0]);
    run('mulsd', 0x1f80);
    expect(flags() & DENORMAL).toBe(DENORMAL);
    expect(result()).toBeGreaterThan(0);
  });

  test('raises #XM for an unmasked exception, #UD where the system did not enable #XM', () => {
    put(16, -1, 4);
    expect(run('sqrtpd', 0x1f80 & ~0x80)).toBe(Status.Leave);
    expect(view.getUint32(S.FAULT_VECTOR, true)).toBe(VECTOR.XM + 1);
    expect(flags()).toBe(INVALID);
    view.setUint32(S.CR4, 0, true);
    run('sqrtpd', 0x1f80 & ~0x80);
    expect(view.getUint32(S.FAULT_VECTOR, true)).toBe(VECTOR.UD + 1);
  });

  test('answers the integer indefinite for what does not fit', () => {
    put(16, 2 ** 31, Number.NaN);
    run('cvttpd2dq', 0x1f80);
    expect(view.getBigUint64(S.SCRATCH + 32, true)).toBe(0x8000000080000000n);
    expect(view.getBigUint64(S.SCRATCH + 40, true)).toBe(0n);
  });
});
