/**
 * What a decoded instruction is. The table (table.ts) describes encodings, the decoder (decode.ts) turns bytes
 * into one of these, and interpreter, translator, instruction completion and disassembly start from it.
 */
import type { InstructionRow } from './table.ts';

/** Operand and address sizes in bits. */
export type Size = 8 | 16 | 32 | 64 | 80 | 128;

export type Operand =
  /** `index` 0..15; `high` names AH, CH, DH, BH (then index is 0..3). */
  | { kind: 'gpr'; size: 8 | 16 | 32 | 64; index: number; high: boolean }
  /**
   * `segment` 0..5 (ES..GS). `base`, `index`: 0..15, or -1 for none; base 16 is RIP of the next instruction.
   * `scale` is a shift count 0..3. `displacement` is sign-extended. `size` is the access size in bits
   * (0 where the access has no fixed size: LEA, INVLPG, FXSAVE, far pointers are sized 32, 48 or 80 ...).
   */
  | {
      kind: 'memory';
      size: number;
      segment: number;
      base: number;
      index: number;
      scale: number;
      displacement: bigint;
    }
  /** Sign- or zero-extended as the instruction uses it, then taken modulo 2^64 as unsigned. */
  | { kind: 'immediate'; size: Size; value: bigint }
  /** Branch target as a displacement from the next instruction. */
  | { kind: 'relative'; size: Size; displacement: bigint }
  | { kind: 'far'; selector: number; offset: bigint }
  | { kind: 'xmm' | 'mmx' | 'st' | 'segment' | 'control' | 'debug'; index: number };

export interface Instruction {
  row: InstructionRow;
  /** Bytes. */
  length: number;
  /** Effective operand size in bits, after prefixes, REX.W and the row's default (8 for byte forms). */
  operandSize: 8 | 16 | 32 | 64;
  addressSize: 16 | 32 | 64;
  operands: readonly Operand[];
  lock: boolean;
  /** Kept only where the instruction gives F3/F2 that meaning (string instructions); else 'none'. */
  repeat: 'none' | 'rep' | 'repne';
}

/** Why bytes are no instruction. `need` says the instruction goes beyond the bytes given (max 15). */
export type DecodeResult =
  | { kind: 'ok'; instruction: Instruction }
  | { kind: 'need' }
  /** #UD */
  | { kind: 'invalid' }
  /** #GP(0): longer than 15 bytes. */
  | { kind: 'too-long' };

/** How code is decoded: CS.L and CS.D. */
export type CodeSize = 16 | 32 | 64;
