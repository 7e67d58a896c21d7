import { describe, expect, test } from 'vitest';
import { Access, Exit } from '../cpu/processor.ts';
import { MessageType } from '../hvdef/messages.ts';
import { Machine } from './virtual-processor-fixture.ts';

const LOGICAL_DESTINATION = 0xfee0_00d0;
const VERSION = 0x5_0014n;
const FLAGS = { carry: 1n, parity: 4n, zero: 0x40n, sign: 0x80n, overflow: 0x800n } as const;

function execute(
  code: number[],
  gpa: number,
  kind: number,
  prepare: [register: number, value: bigint][] = [],
) {
  const machine = new Machine();
  const { vp, processor } = machine.start();
  for (const [register, value] of prepare) processor.setGpr(register, value);
  processor.code = new Uint8Array(code);
  processor.exitInstructionLength = code.length;
  vp.apicRegisters.writePage(0xd0, 4, 0x1200_0000);
  processor.script.push(() => {
    Object.assign(processor.memoryExit, { gpa, gva: 0n, gvaValid: true, access: kind });
    return Exit.Memory;
  });
  machine.scheduler.runSlice(0);
  return { machine, vp, processor, flags: processor.getRflags() };
}

describe('instructions on the local APIC page', () => {
  test.each<[string, number[], number, bigint]>([
    ['mov r32, [m]', [0x8b, 0x07], 0, VERSION],
    ['mov r64, [m]', [0x48, 0x8b, 0x07], 0, VERSION],
    ['mov r9d, [m]', [0x44, 0x8b, 0x0f], 9, VERSION],
    ['mov ax, [m] keeps the rest', [0x66, 0x8b, 0x07], 0, 0xffff_ffff_ffff_0014n],
    ['mov ah, [m] keeps the rest', [0x8a, 0x27], 0, 0xffff_ffff_ffff_14ffn],
    ['mov sil, [m] with REX', [0x40, 0x8a, 0x37], 6, 0xffff_ffff_ffff_ff14n],
    ['movzx eax, word [m]', [0x0f, 0xb7, 0x07], 0, 0x14n],
    ['mov eax, moffs', [0xa1, 0x30, 0, 0xe0, 0xfe, 0, 0, 0, 0], 0, VERSION],
    ['add eax, [m] wraps', [0x03, 0x07], 0, 0x5_0013n],
  ])('%s', (_label, code, register, result) => {
    const { processor } = execute(code, 0xfee0_0030, Access.Read, [
      [0, 0xffff_ffff_ffff_ffffn],
      [6, 0xffff_ffff_ffff_ffffn],
    ]);
    expect(processor.getGpr(register)).toBe(result);
  });

  test.each<[string, number[], number]>([
    ['mov [m], r32', [0x89, 0x0f], 0x3400_0000],
    ['mov dword [m], imm32', [0xc7, 0x07, 0, 0, 0, 0x56], 0x5600_0000],
    ['or dword [m], imm32', [0x81, 0x0f, 0, 0, 0, 0x01], 0x1300_0000],
    ['xor [m], r32', [0x31, 0x0f], 0x2600_0000],
    ['sub [m], r32', [0x29, 0x0f], 0xde00_0000],
    ['mov byte [m] reaches no register', [0x88, 0x0f], 0x1200_0000],
  ])('%s', (_label, code, value) => {
    const { vp } = execute(code, LOGICAL_DESTINATION, Access.Write, [[1, 0x3400_0000n]]);
    expect(vp.localApic.logicalDestination).toBe(value);
  });

  test('xchg swaps', () => {
    const { vp, processor } = execute([0x87, 0x0f], LOGICAL_DESTINATION, Access.Write, [[1, 0x3400_0000n]]);
    expect(vp.localApic.logicalDestination).toBe(0x3400_0000);
    expect(processor.getGpr(1)).toBe(0x1200_0000n);
  });

  test('flags follow the operation', () => {
    const compare = execute([0x39, 0x0f], LOGICAL_DESTINATION, Access.Read, [[1, 0x1200_0000n]]);
    expect(compare.flags & 0x8d5n).toBe(FLAGS.zero | FLAGS.parity);
    const below = execute([0x39, 0x0f], LOGICAL_DESTINATION, Access.Read, [[1, 0x1300_0000n]]);
    expect(below.flags & 0x8d5n).toBe(FLAGS.carry | FLAGS.sign | FLAGS.parity);
    const testMask = execute([0xf7, 0x07, 0, 0, 0, 0x10], LOGICAL_DESTINATION, Access.Read);
    expect(testMask.flags & FLAGS.zero).toBe(0n);
    const overflow = execute([0x2b, 0x0f], LOGICAL_DESTINATION, Access.Read, [[1, 0x8000_0000n]]);
    expect(overflow.flags & FLAGS.overflow).toBe(FLAGS.overflow);
  });

  test('an instruction that is none of these is reported as unsupported', () => {
    const { machine, processor } = execute([0x0f, 0x10, 0x07], 0xfee0_0030, Access.Read);
    expect(machine.messages[0].getUint32(0, true)).toBe(MessageType.UnsupportedFeature);
    expect(processor.getRip()).toBe(0x1000n);
  });
});
