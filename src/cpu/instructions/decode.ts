/**
 * Bytes to Instruction: prefixes, then a slot of the dispatch tables (dispatch.ts), then operands
 * (operand-reader.ts). Guest bytes never throw.
 * Rules of prefixes: SDM vol. 2 §2.1, §2.2.1, appendix A; APM vol. 3 §1.2. Where they leave it open, this does
 * what the Intel processors do that the vectors were recorded on (66 ignored on near branches in 64-bit mode).
 */
import { buildSlots, type Slot } from './dispatch.ts';
import type { CodeSize, DecodeResult, Instruction, Operand } from './instruction.ts';
import { OperandReader, Rex } from './operand-reader.ts';
import { type InstructionRow, modelFeatures } from './table.ts';

export type Decode = (bytes: Uint8Array, offset: number, available: number, code: CodeSize) => DecodeResult;

/** Longest instruction in bytes. */
export const MAX_INSTRUCTION_LENGTH = 15;

const LEGACY_PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
const IS_PREFIX = Uint8Array.from({ length: 256 }, (_, byte) => (LEGACY_PREFIXES.has(byte) ? 1 : 0));

const INVALID: DecodeResult = { kind: 'invalid' };
const NEED: DecodeResult = { kind: 'need' };
const TOO_LONG: DecodeResult = { kind: 'too-long' };

/** One object serves all calls: decoding does not nest. */
const cursor = new OperandReader();

/** A decoder for processors with these features (`f:` attributes of the table). */
export function createDecoder(features: ReadonlySet<string>): Decode {
  const legacySlots = buildSlots(features, false);
  const longSlots = buildSlots(features, true);
  return (bytes, offset, available, code) => {
    const c = cursor;
    const limited = available < MAX_INSTRUCTION_LENGTH;
    c.bytes = bytes;
    c.position = offset;
    c.end = Math.min(offset + (limited ? available : MAX_INSTRUCTION_LENGTH), bytes.length);
    c.overrun = false;
    const result = decodeAt(c, code, code === 64 ? longSlots : legacySlots, offset);
    if (c.overrun) return c.end - offset < MAX_INSTRUCTION_LENGTH ? NEED : TOO_LONG;
    return result;
  };
}

/** The decoder of the processor model. */
export const decode: Decode = createDecoder(modelFeatures);

function decodeAt(
  c: OperandReader,
  code: CodeSize,
  slots: (Slot | undefined)[],
  offset: number,
): DecodeResult {
  const long = code === 64;
  let lock = false;
  let operandOverride = false;
  let addressOverride = false;
  /** The last of F2 and F3 wins. */
  let repeat = 0;
  c.long = long;
  c.segment = -1;
  c.rex = 0;
  c.hasRex = false;

  let byte = c.byte();
  for (;;) {
    if (c.overrun) return NEED;
    if (IS_PREFIX[byte] === 1) {
      if (byte === 0x66) operandOverride = true;
      else if (byte === 0x67) addressOverride = true;
      else if (byte === 0xf0) lock = true;
      else if (byte === 0xf2 || byte === 0xf3) repeat = byte;
      else if (byte >= 0x64) c.segment = byte - 0x60;
      else if (!long) c.segment = (byte >> 3) & 3;
      // A REX that another prefix follows has no effect.
      c.rex = 0;
      c.hasRex = false;
    } else if (long && (byte & 0xf0) === 0x40) {
      c.rex = byte & 15;
      c.hasRex = true;
    } else break;
    byte = c.byte();
  }

  let map = 0;
  if (byte === 0x0f) {
    map = 1;
    byte = c.byte();
    if (byte === 0x38 || byte === 0x3a) {
      map = byte === 0x38 ? 2 : 3;
      byte = c.byte();
    }
    if (c.overrun) return NEED;
  }
  c.opcode = byte;
  c.modrm = 0;
  const column = repeat === 0xf3 ? 2 : repeat === 0xf2 ? 3 : operandOverride ? 1 : 0;
  const slot = slots[map * 1024 + byte * 4 + column];
  if (slot === undefined) return INVALID;
  let row = slot.row;
  if (slot.hasModrm) {
    const modrm = c.byte();
    if (c.overrun) return NEED;
    c.modrm = modrm;
    if (row === undefined) {
      row = slot.byModrm![modrm >= 0xc0 ? 8 + (modrm & 63) : (modrm >> 3) & 7];
      if (row === undefined) return INVALID;
    }
    if (row.ignoresMod) c.modrm |= 0xc0;
  } else if (row!.noRexB && (c.rex & Rex.B) !== 0) {
    row = slot.withRexB;
  }
  if (row === undefined) return INVALID;

  c.addressSize = long ? (addressOverride ? 32 : 64) : (code === 16) === addressOverride ? 32 : 16;
  c.operandSize = operandSizeOf(row, code, operandOverride, (c.rex & Rex.W) !== 0);
  if (row.hasModrm && c.modrm < 0xc0) c.readAddress();

  const operands: Operand[] = [];
  for (let i = 0; i < row.operands.length; i++) {
    const operand = c.operand(row.operands[i]!, row);
    if (operand === undefined) return INVALID;
    operands.push(operand);
  }
  if (lock && !(row.lockable && operands[0]!.kind === 'memory')) return INVALID;
  return {
    kind: 'ok',
    instruction: {
      row,
      length: c.position - offset,
      operandSize: c.operandSize,
      addressSize: c.addressSize,
      operands,
      lock,
      repeat: repeatOf(row, repeat),
    },
  };
}

function operandSizeOf(
  row: InstructionRow,
  code: CodeSize,
  override: boolean,
  rexW: boolean,
): 8 | 16 | 32 | 64 {
  if (row.sizeClass === 'b') return 8;
  if (row.sizeClass === 'none') return 32;
  const long = code === 64;
  if (long && row.forced64) return 64;
  if (row.sizeClass === 'y') return rexW ? 64 : 32;
  if (rexW && row.sizeClass === 'v') return 64;
  if (override !== (code === 16)) return 16;
  return long && row.default64 ? 64 : 32;
}

function repeatOf(row: InstructionRow, prefix: number): Instruction['repeat'] {
  if (prefix === 0 || row.repeat === 'none') return 'none';
  return prefix === 0xf2 && row.repeat === 'repz' ? 'repne' : 'rep';
}
