/**
 * Accesses to guest physical addresses where no RAM is (TLFS 2.0a §16.3). Device registers answer as devices;
 * elsewhere reads are all ones and writes are dropped, as on a bus where nobody answers. The instruction is
 * completed here, so only what drivers use on device registers is known: the MOV family. Code fetched from a hole
 * is the bytes FF FF: an invalid opcode.
 */
import { decode } from '../../cpu/instructions/decode.ts';
import { disassemble } from '../../cpu/instructions/disassemble.ts';
import type { Instruction, Operand } from '../../cpu/instructions/instruction.ts';
import type { MmioMap } from '../../devices/chipset/mmio-map.ts';
import { InterceptAccessMask } from '../../hvdef/intercepts.ts';
import { InterceptHeader, MemoryMessage } from '../../hvdef/messages.ts';
import { RegisterName } from '../../hvdef/registers.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import { codeSizeOf, complete, merged, raise, Vector, vpIndexOf } from './intercepted-instruction.ts';

const INSTRUCTION_BYTES = 16;
/** Mnemonics whose effect is: destination = source, extended as the name says. */
const MOVES: ReadonlySet<string> = new Set(['mov', 'movzx', 'movsx', 'movsxd', 'movnti']);

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
  const [destination, source] = instruction.operands;
  if (!MOVES.has(instruction.row.mnemonic) || destination === undefined || source === undefined) {
    return `"${disassemble(instruction)}" ${where}, where no memory is`;
  }
  if (source.kind === 'memory' && destination.kind === 'gpr') {
    const value = mmio.read(gpa, source.size / 8);
    load(message, partition, instruction, destination, extend(instruction, source.size, value));
  } else if (destination.kind === 'memory') {
    const value = operandValue(message, source);
    if (value === undefined) return `"${disassemble(instruction)}" ${where}, where no memory is`;
    mmio.write(gpa, destination.size / 8, BigInt.asUintN(destination.size, value));
    complete(partition.registers.begin(vp), message, instruction.length);
  } else return `"${disassemble(instruction)}" ${where}, where no memory is`;
  return undefined;
}

function extend(instruction: Instruction, fromBits: number, value: bigint): bigint {
  const signed = instruction.row.mnemonic.startsWith('movsx');
  return signed ? BigInt.asUintN(64, BigInt.asIntN(fromBits, value)) : value;
}

function load(
  message: DataView,
  partition: ChildPartition,
  instruction: Instruction,
  destination: Extract<Operand, { kind: 'gpr' }>,
  value: bigint,
): void {
  const old = gpr(message, destination.index);
  const result = destination.high
    ? (old & ~0xff00n) | ((value & 0xffn) << 8n)
    : merged(old, destination.size / 8, value);
  const batch = partition.registers.begin(vpIndexOf(message));
  complete(batch.put(RegisterName.Rax + destination.index, result), message, instruction.length);
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
