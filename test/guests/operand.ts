/** Operands of the test guests' assembler: registers, memory, immediates and labels. */

export interface RegisterOperand {
  readonly kind: 'gpr' | 'xmm' | 'segment' | 'control' | 'debug';
  readonly number: number;
  /** In bits. */
  readonly size: number;
}

export interface MemoryOperand {
  readonly kind: 'memory';
  /** In bits; 0 where the other operand or the instruction says it. */
  readonly size: number;
  /** Register number, -1 for none, RIP_BASE for an address that is given by a label. */
  readonly base: number;
  readonly index: number;
  /** Of 1, 2, 4, 8: its logarithm. */
  readonly scale: number;
  readonly displacement: number;
  readonly label: string | undefined;
}

/** A string is a label: its address as an immediate, or the target of a branch. */
export type Operand = RegisterOperand | MemoryOperand | number | bigint | string;

export const RIP_BASE = 16;

const bank = (kind: RegisterOperand['kind'], size: number, count: number): RegisterOperand[] =>
  Array.from({ length: count }, (_, number) => ({ kind, number, size }));

export const [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = bank(
  'gpr',
  64,
  16,
);
export const [eax, ecx, edx, ebx, esp, ebp, esi, edi, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d] = bank(
  'gpr',
  32,
  16,
);
export const [ax, cx, dx, bx] = bank('gpr', 16, 4);
/** Byte registers with a REX prefix where it is needed: SPL..DIL, not AH..BH. */
export const [al, cl, dl, bl, spl, bpl, sil, dil, r8b, r9b] = bank('gpr', 8, 10);
export const [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7] = bank('xmm', 128, 8);
export const [es, cs, ss, ds, fs, gs] = bank('segment', 16, 6);
export const [cr0, , cr2, cr3, cr4, , , , cr8] = bank('control', 64, 9);

export interface Address {
  index?: RegisterOperand;
  scale?: 1 | 2 | 4 | 8;
}

/** Memory of `size` bits at a register (or label) plus a displacement. */
function memoryOf(size: number) {
  return (
    at: RegisterOperand | string | number,
    displacement = 0,
    { index, scale = 1 }: Address = {},
  ): MemoryOperand => {
    const isRegister = typeof at === 'object';
    return {
      kind: 'memory',
      size,
      base: isRegister ? at.number : typeof at === 'string' ? RIP_BASE : -1,
      index: index?.number ?? -1,
      scale: Math.log2(scale),
      displacement: typeof at === 'number' ? at + displacement : displacement,
      label: typeof at === 'string' ? at : undefined,
    };
  };
}

export const mem = memoryOf(0);
export const mem8 = memoryOf(8);
export const mem16 = memoryOf(16);
export const mem32 = memoryOf(32);
export const mem64 = memoryOf(64);
