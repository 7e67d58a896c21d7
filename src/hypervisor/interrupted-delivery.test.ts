/** Events whose own delivery meets a page that can't be accessed (TLFS 2.0a §9, §10.3.4, §16.3). */
import { expect, test } from 'vitest';
import { Exit } from '../cpu/processor.ts';
import { ExecutionState, InterceptHeader, MemoryMessage, MessageType } from '../hvdef/messages.ts';
import { RegisterName as R } from '../hvdef/registers.ts';
import { Machine } from './virtual-processor-fixture.ts';

const UNMAPPED_GPN = 0x77;
const failure = { exit: Exit.Memory, external: true, vector: 0x41, errorCode: undefined };

test('the access is intercepted, the interruption shown as pending and delivered again on resumption', () => {
  const machine = new Machine();
  const { vp, processor } = machine.start();
  vp.localApic.writeSpurious(0x1ff);
  processor.setRflags(0x202n);
  Object.assign(processor.memoryExit, { gpa: UNMAPPED_GPN * 4096 + 8, gva: 0x8n, gvaValid: true, access: 2 });
  processor.failedDelivery = failure;
  vp.localApic.requestInterrupt(0x41, false, false);
  machine.scheduler.runSlice(0);

  const message = machine.messages.at(-1)!;
  expect(message.getUint32(0, true)).toBe(MessageType.UnmappedGpa);
  expect(Number(message.getBigUint64(MemoryMessage.Gpa, true))).toBe(UNMAPPED_GPN * 4096 + 8);
  expect(
    message.getUint16(InterceptHeader.ExecutionState, true) & ExecutionState.InterruptionPending,
  ).not.toBe(0);
  expect(message.getUint8(MemoryMessage.InstructionByteCount)).toBe(0);
  expect(machine.getRegister(0, R.PendingInterruption).low).toBe(0x41_0001n);
  expect(processor.injected).toHaveLength(1);

  machine.setRegisters(0, [[R.InterceptSuspend, 0n]]);
  machine.scheduler.runSlice(0);
  expect(processor.injected).toEqual([
    { kind: 'interrupt', vector: 0x41 },
    { kind: 'interrupt', vector: 0x41 },
  ]);
  expect(machine.getRegister(0, R.PendingInterruption).low).toBe(0n);
});

test('a shutdown while delivering is an unrecoverable exception', () => {
  const machine = new Machine();
  const { vp, processor } = machine.start();
  processor.failedDelivery = { ...failure, exit: Exit.TripleFault };
  vp.requestNmi();
  machine.scheduler.runSlice(0);
  expect(machine.messages.at(-1)!.getUint32(0, true)).toBe(MessageType.UnrecoverableException);
});

test('a parked logical processor runs nobody; when all are parked, number 0 does', () => {
  const machine = new Machine({ logicalProcessors: 2 });
  machine.start();
  const { logicalProcessors } = machine.booted.hypervisor;
  const switches = () => logicalProcessors.all.map((each) => each.contextSwitches);
  machine.call(0x09, [1n]);
  machine.scheduler.runSlice(0);
  expect(switches()).toEqual([0, 1]);
  machine.call(0x09, [3n]);
  machine.scheduler.runSlice(0);
  expect(switches()).toEqual([1, 1]);
});
