/** The counters of a whole processor: identity-mapped long mode at privilege 0, one large page. */
import { expect, test } from 'vitest';
import { AREA_SIZE, createProcessor, type ProcessorOptions } from './create-processor.ts';
import { Exit, type PhysicalMemory, type Processor, Segment } from './processor.ts';
import type { ProcessorProfile } from './processor-profile.ts';
import { addProfile, emptyProfile } from './profile.ts';

const CODE = 0x8000;
const AREA = 0x200000;
const SIZE = Math.ceil((AREA + AREA_SIZE) / 65536) * 65536;
const PAGES = 64;

function machine(code: readonly number[], options: ProcessorOptions): Processor {
  const memory = new WebAssembly.Memory({ initial: SIZE / 65536, maximum: SIZE / 65536, shared: true });
  const view = new DataView(memory.buffer);
  const physical: PhysicalMemory = {
    memory,
    bytes: new Uint8Array(memory.buffer),
    words: new Uint32Array(memory.buffer),
    view,
    pageCount: SIZE / 4096,
    noteWritten: (spn, offset = 0, size = 4096) => {
      for (const holder of physical.codeHolders) holder.written(spn, offset, size);
    },
    codeMapAddress: 0x100000,
    codeHolders: [],
  };
  // What another processor has left in the area counts for nothing.
  physical.bytes.fill(0xab, AREA);
  const host = { translateGpa: (gpn: number) => (gpn < 512 ? gpn | (7 << 24) : -1), readTsc: () => 0 };
  const cpu = createProcessor(physical, 0x1000, host, AREA, options);
  view.setUint32(0x4000, 0x5027, true);
  view.setUint32(0x5000, 0x6027, true);
  view.setUint32(0x6000, 0xe7, true);
  physical.bytes.set(code, CODE);
  cpu.setControl(4, 0x20n);
  cpu.setControl(3, 0x4000n);
  cpu.setMsr(0xc0000080, 0x100n);
  cpu.setControl(0, 0x80010011n);
  const limit = 0xffffffff;
  cpu.setSegment(Segment.CS, { selector: 8, base: 0n, limit, attributes: 0xa09b });
  for (const k of [Segment.SS, Segment.DS, Segment.ES])
    cpu.setSegment(k, { selector: 16, base: 0n, limit, attributes: 0xc093 });
  cpu.setRip(BigInt(CODE));
  return cpu;
}

function profileOf(cpu: Processor): ProcessorProfile {
  for (let turn = 0; turn < 100; turn++) if (cpu.run(1_000_000) === Exit.Halt) return cpu.profile!();
  throw new Error('the program did not halt');
}

// mov ecx, 400000; 1: add rax, rcx; dec ecx; jnz 1b; hlt
const LOOP = [0xb9, 0x80, 0x1a, 6, 0, 0x48, 1, 0xc8, 0xff, 0xc9, 0x75, 0xf9, 0xf4];
const LOOP_INSTRUCTIONS = 1 + 3 * 400_000;
// mov ecx, PAGES; mov ebx, 0x40000; 1: mov [rbx], ecx; add ebx, 4096; dec ecx; jnz 1b; hlt
const TOUCH = [
  0xb9,
  PAGES,
  0,
  0,
  0,
  0xbb,
  0,
  0,
  4,
  0,
  0x89,
  0x0b,
  0x81,
  0xc3,
  0,
  16,
  0,
  0,
  0xff,
  0xc9,
  0x75,
  0xf4,
  0xf4,
];

test('a hot loop runs in a region, and the tiers add up to all that was executed', () => {
  const cpu = machine(LOOP, {});
  const { instructions, translator, decoder } = profileOf(cpu);
  expect(instructions.interpreter + instructions.regions).toBe(cpu.instructionsRetired);
  expect(cpu.instructionsRetired).toBeGreaterThanOrEqual(LOOP_INSTRUCTIONS);
  expect(instructions.regions).toBeGreaterThan(LOOP_INSTRUCTIONS / 2);
  expect(translator).toMatchObject({ regions: 1, regionsDropped: 0 });
  expect(decoder.blocks).toBeGreaterThanOrEqual(1);
});

test('without the translator all of it is the interpreter’s', () => {
  const { instructions, translator } = profileOf(machine(LOOP, { translate: 'never' }));
  expect(instructions.regions).toBe(0);
  expect(instructions.interpreter).toBeGreaterThanOrEqual(LOOP_INSTRUCTIONS);
  expect(translator).toMatchObject({ regions: 0, instructions: 0, milliseconds: 0 });
});

test('each page touched for the first time is a walk; touched again it is none', () => {
  const cpu = machine(TOUCH, { translate: 'never' });
  const first = profileOf(cpu).tlb;
  // The pages, and the one of the code.
  expect(first).toEqual({ misses: PAGES + 1, secondLevelHits: 0, walks: PAGES + 1 });
  cpu.setRip(BigInt(CODE));
  expect(profileOf(cpu).tlb).toEqual(first);
});

test('microcode is counted by operation', () => {
  // mov rax, cr3; mov cr3, rax; hlt
  const { microcode } = profileOf(
    machine([0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0xf4], { translate: 'never' }),
  );
  expect(microcode).toMatchObject({ WriteControl: 1 });
  expect(microcode).not.toHaveProperty('Syscall');
});

test('the profiles of several processors add up', () => {
  const total = emptyProfile();
  const one = {
    ...emptyProfile(),
    tlb: { misses: 3, secondLevelHits: 1, walks: 2 },
    microcode: { Cpuid: 1 },
  };
  addProfile(total, one);
  addProfile(total, { ...one, microcode: { Halt: 2 } });
  expect(total.tlb).toEqual({ misses: 6, secondLevelHits: 2, walks: 4 });
  expect(total.microcode).toEqual({ Cpuid: 1, Halt: 2 });
});
