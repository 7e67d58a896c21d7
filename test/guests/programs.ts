/** Guests that behave in one particular way, most of them badly: Multiboot kernels assembled on the spot. */
import { Condition, Register } from '../../src/guests/assembler.ts';
import { type KernelProgram, multibootKernel } from '../../src/guests/multiboot-kernel.ts';

const { EAX, EBX, ECX, EDX, EBP, ESI, EDI } = Register;

/** Writes `value` to the exit port. */
export function exitWith(value: number): Uint8Array {
  return multibootKernel(({ exit }) => exit(value));
}

/** An undefined instruction without an interrupt table: #UD, #NP or #GP, double fault, triple fault. */
export function tripleFault(): Uint8Array {
  return multibootKernel(({ asm, print }) => {
    print('before\n');
    withoutInterruptTable({ asm });
    asm.ud2();
  });
}

/** Bytes that are no instructions. */
export function rubbish(): Uint8Array {
  return multibootKernel(({ asm }) => {
    withoutInterruptTable({ asm });
    asm.bytes(0xff, 0xff, 0xff, 0xff, 0x0f, 0x04, 0xc6, 0xff, 0x8c, 0xff);
  });
}

/** A jump to an address where there is no memory. */
export function jumpNowhere(): Uint8Array {
  return multibootKernel(({ asm }) => {
    withoutInterruptTable({ asm });
    asm.mov(EAX, 0x7000_0000);
    // JMP EAX
    asm.bytes(0xff, 0xe0);
  });
}

/**
 * Reports a crash through the crash MSRs as Linux does: five parameters, of which P3 and P4 are address and length of
 * a text, then the control register with bit 63 (notify) and bit 62 (there is a text).
 */
export function reportCrash(text: string): Uint8Array {
  return multibootKernel(({ asm }) => {
    asm.mov(EDX, 0);
    const values = [0x11, 0x22, 0x33, 'text', text.length] as const;
    values.forEach((value, index) => {
      asm.mov(ECX, 0x4000_0100 + index);
      asm.mov(EAX, value);
      asm.wrmsr();
    });
    asm.mov(ECX, 0x4000_0105);
    asm.mov(EAX, 0);
    asm.mov(EDX, 0xc000_0000 | 0);
    asm.wrmsr();
    asm.label('here');
    asm.jump('here');
    asm.label('text');
    asm.text(text);
  });
}

/** Loops with interrupts off and never ends. */
export function loopForever(): Uint8Array {
  return multibootKernel(({ asm, print }) => {
    print('looping\n');
    asm.cli();
    asm.label('here');
    asm.jump('here');
  });
}

/** Halts with interrupts off: nothing can wake it. */
export function haltForever(): Uint8Array {
  return multibootKernel(({ asm, print }) => {
    print('halting\n');
    asm.cli();
    asm.hlt();
  });
}

/** Echoes what comes in on the serial port until a `q`, then leaves with 7. */
export function echo(): Uint8Array {
  return multibootKernel(({ asm, print, exit }) => {
    print('ready\n');
    asm.label('poll');
    asm.mov(EDX, 0x3fd);
    asm.inAlDx();
    asm.arithmetic('and', EAX, 1);
    asm.jumpIf(Condition.Equal, 'poll');
    asm.mov(EDX, 0x3f8);
    asm.inAlDx();
    asm.call('print character');
    asm.compareAl(0x71);
    asm.jumpIf(Condition.NotEqual, 'poll');
    exit(7);
  });
}

/** Prints the command line of the boot information, then text and command line of its first module. */
export function printModules(): Uint8Array {
  return multibootKernel(({ asm, print, printAtEsi, printHex, exit }) => {
    asm.load(EAX, EBX, 20);
    print('modules ');
    printHex();
    asm.load(EDI, EBX, 24);
    print('\ncommand line ');
    asm.load(ESI, EDI, 8);
    printAtEsi();
    print('\ncontent ');
    asm.load(ESI, EDI, 0);
    printAtEsi();
    print('\n');
    exit(0);
  });
}

/**
 * `count` hypercalls with random input: a call code that may exist, other bits, addresses and counts at random
 * (TLFS 2.0a §4.7: EDX:EAX input value, EBX:ECX and EDI:ESI addresses or fast parameters).
 */
export function randomHypercalls(count: number): Uint8Array {
  return multibootKernel((kernel) => {
    const { asm, print, exit } = kernel;
    const page = 0x20_0000;
    asm.mov(ECX, 0x4000_0000);
    asm.mov(EDX, 0x8000_0000 | 0);
    asm.mov(EAX, 1);
    asm.wrmsr();
    asm.mov(ECX, 0x4000_0001);
    asm.mov(EDX, 0);
    asm.mov(EAX, page | 1);
    asm.wrmsr();

    asm.mov(EBP, count);
    asm.label('again');
    for (const register of [EAX, ECX, EDX, EBX, ESI, EDI]) {
      random(kernel);
      if (register !== EAX) asm.move(register, EAX);
    }
    // Addresses mostly in memory, and half of the calls without a repeat count.
    asm.arithmetic('and', ECX, 0x01ff_fff8);
    asm.arithmetic('and', ESI, 0x01ff_fff8);
    asm.mov(EBX, 0);
    asm.mov(EDI, 0);
    random(kernel);
    // Call codes up to 0xff, the fast bit, and bits 26..31 of the variable header.
    asm.arithmetic('and', EAX, 0x0401_00ff);
    asm.arithmetic('and', EDX, 0x0000_00ff);
    asm.push(EBP);
    asm.mov(EBP, page);
    asm.callRegister(EBP);
    asm.pop(EBP);
    asm.arithmetic('sub', EBP, 1);
    asm.jumpIf(Condition.NotEqual, 'again');
    print('survived\n');
    exit(0);

    asm.label('seed');
    asm.dword(0x1234_5679);
  });
}

/** EAX = the next number of a 32-bit xorshift; changes only EAX. */
function random({ asm }: KernelProgram): void {
  asm.push(EBX);
  asm.push(EDI);
  asm.mov(EDI, 'seed');
  asm.load(EAX, EDI, 0);
  for (const [direction, bits] of [
    ['left', 13],
    ['right', 17],
    ['left', 5],
  ] as const) {
    asm.move(EBX, EAX);
    asm.shift(direction, EBX, bits);
    // XOR EAX, EBX
    asm.bytes(0x31, 0xd8);
  }
  asm.store(EDI, 0, EAX);
  asm.pop(EDI);
  asm.pop(EBX);
}

/** LIDT of a table with no entries, so that every exception ends in a triple fault. */
function withoutInterruptTable({ asm }: Pick<KernelProgram, 'asm'>): void {
  const over = asm.fresh();
  const table = asm.fresh();
  asm.jump(over);
  asm.label(table);
  asm.reserve(8);
  asm.label(over);
  asm.bytes(0x0f, 0x01, 0x1d);
  asm.dword(table);
}
