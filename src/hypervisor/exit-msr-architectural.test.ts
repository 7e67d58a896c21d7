import { describe, expect, test } from 'vitest';
import { ArchitecturalMsrs } from './exit-msr-architectural.ts';

describe('architectural MSRs', () => {
  test('identification reads as TLFS Appendix G says and ignores writes', () => {
    const msrs = new ArchitecturalMsrs();
    expect(msrs.read(0x17)).toBe(0n);
    expect(msrs.write(0x17, 5n)).toBe('ok');
    expect(msrs.read(0x17)).toBe(0n);
    expect(msrs.read(0x8b)).toBe(0x8fff_ffff_0000_0000n);
  });

  test('memory type ranges keep valid values and fault on reserved bits and types', () => {
    const msrs = new ArchitecturalMsrs();
    expect(msrs.write(0x200, 0xc000_0006n)).toBe('ok');
    expect(msrs.read(0x200)).toBe(0xc000_0006n);
    expect(msrs.write(0x200, 0xc000_0002n)).toBe('fault');
    expect(msrs.write(0x200, 0xc000_0106n)).toBe('fault');
    expect(msrs.write(0x201, 0xf_ffff_c000_0800n)).toBe('ok');
    expect(msrs.write(0x250, 0x0606_0606_0606_0602n)).toBe('fault');
    expect(msrs.write(0x250, 0x0606_0606_0606_0606n)).toBe('ok');
    expect(msrs.write(0xfe, 0n)).toBe('fault');
  });

  test('an MSR outside the table is unknown', () => {
    const msrs = new ArchitecturalMsrs();
    expect(msrs.read(0x480)).toBeUndefined();
    expect(msrs.write(0x480, 0n)).toBe('unknown');
  });
});
