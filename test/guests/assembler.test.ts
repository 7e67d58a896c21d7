import { describe, expect, test } from 'vitest';
import { assembler } from './assembler.ts';
import {
  al,
  ax,
  cr3,
  cr8,
  ds,
  dx,
  eax,
  mem,
  mem8,
  mem32,
  mem64,
  r8,
  r9,
  rax,
  rbx,
  rcx,
  rdi,
  rsp,
  sil,
  xmm1,
} from './operand.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const one = (...[name, ...operands]: Parameters<ReturnType<typeof assembler>['emit']>): string =>
  hex(
    assembler(0x1000)
      .emit(name, ...operands)
      .assemble(),
  );

describe('the assembler of the test guests', () => {
  test('takes the shortest encoding of a row that fits', () => {
    expect(one('mov', rax, rbx)).toMatch(/^48(89d8|8bc3)$/);
    expect(one('mov', eax, 5)).toBe('b805000000');
    expect(one('mov', rax, 5)).toBe('48c7c005000000');
    expect(one('mov', rax, 0x1234_5678_9abc_def0n)).toBe('48b8f0debc9a78563412');
    expect(one('add', rax, 1)).toBe('4883c001');
    expect(one('add', rbx, 0x1000)).toBe('4881c300100000');
    expect(one('push', r9)).toBe('4151');
    expect(one('pop', rax)).toBe('58');
  });
  test('encodes memory operands with base, index and displacement', () => {
    expect(one('mov', mem64(rbx, 8), rax)).toBe('48894308');
    expect(one('mov', mem32(rsp, 0), 7)).toBe('c7042407000000');
    expect(one('mov', mem8(rdi, 0, { index: rcx, scale: 4 }), al)).toBe('88048f');
    expect(one('mov', rax, mem(0x2000))).toBe('488b042500200000');
    expect(one('mov', mem8(rbx), sil)).toBe('408833');
  });
  test('encodes system instructions', () => {
    expect(one('mov', cr3, rax)).toBe('0f22d8');
    expect(one('mov', rax, cr8)).toBe('440f20c0');
    expect(one('out', dx, al)).toBe('ee');
    expect(one('out', dx, eax)).toBe('ef');
    expect(one('wrmsr')).toBe('0f30');
    expect(one('vmcall')).toBe('0f01c1');
    expect(one('mov', ds, ax)).toBe('8ed8');
    expect(one('movdqu', xmm1, mem(r8, 16))).toBe('f3410f6f4810');
    expect(one('iret')).toBe('48cf');
    expect(one('lgdt', mem(rbx))).toBe('0f0113');
  });
  test('resolves labels before and after they are set', () => {
    const asm = assembler(0x1000);
    asm.label('start').jmp('end').mov(rax, mem64('data')).mov(rcx, 'data').label('end').jne('start');
    asm.label('data').words64(1n, 'end');
    expect(hex(asm.assemble())).toBe(
      'e90e000000' +
        '488b050d000000' +
        '48c7c119100000' +
        '0f85e7ffffff' +
        '0100000000000000' +
        '1310000000000000',
    );
  });
  test('emits string instructions with their prefixes', () => {
    expect(hex(assembler(0).string('stos', 64, 'rep').string('movs', 8).assemble())).toBe('f348aba4');
  });
});
