import { beforeEach, describe, expect, test } from 'vitest';
import type { Operand } from '../../instructions/instruction.ts';
import { x87Rows } from '../../instructions/rows-x87.ts';
import * as layout from '../../state-layout.ts';
import { restoreFxImage, saveFxImage } from './fxsave.ts';
import { enterMmx, leaveMmx, markMmxWritten, mmxAddress } from './mmx.ts';
import { resetFloatingPoint, resetX87 } from './reset.ts';
import { executeX87, FLOATING_POINT_ERROR, recordInstruction, recordOperand, resolveX87 } from './resolve.ts';
import { X87Unit } from './unit.ts';

const BASE = 0x1000;
let view: DataView;
let unit: X87Unit;

const memory = (size: number): Operand[] => [
  { kind: 'memory', size, segment: 3, base: 0, index: -1, scale: 0, displacement: 0n },
];
const st = (...indexes: number[]): Operand[] => indexes.map((index) => ({ kind: 'st', index }));

function run(mnemonic: string, operands: Operand[] = [], operandSize = 32): number {
  const operation = resolveX87(mnemonic, operands, operandSize);
  if (operation === undefined) throw new Error(`no operation for ${mnemonic}`);
  return executeX87(unit, operation);
}

function pushDouble(value: number): void {
  unit.operandView.setFloat64(0, value, true);
  run('fld', memory(64));
}

function popDouble(): number {
  run('fstp', memory(64));
  return unit.operandView.getFloat64(0, true);
}

function setControl(value: number): void {
  unit.operandView.setUint16(0, value, true);
  run('fldcw', memory(16));
}

beforeEach(() => {
  view = new DataView(new ArrayBuffer(BASE + layout.STATE_SIZE));
  view.setUint32(BASE + layout.CR0, 1, true);
  resetX87(view, BASE);
  unit = new X87Unit(view, BASE);
});

test('every row of the instruction table resolves', () => {
  const sizes: Readonly<Record<string, number>> = { Mw: 16, Md: 32, Mq: 64, Mt: 80, M: 0 };
  for (const [mnemonic, text] of x87Rows) {
    const operands = text
      .split(',')
      .flatMap((code) =>
        code in sizes ? memory(sizes[code]!) : code.startsWith('ST') ? st(code === 'ST' ? 0 : 3) : [],
      );
    expect(resolveX87(mnemonic, operands, 32), mnemonic).toBeDefined();
  }
  expect(resolveX87('fwait', [], 32)).toBeDefined();
  expect(resolveX87('faddsub', [], 32)).toBeUndefined();
  expect(resolveX87('toString', [], 32)).toBeUndefined();
});

describe('arithmetic', () => {
  test('of doubles agrees with the host where one rounding decides', () => {
    setControl(0x027f);
    for (const [a, b] of [
      [1.5, 2.25],
      [1e300, 3.3],
      [0.1, -0.2],
      [1 / 3, 7],
    ] as const) {
      pushDouble(a);
      pushDouble(b);
      run('faddp', st(1, 0));
      expect(popDouble()).toBe(a + b);
      pushDouble(a);
      pushDouble(b);
      run('fdivp', st(1, 0));
      expect(popDouble()).toBe(a / b);
    }
  });

  test('subp keeps the operand order: ST(1) - ST(0)', () => {
    pushDouble(10);
    pushDouble(3);
    run('fsubp', st(1, 0));
    expect(popDouble()).toBe(7);
  });
});

describe('an unmasked exception', () => {
  test('is reported by the next waiting instruction, which does nothing', () => {
    setControl(0x037b);
    pushDouble(1);
    pushDouble(0);
    expect(run('fdivp', st(1, 0))).toBe(0);
    expect(unit.status & 0x8084).toBe(0x8084);
    expect(unit.top).toBe(6);
    expect(run('fld1')).toBe(FLOATING_POINT_ERROR);
    expect(run('fwait')).toBe(FLOATING_POINT_ERROR);
    expect(unit.top).toBe(6);
  });

  test('does not stop the control instructions without wait, and FNCLEX ends it', () => {
    setControl(0x037b);
    pushDouble(1);
    pushDouble(0);
    run('fdivp', st(1, 0));
    expect(run('fnstsw', memory(16))).toBe(0);
    expect(unit.operandView.getUint16(0, true)).toBe(unit.status);
    expect(run('fnclex')).toBe(0);
    expect(run('fld1')).toBe(0);
  });

  test('appears when FLDCW unmasks a flag that is set', () => {
    pushDouble(1);
    pushDouble(0);
    run('fdivp', st(1, 0));
    expect(unit.pending).toBe(false);
    setControl(0x037b);
    expect(unit.pending).toBe(true);
  });

  test('keeps a store from storing and popping', () => {
    setControl(0x0377);
    pushDouble(1e300);
    run('fstp', memory(32));
    expect(unit.stored).toBe(false);
    expect(unit.isEmpty(0)).toBe(false);
  });
});

describe('the stack', () => {
  test('overflows with C1 set and underflows with C1 clear', () => {
    for (let i = 0; i < 9; i++) run('fld1');
    expect(unit.status & 0x241).toBe(0x241);
    run('fninit');
    run('fchs');
    expect(unit.status & 0x241).toBe(0x041);
    expect(unit.signExponent(0)).toBe(0xffff);
  });
});

describe('the environment', () => {
  const recorded = (): void => {
    recordInstruction(unit, 0x12345678, 0, 0x33, 0x1d9);
    recordOperand(unit, 0x9abcdef0, 0, 0x2b);
  };
  const words = (count: number): number[] =>
    Array.from({ length: count }, (_, i) => unit.operandView.getUint16(2 * i, true));

  test('has selectors and offsets in protected mode', () => {
    recorded();
    run('fnstenv', memory(0));
    expect(words(14)).toEqual([
      0x037f, 0xffff, 0, 0xffff, 0xffff, 0xffff, 0x5678, 0x1234, 0x33, 0x1d9, 0xdef0, 0x9abc, 0x2b, 0xffff,
    ]);
    run('fnstenv', memory(0), 16);
    expect(words(7)).toEqual([0x037f, 0, 0xffff, 0x5678, 0x33, 0xdef0, 0x2b]);
  });

  test('has linear pointers in real mode', () => {
    view.setUint32(BASE + layout.CR0, 0, true);
    recorded();
    run('fnstenv', memory(0));
    expect(words(14).slice(6)).toEqual([0x5678, 0xffff, 0x41d9, 0x0123, 0xdef0, 0xffff, 0xc000, 0x09ab]);
    run('fnstenv', memory(0), 16);
    expect(words(7).slice(3)).toEqual([0x5678, 0x41d9, 0xdef0, 0xc000]);
  });

  test('stored and loaded is the same again, but for the masks FNSTENV sets', () => {
    setControl(0x0c72);
    recorded();
    run('fld1');
    run('fldz');
    run('fnstenv', memory(0));
    expect(unit.operandView.getUint16(8, true)).toBe(0x1fff);
    expect(unit.control).toBe(0x0c7f);
    resetX87(view, BASE);
    run('fldenv', memory(0));
    expect(unit.control).toBe(0x0c72);
    expect(unit.tags).toBe(0xc0);
    expect(unit.top).toBe(6);
    expect(view.getUint32(BASE + layout.FPU_IP, true)).toBe(0x12345678);
    expect(view.getUint16(BASE + layout.FPU_OPCODE, true)).toBe(0x1d9);
  });

  test('FNSAVE empties the unit and FRSTOR brings it all back', () => {
    pushDouble(2.5);
    pushDouble(-7);
    for (const size of [16, 32]) {
      run('fnsave', memory(0), size);
      expect(unit.tags).toBe(0);
      expect(unit.control).toBe(0x037f);
      run('frstor', memory(0), size);
    }
    expect(popDouble()).toBe(-7);
    expect(popDouble()).toBe(2.5);
  });
});

describe('the FXSAVE image', () => {
  test('restored is the state that was saved', () => {
    pushDouble(2.5);
    recordInstruction(unit, 0x12345678, 0xffffffff, 0, 0x123);
    view.setUint32(BASE + layout.MXCSR, 0x1f80, true);
    view.setBigUint64(BASE + layout.XMM + 15 * 16, 0x1122334455667788n, true);
    const image = new DataView(new ArrayBuffer(512));
    saveFxImage(view, BASE, image, { wide: true, xmmCount: 16 });
    expect(image.getUint8(4)).toBe(0x80);
    expect(image.getUint16(40, true)).toBe(0x4000);
    expect(image.getBigUint64(8, true)).toBe(0xffffffff12345678n);
    const before = view.buffer.slice(BASE);
    resetFloatingPoint(view, BASE);
    expect(restoreFxImage(view, BASE, image, { wide: true, xmmCount: 16 })).toBe(true);
    expect(new Uint8Array(view.buffer.slice(BASE))).toEqual(new Uint8Array(before));
  });

  test('with reserved MXCSR bits is refused and changes nothing', () => {
    const image = new DataView(new ArrayBuffer(512));
    image.setUint32(24, 0x10000, true);
    const before = view.buffer.slice(0);
    expect(restoreFxImage(view, BASE, image, { wide: true, xmmCount: 16 })).toBe(false);
    expect(new Uint8Array(view.buffer)).toEqual(new Uint8Array(before));
  });
});

test('MMX takes over the registers whatever TOP was, and EMMS gives them back empty', () => {
  run('fld1');
  enterMmx(view, BASE);
  view.setBigUint64(mmxAddress(BASE, 3), 5n, true);
  markMmxWritten(view, BASE, 3);
  expect([unit.tags, unit.top, unit.signExponent(3), unit.significand(3)]).toEqual([0xff, 0, 0xffff, 5n]);
  leaveMmx(view, BASE);
  expect([unit.tags, unit.top]).toEqual([0, 0]);
});
