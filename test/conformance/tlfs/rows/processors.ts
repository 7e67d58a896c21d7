/** Claims about chapters 9, 10, 12 and 13: intercepts, virtual processors, their MMU and their interrupts. */
import { HypercallCode as C } from '../../../../src/hvdef/hypercalls.ts';
import { CacheType } from '../../../../src/hvdef/messages.ts';
import { PartitionProperty as P } from '../../../../src/hvdef/partition-property.ts';
import { RegisterName } from '../../../../src/hvdef/registers.ts';
import { InterruptType } from '../../../../src/hvdef/synic.ts';
import { GPA_PAGE_LIMIT } from '../../../../src/hvdef/types.ts';
import { type ImpossibleRow, type RowClaim, rowsOf } from '../claims.ts';
import { type Answer, must, PAGE, setRegisters } from '../fed-guest.ts';
import type { Scene } from '../scene.ts';
import { wrongPartition, wrongProcessor, wrongTarget } from './common-mistakes.ts';
import { BAD_PROXIMITY } from './partitions.ts';

const FAST = { fast: true };
const ONE = { reps: 1 };
const CPUID = 2n << 32n;
const EXECUTE = 4n;
const NO_REGISTER = 0xffff_0000;
const BAD_CR3 = 1n << 63n;
/** HvReadGpa of 8 bytes at `gpa`. */
const bytes = (count: number) => BigInt(count) << 32n;

/** HvCreateVp until the machine has no more processors; on a scene of its own. */
function exhaustProcessors(s: Scene): Answer {
  const child = s.child(512);
  for (let index = 0; index < 64; index++) {
    const answer = s.parent.call(C.CreateVp, [child, index, 0, 0]);
    if (answer.status !== 0) return answer;
  }
  throw new Error('the machine never ran out of processors');
}

/** A running child that has acknowledged an external interrupt. */
function acknowledge(s: Scene): bigint {
  const child = s.guest('interrupted', s.parent, { depositPages: 24 });
  setRegisters(s.parent, child.id, 0, [{ name: RegisterName.Rflags, low: 0x202n, high: 0n }]);
  must(s.parent, C.AssertVirtualInterrupt, [child.id, InterruptType.ExtInt, 0, 0x41]);
  child.vp.run(100);
  return child.id;
}

export const processorRows: RowClaim[] = [
  ...rowsOf('InstallIntercept', (row) => [
    ...wrongTarget(row, 'InstallIntercept', (id) => [id, 3, 0x80]),
    row('INVALID_PARAMETER', 'there is no such intercept type', (s) =>
      s.parent.call(C.InstallIntercept, [s.child(), 3n | (9n << 32n), 0])),
    row('INVALID_PARAMETER', 'a port is intercepted for execution', (s) =>
      s.parent.call(C.InstallIntercept, [s.child(), EXECUTE, 0x80])),
    row('INVALID_PARAMETER', 'the port number has 17 bits', (s) =>
      s.parent.call(C.InstallIntercept, [s.child(), 3, 0x1_0000])),
    row('INSUFFICIENT_MEMORY', "the child's pool has no page for the CPUID leaves", (s) =>
      s.parent.call(C.InstallIntercept, [s.child(1), EXECUTE | CPUID, 1])),
  ]),
  ...rowsOf('CreateVp', (row) => [
    ...wrongTarget(row, 'CreateVp', (id) => [id, 0, 0, 0]),
    row('OPERATION_DENIED', 'the reserves would exceed the logical processors', (s) => {
      const child = s.child();
      must(s.parent, C.SetPartitionProperty, [child, P.CpuReserve, 0xffff]);
      for (let index = 0; index < 64; index++) {
        const answer = s.parent.call(C.CreateVp, [child, index, 0, 0]);
        if (answer.status !== 0) return answer;
      }
      throw new Error('64 full reserves were granted');
    }),
    row('INVALID_VP_INDEX', 'the processor exists already', (s) =>
      s.parent.call(C.CreateVp, [s.childWithVp(), 0, 0, 0])),
    row('INVALID_VP_INDEX', 'the index is beyond the maximum', (s) =>
      s.parent.call(C.CreateVp, [s.child(), 0x1_0000, 0, 0])),
    row('INVALID_PARAMETER', 'the flags are not zero', (s) => s.parent.call(C.CreateVp, [s.child(), 0, 0, 1])),
    row('INVALID_PARAMETER', 'the proximity information has an undefined bit', (s) =>
      s.parent.call(C.CreateVp, [s.child(), 0, BAD_PROXIMITY, 0])),
    row('INSUFFICIENT_MEMORY', "the child's pool is empty", (s) => s.parent.call(C.CreateVp, [s.child(1), 0, 0, 0])),
    row('NO_RESOURCES', 'the machine has no processor left', exhaustProcessors),
  ]),
  ...rowsOf('DeleteVp', (row) => wrongProcessor(row, 'DeleteVp', (id) => [id, 0], FAST)),
  ...rowsOf('GetVpRegisters', (row) => [
    ...wrongProcessor(row, 'GetVpRegisters', (id) => [id, 0, RegisterName.Rax], ONE),
    row('INVALID_PARAMETER', 'there is no such register', (s) =>
      s.parent.call(C.GetVpRegisters, [s.childWithVp(), 0, NO_REGISTER], ONE)),
  ]),
  ...rowsOf('SetVpRegisters', (row) => [
    ...wrongProcessor(row, 'SetVpRegisters', (id) => [id, 0, RegisterName.Rax, 0, 1, 0], ONE),
    row('INVALID_PARAMETER', 'there is no such register', (s) =>
      s.parent.call(C.SetVpRegisters, [s.childWithVp(), 0, NO_REGISTER, 0, 1, 0], ONE)),
    row('INVALID_PARAMETER', 'the register is read-only', (s) =>
      s.parent.call(C.SetVpRegisters, [s.childWithVp(), 0, RegisterName.Sversion, 0, 1, 0], ONE)),
    row('INVALID_PARAMETER', 'a reserved bit of the value is set', (s) =>
      s.parent.call(C.SetVpRegisters, [s.childWithVp(), 0, RegisterName.Cr3, 0, BAD_CR3, 0], ONE)),
  ]),
  ...rowsOf('SwitchVirtualAddressSpace', (row) => [
    row('INVALID_PARAMETER', 'reserved bits of CR3 are set', (s) =>
      s.parent.call(C.SwitchVirtualAddressSpace, [BAD_CR3], FAST)),
  ]),
  ...rowsOf('FlushVirtualAddressSpace', (row) => [
    row('INVALID_PARAMETER', 'reserved bits of the address space are set', (s) =>
      s.parent.call(C.FlushVirtualAddressSpace, [BAD_CR3, 0, 1])),
    row('INVALID_PARAMETER', 'the flags have an undefined bit', (s) =>
      s.parent.call(C.FlushVirtualAddressSpace, [0, 1n << 40n, 1])),
    row('INVALID_PARAMETER', 'no processor is named', (s) => s.parent.call(C.FlushVirtualAddressSpace, [0, 0, 0])),
  ]),
  ...rowsOf('FlushVirtualAddressList', (row) => [
    row('INVALID_PARAMETER', 'reserved bits of the address space are set', (s) =>
      s.parent.call(C.FlushVirtualAddressList, [BAD_CR3, 0, 1, 0x1000], ONE)),
    row('INVALID_PARAMETER', 'the flags have an undefined bit', (s) =>
      s.parent.call(C.FlushVirtualAddressList, [0, 1n << 40n, 1, 0x1000], ONE)),
    row('INVALID_PARAMETER', 'no processor is named', (s) =>
      s.parent.call(C.FlushVirtualAddressList, [0, 0, 0, 0x1000], ONE)),
  ]),
  ...rowsOf('TranslateVirtualAddress', (row) => [
    ...wrongProcessor(row, 'TranslateVirtualAddress', (id) => [id, 0, 1, 0]),
    row('INVALID_PARAMETER', 'nothing is to be validated', (s) =>
      s.parent.call(C.TranslateVirtualAddress, [s.childWithVp(), 0, 0, 0])),
    row('INVALID_PARAMETER', 'the flags have an undefined bit', (s) =>
      s.parent.call(C.TranslateVirtualAddress, [s.childWithVp(), 0, 1n | (1n << 40n), 0])),
  ]),
  ...(['ReadGpa', 'WriteGpa'] as const).flatMap((name) =>
    rowsOf(name, (row) => [
      ...wrongProcessor(row, name, (id) => [id, bytes(8), 0, CacheType.WriteBack, 0, 0]),
      row('INVALID_PARAMETER', 'the byte count is 0', (s) =>
        s.parent.call(C[name], [s.childWithVp(), bytes(0), 0, CacheType.WriteBack, 0, 0])),
      row('INVALID_PARAMETER', 'the byte count is 17', (s) =>
        s.parent.call(C[name], [s.childWithVp(), bytes(17), 0, CacheType.WriteBack, 0, 0])),
      row('INVALID_PARAMETER', 'the access crosses a page boundary', (s) =>
        s.parent.call(C[name], [s.childWithVp(), bytes(8), PAGE - 4, CacheType.WriteBack, 0, 0])),
      row('INVALID_PARAMETER', 'the address is beyond the GPA space', (s) =>
        s.parent.call(C[name], [s.childWithVp(), bytes(8), GPA_PAGE_LIMIT * PAGE, CacheType.WriteBack, 0, 0])),
      row('INVALID_PARAMETER', 'there is no such cache type', (s) =>
        s.parent.call(C[name], [s.childWithVp(), bytes(8), 0, 3, 0, 0])),
      row('INVALID_PARAMETER', 'the flags have an undefined bit', (s) =>
        s.parent.call(C[name], [s.childWithVp(), bytes(8), 0, 0x100 | CacheType.WriteBack, 0, 0])),
    ]),
  ),
  ...rowsOf('AssertVirtualInterrupt', (row) => [
    ...wrongTarget(row, 'AssertVirtualInterrupt', (id) => [id, InterruptType.Fixed, 0, 0x40]),
    row('INVALID_VP_INDEX', 'no processor is at the destination', (s) =>
      s.parent.call(C.AssertVirtualInterrupt, [s.childWithVp(), InterruptType.Fixed, 77, 0x40])),
    row('INVALID_PARAMETER', 'there is no such interrupt type', (s) =>
      s.parent.call(C.AssertVirtualInterrupt, [s.childWithVp(), 3, 0, 0x40])),
    row('INVALID_PARAMETER', 'the vector has nine bits', (s) =>
      s.parent.call(C.AssertVirtualInterrupt, [s.childWithVp(), InterruptType.Fixed, 0, 0x100])),
    row('INVALID_PARAMETER', 'an NMI has a vector', (s) =>
      s.parent.call(C.AssertVirtualInterrupt, [s.childWithVp(), InterruptType.Nmi, 0, 0x40])),
    row('ACKNOWLEDGED', 'the child acknowledged the last external interrupt and nobody cleared it', (s) =>
      s.parent.call(C.AssertVirtualInterrupt, [acknowledge(s), InterruptType.ExtInt, 0, 0x42])),
  ]),
  ...rowsOf('ClearVirtualInterrupt', (row) => [
    ...wrongPartition(row, 'ClearVirtualInterrupt', (id) => [id], FAST),
    row('INVALID_PARTITION_STATE', 'the child was never initialized', (s) =>
      s.parent.call(C.ClearVirtualInterrupt, [s.child(0)], FAST)),
    row('NOT_ACKNOWLEDGED', 'no external interrupt was asserted', (s) =>
      s.parent.call(C.ClearVirtualInterrupt, [s.childWithVp()], FAST)),
  ]),
]; // biome-ignore format: a table

export const impossibleProcessorRows: ImpossibleRow[] = [];
