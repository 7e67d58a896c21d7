import { describe, expect, test } from 'vitest';
import { createDecoder, decode } from './decode.ts';
import { disassemble } from './disassemble.ts';
import { allForms, formOf, lockedForms } from './forms.ts';
import type { CodeSize, DecodeResult, Instruction } from './instruction.ts';
import { instructionRows } from './table.ts';

const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(hex.split(' '), (byte) => Number.parseInt(byte, 16));

function decodeHex(hex: string, code: CodeSize = 64): DecodeResult {
  const bytes = bytesOf(hex);
  return decode(bytes, 0, bytes.length, code);
}
function instructionOf(hex: string, code: CodeSize = 64): Instruction {
  const result = decodeHex(hex, code);
  if (result.kind !== 'ok') throw new Error(`${hex} is ${result.kind}`);
  return result.instruction;
}
const text = (hex: string, code: CodeSize = 64): string => {
  const result = decodeHex(hex, code);
  return result.kind === 'ok' ? disassemble(result.instruction) : result.kind;
};

describe('decode', () => {
  test.each<[string, CodeSize, string]>([
    ['48 89 e5', 64, 'mov rbp, rsp'],
    ['48 8b 44 8b f8', 64, 'mov rax, qword [rbx+rcx*4-0x8]'],
    ['8b 05 10 00 00 00', 64, 'mov eax, dword [rip+0x10]'],
    ['8b 05 10 00 00 00', 32, 'mov eax, dword [0x10]'],
    ['8b 46 fe', 16, 'mov ax, word [bp-0x2]'],
    ['66 67 8b 00', 16, 'mov eax, dword [eax]'],
    ['49 b8 88 77 66 55 44 33 22 11', 64, 'mov r8, 0x1122334455667788'],
    ['48 c7 c0 ff ff ff ff', 64, 'mov rax, 0xffffffffffffffff'],
    ['83 c0 ff', 64, 'add eax, 0xffffffff'],
    ['40 88 e0', 64, 'mov al, spl'],
    ['88 e0', 64, 'mov al, ah'],
    ['41 90', 64, 'xchg r8d, eax'],
    ['f3 90', 64, 'pause'],
    ['90', 64, 'nop'],
    ['f3 0f 1e fa', 64, 'nop edx'],
    ['ea 34 12 78 56', 16, 'jmpf 0x5678:0x1234'],
    ['f3 48 a5', 64, 'rep movsq'],
    ['f2 ae', 64, 'repne scasb'],
    ['65 ac', 64, 'lodsb al, byte gs:[rsi]'],
    ['d8 c1', 64, 'fadd st, st(1)'],
    ['dc e1', 64, 'fsubr st(1), st'],
    ['66 0f 3a 16 c0 01', 64, 'pextrd eax, xmm0, 0x1'],
    ['66 48 0f 3a 16 c0 01', 64, 'pextrq rax, xmm0, 0x1'],
    ['f0 48 0f c7 0f', 64, 'lock cmpxchg16b xmmword [rdi]'],
    ['a1 88 77 66 55 44 33 22 11', 64, 'mov eax, dword [0x1122334455667788]'],
    ['0f 20 d8', 64, 'mov rax, cr3'],
    ['c4 06 34 12', 16, 'les ax, dword [0x1234]'],
  ])('%s in %i-bit code is %s', (hex, code, expected) => {
    expect(text(hex, code)).toBe(expected);
  });

  test('LOCK is refused unless the row is lockable and its destination is memory', () => {
    expect(text('f0 01 08')).toBe('lock add dword [rax], ecx');
    expect(text('f0 01 c8')).toBe('invalid');
    expect(text('f0 03 08')).toBe('invalid');
    expect(text('f0 89 08')).toBe('invalid');
  });

  test('a REX that another prefix follows has no effect', () => {
    expect(text('48 66 89 c8')).toBe('mov ax, cx');
    expect(text('66 48 89 c8')).toBe('mov rax, rcx');
  });

  test('REX has no meaning outside 64-bit code', () => {
    expect(text('48', 32)).toBe('dec eax');
  });

  test('F3 and F2 take precedence over 66, and the last of them wins', () => {
    expect(text('66 f3 0f 10 c1')).toBe('movss xmm0, xmm1');
    expect(text('f3 66 0f 10 c1')).toBe('movss xmm0, xmm1');
    expect(text('f3 f2 0f 10 c1')).toBe('movsd xmm0, xmm1');
  });

  test('ES, CS, SS and DS overrides are ignored in 64-bit code', () => {
    expect(text('2e 8b 00')).toBe('mov eax, dword [rax]');
    expect(text('64 2e 8b 00')).toBe('mov eax, dword fs:[rax]');
    expect(text('2e 8b 00', 32)).toBe('mov eax, dword cs:[eax]');
  });

  test('bases SP and BP default to the stack segment, R12 and R13 do not', () => {
    const segmentOf = (hex: string): number => {
      const operand = instructionOf(hex).operands[1]!;
      return operand.kind === 'memory' ? operand.segment : -1;
    };
    expect(segmentOf('8b 04 24')).toBe(2);
    expect(segmentOf('8b 45 00')).toBe(2);
    expect(segmentOf('41 8b 04 24')).toBe(3);
    expect(segmentOf('41 8b 45 00')).toBe(3);
  });

  test('fifteen bytes are the limit', () => {
    const prefixes = (count: number): string => Array.from({ length: count }, () => '66').join(' ');
    expect(instructionOf(`${prefixes(13)} 89 c8`).length).toBe(15);
    expect(text(`${prefixes(14)} 89 c8`)).toBe('too-long');
    expect(text(prefixes(15))).toBe('too-long');
    expect(text(prefixes(14))).toBe('need');
  });

  test('bytes that are missing are asked for', () => {
    for (const hex of ['0f', '48', 'e8 00 00', '8b 04', '66 0f 3a']) expect(text(hex)).toBe('need');
  });

  test('instructions of one mode only are invalid in the others', () => {
    for (const hex of ['06', '27', '60', 'c4 06', 'ea 00 00 00 00 00 00', '82 c0 01', 'd6']) {
      expect(text(hex)).toBe('invalid');
    }
    expect(text('0f 05', 32)).toBe('invalid');
    expect(text('63 c8', 32)).toBe('arpl ax, cx');
    expect(text('48 63 c8')).toBe('movsxd rcx, eax');
  });

  test('registers that do not exist are invalid', () => {
    expect(text('0f 20 c8')).toBe('invalid');
    expect(text('8e c8')).toBe('invalid');
    expect(text('8c f0')).toBe('invalid');
    expect(text('44 0f 21 c0')).toBe('invalid');
  });

  test('without its feature, an instruction falls back to what the prefix leaves', () => {
    const bytes = bytesOf('f3 0f bc c1');
    const mnemonicWith = (features: string[]): string | undefined => {
      const result = createDecoder(new Set(features))(bytes, 0, bytes.length, 64);
      return result.kind === 'ok' ? result.instruction.row.mnemonic : undefined;
    };
    expect(mnemonicWith([])).toBe('bsf');
    expect(mnemonicWith(['bmi1'])).toBe('tzcnt');
  });

  test('near branches are 64 bits wide in 64-bit code, whatever the prefixes say', () => {
    const instruction = instructionOf('66 e8 00 00 00 00');
    expect(instruction.operandSize).toBe(64);
    expect(instruction.length).toBe(6);
    expect(instructionOf('66 e8 00 00', 32).operandSize).toBe(16);
  });
});

describe('forms', () => {
  test('encodings of the same operation share a form object', () => {
    expect(formOf(instructionOf('01 c8'))).toBe(formOf(instructionOf('03 c1')));
    expect(formOf(instructionOf('01 c8')).key).toBe('add.32.r32,r32');
    expect(formOf(instructionOf('01 08')).key).toBe('add.32.m32,r32');
    expect(formOf(instructionOf('f3 a4')).key).toBe('movs.8.m8,m8.rep');
  });

  test('every form that decoding yields is enumerated', () => {
    const known = new Set([...allForms(), ...lockedForms().map(({ form }) => form)]);
    let state = 12345;
    const bytes = Uint8Array.from({ length: 1 << 18 }, () => {
      state = (Math.imul(state, 1103515245) + 12345) | 0;
      return state >>> 23;
    });
    for (const code of [16, 32, 64] as const) {
      for (let offset = 0; offset < bytes.length - 16; offset++) {
        const result = decode(bytes, offset, 15, code);
        if (result.kind !== 'ok') continue;
        const form = formOf(result.instruction);
        if (!known.has(form))
          throw new Error(`${form.key} of ${disassemble(result.instruction)} is not enumerated`);
      }
    }
  });
});

test('no two rows claim the same encoding', () => {
  const keys = instructionRows.map((row) =>
    [
      row.prefix,
      row.map,
      row.opcode,
      row.digit,
      row.mod,
      row.modrm,
      row.noRexB,
      row.invalidIn64,
      row.onlyIn64,
    ].join(),
  );
  expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
});
