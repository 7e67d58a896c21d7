/**
 * The instruction table: one row an encoding, for real, protected and long mode, up to SSE4.2 (no VEX). Decoder,
 * disassembly, forms, semantics' coverage and the native vectors all start from these rows.
 *
 * A row is written [mnemonic, operands, opcode, attributes, flags] (the last ones may be missing):
 * - operands: codes of operand-codes.ts, comma-separated, destination first.
 * - opcode: optional mandatory prefix (66, F3, F2, or np: none of them), optional map (0F, 0F 38, 0F 3A), the
 *   opcode byte (+r: the low three bits are a register), then optionally /digit (r after it: register form only)
 *   or a whole ModRM byte. Without a prefix field the row holds under any prefix that no other row claims.
 * - attributes: lock (lockable when the first operand is memory) · d64 (operand size 64 by default in 64-bit
 *   mode, 66 makes it 16) · f64 (always 64 there) · i64 (invalid in 64-bit mode) · o64 (only there) · cpl0 ·
 *   prot (#UD in real and virtual-8086 mode; the decoder doesn't know these) · rep, repz (string instruction;
 *   repz ends on ZF) · norexb (REX.B selects the other row of the opcode) · anymod (mod is ignored, r/m is a
 *   register) · f:name (CPUID feature) · b, v, z, y, none: size class where the operands don't say it.
 * - flags: status flags written, after `?` those left undefined (letters o s z a p c).
 */
import {
  OperandSize,
  type OperandSpec,
  PLACES_WITH_MODRM,
  Place,
  parseOperandCode,
} from './operand-codes.ts';
import type { RowText } from './row-text.ts';
import { integerRows } from './rows-integer.ts';
import { systemRows } from './rows-system.ts';
import { vectorRows } from './rows-vector.ts';
import { x87Rows } from './rows-x87.ts';

export type MandatoryPrefix = 'any' | 'np' | '66' | 'F3' | 'F2';
/** How the operand size comes about: always 8, 16/32/64, 16/32, 32/64, or without meaning (32). */
export type SizeClass = 'b' | 'v' | 'z' | 'y' | 'none';

export interface InstructionRow {
  /** Index in `instructionRows`. */
  id: number;
  /** Lower-case SDM name; the first one where several names differ by operand size only (cbw, movs, pushf). */
  mnemonic: string;
  operands: readonly OperandSpec[];
  /** As written in the table. */
  encoding: string;
  prefix: MandatoryPrefix;
  /** 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A. */
  map: 0 | 1 | 2 | 3;
  opcode: number;
  /** The low three opcode bits name a register. */
  opcodeRegister: boolean;
  hasModrm: boolean;
  /** Required reg field of ModRM, or -1. */
  digit: number;
  mod: 'any' | 'memory' | 'register';
  /** Required ModRM byte, or -1. */
  modrm: number;
  sizeClass: SizeClass;
  lockable: boolean;
  default64: boolean;
  forced64: boolean;
  invalidIn64: boolean;
  onlyIn64: boolean;
  cpl0: boolean;
  protectedOnly: boolean;
  repeat: 'none' | 'rep' | 'repz';
  noRexB: boolean;
  ignoresMod: boolean;
  feature: string | undefined;
  /** Status flags written with defined values, and those left undefined, as masks of RFLAGS bits. */
  flagsWritten: number;
  flagsUndefined: number;
}

/** RFLAGS bits by the letters of the flags field. */
export const FLAG_BITS: Readonly<Record<string, number>> = {
  c: 1,
  p: 4,
  a: 0x10,
  z: 0x40,
  s: 0x80,
  o: 0x800,
};

const flagMask = (letters: string): number =>
  [...letters].reduce((mask, letter) => mask | FLAG_BITS[letter]!, 0);

function parseOpcode(text: string): Pick<
  InstructionRow,
  'prefix' | 'map' | 'opcode' | 'opcodeRegister' | 'digit' | 'modrm'
> & {
  registerOnly: boolean;
} {
  const tokens = text.split(' ');
  let prefix: MandatoryPrefix = 'any';
  if (['np', '66', 'F3', 'F2'].includes(tokens[0]!)) prefix = tokens.shift() as MandatoryPrefix;
  let map: 0 | 1 | 2 | 3 = 0;
  if (tokens[0] === '0F') {
    tokens.shift();
    const second: string = tokens.length > 1 ? tokens[0]! : '';
    map = second === '38' ? 2 : second === '3A' ? 3 : 1;
    if (map > 1) tokens.shift();
  }
  const byte = tokens.shift()!;
  const extra = tokens.shift() ?? '';
  const digit = extra.startsWith('/') ? Number(extra[1]) : -1;
  return {
    prefix,
    map,
    opcode: Number.parseInt(byte, 16),
    opcodeRegister: byte.endsWith('+r'),
    digit,
    modrm: extra !== '' && digit < 0 ? Number.parseInt(extra, 16) : -1,
    registerOnly: extra.endsWith('r'),
  };
}

const SIZE_CLASSES = new Map<number, SizeClass>([
  [OperandSize.V, 'v'],
  [OperandSize.Z, 'z'],
  [OperandSize.Y, 'y'],
  [OperandSize.Far, 'v'],
  [OperandSize.Descriptor, 'v'],
  [OperandSize.Pair, 'z'],
  [OperandSize.PairY, 'y'],
]);
const BYTE_CODES = new Set(['Eb', 'Gb', 'AL', 'Zb', 'Ob', 'Xb', 'Yb']);

function sizeClassOf(operands: readonly OperandSpec[], attributes: readonly string[]): SizeClass {
  for (const name of ['b', 'v', 'z', 'y', 'none'] as const) if (attributes.includes(name)) return name;
  for (const { size, registerSize, place } of operands) {
    const found = SIZE_CLASSES.get(registerSize) ?? SIZE_CLASSES.get(size);
    // Immediates and displacements of size z go with operands of size v.
    const follows = place === Place.Immediate || place === Place.Relative;
    if (found !== undefined) return found === 'z' && follows ? 'v' : found;
    if (place === Place.SegmentFixed || place === Place.Relative || place === Place.SignedImmediate)
      return 'v';
  }
  return operands.some(({ code }) => BYTE_CODES.has(code)) ? 'b' : 'none';
}

function modOf(
  operands: readonly OperandSpec[],
  opcode: ReturnType<typeof parseOpcode>,
): InstructionRow['mod'] {
  if (opcode.registerOnly || opcode.modrm >= 0xc0) return 'register';
  for (const { place } of operands) {
    if (place === Place.Memory) return 'memory';
    if (place === Place.GprRm || place === Place.XmmRm || place === Place.MmxRm) return 'register';
  }
  return 'any';
}

function parseRow(
  [mnemonic, operandText, encoding, attributeText = '', flags = '']: RowText,
  id: number,
): InstructionRow {
  const operands = operandText === '' ? [] : operandText.split(',').map(parseOperandCode);
  const attributes = attributeText.split(' ');
  const opcode = parseOpcode(encoding);
  const [written = '', undefinedOnes = ''] = flags.split('?');
  const ignoresMod = attributes.includes('anymod');
  return {
    id,
    mnemonic,
    operands,
    encoding,
    prefix: opcode.prefix,
    map: opcode.map,
    opcode: opcode.opcode,
    opcodeRegister: opcode.opcodeRegister,
    hasModrm:
      opcode.digit >= 0 || opcode.modrm >= 0 || operands.some(({ place }) => PLACES_WITH_MODRM.has(place)),
    digit: opcode.digit,
    mod: ignoresMod ? 'any' : modOf(operands, opcode),
    modrm: opcode.modrm,
    sizeClass: sizeClassOf(operands, attributes),
    lockable: attributes.includes('lock'),
    default64: attributes.includes('d64'),
    forced64: attributes.includes('f64'),
    invalidIn64: attributes.includes('i64'),
    onlyIn64: attributes.includes('o64'),
    cpl0: attributes.includes('cpl0'),
    protectedOnly: attributes.includes('prot'),
    repeat: attributes.includes('rep') ? 'rep' : attributes.includes('repz') ? 'repz' : 'none',
    noRexB: attributes.includes('norexb'),
    ignoresMod,
    feature: attributes.find((name) => name.startsWith('f:'))?.slice(2),
    flagsWritten: flagMask(written),
    flagsUndefined: flagMask(undefinedOnes),
  };
}

/** All rows; a row's `id` is its index. */
export const instructionRows: readonly InstructionRow[] = [
  ...integerRows,
  ...systemRows,
  ...x87Rows,
  ...vectorRows,
].map(parseRow);

/**
 * Features that the processor model has; rows of other features don't exist for it (F3 0F BC is then BSF, as on
 * a processor without BMI1).
 */
export const modelFeatures: ReadonlySet<string> = new Set(['popcnt', 'rdtscp', 'fsgsbase', 'xsave']);
