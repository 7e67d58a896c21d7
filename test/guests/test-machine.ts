/**
 * A machine for test guests: the hypervisor with real processors, and a small root partition that creates child
 * partitions with any privileges, maps memory, starts them, answers their serial and exit ports, and keeps the
 * other messages for whoever asks. It goes through the parent surface only, as every parent does.
 */
import { AREA_SIZE, createProcessor, type ProcessorOptions } from '../../src/cpu/create-processor.ts';
import type { ProcessorThreads } from '../../src/cpu/threads/processor-threads.ts';
import { HypercallCode } from '../../src/hvdef/hypercalls.ts';
import { InterceptHeader, IoPortMessage, MessageType } from '../../src/hvdef/messages.ts';
import { SyntheticMsr } from '../../src/hvdef/msr.ts';
import { PartitionProperty } from '../../src/hvdef/partition-property.ts';
import { RegisterName } from '../../src/hvdef/registers.ts';
import { HvStatus, statusName } from '../../src/hvdef/status.ts';
import { type Booted, bootHypervisor } from '../../src/hypervisor/boot.ts';
import type { DebugTransport } from '../../src/hypervisor/debug-session.ts';
import type { CreateProcessor } from '../../src/hypervisor/machine.ts';
import { Scheduler } from '../../src/hypervisor/scheduler.ts';
import type { TraceSink } from '../../src/hypervisor/trace.ts';
import type { VirtualProcessor } from '../../src/hypervisor/virtual-processor.ts';
import {
  processorThreads,
  sharedBytesFor,
  threadedClock,
  threadedProcessorFactory,
} from '../../src/vm/processors.ts';
import { bootRegisters, type GuestImage, type RegisterValue } from './guest-image.ts';
import { EXIT_PORT, SERIAL_PORT } from './guest-program.ts';
import { type ControlFields, hypercallControl } from './hypercall-control.ts';

const PAGE = 4096;
const MIB = 0x10_0000;
/** Root pages for hypercall parameters and messages. */
const INPUT = 16 * PAGE;
const OUTPUT = 17 * PAGE;
const MESSAGES = 18;
const FIRST_FREE_PAGE = 32;
const ROOT_VECTOR = 0x40;
const ELEMENTS_A_CALL = 256;
const READ_WRITE_EXECUTE = 7;

export interface MachineOptions {
  /** RAM of the root: its guests' memory and what it deposits. */
  megabytes?: number;
  /** Virtual processors, all in all. */
  processors?: number;
  /** Each processor on a thread of its own. */
  threads?: boolean;
  /** Runs guests on the static stage. */
  staticBlockLength?: number;
  /** Which code is translated, and when. */
  translation?: Pick<ProcessorOptions, 'translate' | 'hotAfter'>;
  trace?: TraceSink;
  /** Makes guest debugging available. */
  debugTransport?: DebugTransport;
  /** Instead of the host's clock, in 100 ns. */
  clock?: () => number;
}

export interface GuestOptions {
  /** Guest pages from 0 on that get memory; enough for the image is taken when left out. */
  pages?: number;
  privileges?: bigint;
  depositPages?: number;
  /** RDI at the start. */
  argument?: bigint;
}

export interface CallAnswer {
  status: number;
  reps: number;
  output: DataView;
}

/** A child of the root, as the tests see it. */
export interface TestGuest {
  readonly id: bigint;
  /** Root page that backs guest page 0; the others follow. */
  readonly firstPage: number;
  readonly pages: number;
  /** What it printed. */
  serial: string;
  /** What it wrote to the exit port. */
  exit: number | undefined;
  /** Its other intercepts, oldest first; it stays suspended. */
  readonly messages: DataView[];
}

export class TestMachine {
  readonly booted: Booted;
  readonly scheduler: Scheduler;
  readonly guests: TestGuest[] = [];
  /** Messages to the root that are no child's port intercept. */
  readonly messages: DataView[] = [];
  /** Sees each of those first; true: dealt with. */
  onMessage: ((message: DataView) => boolean) | undefined;
  #nextPage = FIRST_FREE_PAGE;
  readonly #threads: ProcessorThreads | undefined;

  constructor(options: MachineOptions = {}) {
    const ramBytes = (options.megabytes ?? 32) * MIB;
    const areas = (options.processors ?? 2) * AREA_SIZE;
    const shared = options.threads ? sharedBytesFor(ramBytes + 2 * areas) : 0;
    const reservedBytes = areas + shared + 2 * MIB;
    const time = options.threads ? threadedClock() : undefined;
    const memoryBytes = Math.ceil((ramBytes + reservedBytes) / 0x1_0000) * 0x1_0000;
    const make: CreateProcessor = (memory, stateAddress, host) => {
      const area = this.booted.hypervisor.allocateReserved(AREA_SIZE);
      if (area < 0) return undefined;
      return createProcessor(memory, stateAddress, host, area, {
        staticBlockLength: options.staticBlockLength,
        ...options.translation,
        released: () => this.booted.hypervisor.releaseReserved(area, AREA_SIZE),
      });
    };
    this.booted = bootHypervisor({
      memoryBytes,
      reservedBytes: Math.ceil(reservedBytes / PAGE) * PAGE,
      createProcessor: options.threads
        ? threadedProcessorFactory(
            () => this.booted.hypervisor,
            () => this.#threads!,
          )
        : make,
      trace: options.trace,
      debugTransport: options.debugTransport,
      clock: time?.clock ?? options.clock,
      logicalProcessors: options.threads ? options.processors : undefined,
    });
    const { hypervisor, rootProcessor } = this.booted;
    this.#threads = time && processorThreads(hypervisor, time.origin);
    this.scheduler = new Scheduler(hypervisor, rootProcessor, this.#threads);
    const { surface } = this.booted;
    surface.writeMsr(SyntheticMsr.Scontrol, 1n);
    surface.writeMsr(SyntheticMsr.Simp, BigInt(MESSAGES * PAGE) | 1n);
    surface.writeMsr(SyntheticMsr.Sint0, BigInt(ROOT_VECTOR));
    surface.onInterrupt(() => this.#receive());
    this.deposit(1n, 64);
  }

  /** So many consecutive pages of the root's own, never used before. */
  takePages(count: number): number {
    const first = this.#nextPage;
    this.#nextPage += count;
    const end = this.booted.surface.ramPages.at(-1)!;
    if (this.#nextPage > end.gpn + end.pages) throw new Error('the test machine needs more megabytes');
    return first;
  }

  /** A root hypercall with parameters in memory, as 8-byte words. */
  call(code: number, input: readonly (bigint | number)[], fields: ControlFields = {}): CallAnswer {
    const { surface } = this.booted;
    const { view } = surface.memory;
    for (const [index, word] of input.entries()) {
      view.setBigUint64(INPUT + 8 * index, BigInt.asUintN(64, BigInt(word)), true);
    }
    const result = surface.hypercall(hypercallControl(code, fields), INPUT, OUTPUT);
    return {
      status: Number(result & 0xffffn),
      reps: Number((result >> 32n) & 0xfffn),
      output: new DataView(view.buffer as ArrayBuffer, OUTPUT, PAGE),
    };
  }
  /** As call, but anything but success throws. */
  must(code: number, input: readonly (bigint | number)[], fields: ControlFields = {}): CallAnswer {
    const answer = this.call(code, input, fields);
    if (answer.status !== HvStatus.SUCCESS) {
      throw new Error(
        `root hypercall 0x${code.toString(16)}: ${statusName(answer.status)} after ${answer.reps}`,
      );
    }
    return answer;
  }

  deposit(partition: bigint, pages: number): void {
    const first = this.takePages(pages);
    this.#inLists(pages, (start, count) => {
      const list = Array.from({ length: count }, (_, index) => first + start + index);
      this.must(HypercallCode.DepositMemory, [partition, ...list], { reps: count });
    });
  }

  /** Maps guest pages from `gpn` on to root pages from `rootPage` on. */
  map(partition: bigint, gpn: number, rootPage: number, pages: number, rights = READ_WRITE_EXECUTE): void {
    this.#inLists(pages, (start, count) => {
      const list = Array.from({ length: count }, (_, index) => rootPage + start + index);
      this.must(HypercallCode.MapGpaPages, [partition, gpn + start, rights, ...list], { reps: count });
    });
  }

  setRegisters(partition: bigint, vp: number, values: readonly RegisterValue[]): void {
    const words = values.flatMap(({ name, low, high }) => [BigInt(name), 0n, low, high]);
    this.must(HypercallCode.SetVpRegisters, [partition, vp, ...words], { reps: values.length });
  }
  getRegister(partition: bigint, vp: number, name: number): { low: bigint; high: bigint } {
    const { output } = this.must(HypercallCode.GetVpRegisters, [partition, vp, name], { reps: 1 });
    return { low: output.getBigUint64(0, true), high: output.getBigUint64(8, true) };
  }

  /** An initialized child partition without memory or processors. */
  createPartition(privileges: bigint | undefined, depositPages: number): bigint {
    const id = this.must(HypercallCode.CreatePartition, [0, 0]).output.getBigUint64(0, true);
    this.deposit(id, depositPages);
    this.must(HypercallCode.InitializePartition, [id]);
    if (privileges !== undefined) {
      this.must(HypercallCode.SetPartitionProperty, [id, PartitionProperty.PrivilegeFlags, privileges]);
    }
    return id;
  }

  /** A child with the image loaded and VP 0 ready to go, suspended. */
  createGuest(image: GuestImage, options: GuestOptions = {}): TestGuest {
    const pages = options.pages ?? Math.ceil((image.origin + image.bytes.length) / PAGE) + 16;
    const id = this.createPartition(options.privileges, options.depositPages ?? 64);
    const firstPage = this.takePages(pages);
    this.map(id, 0, firstPage, pages);
    this.booted.surface.memory.bytes.set(image.bytes, firstPage * PAGE + image.origin);
    for (const port of [SERIAL_PORT, EXIT_PORT]) {
      this.must(HypercallCode.InstallIntercept, [id, 3, BigInt(port)]);
    }
    this.must(HypercallCode.CreateVp, [id, 0, 0, 0]);
    this.setRegisters(id, 0, bootRegisters(image, options.argument));
    const guest: TestGuest = { id, firstPage, pages, serial: '', exit: undefined, messages: [] };
    this.guests.push(guest);
    return guest;
  }

  /** One more VP, in long mode at `entry` with a stack of its own and `argument` in RDI; suspended. */
  addProcessor(guest: TestGuest, image: GuestImage, vp: number, entry: number, argument: bigint): void {
    this.must(HypercallCode.CreateVp, [guest.id, vp, 0, 0]);
    const stack = BigInt(image.stack - vp * 1024);
    this.setRegisters(guest.id, vp, [
      ...bootRegisters(image, argument),
      { name: RegisterName.Rip, low: BigInt(entry), high: 0n },
      { name: RegisterName.Rsp, low: stack, high: 0n },
    ]);
    const { virtualProcessors } = this.booted.hypervisor.partitions.get(Number(guest.id))!;
    // As the start-up interrupt would, but in long mode.
    (virtualProcessors.get(vp) as VirtualProcessor).start();
  }

  /** Lets a VP go. */
  start(guest: TestGuest, vp = 0): void {
    this.setRegisters(guest.id, vp, [{ name: RegisterName.ExplicitSuspend, low: 0n, high: 0n }]);
  }

  /** Ends the processors' threads. */
  close(): void {
    this.#threads?.end();
  }

  /** Runs everybody until `done` or nobody can run any more; false: neither within so many milliseconds. */
  run(done: () => boolean, milliseconds = 10_000): boolean {
    const { rootProcessor, hypervisor } = this.booted;
    const end = performance.now() + milliseconds;
    while (!done()) {
      rootProcessor.serve();
      const { ran, nextDeadline } = this.scheduler.runSlice(1);
      if (performance.now() > end) return false;
      if (!ran && !rootProcessor.hasPendingInterrupt && nextDeadline === undefined) return done();
      if (!ran && nextDeadline !== undefined && nextDeadline > hypervisor.clock() + 1e8) return done();
    }
    return true;
  }

  /** Byte address, in the shared memory, of a guest's GPA. */
  address(guest: TestGuest, gpa: number): number {
    return guest.firstPage * PAGE + gpa;
  }

  #inLists(count: number, each: (start: number, count: number) => void): void {
    for (let start = 0; start < count; start += ELEMENTS_A_CALL)
      each(start, Math.min(ELEMENTS_A_CALL, count - start));
  }

  #receive(): void {
    const { surface } = this.booted;
    const { view, bytes } = surface.memory;
    const slot = surface.pageAddress(MESSAGES);
    for (let count = 0; count < 1000 && view.getUint32(slot, true) !== 0; count++) {
      const message = new DataView(bytes.slice(slot, slot + 256).buffer);
      view.setUint32(slot, 0, true);
      surface.writeMsr(SyntheticMsr.Eom, 0n);
      this.#take(message);
    }
  }

  #take(message: DataView): void {
    const type = message.getUint32(0, true);
    const guest = this.guests.find(({ id }) => id === message.getBigUint64(8, true));
    if (guest !== undefined && type === MessageType.X64IoPortIntercept && this.#completePort(guest, message))
      return;
    if (this.onMessage?.(message)) return;
    (guest?.messages ?? this.messages).push(message);
    if (guest !== undefined) this.messages.push(message);
  }

  /** The instruction of an intercept is done: the processor goes on behind it. */
  complete(guest: TestGuest, message: DataView): void {
    const length = message.getUint8(InterceptHeader.InstructionLength);
    const rip = message.getBigUint64(InterceptHeader.Rip, true) + BigInt(length);
    this.setRegisters(guest.id, message.getUint32(InterceptHeader.VpIndex, true), [
      { name: RegisterName.Rip, low: rip, high: 0n },
      { name: RegisterName.InterceptSuspend, low: 0n, high: 0n },
    ]);
  }

  #completePort(guest: TestGuest, message: DataView): boolean {
    const port = message.getUint16(IoPortMessage.PortNumber, true);
    const value = Number(message.getBigUint64(IoPortMessage.Rax, true) & 0xffn);
    if (port === SERIAL_PORT) guest.serial += String.fromCharCode(value);
    else if (port === EXIT_PORT) guest.exit = value;
    else return false;
    this.complete(guest, message);
    return true;
  }
}
