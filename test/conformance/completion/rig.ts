/**
 * One instruction of a guest on the real host: hypervisor, processor, message pump and the parent's instruction
 * completion as a machine has them. The two data pages of the conformance vectors are RAM or a device's page each,
 * as the case asks; the device is memory that notes every access. An instruction ends with an OUT behind it, or in
 * the stub of an exception; either way every register of the virtual processor is read through the hypervisor.
 */
import { InterceptAccessMask, InterceptType } from '../../../src/hvdef/intercepts.ts';
import {
  InterceptHeader,
  IoPortAccessInfo,
  IoPortMessage,
  MessageType,
} from '../../../src/hvdef/messages.ts';
import { RegisterName } from '../../../src/hvdef/registers.ts';
import { MAP_GPA_RIGHTS } from '../../../src/hvdef/types.ts';
import { GuestMemory } from '../../../src/vm/guest-memory.ts';
import { createHost, type Host } from '../../../src/vm/host.ts';
import { InstructionCompletion } from '../../../src/vm/intercepts/instruction-completion.ts';
import { handlePortIntercept } from '../../../src/vm/intercepts/port.ts';
import { ChildPartition } from '../../../src/vm/parent/child-partition.ts';
import { HypercallPage } from '../../../src/vm/parent/hypercall-page.ts';
import { MessagePump } from '../../../src/vm/parent/message-pump.ts';
import { RootMemory } from '../../../src/vm/parent/root-memory.ts';
import { CODE_ADDRESS, DATA_ADDRESS, DATA_SIZE } from '../cpu/cpu-state.ts';

const PAGE = 4096;
const MIB = 0x10_0000;
const GUEST_BYTES = 4 * MIB;
/** Guest physical pages. */
const TABLES = 1;
const KERNEL = 8;
const DATA = 32;
const CODE = 40;
export const DEVICE_GPA = 0xd000_0000;
/** Linear addresses of the kernel's pages, which follow each other in KERNEL. */
const KERNEL_ADDRESS = 0x1010_0000;
const GDT = KERNEL_ADDRESS;
const IDT = KERNEL_ADDRESS + PAGE;
const TSS = KERNEL_ADDRESS + 2 * PAGE;
const STUBS = KERNEL_ADDRESS + 3 * PAGE;
const STACK_TOP = KERNEL_ADDRESS + 5 * PAGE;
const KERNEL_PAGES = 5;
/** The stack of all gates, within the task state: IST1. */
const TASK_STACK = 0x24;
const IDT_BYTES = 256 * 16;

const END_PORT = 0x80;
const STUB_PORT = 0x81;
/** Ports that the tests read and write: 16 registers of memory. */
export const DATA_PORT = 0x90;
const HLT = 0xf4;
/** Code is not fetched from devices, and so not from the RAM that is compared with them. */
const NO_EXECUTE = 1n << 63n;
/** Turns of the scheduler that a case may take, unless it says otherwise. */
const MOST_SLICES = 20_000;
const SELECTOR = {
  kernel64: 0x08,
  kernelData: 0x10,
  user32: 0x23,
  userData: 0x2b,
  user64: 0x33,
  kernel32: 0x38,
  task: 0x40,
} as const;

export type Place = 'ram' | 'device';
export interface DeviceAccess {
  write: boolean;
  /** From the device's start. */
  offset: number;
  size: number;
}

export interface Case {
  code: 64 | 32;
  privilege: 0 | 3;
  bytes: Uint8Array;
  gpr: BigUint64Array;
  rflags: number;
  /** FXSAVE64 image. */
  floating: Uint8Array;
  /** Contents of the data pages. */
  memory: Uint8Array;
  /** Instead of flat ones. */
  segments?: Partial<Record<'Ds' | 'Es' | 'Ss', { base: number; limit: number; attributes?: number }>>;
  /** Where exceptions push, if not on the kernel's own stack. */
  exceptionStack?: number;
}

export interface Result {
  /** Every register by name, both halves. */
  registers: Map<string, string>;
  memory: Uint8Array;
  /** What an exception pushed. */
  stack: Uint8Array;
  /** It ended in an exception's stub. */
  isFault: boolean;
  intercepts: number;
  accesses: readonly DeviceAccess[];
}

const GENERAL = Array.from({ length: 18 }, (_, k): [string, number] => [
  k < 16 ? `r${k}` : k === 16 ? 'rip' : 'rflags',
  RegisterName.Rax + k,
]);
const FLOATING: [string, number, number][] = [
  ['fpStatus', RegisterName.FpControlStatus, 0],
  ['xmmStatus', RegisterName.XmmControlStatus, 16],
  ...Array.from({ length: 8 }, (_, k): [string, number, number] => [
    `st${k}`,
    RegisterName.FpMmx0 + k,
    32 + 16 * k,
  ]),
  ...Array.from({ length: 16 }, (_, k): [string, number, number] => [
    `xmm${k}`,
    RegisterName.Xmm0 + k,
    160 + 16 * k,
  ]),
];
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'];
const READ: [string, number][] = [
  ...GENERAL,
  ...FLOATING.map(([name, register]): [string, number] => [name, register]),
  ...SEGMENT_NAMES.map((name, k): [string, number] => [name, RegisterName.Es + k]),
  ['gdtr', RegisterName.Gdtr],
  ['idtr', RegisterName.Idtr],
  ['cr0', RegisterName.Cr0],
  ['cr2', RegisterName.Cr2],
  ['cr4', RegisterName.Cr4],
  ['interruptState', RegisterName.InterruptState],
];

export class CompletionRig {
  /** The device's two pages. */
  readonly device = new Uint8Array(DATA_SIZE);
  readonly ports = new Uint8Array(16);
  accesses: DeviceAccess[] = [];
  portAccesses: DeviceAccess[] = [];
  /** Memory intercepts, and those of INS and OUTS. */
  intercepts = 0;
  readonly memory: GuestMemory;
  readonly partition: ChildPartition;
  readonly completion: InstructionCompletion;
  readonly #host: Host;
  #end: 'none' | 'code' | 'stub' = 'none';
  /** Sees each message of a memory intercept first. */
  onMemoryIntercept: (message: DataView) => void = () => {};
  /** Why the machine could not go on. */
  problem: string | undefined;

  constructor() {
    this.#host = createHost({ guestBytes: GUEST_BYTES });
    const { surface } = this.#host;
    const rootMemory = new RootMemory(surface);
    const page = new HypercallPage(surface, rootMemory);
    this.partition = ChildPartition.create(page, rootMemory);
    this.partition.initialize();
    this.partition.createVp(0);
    const pages = GUEST_BYTES / PAGE;
    const rootGpn = rootMemory.allocate(pages, 512);
    this.partition.mapPages(0, rootGpn, pages, MAP_GPA_RIGHTS);
    this.memory = new GuestMemory(surface, [{ gpn: 0, rootGpn, pages }]);
    const both = InterceptAccessMask.Read | InterceptAccessMask.Write;
    for (const port of [END_PORT, STUB_PORT])
      this.partition.installIntercept(InterceptType.X64IoPort, port, both);
    for (let k = 0; k < 16; k++)
      this.partition.installIntercept(InterceptType.X64IoPort, DATA_PORT + k, both);
    const devices = {
      read: (gpa: number, size: number) => this.#readDevice(gpa, size),
      write: (gpa: number, size: number, value: bigint) => this.#writeDevice(gpa, size, value),
    };
    const ports = {
      read: (port: number, size: number) =>
        Number(this.#note(this.portAccesses, this.ports, false, port - DATA_PORT, size)),
      write: (port: number, size: number, value: number) => {
        this.#note(this.portAccesses, this.ports, true, port - DATA_PORT, size, BigInt(value));
      },
    };
    this.completion = new InstructionCompletion(this.partition, devices, ports);
    const pump = new MessagePump(surface, rootMemory, (message) => {
      this.problem = `message 0x${message.getUint32(0, true).toString(16)}`;
    });
    const memoryAccess = (message: DataView) => {
      this.intercepts++;
      this.onMemoryIntercept(message);
      this.problem ??= this.completion.memoryIntercept(message);
    };
    pump.handle(MessageType.UnmappedGpa, memoryAccess);
    pump.handle(MessageType.GpaIntercept, memoryAccess);
    pump.handle(MessageType.X64IoPortIntercept, (message) => {
      const port = message.getUint16(IoPortMessage.PortNumber, true);
      if (port === END_PORT) this.#end = 'code';
      else if (port === STUB_PORT) this.#end = 'stub';
      else {
        if ((message.getUint8(IoPortMessage.AccessInfo) & IoPortAccessInfo.StringOp) !== 0) this.intercepts++;
        handlePortIntercept(message, this.partition, ports, this.completion);
      }
    });
    pump.handle(MessageType.UnrecoverableException, (message) => {
      this.problem = `triple fault at 0x${message.getBigUint64(InterceptHeader.Rip, true).toString(16)}`;
    });
    this.#writeKernel();
  }

  #readDevice(gpa: number, size: number): bigint {
    return this.#note(this.accesses, this.device, false, gpa - DEVICE_GPA, size);
  }
  #writeDevice(gpa: number, size: number, value: bigint): void {
    this.#note(this.accesses, this.device, true, gpa - DEVICE_GPA, size, value);
  }

  /** An access to memory behind a device or ports; beyond it reads are ones. */
  #note(
    log: DeviceAccess[],
    bytes: Uint8Array,
    write: boolean,
    offset: number,
    size: number,
    value = 0n,
  ): bigint {
    log.push({ write, offset, size });
    let read = 0n;
    for (let k = size - 1; k >= 0; k--) {
      const at = offset + k;
      const inside = at >= 0 && at < bytes.length;
      if (write && inside) bytes[at] = Number((value >> BigInt(8 * k)) & 0xffn);
      read = (read << 8n) | BigInt(inside ? bytes[at]! : 0xff);
    }
    return read;
  }

  // The guest

  #put64(gpa: number, ...values: bigint[]): void {
    this.memory.write(gpa, new Uint8Array(BigUint64Array.from(values).buffer));
  }

  #entry(table: number, index: number, page: number, flags: number, noExecute = 0n): void {
    this.#put64((TABLES + table) * PAGE + 8 * index, BigInt(page) * 4096n + BigInt(flags) + noExecute);
  }

  #writeKernel(): void {
    const user = 0x67;
    this.#entry(0, 0, TABLES + 1, user);
    this.#entry(1, 0, TABLES + 2, user);
    this.#entry(2, CODE_ADDRESS >>> 21, TABLES + 3, user);
    this.#entry(3, (CODE_ADDRESS >>> 12) & 511, CODE, user);
    for (let k = 0; k < KERNEL_PAGES; k++)
      this.#entry(3, ((KERNEL_ADDRESS >>> 12) & 511) + k, KERNEL + k, 0x63);
    // Null, kernel code, data; user 32-bit code, data, 64-bit code; kernel 32-bit code; task state.
    const gdt = [0n, 0x00af9b000000ffffn, 0x00cf93000000ffffn, 0n, 0x00cffb000000ffffn, 0x00cff3000000ffffn];
    gdt.push(0x00affb000000ffffn, 0x00cf9b000000ffffn);
    gdt.push(0x0000_8900_0000_0067n | (BigInt(TSS & 0xffffff) << 16n) | (BigInt(TSS >>> 24) << 56n), 0n);
    this.#put64(KERNEL * PAGE, ...gdt);
    for (let vector = 0; vector < 32; vector++) {
      const stub = STUBS + 16 * vector;
      const low = BigInt(stub & 0xffff) | (0x8e01_0008n << 16n) | (BigInt(stub >>> 16) << 48n);
      this.#put64((KERNEL + 1) * PAGE + 16 * vector, low, 0n);
      this.memory.write((KERNEL + 3) * PAGE + 16 * vector, Uint8Array.of(0xe6, STUB_PORT, 0xeb, 0xfe));
    }
    const tss = new DataView(new ArrayBuffer(0x68));
    tss.setBigUint64(4, BigInt(STACK_TOP), true);
    tss.setUint16(0x66, 0x68, true);
    this.memory.write((KERNEL + 2) * PAGE, new Uint8Array(tss.buffer));
  }

  /** Where the two data pages are. */
  #place(places: readonly [Place, Place], memory: Uint8Array): void {
    for (let k = 0; k < 2; k++) {
      const page = places[k] === 'ram' ? DATA + k : DEVICE_GPA / PAGE + k;
      this.#entry(3, ((DATA_ADDRESS >>> 12) & 511) + k, page, 7, NO_EXECUTE);
    }
    this.device.set(memory);
    this.memory.write(DATA * PAGE, memory);
  }

  #contents(places: readonly [Place, Place]): Uint8Array {
    const both = new Uint8Array(DATA_SIZE);
    for (let k = 0; k < 2; k++) {
      const from = places[k] === 'ram' ? this.memory.read((DATA + k) * PAGE, PAGE) : this.device;
      both.set(places[k] === 'ram' ? from : from.subarray(k * PAGE, (k + 1) * PAGE), k * PAGE);
    }
    return both;
  }

  /** Runs the case's instructions to the OUT behind them or to an exception. */
  run(at: Case, places: readonly [Place, Place], mostSlices = MOST_SLICES): Result {
    this.#place(places, at.memory);
    const code = new Uint8Array(PAGE).fill(HLT);
    const offset = CODE_ADDRESS % PAGE;
    code.set(at.bytes, offset);
    code.set([0xe6, END_PORT], offset + at.bytes.length);
    this.memory.write(CODE * PAGE, code);
    this.memory.write((KERNEL + 4) * PAGE, new Uint8Array(PAGE));
    this.memory.write(KERNEL * PAGE + 8 * 8 + 5, Uint8Array.of(0x8b));
    this.#put64((KERNEL + 2) * PAGE + TASK_STACK, BigInt(at.exceptionStack ?? STACK_TOP));
    this.accesses = [];
    this.portAccesses = [];
    this.intercepts = 0;
    this.problem = undefined;
    this.#end = 'none';
    this.#setRegisters(at);
    for (let slices = 0; this.#runs(); slices++) {
      if (slices > mostSlices) throw new Error('the instruction does not end');
      this.#host.runSlice(0);
    }
    if (this.problem !== undefined) throw new Error(this.problem);
    const end: string = this.#end;
    const values = this.partition.registers.readAllWide(
      0,
      READ.map(([, name]) => name),
    );
    const registers = new Map(
      READ.map(([name], k) => [name, `${hex(values[2 * k + 1]!)}:${hex(values[2 * k]!)}`]),
    );
    return {
      registers,
      memory: this.#contents(places),
      stack: this.memory.read((KERNEL + 4) * PAGE, PAGE),
      isFault: end === 'stub',
      intercepts: this.intercepts,
      accesses: this.accesses,
    };
  }

  #runs(): boolean {
    return this.#end === 'none' && this.problem === undefined;
  }

  #setRegisters({ code, privilege, gpr, rflags, floating, segments }: Case): void {
    const batch = this.partition.registers.begin(0);
    batch.putNumber(RegisterName.Cr0, 0x8005_0033).putNumber(RegisterName.Cr4, 0x4_0620);
    batch
      .putNumber(RegisterName.Efer, 0xd01)
      .putNumber(RegisterName.Cr3, TABLES * PAGE)
      .putNumber(RegisterName.Xfem, 3);
    batch.putNumber(RegisterName.Cr2, 0);
    gpr.forEach((value, k) => {
      batch.put(RegisterName.Rax + k, value);
    });
    batch.putNumber(RegisterName.Rip, CODE_ADDRESS).putNumber(RegisterName.Rflags, rflags | 0x3002);
    const user = privilege === 3;
    const selector = user
      ? code === 64
        ? SELECTOR.user64
        : SELECTOR.user32
      : code === 64
        ? SELECTOR.kernel64
        : SELECTOR.kernel32;
    const flat = { base: 0, limit: 0xffff_ffff };
    const long = code === 64 ? 0xa09b : 0xc09b;
    batch.putSegment(RegisterName.Cs, { ...flat, selector, attributes: long | (privilege << 5) });
    const data = {
      ...flat,
      selector: user ? SELECTOR.userData : SELECTOR.kernelData,
      attributes: 0xc093 | (privilege << 5),
    };
    for (const name of ['Ss', 'Ds', 'Es', 'Fs', 'Gs'] as const)
      batch.putSegment(
        RegisterName[name],
        name in (segments ?? {}) ? { ...data, ...segments![name as 'Ds'] } : data,
      );
    batch.putSegment(RegisterName.Ldtr, { selector: 0, base: 0, limit: 0xffff, attributes: 0x82 });
    batch.putSegment(RegisterName.Tr, { selector: SELECTOR.task, base: TSS, limit: 0x67, attributes: 0x8b });
    batch.putTable(RegisterName.Gdtr, { base: GDT, limit: 10 * 8 - 1 });
    batch.putTable(RegisterName.Idtr, { base: IDT, limit: IDT_BYTES - 1 });
    const view = new DataView(floating.buffer, floating.byteOffset, floating.byteLength);
    for (const [name, register, at] of FLOATING) {
      const isStack = name.startsWith('st');
      const low = view.getBigUint64(at, true) & (name === 'fpStatus' ? 0xffff_00ff_ffff_ffffn : ~0n);
      const high = view.getBigUint64(at + 8, true) & (isStack ? 0xffffn : ~0n);
      batch.putWide(register, low, name === 'xmmStatus' ? high & 0xffff_ffffn : high);
    }
    batch.putNumber(RegisterName.InterruptState, 0).putNumber(RegisterName.PendingInterruption, 0);
    batch.putNumber(RegisterName.ExplicitSuspend, 0).resume().commit();
  }
}

const hex = (value: bigint): string => value.toString(16);

/** What differs, in words; nothing if the two ended alike. */
export function differences(expected: Result, actual: Result): string[] {
  const found: string[] = [];
  for (const [name, value] of expected.registers)
    if (actual.registers.get(name) !== value)
      found.push(`${name} ${actual.registers.get(name)}, expected ${value}`);
  for (const name of ['memory', 'stack'] as const) {
    const at = expected[name].findIndex((byte, k) => byte !== actual[name][k]);
    if (at >= 0)
      found.push(`${name} at 0x${at.toString(16)} ${actual[name][at]}, expected ${expected[name][at]}`);
  }
  if (expected.isFault !== actual.isFault)
    found.push(`fault ${actual.isFault}, expected ${expected.isFault}`);
  return found;
}
