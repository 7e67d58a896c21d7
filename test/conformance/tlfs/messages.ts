/**
 * Claims about chapter 16: what a child does, and the message that its parent (a guest) then reads from its SynIC
 * message page with its own loads, byte for byte. What the processor held is asked of HvGetVpRegisters.
 */
import { HypercallCode as C } from '../../../src/hvdef/hypercalls.ts';
import { InterceptAccessMask as Access, InterceptType } from '../../../src/hvdef/intercepts.ts';
import { ExecutionState, type MessageType, MessageType as Type } from '../../../src/hvdef/messages.ts';
import { SyntheticMsr } from '../../../src/hvdef/msr.ts';
import { RegisterName as R } from '../../../src/hvdef/registers.ts';
import { InterruptControlBit, InterruptType } from '../../../src/hvdef/synic.ts';
import { type FedGuest, map, must, PAGE, setRegisters } from './fed-guest.ts';
import { LEVEL_VECTOR, OrderKind } from './feeder.ts';
import type { Scene } from './scene.ts';

export type MessageName = Exclude<keyof typeof MessageType, 'None'>;

export interface MessageClaim {
  readonly message: MessageName;
  readonly claim: string;
  readonly show: (scene: Scene) => { received: Uint8Array; expected: Uint8Array };
}

export interface ImpossibleMessage {
  readonly message: MessageName;
  readonly reason: string;
}

const SIZE = 256;
const LONG_MODE_KERNEL = ExecutionState.Cr0Pe | ExecutionState.EferLma;
const UNMAPPED_GPA = 0x3000_0000n;
const READ_ONLY_PAGE = 0x2000;
const APIC_PAGE = 0xfee0_0000n;
const PORT = 0x80;
const UNKNOWN_MSR = 0x777;
/** Its answer is the same everywhere: "Hv#1". */
const INTERFACE_LEAF = 0x4000_0001;
const INTERFACE = 0x3123_7648;
const UD2 = [0x0f, 0x0b];
const MASKED = 0x1_0000n;

/** A message as the specification lays it out, field by field. */
class Expected {
  readonly bytes = new Uint8Array(SIZE);
  readonly #view = new DataView(this.bytes.buffer);
  readonly #scene: Scene;
  readonly #child: FedGuest;

  constructor(scene: Scene, child: FedGuest, type: number, payload: number) {
    this.#scene = scene;
    this.#child = child;
    this.u32(0, type).u8(4, payload).u64(8, child.id);
  }
  u8(at: number, value: number): this {
    this.#view.setUint8(at, value);
    return this;
  }
  u16(at: number, value: number): this {
    this.#view.setUint16(at, value, true);
    return this;
  }
  u32(at: number, value: number): this {
    this.#view.setUint32(at, value, true);
    return this;
  }
  u64(at: number, value: bigint): this {
    this.#view.setBigUint64(at, value, true);
    return this;
  }
  /** A register that the parent reads. */
  register(name: number): { low: bigint; high: bigint } {
    const { output } = must(this.#scene.parent, C.GetVpRegisters, [this.#child.id, 0, name], { reps: 1 });
    return { low: output.getBigUint64(0, true), high: output.getBigUint64(8, true) };
  }
  segment(at: number, name: number): this {
    const { low, high } = this.register(name);
    return this.u64(at, low).u64(at + 8, high);
  }
  /** §16.2.2, for VP 0. */
  header(instructionLength: number, access: number): this {
    this.u8(20, instructionLength).u8(21, access).u16(22, LONG_MODE_KERNEL);
    return this.segment(24, R.Cs).u64(40, this.register(R.Rip).low).u64(48, this.register(R.Rflags).low);
  }
  /** The common end of memory and exception messages: instruction bytes, DS, SS and the general registers. */
  machineState(): this {
    const rip = Number(this.register(R.Rip).low);
    const at = this.#child.addressOf(Math.floor(rip / PAGE)) + (rip % PAGE);
    const count = Math.min(16, PAGE - (rip % PAGE));
    this.u8(59, count);
    this.bytes.set(this.#scene.memory.bytes.subarray(at, at + count), 80);
    this.segment(96, R.Ds).segment(112, R.Ss);
    for (let index = 0; index < 16; index++) this.u64(128 + 8 * index, this.register(R.Rax + index).low);
    return this;
  }
}

let subjects = 0;
/** A child of `parent` that takes orders. */
function subject(s: Scene): FedGuest {
  s.parent.writeMsr(SyntheticMsr.Sint0, 0x40n);
  const child = s.guest(`subject ${++subjects}`, s.parent, { depositPages: 32, openPages: 8 });
  // Its own start-up is over after this.
  child.readMsr(SyntheticMsr.VpIndex);
  return child;
}

/** The guest reads its slot with its own loads, frees it and says so to the hypervisor. */
function receive(guest: FedGuest, sint = 0): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  const slot = guest.messagePage * PAGE + SIZE * sint;
  for (let at = 0; at < SIZE; at += 8) {
    guest.order(OrderKind.Load, slot + at);
    view.setBigUint64(at, guest.result, true);
  }
  guest.order(OrderKind.Store, slot, 0n);
  guest.writeMsr(SyntheticMsr.Eom, 0n);
  return bytes;
}

/** Gives an order that must suspend the child. */
function provoke(child: FedGuest, kind: number, ...values: (bigint | number)[]): void {
  child.give(kind, ...values);
  if (child.finish()) throw new Error('the child carried out what should have been intercepted');
}

function install(s: Scene, child: FedGuest, type: number, access: number, parameter: number): void {
  must(s.parent, C.InstallIntercept, [child.id, BigInt(access) | (BigInt(type) << 32n), parameter]);
}

const WRITE_BACK = 6;

function memoryMessage(s: Scene, child: FedGuest, type: number, gpa: bigint, access: number): Expected {
  const expected = new Expected(s, child, type, 240).header(3, access).u8(58, 1).u32(60, WRITE_BACK);
  return expected.u64(64, gpa).u64(72, gpa).machineState();
}

export const MESSAGE_CLAIMS: readonly MessageClaim[] = [
  {
    message: 'UnmappedGpa',
    claim: 'a load from a page without mapping',
    show: (s) => {
      const child = subject(s);
      provoke(child, OrderKind.Load, UNMAPPED_GPA);
      const expected = memoryMessage(s, child, Type.UnmappedGpa, UNMAPPED_GPA, Access.Read);
      return { received: receive(s.parent), expected: expected.bytes };
    },
  },
  {
    message: 'GpaIntercept',
    claim: 'a store to a page that is mapped for reading',
    show: (s) => {
      const child = subject(s);
      map(s.parent, child.id, READ_ONLY_PAGE, s.parent.takeOpen(1), 1, 1);
      const gpa = BigInt(READ_ONLY_PAGE * PAGE + 0x10);
      provoke(child, OrderKind.Store, gpa, 1);
      const expected = memoryMessage(s, child, Type.GpaIntercept, gpa, Access.Write);
      return { received: receive(s.parent), expected: expected.bytes };
    },
  },
  {
    message: 'TimerExpired',
    claim: 'a synthetic timer that expires, to its own processor',
    show: (s) => {
      const { parent } = s;
      parent.writeMsr(SyntheticMsr.Sint0 + 3, MASKED | 0x43n);
      const due = (parent.readMsr(SyntheticMsr.TimeRefCount) ?? 0n) + 1000n;
      parent.writeMsr(SyntheticMsr.Stimer0Config + 1, due);
      parent.writeMsr(SyntheticMsr.Stimer0Config, 1n | (3n << 16n));
      const slot = parent.seen(parent.messagePage) + SIZE * 3;
      if (!s.machine.run(() => s.memory.view.getUint32(slot, true) !== 0, 2000))
        throw new Error('no message came');
      const received = receive(parent, 3);
      const delivery = new DataView(received.buffer).getBigUint64(32, true);
      const now = parent.readMsr(SyntheticMsr.TimeRefCount) ?? 0n;
      if (delivery < due || delivery > now)
        throw new Error(`delivered at ${delivery}, due at ${due}, now ${now}`);
      const expected = new Expected(s, parent, Type.TimerExpired, 24)
        .u64(8, 0n)
        .u64(24, due)
        .u64(32, delivery);
      return { received, expected: expected.bytes };
    },
  },
  {
    message: 'InvalidVpRegisterValue',
    claim: 'paging without protected mode, when the processor resumes',
    show: (s) => {
      const child = subject(s);
      setRegisters(s.parent, child.id, 0, [{ name: R.Cr0, low: 0x8000_0010n, high: 0n }]);
      provoke(child, OrderKind.Load, 0);
      const expected = new Expected(s, child, Type.InvalidVpRegisterValue, 8);
      return { received: receive(s.parent), expected: expected.bytes };
    },
  },
  {
    message: 'UnrecoverableException',
    claim: 'an exception without an interrupt table',
    show: (s) => {
      const child = subject(s);
      const code = child.takeOpen(1);
      s.memory.bytes.set(UD2, child.addressOf(code));
      setRegisters(s.parent, child.id, 0, [{ name: R.Idtr, low: 0n, high: 0n }]);
      provoke(child, OrderKind.Execute, code * PAGE);
      const expected = new Expected(s, child, Type.UnrecoverableException, 40).header(0, Access.Execute);
      return { received: receive(s.parent), expected: expected.bytes };
    },
  },
  {
    message: 'UnsupportedFeature',
    claim: "code in the local APIC's page",
    show: (s) => {
      const child = subject(s);
      provoke(child, OrderKind.Execute, APIC_PAGE);
      const expected = new Expected(s, child, Type.UnsupportedFeature, 16).u32(20, 1).u64(24, APIC_PAGE);
      return { received: receive(s.parent), expected: expected.bytes };
    },
  },
  {
    message: 'ApicEoi',
    claim: 'the end of a level-triggered interrupt',
    show: (s) => {
      const child = subject(s);
      const x2apic = 0xfee0_0c00n | (child.readMsr(0x1b)! & 0x100n);
      if (!child.writeMsr(0x1b, x2apic) || !child.writeMsr(0x80f, 0x1ffn)) throw new Error('no x2APIC');
      const level = BigInt(InterruptType.Fixed) | (BigInt(InterruptControlBit.LevelTriggered) << 32n);
      must(s.parent, C.AssertVirtualInterrupt, [child.id, level, 0, LEVEL_VECTOR]);
      setRegisters(s.parent, child.id, 0, [{ name: R.Rflags, low: 0x202n, high: 0n }]);
      child.vp.run(1000);
      const expected = new Expected(s, child, Type.ApicEoi, 8).u32(20, LEVEL_VECTOR);
      return { received: receive(s.parent), expected: expected.bytes };
    },
  },
  {
    message: 'X64IoPortIntercept',
    claim: 'IN from an intercepted port',
    show: (s) => {
      const child = subject(s);
      install(s, child, InterceptType.X64IoPort, Access.Read | Access.Write, PORT);
      provoke(child, OrderKind.Port, PORT);
      const expected = new Expected(s, child, Type.X64IoPortIntercept, 128)
        .header(1, Access.Read)
        .u16(56, PORT);
      expected.u8(58, 1).u64(64, expected.register(R.Rax).low);
      return { received: receive(s.parent), expected: expected.bytes };
    },
  },
  {
    message: 'X64MsrIntercept',
    claim: 'RDMSR of a register that nobody has',
    show: (s) => {
      const child = subject(s);
      install(s, child, InterceptType.X64Msr, Access.Read | Access.Write, 0);
      provoke(child, OrderKind.ReadMsr, UNKNOWN_MSR);
      const expected = new Expected(s, child, Type.X64MsrIntercept, 64)
        .header(2, Access.Read)
        .u32(56, UNKNOWN_MSR);
      expected.u64(64, expected.register(R.Rdx).low).u64(72, expected.register(R.Rax).low);
      return { received: receive(s.parent), expected: expected.bytes };
    },
  },
  {
    message: 'X64CpuidIntercept',
    claim: 'CPUID of an intercepted leaf',
    show: (s) => {
      const child = subject(s);
      install(s, child, InterceptType.X64Cpuid, Access.Execute, INTERFACE_LEAF);
      provoke(child, OrderKind.Cpuid, INTERFACE_LEAF, 0);
      const expected = new Expected(s, child, Type.X64CpuidIntercept, 104).header(2, Access.Execute);
      [R.Rax, R.Rcx, R.Rdx, R.Rbx].forEach((name, index) => {
        expected.u64(56 + 8 * index, expected.register(name).low);
      });
      return { received: receive(s.parent), expected: expected.u64(88, BigInt(INTERFACE)).bytes };
    },
  },
  {
    message: 'X64ExceptionIntercept',
    claim: 'an undefined instruction whose exception is intercepted',
    show: (s) => {
      const child = subject(s);
      install(s, child, InterceptType.X64Exception, Access.Execute, 6);
      const code = child.takeOpen(1);
      s.memory.bytes.set(UD2, child.addressOf(code));
      provoke(child, OrderKind.Execute, code * PAGE);
      const expected = new Expected(s, child, Type.X64ExceptionIntercept, 240).header(0, Access.Execute);
      return { received: receive(s.parent), expected: expected.u16(56, 6).machineState().bytes };
    },
  },
  {
    message: 'EventLogBuffersComplete',
    claim: 'a flush of the event log, to the root',
    show: (s) => {
      const { rootGuest } = s;
      const fast = { fast: true };
      const first = 1n | (1n << 32n);
      must(rootGuest, C.InitializeEventLogBufferGroup, [1n | (2n << 32n), first, 0, 0]);
      must(rootGuest, C.CreateEventLogBuffer, [first, 0], fast);
      must(rootGuest, C.MapEventLogBuffer, [first]);
      // Hypercalls are events.
      must(rootGuest, C.SetEventLogGroupSources, [1, 0xffff_ffff_ffff_ffffn], fast);
      must(rootGuest, C.GetPartitionId, []);
      const before = s.machine.messages.length;
      must(rootGuest, C.FlushEventLogBuffer, [first], fast);
      must(rootGuest, C.SetEventLogGroupSources, [1, 0], fast);
      s.machine.run(() => s.machine.messages.length > before, 1000);
      const message = s.machine.messages[before];
      if (message === undefined) throw new Error('no message came');
      const expected = new Expected(s, rootGuest, Type.EventLogBuffersComplete, 8)
        .u64(8, 0n)
        .u32(16, 1)
        .u32(20, 1);
      return { received: new Uint8Array(message.buffer), expected: expected.bytes };
    },
  },
];

export const IMPOSSIBLE_MESSAGES: readonly ImpossibleMessage[] = [
  {
    message: 'FerrAsserted',
    reason:
      'the processors here report x87 errors as #MF whatever CR0.NE says: there is no FERR# line to assert',
  },
];
