/**
 * A tiny assembler for 32-bit protected mode: the instructions our own test kernels need, one method each, with
 * labels. Encodings: SDM vol. 2. Code lies at a fixed address, so references to labels are absolute.
 */

export const Register = { EAX: 0, ECX: 1, EDX: 2, EBX: 3, ESP: 4, EBP: 5, ESI: 6, EDI: 7 } as const;
export type Register = (typeof Register)[keyof typeof Register];

/** Condition codes of Jcc. */
export const Condition = { Below: 2, AboveOrEqual: 3, Equal: 4, NotEqual: 5 } as const;
export type Condition = (typeof Condition)[keyof typeof Condition];

export type Label = string;
type Value = number | Label;

interface Fixup {
  at: number;
  label: Label;
  relative: boolean;
}

export class Assembler {
  /** Address of the first byte. */
  readonly origin: number;
  private readonly output: number[] = [];
  private readonly labels = new Map<Label, number>();
  private readonly fixups: Fixup[] = [];
  private anonymous = 0;

  constructor(origin: number) {
    this.origin = origin;
  }

  /** The finished bytes, every label resolved. */
  assemble(): Uint8Array {
    const bytes = Uint8Array.from(this.output);
    const view = new DataView(bytes.buffer);
    for (const { at, label, relative } of this.fixups) {
      const target = this.addressOf(label);
      view.setInt32(at, relative ? target - (this.origin + at + 4) : target | 0, true);
    }
    return bytes;
  }

  addressOf(label: Label): number {
    const offset = this.labels.get(label);
    if (offset === undefined) throw new Error(`label ${label} is not defined`);
    return this.origin + offset;
  }

  label(name: Label): void {
    if (this.labels.has(name)) throw new Error(`label ${name} is defined twice`);
    this.labels.set(name, this.output.length);
  }
  /** A label name that nobody else has. */
  fresh(): Label {
    this.anonymous++;
    return `.${this.anonymous}`;
  }

  bytes(...values: number[]): void {
    for (const value of values) this.output.push(value & 0xff);
  }
  dword(value: Value): void {
    if (typeof value === 'string') {
      this.fixups.push({ at: this.output.length, label: value, relative: false });
      this.bytes(0, 0, 0, 0);
    } else {
      this.bytes(value, value >>> 8, value >>> 16, value >>> 24);
    }
  }
  align(size: number): void {
    while (this.output.length % size !== 0) this.output.push(0);
  }
  reserve(size: number): void {
    for (let count = 0; count < size; count++) this.output.push(0);
  }
  /** Bytes of the text and a final zero. */
  text(value: string): void {
    this.bytes(...Buffer.from(value, 'latin1'), 0);
  }

  /** MOV register, imm32 */
  mov(target: Register, value: Value): void {
    this.bytes(0xb8 + target);
    this.dword(value);
  }
  /** MOV target, source */
  move(target: Register, source: Register): void {
    this.bytes(0x89, 0xc0 | (source << 3) | target);
  }
  /** MOV target, [base + offset]; base is not ESP. */
  load(target: Register, base: Register, offset = 0): void {
    this.bytes(0x8b, 0x80 | (target << 3) | base);
    this.dword(offset);
  }
  /** MOV [base + offset], source; base is not ESP. */
  store(base: Register, offset: number, source: Register): void {
    this.bytes(0x89, 0x80 | (source << 3) | base);
    this.dword(offset);
  }
  /** MOV AL, [ESI]; INC ESI */
  loadByteAtEsi(): void {
    this.bytes(0x8a, 0x06, 0x46);
  }
  push(source: Register): void {
    this.bytes(0x50 + source);
  }
  pop(target: Register): void {
    this.bytes(0x58 + target);
  }
  /** ADD, AND, SUB, XOR, CMP register, imm32 */
  arithmetic(operation: 'add' | 'and' | 'sub' | 'xor' | 'cmp', target: Register, value: Value): void {
    const extension = { add: 0, and: 4, sub: 5, xor: 6, cmp: 7 }[operation];
    this.bytes(0x81, 0xc0 | (extension << 3) | target);
    this.dword(value);
  }
  /** SHL or SHR register, count */
  shift(direction: 'left' | 'right', target: Register, count: number): void {
    this.bytes(0xc1, (direction === 'left' ? 0xe0 : 0xe8) | target, count);
  }
  /** CMP AL, imm8 */
  compareAl(value: number): void {
    this.bytes(0x3c, value);
  }
  jump(target: Label): void {
    this.branch([0xe9], target);
  }
  jumpIf(condition: Condition, target: Label): void {
    this.branch([0x0f, 0x80 + condition], target);
  }
  call(target: Label): void {
    this.branch([0xe8], target);
  }
  /** CALL register */
  callRegister(target: Register): void {
    this.bytes(0xff, 0xd0 | target);
  }
  ret(): void {
    this.bytes(0xc3);
  }
  /** OUT DX, AL */
  outDxAl(): void {
    this.bytes(0xee);
  }
  /** IN AL, DX */
  inAlDx(): void {
    this.bytes(0xec);
  }
  cpuid(): void {
    this.bytes(0x0f, 0xa2);
  }
  rdmsr(): void {
    this.bytes(0x0f, 0x32);
  }
  wrmsr(): void {
    this.bytes(0x0f, 0x30);
  }
  hlt(): void {
    this.bytes(0xf4);
  }
  cli(): void {
    this.bytes(0xfa);
  }
  /** #UD by name */
  ud2(): void {
    this.bytes(0x0f, 0x0b);
  }

  private branch(opcode: readonly number[], target: Label): void {
    this.bytes(...opcode);
    this.fixups.push({ at: this.output.length, label: target, relative: true });
    this.bytes(0, 0, 0, 0);
  }
}
