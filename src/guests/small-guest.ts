/**
 * The project's own small guest: shows partitions, mappings and intercepts at work without any download. It
 * reports how it was booted and which hypervisor it sees, enables the hypercall page, makes a call, reads an
 * unmapped page, and leaves by the exit port with 0 (or 1 where something was not as it should be).
 */
import { Condition, Register } from './assembler.ts';
import { BOOT_MAGIC, type KernelProgram, multibootKernel } from './multiboot-kernel.ts';

const { EAX, EBX, ECX, EDX, ESI, EDI, EBP } = Register;

/** Synthetic MSRs (TLFS 2.0a appendix B). */
const GUEST_OS_ID = 0x4000_0000;
const HYPERCALL = 0x4000_0001;
const VP_INDEX = 0x4000_0002;
const TIME_REF_COUNT = 0x4000_0020;

/** Guest pages that nothing else uses: the hypercall page, and an address beyond memory. */
const HYPERCALL_PAGE = 0x20_0000;
const UNMAPPED = 0x8000_0000;
/** HvSwitchVirtualAddressSpace is call 1; call 0 is none, so the answer is HV_STATUS_INVALID_HYPERCALL_CODE. */
const NO_SUCH_CALL = 0;
const INVALID_HYPERCALL_CODE = 2;
/** Bit 0 of Multiboot's flags: memory sizes; bit 2: command line. */
const INFO_COMMAND_LINE = 4;

export const SMALL_GUEST_GREETING = 'This is a small guest, booted by Multiboot.';
export const SMALL_GUEST_FAREWELL = 'Leaving by the exit port.';

export function smallGuest(): Uint8Array {
  return multibootKernel((kernel) => {
    const { asm, print } = kernel;
    asm.arithmetic('cmp', EAX, BOOT_MAGIC | 0);
    asm.jumpIf(Condition.NotEqual, 'wrong');
    print(`\n${SMALL_GUEST_GREETING}\n`);
    reportBootInformation(kernel);
    reportHypervisor(kernel);
    reportTime(kernel);
    makeHypercall(kernel);
    readUnmapped(kernel);
    print(`${SMALL_GUEST_FAREWELL}\n`);
    kernel.exit(0);

    asm.label('wrong');
    print('Something is not as it should be.\n');
    kernel.exit(1);
  });
}

function reportBootInformation({ asm, print, printHex, printAtEsi }: KernelProgram): void {
  const none = asm.fresh();
  print('Upper memory, KiB:        0x');
  asm.load(EAX, EBX, 8);
  printHex();
  print('\n');
  asm.load(EAX, EBX, 0);
  asm.arithmetic('and', EAX, INFO_COMMAND_LINE);
  asm.jumpIf(Condition.Equal, none);
  print('Command line:             ');
  asm.load(ESI, EBX, 16);
  printAtEsi();
  print('\n');
  asm.label(none);
}

/** CPUID leaf 1 says that there is one (ECX bit 31); leaf 0x40000000 has its name, 0x40000001 its interface. */
function reportHypervisor({ asm, print, printHex }: KernelProgram): void {
  asm.mov(EAX, 1);
  asm.cpuid();
  asm.arithmetic('and', ECX, 0x8000_0000 | 0);
  asm.jumpIf(Condition.Equal, 'wrong');
  asm.mov(EAX, 0x4000_0000 | 0);
  asm.cpuid();
  print('Hypervisor:               ');
  asm.mov(EDI, 'vendor');
  asm.store(EDI, 0, EBX);
  asm.store(EDI, 4, ECX);
  asm.store(EDI, 8, EDX);
  asm.move(ESI, EDI);
  asm.call('print text');
  print('\nInterface:                0x');
  asm.mov(EAX, 0x4000_0001 | 0);
  asm.cpuid();
  printHex();
  const over = asm.fresh();
  asm.jump(over);
  asm.label('vendor');
  asm.reserve(16);
  asm.label(over);
  print('\nVirtual processor index:  0x');
  asm.mov(ECX, VP_INDEX);
  asm.rdmsr();
  printHex();
  print('\n');
}

/** The reference counter never stands still between two reads (TLFS 2.0a §15.4). */
function reportTime({ asm, print, printHex }: KernelProgram): void {
  print('Reference time, 100 ns:   0x');
  asm.mov(ECX, TIME_REF_COUNT);
  asm.rdmsr();
  asm.move(EBP, EAX);
  asm.rdmsr();
  printHex();
  // CMP EAX, EBP
  asm.bytes(0x39, 0xe8);
  asm.jumpIf(Condition.Equal, 'wrong');
  print('\n');
}

/** TLFS 2.0a §4: identify ourselves, place the hypercall page, call it; the result is in EDX:EAX. */
function makeHypercall({ asm, print, printHex }: KernelProgram): void {
  asm.mov(ECX, GUEST_OS_ID);
  asm.mov(EDX, 0x8000_0000 | 0);
  asm.mov(EAX, 1);
  asm.wrmsr();
  asm.mov(ECX, HYPERCALL);
  asm.mov(EDX, 0);
  asm.mov(EAX, HYPERCALL_PAGE | 1);
  asm.wrmsr();
  asm.mov(EAX, NO_SUCH_CALL);
  for (const register of [EBX, ECX, EDX, ESI, EDI]) asm.mov(register, 0);
  asm.mov(EBP, HYPERCALL_PAGE);
  asm.callRegister(EBP);
  print('Status of hypercall 0:    0x');
  printHex();
  print('\n');
  asm.arithmetic('cmp', EAX, INVALID_HYPERCALL_CODE);
  asm.jumpIf(Condition.NotEqual, 'wrong');
}

/** The parent gets an unmapped-GPA intercept message and completes the load: all ones, as an empty bus gives. */
function readUnmapped({ asm, print, printHex }: KernelProgram): void {
  print('Load from unmapped page:  0x');
  asm.mov(EBX, UNMAPPED | 0);
  asm.load(EAX, EBX, 0);
  printHex();
  print('\n');
}
