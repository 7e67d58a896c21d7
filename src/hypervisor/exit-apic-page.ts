/**
 * Instructions that touch the xAPIC page (TLFS 2.0a §13.2.2): the hypervisor owns that page, so it completes them
 * itself. The access's address is known from the exit; what is left to decode is which way data goes and
 * between the page and what: MOV, MOVZX, MOVSX, XCHG, TEST and the two-operand arithmetic group, as compilers
 * emit for volatile 8- to 64-bit objects. Encodings: SDM vol. 2, Appendix A.
 *
 * Anything else (string instructions, SSE, instruction fetch from the page) is reported to the parent as an
 * unsupported feature (§16.5.9), as the TLFS asks where no architectural refusal exists.
 */
import { Access, type Processor, Segment } from '../cpu/processor.ts';
import { UnsupportedFeature } from '../hvdef/messages.ts';
import type { ExitContext } from './exit-context.ts';
import type { LocalApicRegisters } from './local-apic-registers.ts';

export interface ApicPageContext extends ExitContext {
  readonly apicRegisters: LocalApicRegisters;
}

type Operation =
  | { kind: 'load'; register: number; from: number; signed: boolean; size: number }
  | { kind: 'store'; value: bigint; size: number }
  | { kind: 'exchange'; register: number; size: number }
  /** `operation`: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP by number, or TEST. `toPage` says where the result goes. */
  | { kind: 'arithmetic'; operation: number; toPage: boolean; register: number; value: bigint; size: number };

const TEST = 8;
const CMP = 7;
const CS_LONG = 1 << 13;
const CS_DEFAULT = 1 << 14;
const EFER = 0xc000_0080;
const EFER_LMA = 1n << 10n;

export function emulateApicPageAccess(vp: ApicPageContext, gpa: number, access: number): void {
  const { processor } = vp;
  const operation = (access & Access.Execute) === 0 ? decode(processor) : undefined;
  if (operation === undefined) {
    vp.message.unsupportedFeature(UnsupportedFeature.Intercept, BigInt(gpa));
    vp.suspendForIntercept();
    return;
  }
  perform(processor, vp.apicRegisters, gpa % 4096, operation);
  processor.completeInstruction();
}

function perform(processor: Processor, apic: LocalApicRegisters, offset: number, operation: Operation): void {
  // Loads wider than a register see zeros above it.
  const read = (size: number) => BigInt(apic.readPage(offset, Math.min(size, 4)) >>> 0);
  switch (operation.kind) {
    case 'load': {
      const value = read(operation.from);
      const bits = 8 * operation.from;
      setRegister(
        processor,
        operation.register,
        operation.size,
        operation.signed ? BigInt.asIntN(bits, value) : value,
      );
      break;
    }
    case 'store':
      write(apic, offset, operation.size, operation.value);
      break;
    case 'exchange': {
      const old = read(operation.size);
      write(apic, offset, operation.size, getRegister(processor, operation.register, operation.size));
      setRegister(processor, operation.register, operation.size, old);
      break;
    }
    case 'arithmetic': {
      const page = read(operation.size);
      const left = operation.toPage ? page : operation.value;
      const right = operation.toPage ? operation.value : page;
      const result = calculate(processor, operation.operation, left, right, 8 * operation.size);
      if (operation.operation === TEST || operation.operation === CMP) break;
      if (operation.toPage) write(apic, offset, operation.size, result);
      else setRegister(processor, operation.register, operation.size, result);
      break;
    }
  }
}

function write(apic: LocalApicRegisters, offset: number, size: number, value: bigint): void {
  apic.writePage(offset, Math.min(size, 4), Number(BigInt.asUintN(Math.min(size, 4) * 8, value)));
}

/** Result of the arithmetic group; sets CF, PF, AF, ZF, SF, OF. */
function calculate(
  processor: Processor,
  operation: number,
  left: bigint,
  right: bigint,
  bits: number,
): bigint {
  const flags = processor.getRflags();
  const carryIn = operation === 2 || operation === 3 ? flags & 1n : 0n;
  const subtract = operation === 3 || operation === 5 || operation === CMP;
  let wide: bigint;
  if (operation === 0 || operation === 2) wide = left + right + carryIn;
  else if (subtract) wide = left - right - carryIn;
  else if (operation === 1) wide = left | right;
  else if (operation === 6) wide = left ^ right;
  else wide = left & right;
  const result = BigInt.asUintN(bits, wide);
  const top = 1n << BigInt(bits - 1);
  let set = 0n;
  if (wide !== result) set |= 1n;
  if (hasEvenParity(Number(result & 0xffn))) set |= 1n << 2n;
  if (operation !== 1 && operation !== 4 && operation !== 6 && operation !== TEST) {
    set |= (left ^ right ^ result) & 0x10n;
    const overflow = subtract ? (left ^ right) & (left ^ result) : (left ^ result) & (right ^ result);
    if ((overflow & top) !== 0n) set |= 1n << 11n;
  }
  if (result === 0n) set |= 1n << 6n;
  if ((result & top) !== 0n) set |= 1n << 7n;
  processor.setRflags((flags & ~0x8d5n) | set);
  return result;
}

function hasEvenParity(byte: number): boolean {
  let bits = byte ^ (byte >> 4);
  bits ^= bits >> 2;
  return ((bits ^ (bits >> 1)) & 1) === 0;
}

/** Register `index`; with size 1, 16 + n names AH, CH, DH, BH. */
function getRegister(processor: Processor, index: number, size: number): bigint {
  if (index >= 16) return (processor.getGpr(index - 16) >> 8n) & 0xffn;
  return BigInt.asUintN(8 * size, processor.getGpr(index));
}

function setRegister(processor: Processor, index: number, size: number, value: bigint): void {
  if (index >= 16) {
    const old = processor.getGpr(index - 16);
    processor.setGpr(index - 16, (old & ~0xff00n) | ((value & 0xffn) << 8n));
    return;
  }
  const part = BigInt.asUintN(8 * size, value);
  const keep = size < 4 ? ~((1n << BigInt(8 * size)) - 1n) & 0xffff_ffff_ffff_ffffn : 0n;
  processor.setGpr(index, (processor.getGpr(index) & keep) | part);
}

/** Code size of the current code segment in bits. */
function codeSize(processor: Processor): 16 | 32 | 64 {
  const { attributes } = processor.getSegment(Segment.CS);
  if (((processor.getMsr(EFER) ?? 0n) & EFER_LMA) !== 0n && (attributes & CS_LONG) !== 0) return 64;
  return (attributes & CS_DEFAULT) !== 0 ? 32 : 16;
}

/** The instruction at RIP as an operation on the page, or undefined if it is none of the known forms. */
function decode(processor: Processor): Operation | undefined {
  const code = processor.instructionBytes();
  const length = Math.min(processor.exitInstructionLength || code.length, code.length);
  const mode = codeSize(processor);
  let at = 0;
  let operandOverride = false;
  let rex = 0;
  for (; at < length; at++) {
    const byte = code[at];
    if (byte === 0x66) operandOverride = true;
    else if (mode === 64 && (byte & 0xf0) === 0x40) {
      rex = byte;
      at++;
      break;
    } else if (!isIgnoredPrefix(byte)) break;
  }
  let opcode = code[at++];
  if (opcode === 0x0f) opcode = 0x0f00 | code[at++];
  const full = (rex & 8) !== 0 ? 8 : (mode === 16) === operandOverride ? 4 : 2;
  const modrm = code[at] ?? 0;
  const immediateSize = Math.min(full, 4);
  const immediate = (size: number) => readImmediate(code, length - size, size);
  const field = (modrm >> 3) & 7;
  const register = (size: number) =>
    size === 1 && rex === 0 && field >= 4 ? 16 + field - 4 : field | ((rex & 4) << 1);
  const size = (opcode & 1) === 0 ? 1 : full;

  switch (opcode) {
    case 0x88:
    case 0x89:
      return { kind: 'store', value: getRegister(processor, register(size), size), size };
    case 0x8a:
    case 0x8b:
      return { kind: 'load', register: register(size), from: size, signed: false, size };
    case 0xa0:
    case 0xa1:
      return { kind: 'load', register: 0, from: size, signed: false, size };
    case 0xa2:
    case 0xa3:
      return { kind: 'store', value: getRegister(processor, 0, size), size };
    case 0xc6:
      return { kind: 'store', value: immediate(1), size: 1 };
    case 0xc7:
      return { kind: 'store', value: immediate(immediateSize), size: full };
    case 0x86:
    case 0x87:
      return { kind: 'exchange', register: register(size), size };
    case 0x0fb6:
    case 0x0fb7:
    case 0x0fbe:
    case 0x0fbf: {
      const from = (opcode & 1) === 0 ? 1 : 2;
      const index = field | ((rex & 4) << 1);
      return { kind: 'load', register: index, from, signed: opcode >= 0x0fbe, size: full };
    }
    case 0x84:
    case 0x85: {
      const value = getRegister(processor, register(size), size);
      return { kind: 'arithmetic', operation: TEST, toPage: true, register: 0, value, size };
    }
    case 0xf6:
    case 0xf7: {
      if (field > 1) return undefined;
      const value = BigInt.asUintN(8 * size, immediate(size === 1 ? 1 : immediateSize));
      return { kind: 'arithmetic', operation: TEST, toPage: true, register: 0, value, size };
    }
    case 0x80:
    case 0x81:
    case 0x83: {
      const bytes = opcode === 0x81 ? immediateSize : 1;
      const value = BigInt.asUintN(8 * size, immediate(bytes));
      return { kind: 'arithmetic', operation: field, toPage: true, register: 0, value, size };
    }
  }
  if (opcode < 0x40 && (opcode & 7) < 4) {
    const index = register(size);
    const toPage = (opcode & 2) === 0;
    const value = getRegister(processor, index, size);
    return { kind: 'arithmetic', operation: opcode >> 3, toPage, register: index, value, size };
  }
  return undefined;
}

/** Segment overrides, address size, LOCK and the repeats: nothing here depends on them. */
function isIgnoredPrefix(byte: number): boolean {
  return (
    byte === 0x67 ||
    byte === 0xf0 ||
    byte === 0xf2 ||
    byte === 0xf3 ||
    byte === 0x64 ||
    byte === 0x65 ||
    (byte & 0xe7) === 0x26
  );
}

/** Sign-extended, as a 64-bit value. */
function readImmediate(code: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let index = size - 1; index >= 0; index--) value = (value << 8n) | BigInt(code[at + index] ?? 0);
  return BigInt.asIntN(8 * size, value);
}
