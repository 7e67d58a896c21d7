/**
 * The WebAssembly of typical regions, to be read in review: what a change to the translator changes shows here
 * (`vitest run test/conformance/cpu/regions -u` renews the files).
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Assembler, assembler } from '../../../guests/assembler.ts';
import {
  al,
  eax,
  ecx,
  edx,
  mem,
  mem8,
  mem64,
  rax,
  rbx,
  rcx,
  rdi,
  rdx,
  rsi,
  xmm0,
  xmm1,
  xmm2,
} from '../../../guests/operand.ts';
import { regionText } from './region-text.ts';

const PAGE = 4096;

interface Example {
  name: string;
  shows: string;
  code: (asm: Assembler) => void;
}

const EXAMPLES: readonly Example[] = [
  {
    name: 'integer-loop',
    shows:
      'an integer loop keeps its registers in locals and looks at budget and attention on the way back only',
    code: (asm) => asm.mov(ecx, 100).label('again').add(rax, rcx).dec(ecx).jne('again').ret(),
  },
  {
    name: 'branch-diamond',
    shows: 'both sides of a comparison that is held as operands meet again',
    code: (asm) =>
      asm
        .cmp(rax, rbx)
        .jb('below')
        .sub(rax, rbx)
        .jmp('meet')
        .label('below')
        .sub(rbx, rax)
        .label('meet')
        .mov(rdx, rax)
        .ret(),
  },
  {
    name: 'copy-loop',
    shows: 'a copy looks each page up in the soft TLB, for the load and for the store',
    code: (asm) =>
      asm
        .label('again')
        .mov(rax, mem64(rsi, 0, { index: rcx, scale: 8 }))
        .mov(mem64(rdi, 0, { index: rcx, scale: 8 }), rax)
        .inc(rcx)
        .cmp(rcx, rdx)
        .jne('again')
        .ret(),
  },
  {
    name: 'call-and-return',
    shows: 'a call and its return stay within the region',
    code: (asm) =>
      asm
        .label('again')
        .call('callee')
        .dec(ecx)
        .jne('again')
        .jmp('end')
        .label('callee')
        .add(rax, rcx)
        .ret()
        .label('end')
        .ud2(),
  },
  {
    name: 'other-page',
    shows: 'a branch to another page asks whether that page is still where it was',
    code: (asm) =>
      asm
        .label('again')
        .add(rax, rcx)
        .jmp('far away')
        .reserve(PAGE)
        .label('far away')
        .dec(ecx)
        .jne('again')
        .ret(),
  },
  {
    name: 'sse-loop',
    shows: 'a loop of SSE2 arithmetic uses vectors, and asks for nothing but MXCSR where a result is no NaN',
    code: (asm) =>
      asm
        .label('again')
        .emit('movups', xmm1, mem(rsi))
        .emit('paddd', xmm1, xmm2)
        .emit('addpd', xmm0, xmm1)
        .add(rsi, 16)
        .dec(ecx)
        .jne('again')
        .ret(),
  },
  {
    name: 'flags-on-the-way-out',
    shows: 'flags that somebody may read behind the region are made of the operation on the way out',
    code: (asm) => asm.cmp(al, mem8(rsi)).emit('sete', al).sub(eax, edx).emit('jmp', rbx),
  },
];

test.each(EXAMPLES)('$name: $shows', async ({ name, code }) => {
  const asm = assembler(0);
  code(asm);
  const text = await regionText(asm.assemble(), 0);
  await expect(text).toMatchFileSnapshot(join(import.meta.dirname, `expected/${name}.wat`));
});
