/**
 * Debug exceptions, far transfers and address wrap on a whole processor: identity-mapped long mode at privilege 0,
 * #DB intercepted, so that each one comes back as an exit with RIP where it would be delivered.
 */
import { describe, expect, test } from 'vitest';
import { AREA_SIZE, createProcessor } from '../create-processor.ts';
import { Exit, type PhysicalMemory, type Processor, Segment } from '../processor.ts';

const CODE = 0x8000;
const DATA = 0x9000;
const STACK = 0xb000;
const GDT = 0xc000;
const AREA = 0x200000;
const SIZE = Math.ceil((AREA + AREA_SIZE) / 65536) * 65536;
const TF = 0x100n;
const CODE_64 = 0xa09b;
const CODE_32 = 0xc09b;
const FLAT_DATA = 0xc093;

function machine(code: readonly number[], codeAttributes = CODE_64): { cpu: Processor; view: DataView } {
  const memory = new WebAssembly.Memory({ initial: SIZE / 65536, maximum: SIZE / 65536, shared: true });
  const view = new DataView(memory.buffer);
  const physical: PhysicalMemory = {
    memory,
    bytes: new Uint8Array(memory.buffer),
    words: new Uint32Array(memory.buffer),
    view,
    pageCount: SIZE / 4096,
    noteWritten: () => {},
    codeMapAddress: 0x100000,
    codeHolders: [],
  };
  const host = { translateGpa: (gpn: number) => (gpn < 512 ? gpn | (7 << 24) : -1), readTsc: () => 0 };
  const cpu = createProcessor(physical, 0x1000, host, AREA);
  // 0x4000 PML4, 0x5000 directory pointers, 0x6000 a directory of one large page.
  view.setUint32(0x4000, 0x5027, true);
  view.setUint32(0x5000, 0x6027, true);
  view.setUint32(0x6000, 0xe7, true);
  view.setBigUint64(GDT + 8, 0x00af_9b00_0000_ffffn, true);
  view.setBigUint64(GDT + 16, 0x00cf_9b00_0000_ffffn, true);
  physical.bytes.set(code, CODE);
  cpu.setControl(4, 0x20n);
  cpu.setControl(3, 0x4000n);
  cpu.setMsr(0xc0000080, 0x100n);
  cpu.setControl(0, 0x80010011n);
  cpu.setTable('gdtr', { base: BigInt(GDT), limit: 23 });
  const limit = 0xffffffff;
  cpu.setSegment(Segment.CS, { selector: 8, base: 0n, limit, attributes: codeAttributes });
  for (const k of [Segment.SS, Segment.DS, Segment.ES, Segment.GS])
    cpu.setSegment(k, { selector: 16, base: 0n, limit, attributes: FLAT_DATA });
  cpu.setGpr(4, BigInt(STACK));
  cpu.setRip(BigInt(CODE));
  cpu.exceptionIntercepts = 0xffff_ffff;
  return { cpu, view };
}

/** Runs to the next #DB; what it is. The exception counts as delivered. */
function debugException(cpu: Processor): { at: number; dr6: number } {
  expect(cpu.run(100)).toBe(Exit.Exception);
  expect(cpu.exceptionExit.vector).toBe(1);
  const dr6 = Number(cpu.getDebug(6));
  cpu.setDebug(6, 0xffff0ff0n);
  return { at: Number(cpu.getRip()) - CODE, dr6 };
}
const STEP = 0xffff4ff0;

describe('single step', () => {
  test('traps behind the instruction that runs under TF, also behind the POPF that ends it', () => {
    // push 2; popf; hlt
    const { cpu } = machine([0x6a, 0x02, 0x9d, 0xf4]);
    cpu.setRflags(2n | TF);
    expect(debugException(cpu)).toEqual({ at: 2, dr6: STEP });
    expect(debugException(cpu)).toEqual({ at: 3, dr6: STEP });
    expect(cpu.run(10)).toBe(Exit.Halt);
  });

  test('skips the boundary behind MOV SS, not the one behind STI', () => {
    // mov ss, ax; nop; sti; nop
    const { cpu } = machine([0x8e, 0xd0, 0x90, 0xfb, 0x90]);
    cpu.setGpr(0, 0n);
    cpu.setRflags(2n | TF);
    expect(debugException(cpu).at).toBe(3);
    expect(debugException(cpu).at).toBe(4);
    expect(debugException(cpu).at).toBe(5);
  });

  test('comes after each element of a repeated string instruction', () => {
    // rep stosb
    const { cpu } = machine([0xf3, 0xaa, 0x90]);
    cpu.setGpr(1, 2n);
    cpu.setGpr(7, BigInt(DATA));
    cpu.setRflags(2n | TF);
    expect(debugException(cpu).at).toBe(0);
    expect(cpu.getGpr(1)).toBe(1n);
    expect(debugException(cpu).at).toBe(2);
  });
});

describe('breakpoints', () => {
  test('on an instruction stop before it, unless RF is set', () => {
    const { cpu } = machine([0x90, 0x90, 0xf4]);
    cpu.setDebug(2, BigInt(CODE + 1));
    cpu.setDebug(7, 0x420n);
    expect(debugException(cpu)).toEqual({ at: 1, dr6: 0xffff0ff4 });
    cpu.setRflags(0x10002n);
    expect(cpu.run(10)).toBe(Exit.Halt);
  });

  test('on data trap behind the store that meets them, and only that', () => {
    // mov [DATA+8], eax; mov [DATA], eax; mov ecx, [DATA]; hlt
    const store = (at: number): number[] => [0x89, 0x04, 0x25, at & 255, at >> 8, 0, 0];
    const { cpu } = machine([...store(DATA + 8), ...store(DATA), 0x8b, 0x0c, 0x25, 0, DATA >> 8, 0, 0, 0xf4]);
    cpu.setDebug(1, BigInt(DATA + 2));
    cpu.setDebug(7, 0x0050_0408n);
    expect(debugException(cpu)).toEqual({ at: 14, dr6: 0xffff0ff2 });
    expect(cpu.run(10)).toBe(Exit.Halt);
  });

  test('general detect stops MOV to a debug register', () => {
    // mov dr0, rax
    const { cpu } = machine([0x0f, 0x23, 0xc0]);
    cpu.setDebug(7, 0x2400n);
    expect(debugException(cpu)).toEqual({ at: 0, dr6: 0xffff2ff0 });
  });
});

describe('outside 64-bit code', () => {
  test('a far jump with an immediate pointer goes to its selector', () => {
    // jmp 8:CODE+7; hlt
    const { cpu } = machine([0xea, 0x07, CODE >> 8, 0, 0, 0x08, 0, 0xf4], CODE_32);
    expect(cpu.run(10)).toBe(Exit.Halt);
    expect(cpu.getSegment(Segment.CS).selector).toBe(8);
  });

  test('linear addresses wrap at 4 GiB', () => {
    // mov eax, gs:[0xfffffffc]; hlt
    const { cpu, view } = machine([0x65, 0xa1, 0xfc, 0xff, 0xff, 0xff, 0xf4], CODE_32);
    cpu.setSegment(Segment.GS, {
      selector: 16,
      base: BigInt(DATA + 4),
      limit: 0xffffffff,
      attributes: FLAT_DATA,
    });
    view.setUint32(DATA, 0x12345678, true);
    expect(cpu.run(10)).toBe(Exit.Halt);
    expect(cpu.getGpr(0)).toBe(0x12345678n);
  });
});
