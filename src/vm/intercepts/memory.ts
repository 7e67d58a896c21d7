/**
 * Accesses to guest physical addresses where no RAM is (TLFS 2.0a §16.3). Device registers answer as devices;
 * elsewhere reads are all ones and writes are dropped, as on a bus where nobody answers. The instruction is
 * completed here from the instruction table: integer instructions with one operand in memory (integer-effects.ts),
 * read-modify-write ones included. String, stack and SSE instructions are not known. Code fetched from a hole is
 * the bytes FF FF: an invalid opcode.
 */
import { decode } from '../../cpu/instructions/decode.ts';
import { disassemble } from '../../cpu/instructions/disassemble.ts';
import type { Instruction, Operand } from '../../cpu/instructions/instruction.ts';
import type { MmioMap } from '../../devices/chipset/mmio-map.ts';
import { InterceptAccessMask } from '../../hvdef/intercepts.ts';
import { InterceptHeader, MemoryMessage } from '../../hvdef/messages.ts';
import { RegisterName } from '../../hvdef/registers.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import { INTEGER_EFFECTS } from './integer-effects.ts';
import { codeSizeOf, complete, merged, raise, Vector, vpIndexOf } from './intercepted-instruction.ts';

const INSTRUCTION_BYTES = 16;
/** They write their destination without reading it. */
const MOVES: ReadonlySet<string> = new Set(['mov', 'movzx', 'movsx', 'movsxd', 'movnti']);
const RAX = 0;

/** Answers undefined when done, else why the machine cannot go on. */
export function handleMemoryIntercept(
  message: DataView,
  partition: ChildPartition,
  mmio: MmioMap,
): string | undefined {
  const vp = vpIndexOf(message);
  const gpa = Number(message.getBigUint64(MemoryMessage.Gpa, true));
  const access = message.getUint8(InterceptHeader.AccessType);
  if (access === InterceptAccessMask.Execute) {
    raise(partition.registers.begin(vp), Vector.InvalidOpcode);
    return undefined;
  }
  const bytes = new Uint8Array(
    message.buffer,
    message.byteOffset + MemoryMessage.InstructionBytes,
    INSTRUCTION_BYTES,
  );
  const decoded = decode(bytes, 0, message.getUint8(MemoryMessage.InstructionByteCount), codeSizeOf(message));
  const where = `at guest physical address 0x${gpa.toString(16)}`;
  if (decoded.kind !== 'ok')
    return `an access ${where}, where no memory is, by an instruction that can't be read`;
  const { instruction } = decoded;
  const effect = INTEGER_EFFECTS[instruction.row.mnemonic];
  const [destination, source] = instruction.operands;
  const known =
    effect !== undefined && [destination, source].every((each) => each === undefined || isValue(each));
  if (!known || destination === undefined)
    return `"${disassemble(instruction)}" ${where}, where no memory is`;

  const bits = sizeOf(destination, instruction);
  const isMove = MOVES.has(instruction.row.mnemonic);
  const value = (operand: Operand): bigint => {
    if (operand.kind === 'memory') return mmio.read(gpa, operand.size / 8);
    return operandValue(message, operand) ?? 0n;
  };
  const right = source === undefined ? 0n : extend(instruction, sizeOf(source, instruction), value(source));
  const result = effect({
    bits,
    left: isMove ? 0n : BigInt.asUintN(bits, value(destination)),
    right: BigInt.asUintN(bits, right),
    accumulator: BigInt.asUintN(bits, gpr(message, RAX)),
    rflags: message.getBigUint64(InterceptHeader.Rflags, true),
  });
  const batch = partition.registers.begin(vp);
  const store = (operand: Operand, stored: bigint | undefined) => {
    if (stored === undefined) return;
    if (operand.kind === 'gpr')
      batch.put(RegisterName.Rax + operand.index, mergedRegister(message, operand, stored));
  };
  // Registers go out in one call at the end, device effects happen now.
  if (destination.kind === 'memory' && result.destination !== undefined) {
    mmio.write(gpa, bits / 8, BigInt.asUintN(bits, result.destination));
  }
  if (source?.kind === 'memory' && result.source !== undefined) mmio.write(gpa, bits / 8, result.source);
  if (source !== undefined) store(source, result.source);
  store(destination, result.destination);
  if (result.accumulator !== undefined) {
    batch.put(RegisterName.Rax, merged(gpr(message, RAX), bits / 8, result.accumulator));
  }
  if (!isMove) batch.put(RegisterName.Rflags, result.rflags);
  complete(batch, message, instruction.length);
  return undefined;
}

type Register = Extract<Operand, { kind: 'gpr' }>;

function isValue(operand: Operand): boolean {
  return operand.kind === 'gpr' || operand.kind === 'memory' || operand.kind === 'immediate';
}

/** In bits. An immediate is used in the instruction's size. */
function sizeOf(operand: Operand, instruction: Instruction): number {
  return operand.kind === 'gpr' || operand.kind === 'memory' ? operand.size : instruction.operandSize;
}

function extend(instruction: Instruction, fromBits: number, value: bigint): bigint {
  const narrow = BigInt.asUintN(fromBits, value);
  const signed = instruction.row.mnemonic.startsWith('movsx');
  return signed ? BigInt.asUintN(64, BigInt.asIntN(fromBits, narrow)) : narrow;
}

function mergedRegister(message: DataView, register: Register, value: bigint): bigint {
  const old = gpr(message, register.index);
  if (register.high) return (old & ~0xff00n) | ((value & 0xffn) << 8n);
  return merged(old, register.size / 8, value);
}

/** RAX..R15 stand in the message in encoding order. */
function gpr(message: DataView, index: number): bigint {
  return message.getBigUint64(MemoryMessage.Registers + 8 * index, true);
}

function operandValue(message: DataView, operand: Operand): bigint | undefined {
  if (operand.kind === 'immediate') return operand.value;
  if (operand.kind !== 'gpr') return undefined;
  const value = gpr(message, operand.index);
  return operand.high ? value >> 8n : value;
}
