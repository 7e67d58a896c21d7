import { describe, expect, test } from 'vitest';
import {
  EventLogEntry,
  EventLogBufferHeader as Header,
  EventLogBufferState as State,
} from '../../hvdef/event-log.ts';
import { MessageType } from '../../hvdef/messages.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { hypercallRequest } from '../hypercall-request.ts';
import { Machine } from '../virtual-processor-fixture.ts';

const Call = {
  Initialize: 0x60,
  Finalize: 0x61,
  Create: 0x62,
  Delete: 0x63,
  Map: 0x64,
  Unmap: 0x65,
  Sources: 0x66,
  Release: 0x67,
  Flush: 0x68,
};
const SYSTEM = 0n;
const DIAGNOSTICS = 1n;

const initialize = (
  machine: Machine,
  type: bigint,
  buffers = 2n,
  pages = 1n,
  threshold = 1n,
  basis = 0n,
): number =>
  machine.call(Call.Initialize, [type | (buffers << 32n), pages | (threshold << 32n), basis, 0n]).status;
const on = (machine: Machine, code: number, type: bigint, index: bigint, second = 0n) =>
  machine.call(code, [type | (index << 32n), second]);

/** A group of `buffers` mapped buffers with sources enabled; answers the GPN of each buffer's first page. */
function logging(machine: Machine, type: bigint, sources: bigint, buffers = 2n): number[] {
  initialize(machine, type, buffers);
  const gpns: number[] = [];
  for (let index = 0n; index < buffers; index++) {
    on(machine, Call.Create, type, index);
    gpns.push(Number(on(machine, Call.Map, type, index).output.getBigUint64(0, true)));
  }
  machine.call(Call.Sources, [type, sources]);
  return gpns;
}

function header(machine: Machine, gpn: number, field: number): number {
  const { surface } = machine.booted;
  return surface.memory.view.getUint32(surface.pageAddress(gpn) + field, true);
}

/** Entry types of a buffer, in order. */
function entries(machine: Machine, gpn: number): number[] {
  const { surface } = machine.booted;
  const base = surface.pageAddress(gpn);
  const { view } = surface.memory;
  const types: number[] = [];
  for (let at: number = Header.End; at < header(machine, gpn, Header.NextBufferOffset); ) {
    types.push(view.getUint16(base + at + 6, true));
    at += view.getUint16(base + at + 4, true);
  }
  return types;
}

describe('the event log', () => {
  test('creation and deletion of a partition are system events, in order', () => {
    const machine = new Machine();
    const [gpn] = logging(machine, SYSTEM, 1n);
    const id = machine.call(0x40, [0n, 0n]).output.getBigUint64(0, true);
    machine.call(0x43, [id]);
    expect(entries(machine, gpn)).toEqual([EventLogEntry.CreatePartition, EventLogEntry.DeletePartition]);
    expect(header(machine, gpn, Header.BufferState)).toBe(State.InUse);
  });

  test('a call without the right to it is a failure event', () => {
    const machine = new Machine();
    const [gpn] = logging(machine, SYSTEM, 2n);
    const request = hypercallRequest(machine.child, 0);
    request.controlLow = 0x40;
    machine.booted.dispatcher.dispatch(request);
    expect(request.resultStatus).toBe(HvStatus.ACCESS_DENIED);
    expect(entries(machine, gpn)).toEqual([EventLogEntry.Hypercall]);
  });

  test('a disabled source costs nothing and logs nothing', () => {
    const machine = new Machine();
    const [gpn] = logging(machine, SYSTEM, 2n);
    machine.call(0x40, [0n, 0n]);
    expect(header(machine, gpn, Header.BufferState)).toBe(State.Free);
  });

  test('diagnostics show the exits of a virtual processor', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    const [gpn] = logging(machine, DIAGNOSTICS, 1n << 32n);
    processor.script.push(
      () => 7,
      () => 3,
    );
    machine.scheduler.runSlice(0);
    const types = entries(machine, gpn);
    expect(types).toContain(EventLogEntry.ContextSwitch);
    expect(types).toContain(EventLogEntry.Cpuid);
    expect(types).toContain(EventLogEntry.Halt);
  });

  test('a flush hands the buffer to the root with a message, and release frees it', () => {
    const machine = new Machine();
    const [gpn] = logging(machine, SYSTEM, 1n);
    machine.call(0x40, [0n, 0n]);
    expect(on(machine, Call.Flush, SYSTEM, 0n).status).toBe(HvStatus.SUCCESS);
    machine.scheduler.runSlice(0);
    const message = machine.messages.at(-1)!;
    expect(message.getUint32(0, true)).toBe(MessageType.EventLogBuffersComplete);
    expect([message.getUint32(16, true), message.getUint32(20, true)]).toEqual([0, 0]);
    expect(header(machine, gpn, Header.BufferState)).toBe(State.Ready);
    expect(on(machine, Call.Release, SYSTEM, 0n).status).toBe(HvStatus.SUCCESS);
    expect(header(machine, gpn, Header.BufferState)).toBe(State.Free);
  });

  test('full buffers are completed at the threshold; what finds none is counted as lost', () => {
    const machine = new Machine();
    const gpns = logging(machine, SYSTEM, 1n, 2n);
    for (let count = 0; count < 400; count++) {
      const id = machine.call(0x40, [0n, 0n]).output.getBigUint64(0, true);
      machine.call(0x43, [id]);
    }
    machine.scheduler.runSlice(0);
    expect(gpns.map((gpn) => header(machine, gpn, Header.BufferState))).toEqual([State.Ready, State.Ready]);
    on(machine, Call.Release, SYSTEM, 0n);
    machine.call(0x40, [0n, 0n]);
    expect(header(machine, gpns[0], Header.EventsLost)).toBeGreaterThan(0);
  });

  test('the root can read a mapped buffer but not write it; unmapped it can do neither', () => {
    const machine = new Machine();
    const [gpn] = logging(machine, SYSTEM, 0n);
    const { root } = machine.booted.hypervisor;
    expect(root.translate(gpn, 0) >>> 24).toBe(1);
    expect(on(machine, Call.Unmap, SYSTEM, 0n).status).toBe(HvStatus.SUCCESS);
    expect(root.translate(gpn, 0) >>> 24).toBe(0);
  });

  test('each status row', () => {
    const machine = new Machine();
    for (const code of [
      Call.Finalize,
      Call.Create,
      Call.Delete,
      Call.Map,
      Call.Sources,
      Call.Release,
      Call.Flush,
    ]) {
      expect(on(machine, code, SYSTEM, 0n).status, `${code}`).toBe(HvStatus.OPERATION_DENIED);
      expect(on(machine, code, 2n, 0n).status, `${code}`).toBe(HvStatus.INVALID_PARAMETER);
    }
    expect(on(machine, Call.Unmap, SYSTEM, 0n).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(initialize(machine, 2n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(initialize(machine, SYSTEM, 0n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(initialize(machine, SYSTEM, 513n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(initialize(machine, SYSTEM, 2n, 0n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(initialize(machine, SYSTEM, 2n, 513n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(initialize(machine, SYSTEM, 2n, 1n, 3n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(initialize(machine, SYSTEM, 2n, 1n, 1n, 2n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(initialize(machine, SYSTEM, 2n, 500n)).toBe(HvStatus.SUCCESS);
    expect(initialize(machine, SYSTEM)).toBe(HvStatus.OBJECT_IN_USE);
    expect(on(machine, Call.Create, SYSTEM, 0n).status).toBe(HvStatus.INSUFFICIENT_MEMORY);
    expect(on(machine, Call.Finalize, SYSTEM, 0n).status).toBe(HvStatus.SUCCESS);
    const free = machine.booted.hypervisor.root.pool.free;
    initialize(machine, SYSTEM);
    expect(on(machine, Call.Create, SYSTEM, 2n).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(on(machine, Call.Create, SYSTEM, 1n).status).toBe(HvStatus.SUCCESS);
    expect(on(machine, Call.Create, SYSTEM, 1n).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(on(machine, Call.Unmap, SYSTEM, 1n).status).toBe(HvStatus.ACCESS_DENIED);
    expect(on(machine, Call.Map, SYSTEM, 1n).status).toBe(HvStatus.SUCCESS);
    expect(on(machine, Call.Map, SYSTEM, 1n).status).toBe(HvStatus.OPERATION_DENIED);
    expect(on(machine, Call.Delete, SYSTEM, 1n).status).toBe(HvStatus.OPERATION_DENIED);
    expect(on(machine, Call.Finalize, SYSTEM, 0n).status).toBe(HvStatus.OPERATION_DENIED);
    expect(on(machine, Call.Release, SYSTEM, 1n).status).toBe(HvStatus.OPERATION_DENIED);
    expect(on(machine, Call.Flush, SYSTEM, 1n).status).toBe(HvStatus.OPERATION_DENIED);
    on(machine, Call.Unmap, SYSTEM, 1n);
    expect(on(machine, Call.Delete, SYSTEM, 1n).status).toBe(HvStatus.SUCCESS);
    expect(on(machine, Call.Finalize, SYSTEM, 0n).status).toBe(HvStatus.SUCCESS);
    expect(machine.booted.hypervisor.root.pool.free).toBe(free);
  });
});
