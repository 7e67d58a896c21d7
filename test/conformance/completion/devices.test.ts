/** What a device sees of the instructions that address it: which bytes, how wide, in which order, and only once. */
import { describe, expect, test } from 'vitest';
import { backgroundMemory, backgroundState, DATA_ADDRESS, DATA_SIZE } from '../cpu/cpu-state.ts';
import { type Case, CompletionRig, DATA_PORT, type DeviceAccess, differences, type Result } from './rig.ts';

const [RAX, RCX, RDX, RBX, RSP, RSI, RDI] = [0, 1, 2, 3, 4, 6, 7];
/** The first data page is the device, the second RAM. */
const DEVICE = DATA_ADDRESS;
const RAM = DATA_ADDRESS + 0x1000;
const rig = new CompletionRig();

function caseOf(bytes: readonly number[], registers: Record<number, number>, more: Partial<Case> = {}): Case {
  const { gpr, rflags, floating } = backgroundState();
  for (const [index, value] of Object.entries(registers)) gpr[Number(index)] = BigInt(value);
  const memory = backgroundMemory();
  return { code: 64, privilege: 3, bytes: Uint8Array.from(bytes), gpr, rflags, floating, memory, ...more };
}

function run(bytes: readonly number[], registers: Record<number, number>, more: Partial<Case> = {}): Result {
  return rig.run(caseOf(bytes, registers, more), ['device', 'ram']);
}

const read = (offset: number, size: number): DeviceAccess => ({ write: false, offset, size });
const write = (offset: number, size: number): DeviceAccess => ({ write: true, offset, size });
const elements = (count: number, size: number, access: typeof read) =>
  Array.from({ length: count }, (_, k) => access(0x20 + k * size, size));

describe('a device sees', () => {
  test.each([
    ['one read of a load', [0x8b, 0x03], [read(0x10, 4)]],
    ['one write of a store, and no read', [0x89, 0x03], [write(0x10, 4)]],
    ['one write of a vector store in two halves', [0xf3, 0x0f, 0x7f, 0x03], [write(0x10, 8), write(0x18, 8)]],
    ['a read and a write of LOCK XADD', [0xf0, 0x0f, 0xc1, 0x03], [read(0x10, 4), write(0x10, 4)]],
    ['one read of PUSH', [0xff, 0x33], [read(0x10, 8)]],
    ['one write of POP', [0x8f, 0x03], [write(0x10, 8)]],
    ['one write of SETcc', [0x0f, 0x94, 0x03], [write(0x10, 1)]],
    ['ten bytes of FLD', [0xdb, 0x2b], [read(0x10, 8), read(0x18, 2)]],
    ['one write of FSTP', [0xdd, 0x1b], [write(0x10, 8)]],
    ['the pointer of an indirect jump', [0xff, 0x23], [read(0x10, 8)]],
    ['nothing of CLFLUSH', [0x0f, 0xae, 0x3b], []],
  ] as const)('%s', (_name, bytes, accesses) => {
    expect(run(bytes, { [RBX]: DEVICE + 0x10, [RSP]: RAM + 0x800 }).accesses).toEqual(accesses);
  });

  test('each byte of REP MOVSB once, in order', () => {
    const result = run([0xf3, 0xa4], { [RSI]: DEVICE + 0x20, [RDI]: RAM, [RCX]: 300 });
    expect(result.accesses).toEqual(elements(300, 1, read));
    expect(result.memory.subarray(0x1000, 0x1000 + 300)).toEqual(
      backgroundMemory().subarray(0x20, 0x20 + 300),
    );
  });
  test('each element of REP STOSD once, in order', () => {
    const result = run([0xf3, 0xab], { [RDI]: DEVICE + 0x20, [RCX]: 40 });
    expect(result.accesses).toEqual(elements(40, 4, write));
  });
  test('the elements of REP MOVSW backward from RAM into it', () => {
    const { accesses } = run([0xfd, 0x66, 0xf3, 0xa5], { [RDI]: DEVICE + 4, [RSI]: RAM + 64, [RCX]: 3 });
    expect(accesses).toEqual([write(4, 2), write(2, 2), write(0, 2)]);
  });
  test('a compare that ends early and no more', () => {
    const { accesses } = run([0xf2, 0xae], { [RDI]: DEVICE, [RAX]: backgroundMemory()[3]!, [RCX]: 99 });
    expect(accesses).toEqual([0, 1, 2, 3].map((at) => read(at, 1)));
  });
});

describe('a device is not read by', () => {
  test('an instruction that ends in a page fault elsewhere', () => {
    const result = run([0xa4], { [RSI]: DEVICE + 0x20, [RDI]: DATA_ADDRESS + DATA_SIZE });
    expect(result).toMatchObject({ isFault: true, accesses: [] });
    const push = run([0xff, 0x33], { [RBX]: DEVICE, [RSP]: DATA_ADDRESS + DATA_SIZE + 0x100 });
    expect(push).toMatchObject({ isFault: true, accesses: [] });
  });
  test('INS, and its port neither, when the destination is not there', () => {
    const result = run([0xf3, 0x6c], { [RDX]: DATA_PORT, [RDI]: DATA_ADDRESS + DATA_SIZE - 2, [RCX]: 5 });
    expect(result.isFault).toBe(true);
    expect(rig.portAccesses).toHaveLength(2);
  });
});

describe('INS and OUTS', () => {
  test('move between a port and a device', () => {
    rig.ports.set([0x11, 0x22, 0x33, 0x44]);
    const input = run([0xf3, 0x6d], { [RDX]: DATA_PORT, [RDI]: DEVICE + 0x20, [RCX]: 3 });
    expect(input.accesses).toEqual(elements(3, 4, write));
    expect(rig.portAccesses).toEqual(Array.from({ length: 3 }, () => read(0, 4)));
    expect([...input.memory.subarray(0x20, 0x28)]).toEqual([0x11, 0x22, 0x33, 0x44, 0x11, 0x22, 0x33, 0x44]);
    const output = run([0xf3, 0x66, 0x6f], { [RDX]: DATA_PORT + 2, [RSI]: DEVICE + 0x20, [RCX]: 3 });
    expect(output.accesses).toEqual(elements(3, 2, read));
    expect(rig.portAccesses).toEqual(Array.from({ length: 3 }, () => write(2, 2)));
  });
  test('with a count of zero touch neither', () => {
    const result = run([0xf3, 0x6e], { [RDX]: DATA_PORT, [RSI]: DEVICE, [RCX]: 0 });
    expect([...result.accesses, ...rig.portAccesses]).toEqual([]);
  });
  test('of thousands of elements are done in parts', () => {
    const result = run([0xf3, 0x6c], { [RDX]: DATA_PORT, [RDI]: RAM, [RCX]: 2000 });
    expect(result.registers.get('r1')).toBe('0:0');
    expect(result.intercepts).toBe(Math.ceil(2000 / 256));
  });
});

test('an exception is delivered on a stack that is a device', () => {
  const ud2 = caseOf([0x0f, 0x0b], {}, { exceptionStack: DEVICE + 0x800 });
  const [expected, actual] = [rig.run(ud2, ['ram', 'ram']), rig.run(ud2, ['device', 'ram'])];
  expect(actual.isFault).toBe(true);
  expect(differences(expected, actual)).toEqual([]);
  expect(actual.accesses.every((access) => access.write)).toBe(true);
  expect(actual.intercepts).toBeGreaterThan(0);
});

test('a debug trap follows a completed instruction under the trap flag', () => {
  const traced = caseOf([0x8b, 0x03], { [RBX]: DEVICE });
  traced.rflags |= 0x100;
  const [expected, actual] = [rig.run(traced, ['ram', 'ram']), rig.run(traced, ['device', 'ram'])];
  expect(actual.isFault).toBe(true);
  expect(differences(expected, actual)).toEqual([]);
});

test('a program that copies, fills, pushes, adds and loads does on a device what it does on RAM', () => {
  const program = caseOf(
    [
      ...[0xf3, 0xa4], // rep movsb
      ...[0xb9, 0x10, 0, 0, 0, 0xf3, 0xab], // mov ecx, 16; rep stosd
      ...[0xff, 0x33, 0x8f, 0x43, 0x40], // push [rbx]; pop [rbx + 0x40]
      ...[0xf3, 0x0f, 0x6f, 0x43, 0x20, 0x66, 0x0f, 0x6f, 0xc8], // movdqu xmm0, [rbx + 0x20]; movdqa xmm1, xmm0
      ...[0xf0, 0x0f, 0xc1, 0x43, 0x08], // lock xadd [rbx + 8], eax
      ...[0xdb, 0x6b, 0x60, 0xd9, 0x5b, 0x70], // fld tbyte [rbx + 0x60]; fstp dword [rbx + 0x70]
      ...[0xf7, 0x63, 0x10, 0xd3, 0x43, 0x14, 0x0f, 0x45, 0x4b, 0x18], // mul; rol, cl; cmovne
      ...[0x48, 0x0f, 0xc7, 0x4b, 0x30, 0x48, 0x0f, 0xae, 0x43, 0xf0], // cmpxchg16b [rbx + 0x30]; fxsave64 [rbx - 0x10]
    ],
    { [RBX]: DEVICE + 0x210, [RSI]: DEVICE + 0x20, [RDI]: DEVICE + 0x600, [RCX]: 100, [RSP]: RAM + 0x800 },
  );
  const [expected, actual] = [rig.run(program, ['ram', 'ram']), rig.run(program, ['device', 'ram'])];
  expect(actual.isFault).toBe(false);
  expect(differences(expected, actual)).toEqual([]);
  expect(actual.intercepts).toBe(100 + 16 + 11);
});
