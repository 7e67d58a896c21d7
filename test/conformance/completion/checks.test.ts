/** What the processor checks before memory is touched, when the parent or the hypervisor does the touching. */
import { describe, expect, test } from 'vitest';
import { InterceptHeader, MemoryMessage } from '../../../src/hvdef/messages.ts';
import { RegisterName } from '../../../src/hvdef/registers.ts';
import { backgroundMemory, backgroundState, DATA_ADDRESS, DATA_SIZE } from '../cpu/cpu-state.ts';
import { type Case, CompletionRig, DATA_PORT, type Result } from './rig.ts';

const [RCX, RDX, RBX, RSI, RDI] = [1, 2, 3, 6, 7];
const EMPTY_PORT = 0x2222;
const NXE = 1 << 11;
const rig = new CompletionRig();
const STUB = 16;

function run(bytes: readonly number[], registers: Record<number, number>, more: Partial<Case> = {}): Result {
  const { gpr, rflags, floating } = backgroundState(32);
  for (const [index, value] of Object.entries(registers)) gpr[Number(index)] = BigInt(value);
  const one: Case = {
    code: 32,
    privilege: 3,
    bytes: Uint8Array.from(bytes),
    gpr,
    rflags,
    floating,
    memory: backgroundMemory(),
    ...more,
  };
  return rig.run(one, ['device', 'ram']);
}

/** The vector whose stub it ended in; -1: none. */
function vectorOf({ isFault, registers }: Result): number {
  const rip = Number(`0x${registers.get('rip')!.split(':')[1]}`);
  return isFault ? Math.floor((rip % 0x1000) / STUB) : -1;
}
const errorCodeOf = ({ stack }: Result): number =>
  new DataView(stack.buffer).getUint32(stack.length - 48, true);
const registerOf = ({ registers }: Result, name: string): number =>
  Number(`0x${registers.get(name)!.split(':')[1]}`);

describe.each([
  ['the parent', DATA_PORT],
  ['the hypervisor', EMPTY_PORT],
])('INS and OUTS that %s completes', (_, port) => {
  const limit = 0x10f;
  /** In bytes; it begins with the data pages. */
  const short = { base: DATA_ADDRESS, limit, attributes: 0x40f3 };
  const beyond = { [RDX]: port, [RSI]: limit - 2, [RDI]: limit - 2 };

  test.each([
    ['INSD in ES', [0x6d], 'Es', 13],
    ['OUTSD in DS', [0x6f], 'Ds', 13],
    ['OUTSD in SS', [0x36, 0x6f], 'Ss', 12],
  ] as const)('fault beyond the segment: %s', (_name, bytes, name, vector) => {
    const result = run(bytes, beyond, { segments: { [name]: short } });
    expect(vectorOf(result)).toBe(vector);
    expect(errorCodeOf(result)).toBe(0);
    expect(rig.portAccesses).toEqual([]);
    expect(result.memory).toEqual(backgroundMemory());
  });

  test('go to the last byte of it', () => {
    const inside = { ...beyond, [RDI]: limit - 3 };
    expect(vectorOf(run([0x6d], inside, { segments: { Es: short } }))).toBe(-1);
  });

  test('stop at it in the middle, with what they have done', () => {
    const registers = { [RDX]: port, [RDI]: limit - 7, [RCX]: 5 };
    const result = run([0xf3, 0x6d], registers, { segments: { Es: short } });
    expect(vectorOf(result)).toBe(13);
    expect([registerOf(result, 'r1'), registerOf(result, 'r7')]).toEqual([3, limit + 1]);
  });

  test('with a count of zero look at no segment', () => {
    const result = run([0xf3, 0x6d], { ...beyond, [RCX]: 0 }, { segments: { Es: short } });
    expect(vectorOf(result)).toBe(-1);
  });

  test('INS does not write to a segment that is not writable', () => {
    const segments = { Es: { base: 0, limit: 0xffff_ffff, attributes: 0xc0f1 } };
    expect(vectorOf(run([0x6c], { [RDX]: port, [RDI]: DATA_ADDRESS }, { segments }))).toBe(13);
  });

  test('write nothing of an element that crosses into a page that is not there', () => {
    const at = DATA_ADDRESS + DATA_SIZE - 2;
    const result = run([0x6d], { [RDX]: port, [RDI]: at });
    expect([vectorOf(result), registerOf(result, 'cr2')]).toEqual([14, at + 2]);
    expect(result.memory).toEqual(backgroundMemory());
  });

  test.each([
    ['at what is no address', 1n << 47n, 13],
    ['before that at a page that is not there', (1n << 47n) - 2n, 14],
  ])('fault in 64-bit code %s', (_name, place, vector) => {
    const { gpr, rflags } = backgroundState(64);
    gpr[RDX] = BigInt(port);
    gpr[RDI] = place;
    expect(vectorOf(run([0x6d], {}, { code: 64, gpr, rflags }))).toBe(vector);
  });
});

describe('a page fault of the fetch of an instruction that is to be completed', () => {
  const NOT_THERE = BigInt(DATA_ADDRESS + DATA_SIZE);

  test.each([
    ['says so where there are no-execute pages', true, 0x14],
    ['does not where there are none', false, 0x04],
  ])('%s', (_, noExecute, errorCode) => {
    rig.onMemoryIntercept = (message) => {
      // As if another processor had taken the page away since the access.
      message.setUint8(MemoryMessage.InstructionByteCount, 0);
      message.setBigUint64(InterceptHeader.Rip, NOT_THERE, true);
      rig.onMemoryIntercept = () => {};
      if (noExecute) return;
      const [efer] = rig.partition.registers.read(0, [RegisterName.Efer]);
      rig.partition.registers
        .begin(0)
        .put(RegisterName.Efer, efer! & ~BigInt(NXE))
        .commit();
    };
    const result = run([0x8b, 0x03], { [RBX]: DATA_ADDRESS });
    expect([vectorOf(result), registerOf(result, 'cr2')]).toEqual([14, Number(NOT_THERE)]);
    expect(errorCodeOf(result)).toBe(errorCode);
  });
});
