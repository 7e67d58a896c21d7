/**
 * The x87 forms that are compared with the real processor, derived from the instruction table: for each row, the
 * bytes (memory operands at [rsi]) and the operands to resolve. `node forms.ts` prints them for native.c:
 * name, memory bits, 1 for integer or decimal memory, bytes in hex.
 */
import type { Operand } from '../../../src/cpu/instructions/instruction.ts';
import { x87Rows } from '../../../src/cpu/instructions/rows-x87.ts';

export interface X87Form {
  mnemonic: string;
  bytes: string;
  operands: Operand[];
  memoryBits: number;
  integer: boolean;
  operandSize: 16 | 32;
  setsAx: boolean;
}

const MEMORY_BITS: Readonly<Record<string, number>> = { Mw: 16, Md: 32, Mq: 64, Mt: 80, M: 0 };
const MEMORY_AT_RSI = 6;
/** Stack registers that stand for all: the top itself and some below. */
const STACK_SAMPLES = [0, 1, 2, 5];

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

function formsOf(mnemonic: string, operandText: string, encoding: string): X87Form[] {
  const [opcode, extra] = encoding.split(' ') as [string, string];
  const base = { mnemonic, memoryBits: 0, integer: false, operandSize: 32 as const, setsAx: false };
  const memory = operandText.split(',').find((code) => code in MEMORY_BITS);
  if (memory !== undefined) {
    const size = MEMORY_BITS[memory]!;
    const bytes = opcode.toLowerCase() + hex((Number(extra[1]) << 3) | MEMORY_AT_RSI);
    const operand: Operand = {
      kind: 'memory',
      size,
      segment: 3,
      base: 6,
      index: -1,
      scale: 0,
      displacement: 0n,
    };
    const integer = /^f(i(?!n)|b)/.test(mnemonic);
    const form: X87Form = { ...base, bytes, operands: [operand], memoryBits: size, integer };
    return memory === 'M' ? [form, { ...form, bytes: `66${bytes}`, operandSize: 16 }] : [form];
  }
  if (!extra.startsWith('/')) {
    return [{ ...base, bytes: (opcode + extra).toLowerCase(), operands: [], setsAx: operandText === 'AX' }];
  }
  // Only the bytes tell this twin of FSTP, which does not mind an empty stack.
  const name = opcode === 'D9' && mnemonic === 'fstp' ? 'fstpnce' : mnemonic;
  return STACK_SAMPLES.map((index) => ({
    ...base,
    mnemonic: name,
    bytes: opcode.toLowerCase() + hex(0xc0 | (Number(extra[1]) << 3) | index),
    operands: operandText.split(',').map((code) => ({ kind: 'st', index: code === 'STi' ? index : 0 })),
  }));
}

const CONDITIONS: Readonly<Record<string, (flags: number) => boolean>> = {
  fcmovb: (flags) => (flags & 1) !== 0,
  fcmove: (flags) => (flags & 0x40) !== 0,
  fcmovbe: (flags) => (flags & 0x41) !== 0,
  fcmovu: (flags) => (flags & 4) !== 0,
  fcmovnb: (flags) => (flags & 1) === 0,
  fcmovne: (flags) => (flags & 0x40) === 0,
  fcmovnbe: (flags) => (flags & 0x41) === 0,
  fcmovnu: (flags) => (flags & 4) === 0,
};

/** Whether FCMOVcc moves under these EFLAGS. */
export function conditionHolds(mnemonic: string, flags: number): boolean {
  return CONDITIONS[mnemonic]?.(flags) ?? false;
}

export const x87Forms: X87Form[] = x87Rows.flatMap(([mnemonic, operands, encoding]) =>
  formsOf(mnemonic, operands, encoding),
);

if (process.argv[1]?.endsWith('forms.ts')) {
  for (const form of x87Forms) {
    console.log(`${form.mnemonic} ${form.memoryBits} ${form.integer ? 1 : 0} ${form.bytes}`);
  }
}
