/**
 * An assembler for test guests on the processor's own instruction table: 64-bit code, and 32-bit code for the
 * way there. `asm.emit('mov', rax, mem64(rbx, 8))` takes any mnemonic of the table; the usual ones have methods.
 * Of several rows that fit, the shortest encoding is taken. Labels may be used before they are set; branches to
 * them take 32-bit displacements. A mistake in a test program throws.
 */

import { operandSizesOf } from '../../src/cpu/instructions/forms.ts';
import { bitsOf, type OperandSpec, Place } from '../../src/cpu/instructions/operand-codes.ts';
import { type InstructionRow, instructionRows, modelFeatures } from '../../src/cpu/instructions/table.ts';
import { type EncodingChoice, encode } from '../conformance/cpu/encode.ts';
import { type MemoryOperand, type Operand, type RegisterOperand, RIP_BASE } from './operand.ts';

/** Mnemonics that have a method; every other one is reached by `emit`. */
const MNEMONICS = [
  'mov', 'movzx', 'movsx', 'movsxd', 'movdqu', 'movdqa', 'movq', 'movd', 'lea', 'xchg', 'push', 'pop',
  'add', 'adc', 'sub', 'sbb', 'and', 'or', 'xor', 'cmp', 'test', 'inc', 'dec', 'neg', 'not', 'mul', 'imul', 'div',
  'shl', 'shr', 'sar', 'rol', 'ror', 'bt', 'bts', 'btr', 'bsf', 'cmpxchg', 'xadd',
  'jmp', 'call', 'ret', 'iret', 'jo', 'jno', 'jb', 'jae', 'je', 'jne', 'jbe', 'ja', 'js', 'jns', 'jl', 'jge', 'jle', 'jg',
  'sete', 'setne', 'cld', 'std', 'sti', 'cli', 'hlt', 'pause', 'nop', 'ud2', 'int', 'int3',
  'in', 'out', 'rdmsr', 'wrmsr', 'cpuid', 'rdtsc', 'vmcall', 'vmmcall', 'lgdt', 'lidt', 'ltr', 'invlpg',
  'pushf', 'popf', 'swapgs', 'wbinvd', 'fxsave', 'fxrstor', 'mfence',
] as const; // biome-ignore format: a list
type Mnemonic = (typeof MNEMONICS)[number];
type Methods = { readonly [K in Mnemonic]: (...operands: Operand[]) => Assembler };
export type Assembler = AssemblerCore & Methods;

/** What a label's address is while it is not known: needs 32 bits whatever it will be. */
const UNKNOWN = 0x7f00_0000;

interface Fixup {
  at: number;
  row: InstructionRow;
  choice: EncodingChoice;
  length: number;
  label: string;
  use: 'immediate' | 'relative' | 'memory';
}

interface Options {
  lock?: boolean;
  repeat?: 'rep' | 'repne';
}

const byMnemonic = Map.groupBy(
  instructionRows.filter((row) => row.feature === undefined || modelFeatures.has(row.feature)),
  (row) => row.mnemonic,
);

export class AssemblerCore {
  readonly origin: number;
  /** Code size of what follows. */
  bits: 32 | 64 = 64;
  #bytes = new Uint8Array(4096);
  #length = 0;
  readonly #labels = new Map<string, number>();
  readonly #fixups: Fixup[] = [];
  readonly #words: { at: number; label: string; size: 4 | 8 }[] = [];
  #fresh = 0;

  constructor(origin: number) {
    this.origin = origin;
  }

  /** Address of the next byte. */
  get here(): number {
    return this.origin + this.#length;
  }

  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`label ${name} is set twice`);
    this.#labels.set(name, this.here);
    return this;
  }
  /** A label name that nothing else uses. */
  fresh(hint = 'label'): string {
    return `${hint} #${++this.#fresh}`;
  }
  addressOf(label: string): number {
    const address = this.#labels.get(label);
    if (address === undefined) throw new Error(`label ${label} is never set`);
    return address;
  }

  // Data

  bytes(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#put(byte);
    return this;
  }
  words16(...values: number[]): this {
    for (const value of values) this.bytes([value & 0xff, (value >> 8) & 0xff]);
    return this;
  }
  words32(...values: (number | string)[]): this {
    for (const value of values) this.#word(value, 4);
    return this;
  }
  words64(...values: (number | bigint | string)[]): this {
    for (const value of values) this.#word(value, 8);
    return this;
  }
  /** Zero-terminated. */
  text(text: string): this {
    return this.bytes([...new TextEncoder().encode(text), 0]);
  }
  reserve(bytes: number): this {
    for (let left = bytes; left > 0; left--) this.#put(0);
    return this;
  }
  align(bytes: number): this {
    return this.reserve((bytes - (this.here % bytes)) % bytes);
  }

  // Code

  emit(mnemonic: string, ...operands: Operand[]): this {
    return this.emitWith({}, mnemonic, ...operands);
  }
  /** With LOCK or a repeat prefix. */
  emitWith(options: Options, mnemonic: string, ...operands: Operand[]): this {
    let best: { row: InstructionRow; choice: EncodingChoice; bytes: Uint8Array } | undefined;
    for (const row of byMnemonic.get(mnemonic) ?? []) {
      for (const choice of this.#choicesOf(row, operands, options)) {
        const bytes = encode(row, choice);
        if (best === undefined || bytes.length < best.bytes.length) best = { row, choice, bytes };
      }
    }
    if (best === undefined)
      throw new Error(`no encoding of ${mnemonic} ${operands.map(describe).join(', ')}`);
    const fixup = { at: this.#length, length: best.bytes.length, row: best.row, choice: best.choice };
    for (const operand of operands) {
      if (typeof operand === 'string') {
        const relative = best.row.operands.some(({ place }) => place === Place.Relative);
        this.#fixups.push({ ...fixup, label: operand, use: relative ? 'relative' : 'immediate' });
      } else if (typeof operand === 'object' && operand.kind === 'memory' && operand.label !== undefined) {
        this.#fixups.push({ ...fixup, label: operand.label, use: 'memory' });
      }
    }
    return this.bytes(best.bytes);
  }

  /** A string instruction by its element size in bits: string('stos', 64, 'rep'). */
  string(
    mnemonic: 'movs' | 'stos' | 'lods' | 'scas' | 'cmps' | 'ins' | 'outs',
    size: 8 | 16 | 32 | 64,
    repeat?: 'rep' | 'repne',
  ): this {
    const row = byMnemonic.get(mnemonic)!.find((each) => (each.sizeClass === 'b') === (size === 8))!;
    return this.bytes(encode(row, { ...this.#plain(size), repeat: repeat ?? 'none' }));
  }

  assemble(): Uint8Array {
    const view = new DataView(this.#bytes.buffer);
    for (const { at, row, choice, length, label, use } of this.#fixups) {
      const target = this.addressOf(label);
      const fixed = { ...choice };
      if (use === 'memory') {
        const displacement = choice.memory!.displacement - UNKNOWN + target - (this.origin + at);
        fixed.memory = { ...choice.memory!, displacement };
      } else {
        const value = use === 'relative' ? target - (this.origin + at + length) : target;
        fixed.immediates = choice.immediates.map((each) => (each === BigInt(UNKNOWN) ? BigInt(value) : each));
      }
      const bytes = encode(row, fixed);
      if (bytes.length !== length) throw new Error(`the encoding with label ${label} changed its size`);
      this.#bytes.set(bytes, at);
    }
    for (const { at, label, size } of this.#words) {
      view.setUint32(at, this.addressOf(label), true);
      if (size === 8) view.setUint32(at + 4, 0, true);
    }
    return this.#bytes.slice(0, this.#length);
  }

  #put(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[this.#length++] = byte;
  }

  #word(value: number | bigint | string, size: 4 | 8): void {
    if (typeof value === 'string') this.#words.push({ at: this.#length, label: value, size });
    const bits = BigInt.asUintN(8 * size, typeof value === 'string' ? 0n : BigInt(value));
    for (let shift = 0; shift < 8 * size; shift += 8) this.#put(Number((bits >> BigInt(shift)) & 0xffn));
  }

  #plain(operandSize: number): EncodingChoice {
    return {
      code: this.bits,
      operandSize: operandSize as EncodingChoice['operandSize'],
      reg: 0,
      rm: 0,
      memory: undefined,
      immediates: [],
      repeat: 'none',
      addressOverride: false,
      lock: false,
      forceRex: false,
      segmentPrefix: undefined,
    };
  }

  #choicesOf(row: InstructionRow, operands: readonly Operand[], options: Options): EncodingChoice[] {
    if (row.operands.length !== operands.length) return [];
    if (this.bits === 64 ? row.invalidIn64 : row.onlyIn64) return [];
    if (row.noRexB && row.mnemonic === 'xchg') return [];
    const choices: EncodingChoice[] = [];
    for (const size of this.#sizesOf(row)) {
      const choice: EncodingChoice = {
        ...this.#plain(size),
        lock: options.lock ?? false,
        repeat: options.repeat ?? 'none',
      };
      if (operands.every((operand, index) => place(row.operands[index]!, operand, size, row, choice))) {
        choices.push(choice);
      }
    }
    return choices;
  }

  #sizesOf(row: InstructionRow): number[] {
    if (this.bits === 32) return operandSizesOf(row).filter((size) => size < 64);
    if (row.forced64 || row.mnemonic === 'iret') return [64];
    return row.default64 ? [64] : operandSizesOf(row);
  }
}

/** Puts one operand into the encoding; false if it doesn't fit the row's place. */
function place(
  spec: OperandSpec,
  operand: Operand,
  size: number,
  row: InstructionRow,
  choice: EncodingChoice,
): boolean {
  const bits = bitsOf(spec.size, size);
  if (typeof operand === 'string' || typeof operand === 'number' || typeof operand === 'bigint') {
    return placeConstant(spec, operand, bits, size, row, choice);
  }
  if (operand.kind === 'memory') return placeMemory(spec, operand, bits, row, choice);
  return placeRegister(spec, operand, bits, size, row, choice);
}

function placeConstant(
  spec: OperandSpec,
  operand: string | number | bigint,
  bits: number,
  size: number,
  row: InstructionRow,
  choice: EncodingChoice,
): boolean {
  const isLabel = typeof operand === 'string';
  const value = isLabel ? BigInt(UNKNOWN) : BigInt(operand);
  switch (spec.place) {
    case Place.One:
      return value === 1n;
    case Place.Relative:
      if (!isLabel || spec.code === 'Jb') return false;
      break;
    case Place.SignedImmediate:
      if (BigInt.asIntN(8, value) !== value) return false;
      break;
    case Place.Immediate: {
      // Narrower than the operand: sign-extended. Otherwise any reading of the bits will do.
      const extended = bits < size && row.operands.length > 1;
      const fits =
        BigInt.asIntN(bits, value) === value || (!extended && BigInt.asUintN(bits, value) === value);
      if (!fits) return false;
      break;
    }
    default:
      return false;
  }
  choice.immediates = [...choice.immediates, value];
  return true;
}

function placeMemory(
  spec: OperandSpec,
  operand: MemoryOperand,
  bits: number,
  row: InstructionRow,
  choice: EncodingChoice,
): boolean {
  const allowed =
    spec.place === Place.Memory || spec.place === Place.RegisterOrMemory || spec.place === Place.XmmOrMemory;
  if (!allowed || row.mod === 'register') return false;
  if (operand.size !== 0 && bits !== 0 && operand.size !== bits && spec.place !== Place.Memory) return false;
  const { base, index, scale, displacement } = operand;
  const labelled = base === RIP_BASE;
  choice.memory = {
    base,
    index,
    scale,
    displacement: labelled ? displacement + UNKNOWN : displacement,
    wide: labelled,
    address32: false,
  };
  return true;
}

const KINDS: Partial<Record<Place, RegisterOperand['kind']>> = {
  [Place.XmmReg]: 'xmm',
  [Place.XmmRm]: 'xmm',
  [Place.XmmOrMemory]: 'xmm',
  [Place.SegmentReg]: 'segment',
  [Place.SegmentFixed]: 'segment',
  [Place.Control]: 'control',
  [Place.Debug]: 'debug',
  [Place.GprReg]: 'gpr',
  [Place.GprRm]: 'gpr',
  [Place.GprOpcode]: 'gpr',
  [Place.GprFixed]: 'gpr',
  [Place.RegisterOrMemory]: 'gpr',
};
const IN_RM = new Set<Place>([
  Place.GprRm,
  Place.GprOpcode,
  Place.RegisterOrMemory,
  Place.XmmRm,
  Place.XmmOrMemory,
]);

function placeRegister(
  spec: OperandSpec,
  operand: RegisterOperand,
  bits: number,
  size: number,
  row: InstructionRow,
  choice: EncodingChoice,
): boolean {
  if (KINDS[spec.place] !== operand.kind) return false;
  const fixed = spec.place === Place.GprFixed || spec.place === Place.SegmentFixed;
  if (fixed && spec.index !== operand.number) return false;
  if (operand.kind === 'gpr' && bitsOf(spec.registerSize, size) !== operand.size) return false;
  if (spec.place === Place.RegisterOrMemory && (row.mod === 'memory' || bits === 0)) return false;
  if (fixed) return true;
  if (operand.kind === 'gpr' && operand.size === 8 && operand.number >= 4) choice.forceRex = true;
  if (IN_RM.has(spec.place)) choice.rm = operand.number;
  else choice.reg = operand.number;
  return true;
}

function describe(operand: Operand): string {
  if (typeof operand !== 'object') return String(operand);
  return `${operand.kind}${operand.size}`;
}

for (const mnemonic of MNEMONICS) {
  Object.defineProperty(AssemblerCore.prototype, mnemonic, {
    value(this: AssemblerCore, ...operands: Operand[]) {
      return this.emit(mnemonic, ...operands);
    },
  });
}

/** A program whose first byte lies at `origin` (guest virtual and physical, below 2 GiB). */
export function assembler(origin: number): Assembler {
  return new AssemblerCore(origin) as Assembler;
}
