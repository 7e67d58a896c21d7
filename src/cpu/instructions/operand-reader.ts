/**
 * What the decoder has read of one instruction, and how the rest of it (ModRM, SIB, displacement, immediates)
 * becomes operands. SDM vol. 2 §2.1.5, §2.2.1.
 */
import type { Operand, Size } from './instruction.ts';
import { bitsOf, type OperandSpec, Place } from './operand-codes.ts';
import type { InstructionRow } from './table.ts';

/** Cached, because most immediates and displacements are small. */
const SMALL_BIGINTS = Array.from({ length: 512 }, (_, i) => BigInt(i - 256));
const toBigInt = (value: number): bigint =>
  value >= -256 && value < 256 ? SMALL_BIGINTS[value + 256]! : BigInt(value);
const toUnsigned = (value: number): bigint =>
  value >= 0 ? toBigInt(value) : BigInt.asUintN(64, BigInt(value));

/** 16-bit addressing: base and index register by r/m (SDM vol. 2 table 2-1). */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3];
const INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1];

export const Rex = { B: 1, X: 2, R: 4, W: 8 } as const;

/** Cursor over the bytes, with the effect of the prefixes. */
export class OperandReader {
  bytes: Uint8Array = new Uint8Array(0);
  position = 0;
  /** First position that must not be read. */
  end = 0;
  overrun = false;
  rex = 0;
  hasRex = false;
  segment = -1;
  operandSize: 8 | 16 | 32 | 64 = 32;
  addressSize: 16 | 32 | 64 = 32;
  long = false;
  opcode = 0;
  modrm = 0;
  memory: { segment: number; base: number; index: number; scale: number; displacement: number } = {
    segment: 3,
    base: -1,
    index: -1,
    scale: 0,
    displacement: 0,
  };

  byte(): number {
    if (this.position >= this.end) {
      this.overrun = true;
      return 0;
    }
    return this.bytes[this.position++]!;
  }
  signed8(): number {
    return (this.byte() << 24) >> 24;
  }
  unsigned16(): number {
    const low = this.byte();
    return low | (this.byte() << 8);
  }
  signed32(): number {
    const low = this.unsigned16();
    return low | (this.unsigned16() << 16);
  }
  signed(size: number): number {
    if (size === 8) return this.signed8();
    if (size === 16) return (this.unsigned16() << 16) >> 16;
    return this.signed32();
  }
  unsigned64(): bigint {
    const low = this.signed32() >>> 0;
    const high = this.signed32() >>> 0;
    return high === 0 ? toBigInt(low) : (BigInt(high) << 32n) | BigInt(low);
  }

  /** Reads SIB and displacement of a memory ModRM. */
  readAddress(): void {
    if (this.addressSize === 16) this.#readAddress16();
    else this.#readAddress32();
  }
  #readAddress16(): void {
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    const direct = mod === 0 && rm === 6;
    const { memory } = this;
    memory.base = direct ? -1 : BASE16[rm]!;
    memory.index = INDEX16[rm]!;
    memory.scale = 0;
    memory.displacement = mod === 1 ? this.signed8() : mod === 2 || direct ? this.signed(16) : 0;
    memory.segment = this.segment >= 0 ? this.segment : memory.base === 5 ? 2 : 3;
  }
  #readAddress32(): void {
    const mod = this.modrm >> 6;
    const rm = this.modrm & 7;
    const { memory } = this;
    memory.index = -1;
    memory.scale = 0;
    let low = rm;
    if (rm === 4) {
      const sib = this.byte();
      low = sib & 7;
      const index = ((sib >> 3) & 7) | (this.rex & Rex.X ? 8 : 0);
      if (index !== 4) {
        memory.index = index;
        memory.scale = sib >> 6;
      }
    }
    let displacementSize = mod === 1 ? 8 : mod === 2 ? 32 : 0;
    if (low === 5 && mod === 0) {
      memory.base = rm === 5 && this.long ? 16 : -1;
      displacementSize = 32;
    } else {
      memory.base = low | (this.rex & Rex.B ? 8 : 0);
    }
    memory.displacement = displacementSize === 0 ? 0 : this.signed(displacementSize);
    memory.segment = this.segment >= 0 ? this.segment : memory.base === 4 || memory.base === 5 ? 2 : 3;
  }

  gpr(index: number, size: number): Operand {
    if (size === 8 && !this.hasRex && index >= 4 && index < 8) {
      return { kind: 'gpr', size: 8, index: index - 4, high: true };
    }
    return { kind: 'gpr', size: size as 8 | 16 | 32 | 64, index, high: false };
  }
  memoryOperand(size: number): Operand {
    const { segment, base, index, scale, displacement } = this.memory;
    return { kind: 'memory', size, segment, base, index, scale, displacement: toBigInt(displacement) };
  }
  addressIn(register: number, size: number, segment: number): Operand {
    return { kind: 'memory', size, segment, base: register, index: -1, scale: 0, displacement: 0n };
  }

  get reg(): number {
    return ((this.modrm >> 3) & 7) | (this.rex & Rex.R ? 8 : 0);
  }
  get rm(): number {
    return (this.modrm & 7) | (this.rex & Rex.B ? 8 : 0);
  }

  /** The operand of a spec, or undefined where its register does not exist (#UD). */
  operand(spec: OperandSpec, row: InstructionRow): Operand | undefined {
    const size = bitsOf(spec.size, this.operandSize);
    const inRegister = this.modrm >= 0xc0;
    switch (spec.place) {
      case Place.GprReg:
        return this.gpr(this.reg, size);
      case Place.GprRm:
        return this.gpr(this.rm, size);
      case Place.GprOpcode:
        return this.gpr((this.opcode & 7) | (this.rex & Rex.B ? 8 : 0), size);
      case Place.GprFixed:
        return { kind: 'gpr', size: size as 8 | 16 | 32 | 64, index: spec.index, high: false };
      case Place.RegisterOrMemory:
        if (inRegister) return this.gpr(this.rm, bitsOf(spec.registerSize, this.operandSize));
        return this.memoryOperand(size);
      case Place.Memory:
        return this.memoryOperand(size);
      case Place.Offset:
        return this.absoluteOperand(size);
      case Place.Immediate:
        return this.immediateOperand(spec, size);
      case Place.SignedImmediate:
        return { kind: 'immediate', size: this.operandSize, value: toUnsigned(this.signed8()) };
      case Place.One:
        return { kind: 'immediate', size: 8, value: 1n };
      case Place.Relative:
        return { kind: 'relative', size: size as Size, displacement: toBigInt(this.signed(size)) };
      case Place.Far: {
        const offset = this.operandSize === 16 ? this.unsigned16() : this.signed32() >>> 0;
        return { kind: 'far', selector: this.unsigned16(), offset: toBigInt(offset) };
      }
      case Place.XmmReg:
        return { kind: 'xmm', index: this.reg };
      case Place.XmmRm:
        return { kind: 'xmm', index: this.rm };
      case Place.XmmOrMemory:
        return inRegister ? { kind: 'xmm', index: this.rm } : this.memoryOperand(size);
      case Place.XmmFixed:
        return { kind: 'xmm', index: spec.index };
      case Place.MmxReg:
        return { kind: 'mmx', index: (this.modrm >> 3) & 7 };
      case Place.MmxRm:
        return { kind: 'mmx', index: this.modrm & 7 };
      case Place.MmxOrMemory:
        return inRegister ? { kind: 'mmx', index: this.modrm & 7 } : this.memoryOperand(size);
      case Place.SegmentReg: {
        const index = (this.modrm >> 3) & 7;
        // CS can't be loaded by MOV.
        if (index > 5 || (index === 1 && row.operands[0] === spec)) return undefined;
        return { kind: 'segment', index };
      }
      case Place.SegmentFixed:
        return { kind: 'segment', index: spec.index };
      case Place.Control:
        return [0, 2, 3, 4, 8].includes(this.reg) ? { kind: 'control', index: this.reg } : undefined;
      case Place.Debug:
        return this.reg < 8 ? { kind: 'debug', index: this.reg } : undefined;
      case Place.StringSource:
        return this.addressIn(6, size, this.segment >= 0 ? this.segment : 3);
      case Place.StringDestination:
        return this.addressIn(7, size, 0);
      case Place.AddressIn:
        return this.addressIn(spec.index, size, this.segment >= 0 ? this.segment : 3);
      case Place.StackTop:
        return { kind: 'st', index: 0 };
      case Place.StackRegister:
        return { kind: 'st', index: this.modrm & 7 };
    }
  }

  /** Absolute address of MOV's offset forms, as wide as the address size. */
  absoluteOperand(size: number): Operand {
    const segment = this.segment >= 0 ? this.segment : 3;
    const displacement =
      this.addressSize === 64
        ? BigInt.asIntN(64, this.unsigned64())
        : toBigInt(this.addressSize === 16 ? this.unsigned16() : this.signed32() >>> 0);
    return { kind: 'memory', size, segment, base: -1, index: -1, scale: 0, displacement };
  }

  /** Iz is sign-extended (it is 32 bits wide for 64-bit operands), the others are zero-extended. */
  immediateOperand(spec: OperandSpec, size: number): Operand {
    if (spec.code === 'Iz') {
      return { kind: 'immediate', size: this.operandSize, value: toUnsigned(this.signed(size)) };
    }
    const value =
      size === 64
        ? this.unsigned64()
        : toBigInt(size === 8 ? this.byte() : size === 16 ? this.unsigned16() : this.signed32() >>> 0);
    return { kind: 'immediate', size: size as Size, value };
  }
}
