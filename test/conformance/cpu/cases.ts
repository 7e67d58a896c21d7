/**
 * Test cases: for a row of the table and a form of it, instruction bytes and the state to execute them in. Most
 * cases do something ordinary; some fault (page not present, not canonical, misaligned, divide error, unmasked
 * floating-point exceptions).
 */
import type { Form } from '../../../src/cpu/instructions/forms.ts';
import { bitsOf, type OperandSpec, Place } from '../../../src/cpu/instructions/operand-codes.ts';
import type { InstructionRow } from '../../../src/cpu/instructions/table.ts';
import {
  backgroundState,
  CODE_ADDRESS,
  type CpuState,
  DATA_ADDRESS,
  DATA_SIZE,
  Fxsave,
} from './cpu-state.ts';
import { type EncodedMemory, type EncodingChoice, encode } from './encode.ts';
import { drawFloatingState } from './floating-state.ts';
import {
  BIT_TESTS,
  IMPLICIT,
  kindOf,
  NO_ACCESS,
  RAX,
  RBP,
  RCX,
  RDI,
  RDX,
  RSI,
  RSP,
  SHIFTS,
  USES_STACK,
} from './instruction-traits.ts';
import { undefinedFlags } from './undefined-flags.ts';
import { bytesOf, type Draw, integer, type Kind } from './values.ts';
import type { MemoryPatch } from './vector-format.ts';

export interface Case {
  bytes: Uint8Array;
  cpu: CpuState;
  memory: MemoryPatch[];
  undefinedFlags: number;
  repeats: boolean;
}

/** Builds one case of a form through a row. */
export class CaseBuilder {
  readonly #row: InstructionRow;
  readonly #form: Form;
  readonly #draw: Draw;
  readonly #cpu: CpuState;
  readonly #memory: MemoryPatch[] = [];
  readonly #taken = new Set<number>();
  readonly #view: DataView;
  /** No REX prefix: bytes registers 4..7 are AH, CH, DH, BH. */
  readonly #legacyBytes: boolean;
  #forceRex = false;
  #count = 0n;

  constructor(row: InstructionRow, form: Form, draw: Draw, code: CpuState['code']) {
    this.#cpu = backgroundState(code);
    this.#row = row;
    this.#form = form;
    this.#draw = draw;
    this.#view = new DataView(this.#cpu.floating.buffer);
    const hasByte = form.shapes.includes('r8') && row.operands.some(({ code }) => /^[EGZR].?b$/.test(code));
    this.#legacyBytes = code === 32 || (hasByte && form.operandSize !== 64 && draw.chance(50));
  }

  build(): Case {
    const row = this.#row;
    const form = this.#form;
    const draw = this.#draw;
    for (const index of IMPLICIT[row.mnemonic] ?? []) {
      this.#taken.add(index);
      this.#cpu.gpr[index] = integer(draw, 64);
    }
    if (USES_STACK.has(row.mnemonic)) this.#taken.add(RSP);
    if (row.mnemonic === 'leave' || row.mnemonic === 'enter') this.#taken.add(RBP);
    if (row.operands.some(({ place }) => place === Place.StringSource)) this.#taken.add(RSI);
    if (row.operands.some(({ place }) => place === Place.StringDestination)) this.#taken.add(RDI);
    for (const { place, index } of row.operands) if (place === Place.GprFixed) this.#taken.add(index);
    this.#flags();
    drawFloatingState(draw, row, this.#cpu.floating);

    const choice: EncodingChoice = {
      code: this.#cpu.code,
      operandSize: form.operandSize,
      reg: 0,
      rm: 0,
      memory: undefined,
      immediates: [],
      repeat: form.repeat,
      segmentPrefix: undefined,
      addressOverride: false,
      lock: false,
      forceRex: false,
    };
    for (const spec of row.operands) this.#operand(spec, choice);
    this.#fixedRegisters();
    choice.addressOverride = this.#overrideAddress();
    if (row.mnemonic === 'div' || row.mnemonic === 'idiv') this.#tameDivision();
    if (row.mnemonic.startsWith('pcmpestr')) {
      for (const index of [RAX, RDX])
        if (draw.chance(80)) this.#cpu.gpr[index] = BigInt.asUintN(64, BigInt(draw.below(40) - 10));
    }
    // GS, whose base is zero, and the overrides that 64-bit mode ignores.
    if (choice.memory !== undefined && this.#cpu.code === 64 && draw.chance(8)) {
      choice.segmentPrefix = draw.pick([0x65, 0x65, 0x26, 0x2e, 0x36, 0x3e]);
    }
    if (choice.memory !== undefined && row.lockable && draw.chance(10)) choice.lock = true;
    if (this.#cpu.code === 32) for (let i = 0; i < 8; i++) this.#cpu.gpr[i] = this.#cpu.gpr[i]! & 0xffffffffn;
    choice.forceRex = this.#forceRex && !this.#legacyBytes;
    return {
      bytes: encode(row, choice),
      cpu: this.#cpu,
      memory: this.#memory,
      undefinedFlags: undefinedFlags(row, form.operandSize, this.#encodedCount(choice)),
      repeats: form.repeat !== 'none',
    };
  }

  #flags(): void {
    const draw = this.#draw;
    const status = draw.chance(30) ? 0 : draw.u32() & 0x8d5;
    const direction = this.#row.repeat !== 'none' && draw.chance(35) ? 0x400 : 0;
    this.#cpu.rflags = 0x202 | status | direction;
  }

  #pickRegister(limit: number): number {
    for (;;) {
      const index = this.#draw.below(limit);
      if (index === RSP || this.#taken.has(index)) continue;
      this.#taken.add(index);
      return index;
    }
  }

  /** Chooses a register for a general operand and gives it a value. */
  #generalRegister(bits: number): number {
    const draw = this.#draw;
    const limit = this.#legacyBytes ? 8 : 16;
    if (bits === 8) {
      for (;;) {
        const index = draw.below(limit);
        const whole = this.#legacyBytes && index >= 4 ? index - 4 : index;
        if (whole === RSP || (this.#taken.has(whole) && draw.chance(90))) continue;
        if (!this.#legacyBytes && index >= 4) this.#forceRex = true;
        if (!this.#taken.has(whole)) this.#cpu.gpr[whole] = integer(draw, 64);
        this.#taken.add(whole);
        return index;
      }
    }
    const index = this.#pickRegister(limit);
    let value = integer(draw, bits);
    if (bits < 64 && draw.chance(60)) value |= BigInt.asUintN(64, draw.u64() << BigInt(bits));
    this.#cpu.gpr[index] = value;
    return index;
  }

  #setXmm(index: number, kind: Kind): void {
    this.#cpu.floating.set(bytesOf(this.#draw, kind, 16), Fxsave.Xmm + index * 16);
  }
  #setMmx(index: number, kind: Kind): void {
    const top = (this.#view.getUint16(Fxsave.Status, true) >> 11) & 7;
    this.#cpu.floating.set(bytesOf(this.#draw, kind, 8), Fxsave.Stack + ((index - top) & 7) * 16);
  }

  #operand(spec: OperandSpec, choice: EncodingChoice): void {
    const draw = this.#draw;
    const row = this.#row;
    const { operandSize } = this.#form;
    const kind = kindOf(row.mnemonic, spec, row);
    const shape = this.#form.shapes[row.operands.indexOf(spec)]!;
    const inRegister = shape === 'mm' || !shape.startsWith('m');
    switch (spec.place) {
      case Place.GprReg:
        choice.reg = this.#generalRegister(bitsOf(spec.size, operandSize));
        this.#tameBitOffset(choice.reg);
        return;
      case Place.GprRm:
      case Place.GprOpcode:
        choice.rm = this.#generalRegister(bitsOf(spec.size, operandSize));
        this.#tameBranch(choice.rm);
        return;
      case Place.RegisterOrMemory:
        if (!inRegister) break;
        choice.rm = this.#generalRegister(bitsOf(spec.registerSize, operandSize));
        this.#tameBranch(choice.rm);
        if (row.mnemonic === 'cmpxchg' && bitsOf(spec.size, operandSize) > 8 && draw.chance(50)) {
          this.#cpu.gpr[choice.rm] = this.#cpu.gpr[RAX]!;
        }
        return;
      case Place.XmmReg:
        choice.reg = draw.below(16);
        this.#setXmm(choice.reg, kind);
        return;
      case Place.XmmRm:
        choice.rm = draw.below(16);
        this.#setXmm(choice.rm, kind);
        return;
      case Place.XmmOrMemory:
        if (!inRegister) break;
        choice.rm = draw.below(16);
        this.#setXmm(choice.rm, kind);
        return;
      case Place.XmmFixed:
        this.#setXmm(0, 'integer');
        return;
      case Place.MmxReg:
        choice.reg = draw.below(8);
        this.#setMmx(choice.reg, kind);
        return;
      case Place.MmxRm:
        choice.rm = draw.below(8);
        this.#setMmx(choice.rm, kind);
        return;
      case Place.MmxOrMemory:
        if (!inRegister) break;
        choice.rm = draw.below(8);
        this.#setMmx(choice.rm, kind);
        return;
      case Place.StackRegister:
        choice.rm = draw.below(8);
        this.#cpu.floating.set(bytesOf(draw, 'extended', 10), Fxsave.Stack + choice.rm * 16);
        return;
      case Place.Immediate:
      case Place.SignedImmediate:
        choice.immediates.push(this.#immediate(spec));
        return;
      case Place.Relative:
        choice.immediates.push(integer(draw, bitsOf(spec.size, operandSize)));
        return;
      case Place.Offset: {
        const address = this.#dataAddress(bitsOf(spec.size, operandSize), kind);
        choice.immediates.push(BigInt(address));
        return;
      }
      case Place.Memory:
        break;
      default:
        return;
    }
    choice.memory = this.#memoryOperand(spec, bitsOf(spec.size, operandSize), kind);
  }

  /** Jump and call targets: near the code, anywhere canonical, rarely not canonical. */
  #tameBranch(register: number): void {
    if (this.#row.mnemonic === 'jmp' || this.#row.mnemonic === 'call')
      this.#cpu.gpr[register] = this.#target();
  }
  #target(): bigint {
    const draw = this.#draw;
    if (this.#cpu.code === 32) {
      return BigInt(draw.chance(20) ? draw.u32() : CODE_ADDRESS + draw.below(0x1000) - 0x800);
    }
    if (draw.chance(6)) return 0x0000800000000000n + BigInt(draw.u32());
    if (draw.chance(20)) return BigInt.asUintN(64, BigInt.asIntN(47, draw.u64()));
    return BigInt(CODE_ADDRESS + draw.below(0x1000) - 0x800);
  }

  #immediate(spec: OperandSpec): bigint {
    const draw = this.#draw;
    const { mnemonic } = this.#row;
    const bits = spec.place === Place.SignedImmediate ? 8 : bitsOf(spec.size, this.#form.operandSize);
    if (SHIFTS.has(mnemonic) || mnemonic === 'shld' || mnemonic === 'shrd') return this.#shiftCount();
    if (/^cmp(ps|pd|ss|sd)$/.test(mnemonic)) return BigInt(draw.below(8));
    if (mnemonic.startsWith('round')) return BigInt(draw.below(16));
    if (mnemonic.startsWith('pcmp')) return BigInt(draw.below(128));
    if (mnemonic === 'enter')
      return spec.code === 'Ib' ? BigInt(draw.below(draw.chance(80) ? 3 : 8)) : BigInt(draw.below(256));
    if (mnemonic === 'ret') return BigInt(draw.below(0x10000));
    return integer(draw, bits);
  }
  #shiftCount(): bigint {
    const draw = this.#draw;
    const { operandSize, mnemonic } = this.#form;
    const edges = [0, 1, 1, operandSize - 1, operandSize, operandSize + 1, 31, 32, 33, 63, 64];
    let count = draw.chance(40)
      ? draw.pick(edges)
      : draw.chance(70)
        ? draw.below(operandSize)
        : draw.below(256);
    // Beyond the operand size the 16-bit double shifts define nothing.
    if ((mnemonic === 'shld' || mnemonic === 'shrd') && operandSize === 16 && (count & 31) > 16) count &= 15;
    this.#count = BigInt(count);
    return this.#count;
  }

  /** An address in the data pages whose `bits` get a value, or rarely one beyond their end. */
  #dataAddress(bits: number, kind: Kind): number {
    const draw = this.#draw;
    const { mnemonic } = this.#row;
    const size = Math.max(
      bits / 8,
      mnemonic === 'frstor' || mnemonic === 'fnsave' ? 108 : mnemonic.endsWith('env') ? 28 : 1,
    );
    let offset = 0x800 + draw.below(0x800);
    const aligned = size === 16 && !draw.chance(4);
    if (aligned) offset &= ~15;
    if (draw.chance(4)) offset = DATA_SIZE - draw.below(size + 1);
    else if (draw.chance(2)) offset = -draw.below(size) - 1;
    else if (draw.chance(5)) offset = 0x1000 - (aligned ? 16 : draw.below(size + 1));
    if (offset >= 0 && offset + size <= DATA_SIZE && size <= 64)
      this.#patch(offset, bytesOf(draw, kind, size));
    return DATA_ADDRESS + offset;
  }
  #patch(offset: number, bytes: Uint8Array): void {
    this.#memory.push({ offset, bytes });
  }
  #patchNumber(offset: number, value: bigint, size: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.#patch(offset, bytes.slice(0, size));
  }

  #memoryOperand(spec: OperandSpec, bits: number, kind: Kind): EncodedMemory {
    const draw = this.#draw;
    const { mnemonic } = this.#row;
    const address =
      NO_ACCESS.has(mnemonic) && draw.chance(50) ? draw.u32() & 0x3fffffff : this.#dataAddress(bits, kind);
    this.#specialContents(address - DATA_ADDRESS, bits, spec);
    const limit = this.#legacyBytes ? 8 : 16;
    const shape = draw.below(10);
    if (shape === 0 && this.#cpu.code === 64)
      return {
        base: 16,
        index: -1,
        scale: 0,
        displacement: address - CODE_ADDRESS,
        wide: true,
        address32: false,
      };
    if (shape === 1)
      return { base: -1, index: -1, scale: 0, displacement: address, wide: true, address32: false };
    const address32 = this.#cpu.code === 64 && draw.chance(12);
    const garbage = address32 ? BigInt.asUintN(64, draw.u64() << 32n) : 0n;
    let sum = BigInt(address);
    let index = -1;
    let scale = 0;
    if (draw.chance(40)) {
      index = this.#pickRegister(limit);
      scale = draw.below(4);
      const value = BigInt(draw.below(512)) - 256n;
      this.#cpu.gpr[index] = address32 ? BigInt.asUintN(32, value) | garbage : BigInt.asUintN(64, value);
      sum -= value << BigInt(scale);
    }
    if (index >= 0 && draw.chance(15)) {
      return { base: -1, index, scale, displacement: Number(sum), wide: true, address32 };
    }
    const displacement = draw.pick([0, draw.below(256) - 128, draw.below(256) - 128, (draw.u32() | 0) >> 4]);
    const stackBase = !this.#taken.has(RSP) && draw.chance(6);
    const base = stackBase ? RSP : this.#pickRegister(limit);
    this.#taken.add(base);
    let value = BigInt.asUintN(64, sum - BigInt(displacement));
    if (address32) value = BigInt.asUintN(32, value) | garbage;
    // Not canonical: #GP, or #SS through the stack segment.
    else if (this.#cpu.code === 64 && !NO_ACCESS.has(mnemonic) && draw.chance(2)) value ^= 1n << 62n;
    this.#cpu.gpr[base] = value;
    return { base, index, scale, displacement, wide: draw.chance(20), address32 };
  }

  /** Contents of memory that random bytes would waste. */
  #specialContents(offset: number, bits: number, spec: OperandSpec): void {
    const draw = this.#draw;
    const { mnemonic } = this.#row;
    const size = bits / 8;
    if (offset < 0 || offset + Math.max(size, 8) > DATA_SIZE) return;
    if (mnemonic === 'jmp' || mnemonic === 'call') this.#patchNumber(offset, this.#target(), 8);
    if (mnemonic === 'ldmxcsr')
      this.#patchNumber(offset, BigInt(draw.chance(85) ? draw.below(0x10000) : draw.u32()), 4);
    if (mnemonic === 'cmpxchg8b' && draw.chance(50) && offset + size <= DATA_SIZE) {
      const half = size / 2;
      this.#patchNumber(offset, this.#cpu.gpr[RAX]!, half);
      this.#patchNumber(offset + half, this.#cpu.gpr[RDX]!, half);
    }
    if (mnemonic === 'cmpxchg' && draw.chance(50) && spec.place === Place.RegisterOrMemory) {
      this.#patchNumber(offset, this.#cpu.gpr[RAX]!, size);
    }
  }

  /** Registers that fixed operands, strings, stack and addresses by register use. */
  #fixedRegisters(): void {
    const draw = this.#draw;
    const row = this.#row;
    const { operandSize, repeat } = this.#form;
    for (const spec of row.operands) {
      const bits = bitsOf(spec.size, operandSize);
      if (spec.place === Place.GprFixed) {
        const isCount = spec.code === 'CL';
        const value = isCount ? this.#shiftCount() | (draw.u64() & ~0xffn) : integer(draw, 64);
        if (isCount || IMPLICIT[row.mnemonic] === undefined)
          this.#cpu.gpr[spec.index] = BigInt.asUintN(64, value);
      }
      if (spec.place === Place.StringSource || spec.place === Place.StringDestination) {
        const register = spec.place === Place.StringSource ? RSI : RDI;
        const offset = draw.chance(6)
          ? draw.pick([DATA_SIZE - draw.below(8), -draw.below(8)])
          : 0x400 + draw.below(0x1800 - 0x400);
        this.#cpu.gpr[register] = BigInt(DATA_ADDRESS + offset);
        if (offset >= 64 && offset <= DATA_SIZE - 64) {
          // Few distinct values, so that comparisons sometimes agree.
          const same = draw.pick([0x00, 0x55]);
          this.#patch(
            offset - 32,
            Uint8Array.from({ length: 64 }, () => (draw.chance(80) ? same : draw.below(256))),
          );
          if (draw.chance(50) && IMPLICIT[row.mnemonic] !== undefined)
            this.#cpu.gpr[RAX] = BigInt(same) * 0x0101010101010101n;
        }
      }
      if (spec.place === Place.AddressIn) {
        const address = this.#dataAddress(bits, 'integer');
        // XLAT adds AL.
        this.#cpu.gpr[spec.index] = BigInt(address);
        if (spec.code === 'Bb') this.#cpu.gpr[RAX] = integer(draw, 64);
      }
    }
    if (row.mnemonic.startsWith('loop') || row.mnemonic === 'jcxz') {
      if (draw.chance(60)) this.#cpu.gpr[RCX] = draw.pick([0n, 1n, 2n, 1n << 32n, (1n << 32n) + 1n]);
    }
    if (repeat !== 'none') this.#cpu.gpr[RCX] = BigInt(draw.chance(85) ? draw.below(24) : draw.below(300));
    if (USES_STACK.has(row.mnemonic)) this.#stack();
  }

  /** Sometimes 32-bit addresses and counts in 64-bit code, 16-bit counts in 32-bit code. */
  #overrideAddress(): boolean {
    const draw = this.#draw;
    const row = this.#row;
    const counts = /^(loop|loope|loopne|jcxz)$/.test(row.mnemonic);
    const registers = row.operands.flatMap(({ place, index }) =>
      place === Place.StringSource
        ? [RSI]
        : place === Place.StringDestination
          ? [RDI]
          : place === Place.AddressIn
            ? [index]
            : [],
    );
    if (counts || this.#form.repeat !== 'none') registers.push(RCX);
    const isPossible = this.#cpu.code === 64 ? registers.length > 0 : counts;
    if (!isPossible || !draw.chance(15)) return false;
    const { gpr } = this.#cpu;
    // What becomes of the upper halves when nothing is done, or a fault interrupts, differs by processor.
    const isPlain = (register: number): boolean => {
      const offset = Number(gpr[register]!) - DATA_ADDRESS;
      return register === RCX
        ? gpr[RCX]! > 0n && gpr[RCX]! < 24n
        : offset > 0x200 && offset < DATA_SIZE - 0x200;
    };
    if (this.#form.repeat !== 'none' && !registers.every(isPlain)) return false;
    if (this.#cpu.code === 64) {
      for (const register of registers)
        gpr[register] = (gpr[register]! & 0xffffffffn) | BigInt.asUintN(64, draw.u64() << 32n);
    } else gpr[RCX] = (gpr[RCX]! & 0xffffn) | BigInt(draw.below(4) << 16);
    return true;
  }

  /** The bit offset of BT m, r reaches far: keep it within the data pages. */
  #tameBitOffset(register: number): void {
    const { operandSize, shapes } = this.#form;
    if (!BIT_TESTS.has(this.#row.mnemonic) || !shapes[0]!.startsWith('m')) return;
    const offset = BigInt(this.#draw.below(0x4000) - 0x2000);
    const above = BigInt.asUintN(64, this.#draw.u64() << BigInt(operandSize));
    this.#cpu.gpr[register] = BigInt.asUintN(operandSize, offset) | above;
  }

  #stack(): void {
    const draw = this.#draw;
    const { mnemonic } = this.#row;
    let offset = 0xc00 + draw.below(0xc00);
    if (draw.chance(70)) offset &= ~7;
    if (draw.chance(5)) offset = draw.pick([draw.below(9), DATA_SIZE - draw.below(9), -draw.below(9)]);
    this.#cpu.gpr[RSP] = BigInt(DATA_ADDRESS + offset);
    const top = mnemonic === 'leave' ? 0xc00 + draw.below(0xc00) : offset;
    if (mnemonic === 'leave' || mnemonic === 'enter') {
      const frame = mnemonic === 'leave' ? top : 0xc00 + draw.below(0xc00);
      this.#cpu.gpr[RBP] = draw.chance(96) ? BigInt(DATA_ADDRESS + frame) : draw.u64();
    }
    if (top < 0 || top + 8 > DATA_SIZE) return;
    if (mnemonic === 'ret') this.#patchNumber(top, this.#target(), 8);
    // NT, AC and RF are left alone; IOPL and IF don't change in user mode, TF is the harness's.
    else if (mnemonic === 'popf') this.#patchNumber(top, BigInt(0x202 | (draw.u32() & 0xcd5)), 8);
    else if (mnemonic === 'popa') this.#patch(top & ~31, bytesOf(draw, 'integer', 32));
    else if (mnemonic === 'pop' || mnemonic === 'leave') this.#patchNumber(top, integer(draw, 64), 8);
  }

  /** Random dividends overflow nearly always: give most of them a small upper half. */
  #tameDivision(): void {
    const draw = this.#draw;
    const { operandSize } = this.#form;
    const { gpr } = this.#cpu;
    const signed = this.#row.mnemonic === 'idiv';
    if (draw.chance(25)) return;
    const keep = BigInt(operandSize);
    const low = integer(draw, operandSize);
    const half = keep / 2n;
    const value = draw.chance(50) ? low : low >> half;
    const upper = signed && draw.chance(70) && value >> (keep - 1n) !== 0n ? (1n << keep) - 1n : 0n;
    if (operandSize === 8) gpr[RAX] = (gpr[RAX]! & ~0xffffn) | (upper << 8n) | value;
    else {
      const above = BigInt.asUintN(64, gpr[RDX]! << keep);
      gpr[RAX] = operandSize === 64 ? value : value | above;
      gpr[RDX] = operandSize === 64 ? upper : upper | above;
    }
  }

  #encodedCount(choice: EncodingChoice): number {
    if (this.#row.operands.at(-1)?.place === Place.One) return 1;
    return Number((choice.immediates[0] ?? this.#count) & 0xffn);
  }
}
