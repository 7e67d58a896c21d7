/**
 * Completes the instruction that met an intercept: the parent's detached processor executes it with the semantics of
 * the one instruction table, on memory that is the guest's through the parent's hypercalls and the devices' where no
 * RAM is (TLFS 2.0a §16.3). Afterwards registers, RIP and RFLAGS are set as behind the instruction, or the exception
 * that it raised is due, or a repeated one goes on with its next element.
 *
 *   message ──► decode ──► load registers ──► rehearse ──► perform ──► stores carried out ──► registers set, resumed
 *                                                 └── an exception: nothing was stored, no device was read
 *
 * INS and OUTS are a port access and the element of STOS or LODS, so that is what is executed.
 */
import { type DetachedOutcome, DetachedProcessor } from '../../cpu/detached-processor.ts';
import { decode, MAX_INSTRUCTION_LENGTH } from '../../cpu/instructions/decode.ts';
import type { Instruction } from '../../cpu/instructions/instruction.ts';
import { Access } from '../../cpu/processor.ts';
import { InterceptAccessMask, PendingInterruptionType } from '../../hvdef/intercepts.ts';
import {
  ExecutionState,
  InterceptHeader,
  IoPortAccessInfo,
  IoPortMessage,
  MemoryAccessFlag,
  MemoryMessage,
  MessageHeader,
  MessageType,
} from '../../hvdef/messages.ts';
import {
  InterruptStateBit,
  PendingInterruption,
  RegisterName,
  SegmentLayout,
} from '../../hvdef/registers.ts';
import { CR4, EFER } from '../../x86/control-registers.ts';
import { PF_ERROR, VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import {
  codeSizeOf,
  completeBatch,
  merged,
  privilegeLevelOf,
  raise,
  Vector,
  vpIndexOf,
} from './intercepted-instruction.ts';
import { isOneAccess } from './one-access.ts';
import { type DeviceBus, OperandMemory } from './operand-memory.ts';
import {
  generalOfMemoryMessage,
  generalOfPortMessage,
  ProcessorImage,
  Scope,
  scopeOf,
  scopeOfStringPort,
} from './processor-image.ts';

/** The devices by port; sizes are 1, 2 or 4 bytes, values unsigned. */
export interface PortBus {
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

const INSTRUCTION_BYTES = 16;
const PAGE_OFFSET = 0xfffn;
const ELEMENTS_PER_INTERCEPT = 256;
/** What devices answer in a rehearsal, and again should that have met a page fault; the last makes no address. */
const FILLERS = [0x00, 0xff, 0x80] as const;
const RAX = 0;
const RF = BigInt(FLAG.RF);
/** Opcode bytes: INSB, INSW/D, OUTSB, OUTSW/D and the string instruction that does the same to memory. */
const MEMORY_HALF: Readonly<Record<number, number>> = { 108: 0xaa, 109: 0xab, 110: 0xac, 111: 0xad };
const REX_W = 8;

type Fetched = { code: Uint8Array; instruction: Instruction } | DetachedOutcome;

export class InstructionCompletion {
  readonly #partition: ChildPartition;
  readonly #ports: PortBus;
  readonly #memory: OperandMemory;
  /** Made when the first instruction needs it. */
  #processor: DetachedProcessor | undefined;

  constructor(partition: ChildPartition, devices: DeviceBus, ports: PortBus) {
    this.#partition = partition;
    this.#ports = ports;
    this.#memory = new OperandMemory(partition, devices);
  }

  get #cpu(): DetachedProcessor {
    this.#processor ??= new DetachedProcessor();
    return this.#processor;
  }

  /** An unmapped GPA, or one without the right. Answers undefined when done, else why the machine cannot go on. */
  memoryIntercept(message: DataView): string | undefined {
    const { registers } = this.#partition;
    if (message.getUint8(InterceptHeader.AccessType) === InterceptAccessMask.Execute) {
      // What is fetched where nothing answers is FF FF.
      raise(registers.begin(vpIndexOf(message)), Vector.InvalidOpcode);
      return undefined;
    }
    const state = message.getUint16(InterceptHeader.ExecutionState, true);
    if ((state & ExecutionState.InterruptionPending) !== 0) return this.#deliverEvent(message);

    this.#memory.begin(vpIndexOf(message));
    const fetched = this.#fetch(message);
    if ('kind' in fetched) {
      this.#finish(message, undefined, fetched);
      return undefined;
    }
    const { code, instruction } = fetched;
    const scope = scopeOf(instruction, codeSizeOf(message));
    const image = new ProcessorImage(this.#cpu, registers, message, generalOfMemoryMessage(message), scope);
    this.#knowPage(message);
    let outcome = isOneAccess(instruction) ? this.#runAtOnce(code) : this.#run(code);
    if (outcome.kind === 'port') outcome = this.#port(code, instruction, message);
    if (outcome.kind === 'exit')
      return `${instruction.row.mnemonic} met intercepted memory and asks for exit ${outcome.exit}`;
    this.#finish(message, image, outcome, instruction.row.mnemonic === 'iret');
    return undefined;
  }

  /** INS or OUTS on an intercepted port. */
  stringPortIntercept(message: DataView): void {
    this.#memory.begin(vpIndexOf(message));
    const fetched = this.#fetch(message);
    if ('kind' in fetched) {
      this.#finish(message, undefined, fetched);
      return;
    }
    const { code, instruction } = fetched;
    const scope = scopeOfStringPort(this.#memoryHalf(code, instruction).instruction);
    const general = generalOfPortMessage(message);
    const image = new ProcessorImage(this.#cpu, this.#partition.registers, message, general, scope);
    const port = message.getUint16(IoPortMessage.PortNumber, true);
    const size = message.getUint8(IoPortMessage.AccessInfo) & IoPortAccessInfo.SizeMask;
    const write = message.getUint8(InterceptHeader.AccessType) === InterceptAccessMask.Write;
    const outcome = this.#moveElements(code, instruction, { port, size, write }, elementsOf(message));
    this.#finish(message, image, outcome);
  }

  // Instruction bytes

  /** The bytes that the message has; where those don't suffice they are read at RIP. */
  #fetch(message: DataView): Fetched {
    const isPort = message.getUint32(MessageHeader.Type, true) === MessageType.X64IoPortIntercept;
    const at = isPort ? IoPortMessage.InstructionBytes : MemoryMessage.InstructionBytes;
    const countAt = isPort ? IoPortMessage.InstructionByteCount : MemoryMessage.InstructionByteCount;
    const count = Math.min(message.getUint8(countAt), INSTRUCTION_BYTES);
    const code = new Uint8Array(message.buffer, message.byteOffset + at, count).slice();
    return this.#decoded(code, message) ?? this.#fetchAtRip(message);
  }

  #decoded(code: Uint8Array, message: DataView): Fetched | undefined {
    const result = decode(code, 0, code.length, codeSizeOf(message));
    if (result.kind === 'ok') return { code, instruction: result.instruction };
    if (result.kind === 'need') return undefined;
    const vector = result.kind === 'invalid' ? VECTOR.UD : VECTOR.GP;
    return { kind: 'fault', vector, errorCode: vector === VECTOR.GP ? 0 : undefined, address: 0n };
  }

  #fetchAtRip(message: DataView): Fetched {
    const is64 = codeSizeOf(message) === 64;
    const base = is64 ? 0n : message.getBigUint64(InterceptHeader.CsSegment + SegmentLayout.Base, true);
    const rip = message.getBigUint64(InterceptHeader.Rip, true);
    const code = new Uint8Array(MAX_INSTRUCTION_LENGTH);
    for (let length = 0; length < code.length; length++) {
      const gva = BigInt.asUintN(is64 ? 64 : 32, base + rip + BigInt(length));
      const byte = code.subarray(length, length + 1);
      const refusal = this.#memory.open(gva, byte, Access.Execute, privilegeLevelOf(message) === 3, true);
      if (refusal !== undefined) {
        const errorCode = refusal.errorCode | this.#fetchBit(message);
        return { kind: 'fault', vector: VECTOR.PF, errorCode, address: refusal.address };
      }
      const fetched = this.#decoded(code.subarray(0, length + 1), message);
      if (fetched !== undefined) return fetched;
    }
    return { kind: 'fault', vector: VECTOR.GP, errorCode: 0, address: 0n };
  }

  /** What a page fault's error code says of a fetch: without no-execute pages, nothing (SDM vol. 3 §4.7). */
  #fetchBit(message: DataView): number {
    const names = [RegisterName.Efer, RegisterName.Cr4];
    const [efer, cr4] = this.#partition.registers.read(vpIndexOf(message), names);
    const tellsFetches = (Number(efer) & EFER.NXE) !== 0 && (Number(cr4) & CR4.PAE) !== 0;
    return tellsFetches ? PF_ERROR.I : 0;
  }

  /** The page that the message names need not be translated, if it is the operand's and not a page table's. */
  #knowPage(message: DataView): void {
    if ((message.getUint8(MemoryMessage.Flags) & MemoryAccessFlag.GvaValid) === 0) return;
    const gva = message.getBigUint64(MemoryMessage.Gva, true);
    const gpa = message.getBigUint64(MemoryMessage.Gpa, true);
    const offset = gva & PAGE_OFFSET;
    // A page table's address comes without an offset.
    if (offset === 0n || offset !== (gpa & PAGE_OFFSET)) return;
    const write = message.getUint8(InterceptHeader.AccessType) === InterceptAccessMask.Write;
    const isMapped = message.getUint32(MessageHeader.Type, true) === MessageType.GpaIntercept;
    const user = privilegeLevelOf(message) === 3;
    this.#memory.know(gva, Number(gpa), write ? Access.Write : Access.Read, user, write && isMapped);
  }

  // Execution

  /** What can't go wrong once its one access is allowed needs no rehearsal. */
  #runAtOnce(code: Uint8Array): DetachedOutcome {
    this.#memory.perform();
    return this.#cpu.execute(code, this.#memory);
  }

  /** Executes with nothing stored yet; devices are read at most once. */
  #run(code: Uint8Array): DetachedOutcome {
    const cpu = this.#cpu;
    const memory = this.#memory;
    cpu.remember();
    let refusedAt: bigint | undefined;
    for (const filler of FILLERS) {
      memory.rehearse(filler);
      const outcome = cpu.execute(code, memory);
      if (!memory.readsDevice) return outcome;
      const address = memory.refusal?.address;
      // Refused whatever the device says: the device need not be asked.
      if (address !== undefined && address === refusedAt && filler === FILLERS.at(-1)) return outcome;
      cpu.restore();
      if (address === undefined || address !== (refusedAt ?? address)) break;
      refusedAt = address;
    }
    memory.perform();
    return cpu.execute(code, memory);
  }

  /** An instruction whose I/O permission bits were intercepted memory goes on to its port. */
  #port(code: Uint8Array, instruction: Instruction, message: DataView): DetachedOutcome {
    const cpu = this.#cpu;
    const { port, size, write, string, value } = cpu.portExit;
    if (string) return this.#moveElements(code, instruction, { port, size, write }, elementsOf(message));
    if (write) this.#ports.write(port, size, value);
    else cpu.setGpr(RAX, merged(cpu.getGpr(RAX), size, BigInt(this.#ports.read(port, size))));
    cpu.setRip(BigInt.asUintN(codeSizeOf(message), cpu.getRip() + BigInt(instruction.length)));
    return { kind: 'done' };
  }

  /** The string instruction with the same operand in memory, and RAX in the port's place. */
  #memoryHalf(code: Uint8Array, { length }: Instruction): { code: Uint8Array; instruction: Instruction } {
    const half = code.slice(0, length);
    half[length - 1] = MEMORY_HALF[code[length - 1]!]!;
    const before = half[length - 2] ?? 0;
    // INS and OUTS have no 64-bit elements. In other code the byte is no prefix of theirs.
    if (before >> 4 === 4) half[length - 2] = before & ~REX_W;
    const result = decode(half, 0, length, before >> 4 === 4 ? 64 : 32);
    if (result.kind !== 'ok') throw new Error('a string instruction that does not decode');
    return { code: half, instruction: result.instruction };
  }

  /** A limited number of elements, so that interrupts get through as on the real processor. */
  #moveElements(
    code: Uint8Array,
    instruction: Instruction,
    access: { port: number; size: number; write: boolean },
    most: number,
  ): DetachedOutcome {
    const cpu = this.#cpu;
    const { code: half, instruction: string } = this.#memoryHalf(code, instruction);
    const rip = cpu.getRip();
    for (let done = 0; done < most && cpu.getRip() === rip; done++) {
      const refused = cpu.refusedElement(string, access);
      if (refused !== undefined) return refused;
      const outcome = access.write ? this.#outElement(half, access) : this.#inElement(half, access);
      if (outcome.kind !== 'done') return outcome;
    }
    return { kind: 'done' };
  }

  #outElement(half: Uint8Array, { port, size }: { port: number; size: number }): DetachedOutcome {
    const cpu = this.#cpu;
    const rax = cpu.getGpr(RAX);
    const outcome = this.#run(half);
    const value = Number(BigInt.asUintN(8 * size, cpu.getGpr(RAX)));
    cpu.setGpr(RAX, rax);
    if (outcome.kind === 'done' && this.#memory.isTouched) this.#ports.write(port, size, value);
    return outcome;
  }

  /** A device read can't be taken back: find out first whether its value has somewhere to go. */
  #inElement(half: Uint8Array, { port, size }: { port: number; size: number }): DetachedOutcome {
    const cpu = this.#cpu;
    const memory = this.#memory;
    cpu.remember();
    memory.rehearse(0);
    const rehearsal = cpu.execute(half, memory);
    if (rehearsal.kind !== 'done' || !memory.isTouched) return rehearsal;
    cpu.restore();
    const rax = cpu.getGpr(RAX);
    cpu.setGpr(RAX, BigInt(this.#ports.read(port, size)));
    memory.perform();
    const outcome = cpu.execute(half, memory);
    memory.flush();
    cpu.setGpr(RAX, rax);
    return outcome;
  }

  // The end

  #finish(
    message: DataView,
    image: ProcessorImage | undefined,
    outcome: DetachedOutcome,
    keepsResumeFlag = false,
  ): void {
    const isDone = outcome.kind === 'done';
    if (isDone) this.#memory.flush();
    const batch = this.#partition.registers.begin(vpIndexOf(message));
    if (image !== undefined) {
      const cpu = this.#cpu;
      const rflags = cpu.getRflags();
      image.putChanges(batch, cpu.getRip(), isDone && !keepsResumeFlag ? rflags & ~RF : rflags);
    }
    if (outcome.kind === 'fault') {
      if (outcome.vector === VECTOR.PF) batch.put(RegisterName.Cr2, outcome.address);
      raise(batch, outcome.vector, outcome.errorCode);
    } else completeBatch(batch, this.#cpu.isStepped);
  }

  /** An event whose delivery met intercepted memory is delivered here (§16.3: there is no instruction). */
  #deliverEvent(message: DataView): string | undefined {
    const cpu = this.#cpu;
    const { registers } = this.#partition;
    const vp = vpIndexOf(message);
    const [pending, cr2] = registers.read(vp, [RegisterName.PendingInterruption, RegisterName.Cr2]);
    const word = Number(BigInt.asUintN(32, pending!));
    const type = (word >>> PendingInterruption.TypeShift) & PendingInterruption.TypeMask;
    const errorCode =
      (word & PendingInterruption.DeliverErrorCode) !== 0 ? Number(pending! >> 32n) : undefined;
    const general = generalOfMemoryMessage(message);
    const image = new ProcessorImage(cpu, registers, message, general, Scope.System);
    this.#memory.begin(vp);
    const vector = word >>> PendingInterruption.VectorShift;
    const external = type === PendingInterruptionType.Interrupt;
    cpu.setControl(2, cr2!);
    if (cpu.deliver({ vector, external, errorCode }, this.#memory) === 'shutdown')
      return 'triple fault: an exception while delivering a double fault';
    this.#memory.flush();
    const batch = registers.begin(vp);
    image.putChanges(batch, cpu.getRip(), cpu.getRflags());
    // A page fault met on the way is delivered, with its own address.
    if (cpu.getControl(2) !== cr2) batch.put(RegisterName.Cr2, cpu.getControl(2));
    if (type === PendingInterruptionType.Nmi)
      batch.put(RegisterName.InterruptState, BigInt(InterruptStateBit.NmiMasked));
    batch.put(RegisterName.PendingInterruption, 0n).resume().commit();
    return undefined;
  }
}

/** Under RFLAGS.TF a debug exception comes after each. */
function elementsOf(message: DataView): number {
  return (message.getUint32(InterceptHeader.Rflags, true) & FLAG.TF) !== 0 ? 1 : ELEMENTS_PER_INTERCEPT;
}
