/**
 * Random user programs of 5 to 60 instructions, of every form that a user program can execute: operands mostly in
 * data pages, branches within the program, loops with counters, calls and returns, and programs that store to their
 * own code in every way there is.
 */
import type { Form } from '../../src/cpu/instructions/forms.ts';
import { bitsOf, type OperandSpec, Place } from '../../src/cpu/instructions/operand-codes.ts';
import type { InstructionRow } from '../../src/cpu/instructions/table.ts';
import { type CoveredForm, coveredForms } from '../conformance/cpu/coverage.ts';
import { type EncodedMemory, type EncodingChoice, encode } from '../conformance/cpu/encode.ts';
import { bytesOf, type Draw, float64, integer } from '../conformance/cpu/values.ts';
import {
  ALIAS,
  CODE,
  COUNTERS,
  DATA,
  DATA_PAGES,
  NEAR_BASE,
  PAGE,
  type Program,
  READ_ONLY,
} from './code-machine.ts';

/** Registers that mostly point to data (RBX, RBP, RSI, RDI, R8..R11), and the rest but RSP. */
const POINTERS = [3, 5, 6, 7, 8, 9, 10, 11];
const SCRATCH = [0, 1, 2, 12, 13, 14, 15];
const CONTROL_FLOW = /^(j.*|loop.*|call|ret)$/;
/** Popping random flags mostly sets the trap flag, which ends the program. */
const RARE = /^(popf|ud\d|hlt|bound|enter|fnsave|frstor|fldenv|ldmxcsr|fldcw|leave|div|idiv)$/;
const MOST_ADDRESS = 64;

const forms: CoveredForm[] = coveredForms(64).filter(({ form }) => !CONTROL_FLOW.test(form.mnemonic));
const isVector = ({ shapes }: Form): boolean => shapes.some((shape) => shape === 'x' || shape === 'mm');
const isX87 = ({ rows }: CoveredForm): boolean => rows[0]!.map === 0 && rows[0]!.opcode >> 3 === 0xd8 >> 3;
const x87 = forms.filter(isX87);
const vector = forms.filter((each) => isVector(each.form));
const integerForms = forms.filter((each) => !isX87(each) && !isVector(each.form));
const storing = integerForms.filter(({ form }) => form.shapes[0]?.startsWith('m'));

/** A piece of the program: bytes, or something that needs the places of other pieces. */
interface Piece {
  length: number;
  /** Bytes once places are known: offsets of all pieces from the program's start, and this one's. */
  bytes(places: readonly number[], at: number): Uint8Array;
  endsBlock: boolean;
}

const fixed = (bytes: Uint8Array): Piece => ({ length: bytes.length, bytes: () => bytes, endsBlock: false });
const number32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);

export class ProgramBuilder {
  readonly #draw: Draw;
  readonly #pieces: Piece[] = [];
  readonly #modifies: boolean;
  readonly #count: number;
  readonly #codeOffset: number;
  readonly #mode: Program['mode'];
  #counters = 0;

  constructor(draw: Draw) {
    this.#draw = draw;
    this.#modifies = draw.chance(35);
    // The instructions are made for 64-bit code; other modes read most of the same bytes differently.
    this.#mode = draw.chance(82) ? 64 : draw.chance(60) ? 32 : 16;
    // The instructions are made for 64-bit code; other modes read most of the same bytes differently.
    this.#mode = draw.chance(82) ? 64 : draw.chance(60) ? 32 : 16;
    this.#count = 5 + draw.below(56);
    // Sometimes the code crosses into the next page.
    const crossing = draw.chance(25) ? PAGE - 1 - draw.below(200) : draw.below(2 * PAGE);
    // 16-bit code often begins near IP 0, where branches wrap.
    if (this.#mode !== 16) this.#codeOffset = crossing;
    else this.#codeOffset = NEAR_BASE + draw.below(draw.chance(50) ? 16 : 2 * PAGE);
  }

  build(): Program {
    const draw = this.#draw;
    while (this.#pieces.length < this.#count) this.#add();
    const places: number[] = [];
    let length = 0;
    for (const piece of this.#pieces) {
      places.push(length);
      length += piece.length;
    }
    places.push(length);
    const code = new Uint8Array(length);
    this.#pieces.forEach((piece, k) => {
      code.set(piece.bytes(places, places[k]!), places[k]);
    });
    const base = draw.chance(85) ? CODE : ALIAS;
    return {
      mode: this.#mode,
      code,
      codeOffset: this.#codeOffset,
      rip: this.#mode === 16 ? this.#codeOffset - NEAR_BASE : base + this.#codeOffset,
      gpr: this.#registers(),
      rflags: 0x202 | (draw.u32() & 0x8d5) | (draw.chance(10) ? 0x400 : 0),
      floating: this.#floating(),
      data: this.#data(),
      counters: Uint8Array.from({ length: PAGE }, (_, k) =>
        k % 4 === 0 ? draw.below(draw.chance(90) ? 6 : 40) : 0,
      ),
      blocks: 1 + this.#pieces.filter((piece) => piece.endsBlock).length,
    };
  }

  // State

  #registers(): BigUint64Array {
    const draw = this.#draw;
    const gpr = BigUint64Array.from({ length: 16 }, () => integer(draw, 64));
    for (const index of POINTERS) gpr[index] = BigInt(this.#address());
    gpr[1] = BigInt(draw.below(40));
    gpr[4] = BigInt(DATA + 0x400 + (draw.below(0x1800) & (draw.chance(80) ? ~15 : ~0)));
    const width = this.#mode === 16 && draw.chance(90) ? 16 : this.#mode === 64 ? 64 : 32;
    return gpr.map((value) => BigInt.asUintN(width, value));
  }
  #address(): number {
    const draw = this.#draw;
    const kind = draw.below(100);
    if (kind < 78) return DATA + 0x100 + (draw.below(0x1e00) & (draw.chance(70) ? ~15 : ~0));
    if (kind < 88) return DATA + PAGE - 24 + draw.below(48);
    if (kind < 93) return READ_ONLY + draw.below(PAGE);
    if (kind < 96) return DATA + DATA_PAGES * PAGE - draw.below(48);
    return DATA - draw.below(24);
  }
  #floating(): Uint8Array {
    const draw = this.#draw;
    const image = new Uint8Array(512);
    const view = new DataView(image.buffer);
    view.setUint16(0, 0x37f ^ (draw.chance(15) ? 1 << draw.below(6) : 0) ^ (draw.below(4) << 10), true);
    view.setUint16(2, draw.below(8) << 11, true);
    image[4] = draw.chance(50) ? 0x3c : draw.below(256);
    view.setUint32(
      24,
      0x1f80 ^ (draw.chance(10) ? 1 << (7 + draw.below(6)) : 0) ^ (draw.below(4) << 13),
      true,
    );
    for (let k = 0; k < 8; k++) image.set(bytesOf(draw, 'extended', 10), 32 + 16 * k);
    for (let k = 0; k < 16; k++)
      image.set(bytesOf(draw, draw.pick(['integer', 'float32', 'float64'] as const), 16), 160 + 16 * k);
    return image;
  }
  #data(): Uint8Array {
    const draw = this.#draw;
    const data = new Uint8Array(DATA_PAGES * PAGE);
    const view = new DataView(data.buffer);
    for (let k = 0; k < data.length; k += 8)
      view.setBigUint64(k, draw.chance(20) ? float64(draw) : integer(draw, 64), true);
    return data;
  }

  // Pieces

  #add(): void {
    const draw = this.#draw;
    const kind = draw.below(100);
    if (kind < 12) this.#branch();
    else if (kind < 17) this.#loop();
    else if (kind < 20) this.#call();
    else if (kind < 22) this.#jumpThere();
    else if (kind < 24) this.#pieces.push({ ...fixed(Uint8Array.of(0xc3)), endsBlock: true });
    else if (this.#modifies && kind < 34) this.#modification();
    else this.#pieces.push(fixed(this.#instruction()));
  }

  /** A piece that ends with a 32-bit displacement to another one. */
  #toPiece(prefix: readonly number[], target: number, adjust = 0): Piece {
    return {
      length: prefix.length + 4,
      bytes: (places, at) => {
        const to = places[Math.min(target, places.length - 1)]! + adjust;
        return Uint8Array.of(...prefix, ...number32(to - (at + prefix.length + 4)));
      },
      endsBlock: false,
    };
  }
  #somewhere(): number {
    return this.#draw.below(this.#count + 1);
  }
  #ahead(): number {
    return this.#pieces.length + this.#draw.below(8);
  }

  #branch(): void {
    const draw = this.#draw;
    const target = draw.chance(92) ? this.#ahead() : this.#somewhere();
    const kind = draw.below(10);
    if (kind === 0) this.#pieces.push({ ...this.#toPiece([0xe9], target), endsBlock: true });
    else if (kind < 7)
      this.#pieces.push({ ...this.#toPiece([0x0f, 0x80 | draw.below(16)], target), endsBlock: true });
    else {
      const opcode = draw.pick([0x70 | draw.below(16), 0xe0, 0xe1, 0xe2, 0xe3, 0xeb]);
      const prefix = opcode < 0xe4 && opcode >= 0xe0 && draw.chance(20) ? [0x67] : [];
      const length = prefix.length + 2;
      const near = this.#pieces.length + 1 + draw.below(2);
      const bytes = (places: readonly number[], at: number): Uint8Array => {
        const distance = places[Math.min(near, places.length - 1)]! - (at + length);
        return Uint8Array.of(...prefix, opcode, Math.min(distance, 127));
      };
      this.#pieces.push({ length, bytes, endsBlock: true });
    }
  }

  /** DEC of a counter in memory, then back while it is not negative. */
  #loop(): void {
    const counter = COUNTERS + 4 * (this.#counters++ % 64);
    const back = Math.max(0, this.#pieces.length - 1 - this.#draw.below(12));
    this.#pieces.push(fixed(Uint8Array.of(0xff, 0x0c, 0x25, ...number32(counter))));
    this.#pieces.push({ ...this.#toPiece([0x0f, 0x89], back), endsBlock: true });
  }

  #call(): void {
    this.#pieces.push({ ...this.#toPiece([0xe8], this.#ahead()), endsBlock: true });
  }

  /** LEA of a place in the program, in the other mapping perhaps, and a jump or call there. */
  #jumpThere(): void {
    const draw = this.#draw;
    const register = draw.pick([0, 1, 2]);
    const adjust = draw.pick([0, 0, ALIAS - CODE, CODE - ALIAS]);
    this.#pieces.push(this.#toPiece([0x48, 0x8d, 0x05 | (register << 3)], this.#ahead(), adjust));
    const bytes = Uint8Array.of(0xff, (draw.chance(70) ? 0xe0 : 0xd0) | register);
    this.#pieces.push({ ...fixed(bytes), endsBlock: true });
  }

  // Stores to the program itself

  #modification(): void {
    const draw = this.#draw;
    const near = this.#pieces.length + 1 + draw.below(3);
    const target = draw.chance(50) ? near : this.#somewhere();
    const alias = draw.chance(25) ? draw.pick([ALIAS - CODE, CODE - ALIAS]) : 0;
    const adjust = alias + (draw.chance(60) ? 0 : draw.below(9) - 3);
    const { length } = this.#pieces;
    switch (draw.below(7)) {
      case 0:
      case 1:
        this.#storeByte(target, adjust);
        return;
      case 2: {
        // All of another piece by REP MOVSB or MOVSQ.
        const source = this.#somewhere();
        this.#pieces.push(this.#toPiece([0x48, 0x8d, 0x35], source));
        this.#pieces.push(this.#toPiece([0x48, 0x8d, 0x3d], target, adjust));
        this.#pieces.push(fixed(Uint8Array.of(0xb9, 1 + draw.below(draw.chance(80) ? 12 : 90), 0, 0, 0)));
        this.#pieces.push(
          fixed(draw.pick([Uint8Array.of(0xf3, 0xa4), Uint8Array.of(0xf3, 0x48, 0xa5), Uint8Array.of(0xa5)])),
        );
        return;
      }
      case 3:
        // NOPs by REP STOSB.
        this.#pieces.push(this.#toPiece([0x48, 0x8d, 0x3d], target, adjust));
        this.#pieces.push(fixed(Uint8Array.of(0xb8, 0x90, 0x90, 0x90, 0x90)));
        this.#pieces.push(fixed(Uint8Array.of(0xb9, 1 + draw.below(12), 0, 0, 0)));
        this.#pieces.push(
          fixed(draw.pick([Uint8Array.of(0xf3, 0xaa), Uint8Array.of(0xf3, 0xab), Uint8Array.of(0xaa)])),
        );
        return;
      case 4:
        // Through the stack: a push, a call, ENTER.
        this.#pieces.push(fixed(Uint8Array.of(0x49, 0x89, 0xe7)));
        this.#pieces.push(this.#toPiece([0x48, 0x8d, 0x25], target, adjust + 8));
        if (draw.chance(20)) this.#call();
        else
          this.#pieces.push(
            fixed(draw.pick([Uint8Array.of(0x50), Uint8Array.of(0x9c), Uint8Array.of(0xc8, 0, 0, 1)])),
          );
        this.#pieces.push(fixed(Uint8Array.of(0x4c, 0x89, 0xfc)));
        return;
      default:
        this.#pieces.push(this.#storeAnything(target, adjust));
    }
    if (this.#pieces.length === length) this.#storeByte(target, adjust);
  }

  #storeByte(target: number, adjust: number): void {
    const draw = this.#draw;
    const value = draw.pick([0x90, 0x90, 0x40, 0xf4, 0xc3, 0x48, draw.below(256)]);
    this.#pieces.push({
      length: 7,
      bytes: (places, at) => {
        const to = places[Math.min(target, places.length - 1)]! + adjust;
        return Uint8Array.of(0xc6, 0x05, ...number32(to - (at + 7)), value);
      },
      endsBlock: false,
    });
  }

  /** Any form with a memory operand at a place of the program. */
  #storeAnything(target: number, adjust: number): Piece {
    for (;;) {
      const family = this.#draw.below(4);
      const covered = this.#draw.pick(family === 0 ? vector : family === 1 ? x87 : storing);
      const row = this.#draw.pick(covered.rows);
      const state = { memory: false };
      const choice = this.#choose(row, covered.form, state);
      if (!state.memory || choice.memory === undefined) continue;
      choice.segmentPrefix = undefined;
      const at = (displacement: number): Uint8Array => {
        choice.memory = { base: 16, index: -1, scale: 0, displacement, wide: true, address32: false };
        return encode(row, choice);
      };
      return {
        length: at(0).length,
        bytes: (places, from) => at(places[Math.min(target, places.length - 1)]! + adjust - from),
        endsBlock: false,
      };
    }
  }

  // Instructions

  #instruction(): Uint8Array {
    const draw = this.#draw;
    for (;;) {
      const family = draw.below(10);
      const covered = draw.pick(family < 6 ? integerForms : family < 8 ? vector : x87);
      if (RARE.test(covered.form.mnemonic) && !draw.chance(12)) continue;
      const row = draw.pick(covered.rows);
      return encode(row, this.#choose(row, covered.form, { memory: false }));
    }
  }

  #choose(row: InstructionRow, form: Form, found: { memory: boolean }): EncodingChoice {
    const draw = this.#draw;
    const choice: EncodingChoice = {
      code: 64,
      operandSize: form.operandSize as EncodingChoice['operandSize'],
      reg: 0,
      rm: 0,
      memory: undefined,
      immediates: [],
      repeat: form.repeat,
      segmentPrefix: undefined,
      addressOverride: false,
      lock: false,
      forceRex: draw.chance(30),
    };
    row.operands.forEach((spec, k) => {
      this.#operand(spec, form.shapes[k]!, choice);
    });
    found.memory = choice.memory !== undefined;
    if (choice.memory && draw.chance(4)) choice.segmentPrefix = draw.pick([0x64, 0x65, 0x3e]);
    if (choice.memory && (row.lockable ? draw.chance(20) : draw.chance(0.5))) choice.lock = true;
    return choice;
  }

  #operand(spec: OperandSpec, shape: string, choice: EncodingChoice): void {
    const draw = this.#draw;
    const inRegister = shape === 'mm' || !shape.startsWith('m');
    const vectorRegister = (): number => draw.below(shape === 'mm' ? 8 : 16);
    switch (spec.place) {
      case Place.GprReg:
        choice.reg = this.#register();
        return;
      case Place.GprRm:
      case Place.GprOpcode:
        choice.rm = this.#register();
        return;
      case Place.XmmReg:
      case Place.MmxReg:
        choice.reg = vectorRegister();
        return;
      case Place.XmmRm:
      case Place.MmxRm:
        choice.rm = vectorRegister();
        return;
      case Place.StackRegister:
        choice.rm = draw.below(8);
        return;
      case Place.Immediate:
      case Place.SignedImmediate:
        choice.immediates.push(draw.chance(50) ? BigInt(draw.below(40)) : integer(draw, 64));
        return;
      case Place.Offset:
        choice.immediates.push(BigInt(this.#address()));
        return;
      case Place.RegisterOrMemory:
        if (inRegister) choice.rm = this.#register();
        else choice.memory = this.#memory(bitsOf(spec.size, choice.operandSize));
        return;
      case Place.XmmOrMemory:
      case Place.MmxOrMemory:
        if (inRegister) choice.rm = vectorRegister();
        else choice.memory = this.#memory(128);
        return;
      case Place.Memory:
        choice.memory = this.#memory(bitsOf(spec.size, choice.operandSize));
        return;
      default:
    }
  }

  #register(): number {
    const draw = this.#draw;
    return draw.chance(88) ? draw.pick(SCRATCH) : draw.pick(POINTERS);
  }

  #memory(bits: number): EncodedMemory {
    const draw = this.#draw;
    const aligned = bits >= 128 ? ~15 : ~0;
    const displacement = (draw.below(2 * MOST_ADDRESS) - MOST_ADDRESS) & aligned;
    const plain = { index: -1, scale: 0, displacement, wide: draw.chance(10), address32: draw.chance(4) };
    const kind = draw.below(20);
    if (kind === 0) return { ...plain, base: -1, displacement: this.#address(), wide: true };
    if (kind === 1) return { ...plain, base: 4 };
    if (kind === 2)
      return { ...plain, base: draw.pick(POINTERS), index: draw.pick([1, 2]), scale: draw.below(4) };
    if (kind === 3 && draw.chance(20)) return { ...plain, base: draw.below(16) };
    return { ...plain, base: draw.pick(POINTERS) };
  }
}
