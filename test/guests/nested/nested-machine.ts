/**
 * The machine under the nested guests: a hypervisor with real processors and a clock that only this file moves, and a
 * small root that builds the outermost guest, gives up its own rights to the pages that are to be deposited, and
 * serves that guest's intercepts as every parent below does.
 */
import { InterceptAccessMask, InterceptType } from '../../../src/hvdef/intercepts.ts';
import { InterceptHeader, IoPortMessage, MemoryMessage, MessageType } from '../../../src/hvdef/messages.ts';
import { PartitionProperty } from '../../../src/hvdef/partition-property.ts';
import { RegisterName } from '../../../src/hvdef/registers.ts';
import { type Booted, bootHypervisor } from '../../../src/hypervisor/boot.ts';
import { Scheduler } from '../../../src/hypervisor/scheduler.ts';
import type { TraceEvent } from '../../../src/hypervisor/trace.ts';
import { ChildPartition } from '../../../src/vm/parent/child-partition.ts';
import { HypercallPage } from '../../../src/vm/parent/hypercall-page.ts';
import { MessagePump } from '../../../src/vm/parent/message-pump.ts';
import { RootMemory } from '../../../src/vm/parent/root-memory.ts';
import { processorFactory, reservedBytesFor } from '../../../src/vm/processors.ts';
import { bootRegisters } from '../guest-image.ts';
import { EXIT_PORT, SERIAL_PORT } from '../guest-program.ts';
import {
  COUNTER_PORT,
  FIRST_RESERVE_GPN,
  nestedGuest,
  PARENT_PRIVILEGES,
  POOL_GPN,
  POOL_PAGES,
  ROOT_COUNTER,
  ROOT_VALUE,
  SECOND_RESERVE_GPN,
} from './nested-programs.ts';

const MIB = 2 ** 20;
const RESERVED_BYTES = reservedBytesFor(6);
const MEMORY_BYTES = Math.ceil((16 * MIB + RESERVED_BYTES) / MIB) * MIB;
/** Fits one list of HvMapGpaPages. */
const GUEST_PAGES = 480;
const IMAGE_GPN = 0x100;
const PAGE = 4096;
const SLICES = 10_000;
/** 1 ms of the hypervisor's clock. */
const SLICE_UNITS = 10_000;

export interface NestedRun {
  booted: Booted;
  events: TraceEvent[];
  /** What came out of the guest's serial port, and its exit value. */
  text: string;
  exitValue: number | undefined;
  guest: ChildPartition;
  /** Pages of the root that are nobody's but its own, filled with a pattern before the guests ran. */
  canary: { gpn: number; pages: number };
}

/** `during` sees the machine at each event. */
export function runNested(during?: (run: NestedRun, event: TraceEvent) => void): NestedRun {
  const events: TraceEvent[] = [];
  let now = 0;
  let started: NestedRun | undefined;
  const booted: Booted = bootHypervisor({
    memoryBytes: MEMORY_BYTES,
    reservedBytes: RESERVED_BYTES,
    clock: () => now,
    createProcessor: processorFactory(() => booted.hypervisor),
    trace: (event) => {
      events.push(event);
      if (started !== undefined) during?.(started, event);
    },
  });
  const run = assemble(booted, events);
  started = run;
  const scheduler = new Scheduler(booted.hypervisor, booted.rootProcessor);
  for (let slice = 0; slice < SLICES && run.exitValue === undefined; slice++) {
    scheduler.runSlice(1);
    now += SLICE_UNITS;
  }
  booted.hypervisor.trace.sink = undefined;
  return run;
}

function assemble(booted: Booted, events: TraceEvent[]): NestedRun {
  const { surface } = booted;
  const memory = new RootMemory(surface);
  const page = new HypercallPage(surface, memory);
  const guest = ChildPartition.create(page, memory);
  guest.deposit(POOL_PAGES);
  guest.initialize();
  guest.setProperty(PartitionProperty.PrivilegeFlags, PARENT_PRIVILEGES);
  const image = nestedGuest();
  const imagePage = memory.allocate(GUEST_PAGES);
  guest.mapPages(IMAGE_GPN, imagePage, GUEST_PAGES, 7);
  if (image.bytes.length > GUEST_PAGES * PAGE) throw new Error('the guests need more pages');
  surface.memory.bytes.set(image.bytes, imagePage * PAGE);
  givePools(page, memory, guest);
  guest.createVp(0);
  const both = InterceptAccessMask.Read | InterceptAccessMask.Write;
  for (const port of [SERIAL_PORT, EXIT_PORT, COUNTER_PORT]) {
    guest.installIntercept(InterceptType.X64IoPort, port, both);
  }
  const canary = { gpn: memory.allocate(16), pages: 16 };
  surface.memory.bytes.fill(0xa5, canary.gpn * PAGE, (canary.gpn + canary.pages) * PAGE);
  const run: NestedRun = { booted, events, text: '', exitValue: undefined, guest, canary };
  answerIntercepts(new MessagePump(surface, memory, unexpected), run);
  const batch = guest.registers.begin(0);
  for (const { name, low, high } of bootRegisters(image)) batch.putWide(name, low, high);
  batch.put(RegisterName.ExplicitSuspend, 0n).commit();
  return run;
}

/** Pages for the pools below: the root gives up its own rights, and only the depositor will have any. */
function givePools(page: HypercallPage, memory: RootMemory, guest: ChildPartition): void {
  const regions = [
    { gpn: POOL_GPN, pages: 2 * POOL_PAGES, rights: 7 },
    { gpn: FIRST_RESERVE_GPN, pages: POOL_PAGES, rights: 0 },
    { gpn: SECOND_RESERVE_GPN, pages: POOL_PAGES, rights: 0 },
  ];
  for (const { gpn, pages, rights } of regions) {
    const first = memory.allocate(pages);
    guest.mapPages(gpn, first, pages, rights);
    const header = page.header('MapGpaPages', { TargetPartitionId: 1, TargetGpaBase: first, MapFlags: 0 });
    for (let each = 0; each < pages; each++)
      page.input.setBigUint64(header + 8 * each, BigInt(first + each), true);
    const { status } = page.invoke(0x4b, pages, 0);
    if (status !== 0) throw new Error(`the root can't give up its rights: status ${status}`);
  }
}

function unexpected(message: DataView): void {
  throw new Error(`a message of type 0x${message.getUint32(0, true).toString(16)}`);
}

function answerIntercepts(pump: MessagePump, run: NestedRun): void {
  const { guest } = run;
  const complete = (message: DataView, rax: bigint) => {
    const length = BigInt(message.getUint8(InterceptHeader.InstructionLength));
    const rip = message.getBigUint64(InterceptHeader.Rip, true) + length;
    const batch = guest.registers.begin(0).put(RegisterName.Rip, rip).put(RegisterName.Rax, rax);
    batch.resume().commit();
  };
  pump.handle(MessageType.X64IoPortIntercept, (message) => {
    const port = message.getUint16(IoPortMessage.PortNumber, true);
    const rax = message.getBigUint64(IoPortMessage.Rax, true);
    if (port === SERIAL_PORT) run.text += String.fromCharCode(Number(rax & 0xffn));
    // After its exit the guest stays as it is.
    if (port === EXIT_PORT) run.exitValue = Number(rax & 0xffn);
    else complete(message, port === COUNTER_PORT ? BigInt(ROOT_COUNTER) : rax);
  });
  pump.handle(MessageType.UnmappedGpa, (message) => {
    if (message.getBigUint64(MemoryMessage.Gpa, true) < 0x8000_0000n) unexpected(message);
    complete(message, BigInt(ROOT_VALUE));
  });
}
