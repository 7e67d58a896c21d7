/** Builds the bytes of an instruction in 32- or 64-bit code from a row of the table; the inverse of decoding, for tests. */
import { bitsOf, Place } from '../../../src/cpu/instructions/operand-codes.ts';
import type { InstructionRow } from '../../../src/cpu/instructions/table.ts';

export interface EncodedMemory {
  /** -1 for none, 16 for RIP. */
  base: number;
  index: number;
  scale: number;
  displacement: number;
  /** Use a 32-bit displacement although 8 bits would do. */
  wide: boolean;
  /** 67 prefix. */
  address32: boolean;
}
export interface EncodingChoice {
  code: 32 | 64;
  operandSize: 8 | 16 | 32 | 64;
  /** Register number of the reg field's operand, of the opcode's, of r/m's. High byte registers are 4..7 with `highByte`. */
  reg: number;
  rm: number;
  memory: EncodedMemory | undefined;
  immediates: bigint[];
  repeat: 'none' | 'rep' | 'repne';
  /** Segment override to emit, as its byte. */
  segmentPrefix: number | undefined;
  /** 67 prefix on an instruction whose address is implicit. */
  addressOverride: boolean;
  lock: boolean;
  /** Emit a REX prefix even if it says nothing (SPL, BPL, SIL, DIL). */
  forceRex: boolean;
}

function immediateSize(row: InstructionRow, index: number, { operandSize, code }: EncodingChoice): number {
  const spec = row.operands[index]!;
  if (spec.place === Place.Offset) return code;
  if (spec.place === Place.SignedImmediate) return 8;
  const bits = bitsOf(spec.size, operandSize);
  // In 64-bit code near branches ignore the operand size prefix.
  return spec.place === Place.Relative && bits === 16 && code === 64 ? 32 : bits;
}

/** The ModRM byte with SIB and displacement; `rexXB` collects REX.X and REX.B. */
function encodeMemory(
  reg: number,
  memory: EncodedMemory,
  length: number,
): { bytes: number[]; rexXB: number } {
  const { base, index, scale, displacement } = memory;
  const field = (reg & 7) << 3;
  const small = displacement >= -128 && displacement < 128 && !memory.wide;
  const tail32 = [0, 8, 16, 24].map((shift) => (displacement >> shift) & 0xff);
  if (base === 16) {
    const relative = displacement - length;
    return { bytes: [field | 5, ...[0, 8, 16, 24].map((shift) => (relative >> shift) & 0xff)], rexXB: 0 };
  }
  const rexXB = (index >= 8 ? 2 : 0) | (base >= 8 ? 1 : 0);
  if (base < 0) {
    const sib = (scale << 6) | ((index < 0 ? 4 : index & 7) << 3) | 5;
    return { bytes: [field | 4, sib, ...tail32], rexXB };
  }
  const zero = displacement === 0 && !memory.wide && (base & 7) !== 5;
  const mod = zero ? 0 : small ? 0x40 : 0x80;
  const tail = zero ? [] : small ? [displacement & 0xff] : tail32;
  if (index < 0 && (base & 7) !== 4) return { bytes: [mod | field | (base & 7), ...tail], rexXB };
  const sib = (scale << 6) | ((index < 0 ? 4 : index & 7) << 3) | (base & 7);
  return { bytes: [mod | field | 4, sib, ...tail], rexXB };
}

/** For a RIP-relative operand `displacement` counts from the instruction's first byte. */
export function encode(row: InstructionRow, choice: EncodingChoice): Uint8Array {
  const first = encodeWithLength(row, choice, 0);
  return choice.memory?.base === 16 ? encodeWithLength(row, choice, first.length) : first;
}

function encodeWithLength(row: InstructionRow, choice: EncodingChoice, length: number): Uint8Array {
  const { operandSize, memory } = choice;
  const prefixes: number[] = [];
  if (choice.segmentPrefix !== undefined) prefixes.push(choice.segmentPrefix);
  if (choice.lock) prefixes.push(0xf0);
  if (memory?.address32 || choice.addressOverride) prefixes.push(0x67);
  if (row.prefix === '66' || (operandSize === 16 && row.sizeClass !== 'b')) prefixes.push(0x66);
  if (row.prefix === 'F3' || choice.repeat === 'rep') prefixes.push(0xf3);
  if (row.prefix === 'F2' || choice.repeat === 'repne') prefixes.push(0xf2);

  const regField = row.digit >= 0 ? row.digit : choice.reg;
  let rex = choice.forceRex ? 0x40 : 0;
  if (operandSize === 64 && !row.default64 && !row.forced64) rex |= 0x48;
  const tail: number[] = [];
  if (row.modrm >= 0) tail.push(row.modrm);
  else if (row.hasModrm) {
    if (regField >= 8) rex |= 0x44;
    if (memory !== undefined) {
      const { bytes, rexXB } = encodeMemory(regField, memory, length);
      if (rexXB !== 0) rex |= 0x40 | rexXB;
      tail.push(...bytes);
    } else {
      if (choice.rm >= 8) rex |= 0x41;
      tail.push(0xc0 | ((regField & 7) << 3) | (choice.rm & 7));
    }
  }
  let opcode = row.opcode;
  if (row.opcodeRegister) {
    if (choice.rm >= 8) rex |= 0x41;
    opcode |= choice.rm & 7;
  }
  let next = 0;
  row.operands.forEach((spec, i) => {
    const isImmediate =
      spec.place === Place.Immediate ||
      spec.place === Place.SignedImmediate ||
      spec.place === Place.Relative ||
      spec.place === Place.Offset;
    if (!isImmediate) return;
    const value = choice.immediates[next++] ?? 0n;
    for (let bit = 0; bit < immediateSize(row, i, choice); bit += 8) {
      tail.push(Number((value >> BigInt(bit)) & 0xffn));
    }
  });
  const map = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!;
  return Uint8Array.from([...prefixes, ...(rex === 0 ? [] : [rex]), ...map, opcode, ...tail]);
}
