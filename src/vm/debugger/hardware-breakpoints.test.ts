import { describe, expect, test } from 'vitest';
import { BreakpointKind as Kind } from './debug-target.ts';
import { DR7, HardwareBreakpoints } from './hardware-breakpoints.ts';

const NOTHING = [0n, 0n, 0n, 0n, 0xffff_0ff0n, 0x400n];

describe('the debug registers', () => {
  test('take instruction breakpoints and watchpoints in every aligned size', () => {
    const set = new HardwareBreakpoints();
    expect(set.insert(Kind.Hardware, 0x1000n, 1)).toBe(true);
    expect(set.insert(Kind.Write, 0x2000n, 8)).toBe(true);
    expect(set.insert(Kind.Access, 0x3004n, 4)).toBe(true);
    const { registers, debuggers } = set.plan(NOTHING);
    expect(registers.slice(0, 3)).toEqual([0x1000n, 0x2000n, 0x3004n]);
    // Enabled globally, general detect; R/W and length by slot.
    expect(registers[DR7]).toBe(0x400n | 0x2000n | 0b101010n | (0x0n << 16n) | (0x9n << 20n) | (0xfn << 24n));
    expect(debuggers.map((each) => each?.kind)).toEqual([Kind.Hardware, Kind.Write, Kind.Access, undefined]);
  });

  test('hold an unaligned watchpoint in several, and refuse what does not fit', () => {
    const set = new HardwareBreakpoints();
    expect(set.insert(Kind.Write, 0x1006n, 4)).toBe(true);
    expect(set.plan(NOTHING).registers.slice(0, 3)).toEqual([0x1006n, 0x1008n, 0n]);
    expect(set.insert(Kind.Write, 0x1001n, 31)).toBe(false);
    expect(set.insert(Kind.Write, 0x2000n, 24)).toBe(false);
    expect(set.insert(Kind.Write, 0x2000n, 0)).toBe(false);
    expect(set.insert(Kind.Write, 0x2000n, 16)).toBe(true);
    expect(set.insert(Kind.Hardware, 0x5000n, 1)).toBe(false);
    expect(set.insert(Kind.Write, 0x2000n, 16)).toBe(true);
    expect(set.remove(Kind.Write, 0x2000n, 16)).toBe(true);
    expect(set.remove(Kind.Write, 0x2000n, 16)).toBe(false);
    expect(set.insert(Kind.Hardware, 0x5000n, 1)).toBe(true);
  });

  test("leave the guest's own breakpoints in the slots that are free", () => {
    const set = new HardwareBreakpoints();
    set.insert(Kind.Hardware, 0x1000n, 1);
    // Slot 1 watches four bytes, slot 3 an instruction; slots 0 and 2 are off.
    const guest = [0n, 0x7000n, 0n, 0x8000n, 0xffff_0ff0n, 0x400n | 0x4n | 0x80n | (0xdn << 20n)];
    const { registers, guests } = set.plan(guest);
    expect(guests).toEqual([-1, 1, 3, -1]);
    expect(registers.slice(0, 4)).toEqual([0x1000n, 0x7000n, 0x8000n, 0n]);
    expect((registers[DR7] >> 20n) & 0xfn).toBe(0xdn);
    set.insert(Kind.Write, 0x2000n, 24);
    expect(set.plan(guest).guests).toEqual([-1, -1, -1, -1]);
  });
});
