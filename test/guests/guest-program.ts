/**
 * The runtime that test guests are written with: start in long mode (by their parent, or from a Multiboot
 * loader), page tables (4 GiB identity-mapped), GDT, IDT with a handler per vector, serial text, exit port, the
 * hypercall page and calls through it, and SynIC messages.
 *
 *   origin ─ header, code, data │ page tables (6) │ hypercall page │ input │ output │ messages │ flags │ stack
 *
 * Registers: `hypercall` and what builds on it use RAX, RCX, RDX, R8 (and R9..R11 may change); every other
 * register is the program's.
 */

import { SyntheticMsr } from '../../src/hvdef/msr.ts';
import { HvStatus } from '../../src/hvdef/status.ts';
import { type Assembler, assembler } from './assembler.ts';
import { CODE_SELECTOR, CODE32_SELECTOR, DATA_SELECTOR, type GuestImage } from './guest-image.ts';
import { type ControlFields, hypercallControl } from './hypercall-control.ts';
import {
  al, ax, cr0, cr3, cr4, ds, dx, eax, ebx, ecx, edx, es, esp, fs, gs, mem, mem8, mem32, mem64, type Operand, type RegisterOperand, 
  r8, r9, r10, r11, r12, r13, r14, r15,rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, ss,
} from './operand.ts'; // biome-ignore format: a list

export const EXIT_PORT = 0xf4;
export const SERIAL_PORT = 0x3f8;
/** What an exit by an exception that has no handler gives, plus the vector. */
export const EXCEPTION_EXIT = 0x80;
/** An exit by `expect` that found something else. */
export const UNEXPECTED_EXIT = 0x7f;

const PAGE = 4096;
const STACK_PAGES = 4;
const PAGE_TABLES = 6;
const GUEST_OS_ID = 0x8100_0000_0001_0000n;
const IDT_ENTRIES = 256;
const STUB_SIZE = 16;
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);
const MULTIBOOT_MAGIC = 0x1bad_b002;
const EFER_MSR = 0xc000_0080;
/** Saved by the common interrupt entry, the last one pushed first. */
const SAVED = [rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
/** Where a handler finds things from RDI on. */
export const Frame = {
  Vector: 8 * SAVED.length,
  ErrorCode: 8 * SAVED.length + 8,
  Rip: 8 * SAVED.length + 16,
} as const;

/** Slot of a synthetic interrupt source in the message page. */
const SLOT = 256;
const MESSAGE_FLAGS = 5;

export class GuestProgram {
  readonly asm: Assembler;
  readonly #texts = new Map<string, string>();
  readonly #handlers = new Map<number, string>();
  readonly #origin: number;
  readonly #deferred: (() => void)[] = [];

  constructor(origin: number) {
    this.#origin = origin;
    this.asm = assembler(origin);
  }

  // Text and exit

  /** Prints a constant text. Changes no register. */
  print(text: string): void {
    const label = this.#texts.get(text) ?? this.asm.fresh('text');
    this.#texts.set(text, label);
    this.asm.push(rsi).mov(rsi, label).call('print text').pop(rsi);
  }
  /** Prints a register as 16 hexadecimal digits. Changes no register. */
  printHex(register: RegisterOperand = rax): void {
    this.asm.push(rsi).mov(rsi, register).call('print hexadecimal').pop(rsi);
  }
  /** Leaves with AL (a constant or what the register holds already). */
  exit(value?: number): void {
    const { asm } = this;
    if (value !== undefined) asm.mov(eax, value);
    asm.mov(edx, EXIT_PORT).out(dx, al).jmp('halt for ever');
  }
  /** Leaves with UNEXPECTED_EXIT, having said so, unless RAX is `value`. */
  expect(value: number, what: string): void {
    const good = this.asm.fresh('good');
    this.asm.cmp(rax, value).je(good);
    this.print(`${what}: expected 0x${value.toString(16)}, found `);
    this.printHex(rax);
    this.print('\n');
    this.exit(UNEXPECTED_EXIT);
    this.asm.label(good);
  }

  // MSRs and hypercalls

  /** WRMSR of a constant or label. Changes RAX, RCX, RDX. */
  writeMsr(msr: number, value: bigint | string): void {
    const { asm } = this;
    asm.mov(ecx, msr);
    if (typeof value === 'string') asm.mov(rax, value).mov(edx, 0);
    else asm.mov(eax, value & 0xffff_ffffn).mov(edx, value >> 32n);
    asm.wrmsr();
  }
  /** RDMSR into RAX. Changes RCX, RDX. */
  readMsr(msr: number): void {
    this.asm.mov(ecx, msr).rdmsr().shl(rdx, 32).or(rax, rdx);
  }

  /** Identifies the guest and enables the hypercall page. */
  enableHypercalls(): void {
    this.writeMsr(SyntheticMsr.GuestOsId, GUEST_OS_ID);
    this.asm.mov(rax, 'hypercall page').or(rax, 1).mov(edx, 0).mov(ecx, SyntheticMsr.Hypercall).wrmsr();
  }
  /** Writes 8 bytes of the input page: a constant, a label's address, or a register. Constants change RAX. */
  input(offset: number, value: number | bigint | string | RegisterOperand): void {
    const { asm } = this;
    if (typeof value === 'object') asm.mov(mem64('input page', offset), value);
    else
      asm
        .mov(rax, typeof value === 'string' ? value : BigInt.asUintN(64, BigInt(value)))
        .mov(mem64('input page', offset), rax);
  }
  /** Writes consecutive 8-byte words of the input page. Changes RAX. */
  inputWords(values: readonly (number | bigint | string)[], offset = 0): void {
    for (const [index, value] of values.entries()) this.input(offset + 8 * index, value);
  }
  /** Loads 8 bytes of the output page. */
  output(register: RegisterOperand, offset = 0): void {
    this.asm.mov(register, mem64('output page', offset));
  }
  /**
   * A hypercall in the memory convention: input page to output page. RAX is the result value. `reps` may be a
   * register (not RAX, RDX, R8).
   */
  hypercall(code: number, fields: ControlFields = {}): void {
    const { asm } = this;
    asm.mov(rcx, hypercallControl(code, fields)).mov(rdx, 'input page').mov(r8, 'output page');
    asm.call('hypercall page');
  }
  /** As hypercall, with the rep count in a register other than RCX. */
  hypercallWithReps(code: number, reps: RegisterOperand): void {
    const { asm } = this;
    asm.mov(rcx, reps).shl(rcx, 32).or(rcx, code);
    asm.mov(rdx, 'input page').mov(r8, 'output page').call('hypercall page');
  }
  /** A hypercall in the register convention; parameters that are left out stay as RDX and R8 are. */
  fastHypercall(code: number, first?: Operand, second?: Operand, fields: ControlFields = {}): void {
    const { asm } = this;
    if (first !== undefined) asm.mov(rdx, first);
    if (second !== undefined) asm.mov(r8, second);
    asm.mov(rcx, hypercallControl(code, { ...fields, fast: true })).call('hypercall page');
  }
  /** RAX is to be a result value with this status (and reps completed); says `what` and leaves otherwise. */
  expectStatus(what: string, status: number = HvStatus.SUCCESS, reps?: number): void {
    if (reps === undefined) this.asm.and(eax, 0xffff);
    else this.asm.mov(rdx, BigInt(reps) << 32n).xor(rax, rdx);
    this.expect(status, what);
  }

  // Interrupts and messages

  /** What an interrupt or exception runs: RDI = frame (see Frame), every other register free to use. */
  onInterrupt(vector: number, body: () => void): void {
    const label = this.asm.fresh(`vector ${vector}`);
    this.#handlers.set(vector, label);
    this.#deferred.push(() => {
      this.asm.label(label);
      body();
      this.asm.ret();
    });
  }
  /** Switches the SynIC on, with message and event flags pages. Changes RAX, RCX, RDX. */
  enableSynic(): void {
    const { asm } = this;
    for (const [msr, page] of [
      [SyntheticMsr.Simp, 'message page'],
      [SyntheticMsr.Siefp, 'event flags page'],
    ] as const) {
      asm.mov(rax, page).or(rax, 1).mov(edx, 0).mov(ecx, msr).wrmsr();
    }
    this.writeMsr(SyntheticMsr.Scontrol, 1n);
  }
  /** Opens a synthetic interrupt source with automatic EOI; a vector without handler just wakes from HLT. */
  enableSint(sint: number, vector: number): void {
    if (!this.#handlers.has(vector)) this.#handlers.set(vector, 'ignore interrupt');
    this.writeMsr(SyntheticMsr.Sint0 + sint, BigInt(vector) | 0x2_0000n);
  }
  /** Halts until the slot of `sint` holds a message; RBX points to it. */
  waitForMessage(sint: number): void {
    const { asm } = this;
    const [again, there] = [asm.fresh('again'), asm.fresh('there')];
    asm.lea(rbx, mem('message page', SLOT * sint));
    asm.label(again).cli().cmp(mem32(rbx), 0).jne(there);
    asm.sti().hlt().jmp(again);
    asm.label(there);
  }
  /** Frees the slot at RBX and asks for the next message where one waits. Changes RAX, RCX, RDX. */
  endOfMessage(): void {
    const { asm } = this;
    const none = asm.fresh('none waits');
    asm.mov(mem32(rbx), 0).mfence().test(mem8(rbx, MESSAGE_FLAGS), 1).je(none);
    this.writeMsr(SyntheticMsr.Eom, 0n);
    asm.label(none);
  }

  // Building

  build(body: (guest: GuestProgram) => void): GuestImage {
    const { asm } = this;
    this.#entry32();
    asm.label('entry').lidt(mem('idt register'));
    body(this);
    asm.label('halt for ever').cli().hlt().jmp('halt for ever');
    for (const emit of this.#deferred) emit();
    this.#library();
    this.#tables();
    const bytes = asm.assemble();
    const labels = (name: string) => asm.addressOf(name);
    this.#fillIdt(bytes);
    return {
      origin: this.#origin,
      bytes,
      labels,
      entry: labels('entry'),
      stack: labels('stack top'),
      pageTables: labels('page tables'),
      gdt: { base: labels('gdt'), limit: 5 * 8 - 1 },
    };
  }

  /** Multiboot 1 header, and from 32-bit protected mode without paging to `entry`; RDI = boot information. */
  #entry32(): void {
    const { asm } = this;
    asm.words32(MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC);
    asm.bits = 32;
    asm
      .label('entry32')
      .mov(esp, 'stack top')
      .mov(eax, 0x220)
      .emit('mov', { ...cr4, size: 32 }, eax);
    asm.mov(eax, 'page tables').emit('mov', { ...cr3, size: 32 }, eax);
    asm.mov(ecx, EFER_MSR).mov(eax, 0x900).mov(edx, 0).wrmsr();
    asm.mov(eax, 0x8001_0031).emit('mov', { ...cr0, size: 32 }, eax);
    // LGDT [disp32], then a far jump to the 64-bit code segment.
    asm.bytes([0x0f, 0x01, 0x15]).words32('gdt register');
    asm.bytes([0xea]).words32('entry from 32 bits').words16(CODE_SELECTOR);
    asm.bits = 64;
    asm.label('entry from 32 bits').mov(eax, DATA_SELECTOR);
    for (const register of [ds, es, ss, fs, gs]) asm.mov(register, ax);
    asm.mov({ ...rdi, size: 32 }, ebx).mov(rsp, 'stack top');
  }

  #library(): void {
    const { asm } = this;
    // Prints the text at RSI.
    const [next, end] = [asm.fresh('next'), asm.fresh('end')];
    asm.label('print text').push(rax).push(rdx).mov(edx, SERIAL_PORT);
    asm.label(next).mov(al, mem8(rsi)).test(al, al).je(end).out(dx, al).inc(rsi).jmp(next);
    asm.label(end).pop(rdx).pop(rax).ret();
    // Prints RSI.
    const [digit, letter] = [asm.fresh('digit'), asm.fresh('letter')];
    asm.label('print hexadecimal').push(rax).push(rcx).push(rdx).mov(edx, SERIAL_PORT).mov(ecx, 16);
    asm
      .label(digit)
      .rol(rsi, 4)
      .mov(rax, rsi)
      .and(eax, 15)
      .add(eax, 0x30)
      .cmp(eax, 0x3a)
      .jb(letter)
      .add(eax, 0x27);
    asm.label(letter).out(dx, al).dec(ecx).jne(digit).pop(rdx).pop(rcx).pop(rax).ret();

    asm.label('common interrupt');
    for (const register of SAVED.toReversed()) asm.push(register);
    asm.cld().mov(rdi, rsp).mov(rax, mem64(rdi, Frame.Vector));
    asm.lea(rcx, mem('handlers')).emit('call', mem64(rcx, 0, { index: rax, scale: 8 }));
    for (const register of SAVED) asm.pop(register);
    asm.add(rsp, 16).iret();
    asm.label('ignore interrupt').ret();
    asm.label('unexpected interrupt').mov(rbx, mem64(rdi, Frame.Vector)).mov(rbp, mem64(rdi, Frame.Rip));
    this.print('exception ');
    this.printHex(rbx);
    this.print(' at ');
    this.printHex(rbp);
    this.print(' error ');
    asm.mov(rbp, mem64(rdi, Frame.ErrorCode));
    this.printHex(rbp);
    this.print('\n');
    asm.mov(rax, rbx).or(eax, EXCEPTION_EXIT);
    this.exit();
    for (const [text, label] of this.#texts) asm.label(label).text(text);
  }

  #tables(): void {
    const { asm } = this;
    asm.align(STUB_SIZE).label('interrupt stubs');
    for (let vector = 0; vector < IDT_ENTRIES; vector++) {
      if (!WITH_ERROR_CODE.has(vector)) asm.push(0);
      // PUSH imm32 and JMP rel32 fit a stub, and need no thought about signs.
      asm.bytes([0x68]).words32(vector).jmp('common interrupt').align(STUB_SIZE);
    }
    asm.label('handlers');
    for (let vector = 0; vector < IDT_ENTRIES; vector++) {
      asm.words64(this.#handlers.get(vector) ?? 'unexpected interrupt');
    }
    asm.label('idt').reserve(IDT_ENTRIES * 16);
    asm.label('gdt').words64(0, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn, 0x00cf_9b00_0000_ffffn, 0);
    if (CODE32_SELECTOR !== 3 * 8) throw new Error('the descriptor table is in another order');
    asm
      .align(8)
      .words16(0, 0, 0)
      .label('gdt register')
      .words16(5 * 8 - 1)
      .words64('gdt');
    asm
      .align(8)
      .words16(0, 0, 0)
      .label('idt register')
      .words16(IDT_ENTRIES * 16 - 1)
      .words64('idt');
    asm.align(PAGE).label('page tables');
    const tables = asm.here;
    asm.words64(tables + PAGE + 3).reserve(PAGE - 8);
    for (let gigabyte = 0; gigabyte < 4; gigabyte++) asm.words64(tables + (2 + gigabyte) * PAGE + 3);
    asm.reserve(PAGE - 4 * 8);
    // Present, writable, accessed, dirty, 2 MiB.
    for (let page = 0; page < 4 * 512; page++) asm.words64(BigInt(page) * 0x20_0000n + 0xe3n);
    if (asm.here !== tables + PAGE_TABLES * PAGE) throw new Error('the page tables have another size');
    for (const page of ['hypercall page', 'input page', 'output page', 'message page', 'event flags page']) {
      asm.label(page).reserve(PAGE);
    }
    asm.reserve(STACK_PAGES * PAGE).label('stack top');
  }

  #fillIdt(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer);
    const { asm } = this;
    for (let vector = 0; vector < IDT_ENTRIES; vector++) {
      const stub = asm.addressOf('interrupt stubs') + vector * STUB_SIZE;
      const at = asm.addressOf('idt') - this.#origin + vector * 16;
      view.setUint16(at, stub & 0xffff, true);
      view.setUint16(at + 2, CODE_SELECTOR, true);
      // Present interrupt gate.
      view.setUint16(at + 4, 0x8e00, true);
      view.setUint16(at + 6, stub >>> 16, true);
    }
  }
}

/** Assembles a guest for GPA `origin` (a page boundary, 1 MiB unless said otherwise). */
export function guestProgram(body: (guest: GuestProgram) => void, origin = 0x10_0000): GuestImage {
  return new GuestProgram(origin).build(body);
}
