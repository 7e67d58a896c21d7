/**
 * Test kernels of our own: an ELF32 executable with a Multiboot 1 header, its code assembled here. The loader
 * enters in 32-bit protected mode without paging, EAX = 0x2BADB002 and EBX = the information structure
 * (Multiboot Specification 0.6.96 §3.2, §3.3).
 */
import { Assembler, Condition, Register } from './assembler.ts';

const { EAX, EBX, ECX, EDX, ESI, ESP } = Register;

const LOAD_ADDRESS = 0x10_0000;
const STACK_SIZE = 0x4000;
const HEADER_MAGIC = 0x1bad_b002;
/** Page-align modules, and tell us about memory. */
const HEADER_FLAGS = 0b11;
export const BOOT_MAGIC = 0x2bad_b002;

const SERIAL = 0x3f8;
const LINE_STATUS = SERIAL + 5;
const TRANSMITTER_EMPTY = 0x20;
const EXIT_PORT = 0xf4;

/** What a kernel's program is written with: the assembler and a small run-time library to call into. */
export interface KernelProgram {
  asm: Assembler;
  /** Prints a constant text. Changes no register. */
  print(text: string): void;
  /** Prints EAX as eight hexadecimal digits. Changes no register. */
  printHex(): void;
  /** Prints the zero-terminated text at ESI, changing ESI and EAX. */
  printAtEsi(): void;
  /** Leaves by the exit port; the command's exit status is (value << 1) | 1. */
  exit(value: number): void;
}

/** Assembles a kernel; at its start the stack is set up, EBX and EAX are as the loader left them. */
export function multibootKernel(program: (kernel: KernelProgram) => void): Uint8Array {
  const asm = new Assembler(LOAD_ADDRESS);
  const texts = new Map<string, string>();
  asm.dword(HEADER_MAGIC);
  asm.dword(HEADER_FLAGS);
  asm.dword(-(HEADER_MAGIC + HEADER_FLAGS));
  asm.label('entry');
  asm.mov(ESP, 'stack top');
  program({
    asm,
    print(text) {
      const label = texts.get(text) ?? asm.fresh();
      texts.set(text, label);
      asm.push(ESI);
      asm.push(EAX);
      asm.mov(ESI, label);
      asm.call('print text');
      asm.pop(EAX);
      asm.pop(ESI);
    },
    printHex: () => asm.call('print hexadecimal'),
    printAtEsi: () => asm.call('print text'),
    exit(value) {
      asm.mov(EAX, value);
      asm.mov(EDX, EXIT_PORT);
      asm.outDxAl();
    },
  });
  // A program that falls off its end stays here.
  const end = asm.fresh();
  asm.label(end);
  asm.cli();
  asm.hlt();
  asm.jump(end);

  library(asm);
  for (const [text, label] of texts) {
    asm.label(label);
    asm.text(text);
  }
  asm.align(16);
  asm.reserve(STACK_SIZE);
  asm.label('stack top');
  return elf32(asm.assemble(), asm.addressOf('entry'));
}

function library(asm: Assembler): void {
  // print character: AL; changes nothing.
  asm.label('print character');
  asm.push(EDX);
  asm.push(EAX);
  asm.mov(EDX, LINE_STATUS);
  const wait = asm.fresh();
  asm.label(wait);
  asm.inAlDx();
  asm.arithmetic('and', EAX, TRANSMITTER_EMPTY);
  asm.jumpIf(Condition.Equal, wait);
  asm.pop(EAX);
  asm.mov(EDX, SERIAL);
  asm.outDxAl();
  asm.pop(EDX);
  asm.ret();

  // print text: zero-terminated at ESI; changes ESI and EAX.
  asm.label('print text');
  const done = asm.fresh();
  asm.loadByteAtEsi();
  asm.compareAl(0);
  asm.jumpIf(Condition.Equal, done);
  asm.call('print character');
  asm.jump('print text');
  asm.label(done);
  asm.ret();

  // print hexadecimal: EAX; changes nothing.
  asm.label('print hexadecimal');
  for (const register of [EAX, EBX, ECX]) asm.push(register);
  asm.move(EBX, EAX);
  asm.mov(ECX, 8);
  const digit = asm.fresh();
  const decimal = asm.fresh();
  asm.label(digit);
  asm.move(EAX, EBX);
  asm.shift('right', EAX, 28);
  asm.shift('left', EBX, 4);
  asm.arithmetic('add', EAX, 0x30);
  asm.compareAl(0x3a);
  asm.jumpIf(Condition.Below, decimal);
  asm.arithmetic('add', EAX, 0x61 - 0x3a);
  asm.label(decimal);
  asm.call('print character');
  asm.arithmetic('sub', ECX, 1);
  asm.jumpIf(Condition.NotEqual, digit);
  for (const register of [ECX, EBX, EAX]) asm.pop(register);
  asm.ret();
}

/** An executable with one segment: `code` at LOAD_ADDRESS, readable, writable, executable. */
export function elf32(code: Uint8Array, entry: number): Uint8Array {
  const HEADER = 52;
  const PROGRAM_HEADER = 32;
  const start = 0x60;
  const file = new Uint8Array(start + code.length);
  const view = new DataView(file.buffer);
  // Identification: 32-bit, little-endian, version 1.
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true); // executable
  view.setUint16(18, 3, true); // 80386
  view.setUint32(20, 1, true);
  view.setUint32(24, entry, true);
  view.setUint32(28, HEADER, true);
  view.setUint16(40, HEADER, true);
  view.setUint16(42, PROGRAM_HEADER, true);
  view.setUint16(44, 1, true);
  const segment = [1, start, LOAD_ADDRESS, LOAD_ADDRESS, code.length, code.length, 7, 0x10];
  segment.forEach((value, index) => {
    view.setUint32(HEADER + 4 * index, value, true);
  });
  file.set(code, start);
  return file;
}
