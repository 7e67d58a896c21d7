import { describe, expect, test } from 'vitest';
import { Access } from '../../cpu/processor.ts';
import { AccessGpaResult, TranslateGvaFlag, TranslateGvaResult } from '../../hvdef/intercepts.ts';
import { RegisterName } from '../../hvdef/registers.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { CHILD_MEMORY_PAGE, Machine } from '../virtual-processor-fixture.ts';

const NOBODY = 999n;
const ROOT = 1n;

describe('HvCreateVp and HvDeleteVp', () => {
  test('a new VP is suspended, with its pages drawn from its partition’s pool', () => {
    const machine = new Machine();
    const { free } = machine.child.pool;
    expect(machine.call(0x004e, [machine.childId, 0n, 0n, 0n]).status).toBe(HvStatus.SUCCESS);
    expect(machine.getRegister(0, RegisterName.ExplicitSuspend).low).toBe(1n);
    expect(machine.child.pool.free).toBeLessThan(free);
    expect(machine.scheduler.runSlice(0).ran).toBe(false);
  });

  test('deleting gives the VP’s pages back', () => {
    const machine = new Machine();
    machine.start(0);
    const { free } = machine.child.pool;
    machine.start(1);
    expect(machine.call(0x004f, [machine.childId, 1n]).status).toBe(HvStatus.SUCCESS);
    expect(machine.child.pool.free).toBe(free);
    expect(machine.call(0x004f, [machine.childId, 1n]).status).toBe(HvStatus.INVALID_VP_INDEX);
  });

  test('a pool that is too small refuses and keeps every page but the partition’s own', () => {
    const machine = new Machine({ depositPages: 5 });
    expect(machine.call(0x004e, [machine.childId, 0n, 0n, 0n]).status).toBe(HvStatus.INSUFFICIENT_MEMORY);
    const { free } = machine.child.pool;
    expect(machine.call(0x004e, [machine.childId, 0n, 0n, 0n]).status).toBe(HvStatus.INSUFFICIENT_MEMORY);
    expect(machine.child.pool.free).toBe(free);
    machine.deposit(machine.childId, 200, 8);
    expect(machine.call(0x004e, [machine.childId, 0n, 0n, 0n]).status).toBe(HvStatus.SUCCESS);
  });

  test.each<[string, (child: bigint) => bigint[], number]>([
    ['an unknown partition', () => [NOBODY, 0n, 0n, 0n], HvStatus.INVALID_PARTITION_ID],
    ['the caller itself', () => [ROOT, 0n, 0n, 0n], HvStatus.ACCESS_DENIED],
    ['an index beyond the limit', (child) => [child, 64n, 0n, 0n], HvStatus.INVALID_VP_INDEX],
    ['flags', (child) => [child, 0n, 0n, 1n], HvStatus.INVALID_PARAMETER],
    ['another NUMA node', (child) => [child, 0n, (0x8000_0000n << 32n) | 3n, 0n], HvStatus.INVALID_PARAMETER],
  ])('%s is refused', (_label, words, status) => {
    const machine = new Machine();
    expect(machine.call(0x004e, words(machine.childId)).status).toBe(status);
  });

  test('an index in use is refused', () => {
    const machine = new Machine();
    machine.start(0);
    expect(machine.call(0x004e, [machine.childId, 0n, 0n, 0n]).status).toBe(HvStatus.INVALID_VP_INDEX);
  });
});

describe('HvCallStartVirtualProcessor', () => {
  test('a VP that waits for SIPI starts with the context it is given, once', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start(1);
    const context = new Array<bigint>(28).fill(0n);
    context[0] = 0xffff_8000_0000_1000n;
    context[2] = 2n;
    context[4] = 0xffff_ffffn | (0x10n << 32n) | (0xa09bn << 48n);
    context[23] = 0xd00n;
    context[24] = 0x8000_0011n;
    context[26] = 0x20n;
    const words = [machine.childId, 1n, ...context];
    expect(machine.call(0x0099, words).status).toBe(HvStatus.SUCCESS);
    expect(vp.activity).toBe('active');
    expect(processor.getRip()).toBe(0xffff_8000_0000_1000n);
    expect(processor.getSegment(1)).toMatchObject({ selector: 0x10, attributes: 0xa09b });
    expect(machine.call(0x0099, words).status).toBe(HvStatus.INVALID_VP_STATE);
  });
});

describe('HvTranslateVirtualAddress', () => {
  const translate = (machine: Machine, flags: number) =>
    machine.call(0x0052, [machine.childId, 0n, BigInt(flags), 0x1234n]);

  test('a mapped page is a success with its GPA page', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    machine.map(0x40, CHILD_MEMORY_PAGE, 1, Access.Read);
    processor.translation = { kind: 'ok', gpa: 0x4_0000 };
    const { output, status } = translate(machine, TranslateGvaFlag.ValidateRead);
    expect(status).toBe(HvStatus.SUCCESS);
    expect(output.getUint32(0, true)).toBe(TranslateGvaResult.Success);
    expect(output.getUint32(4, true)).toBe(6);
    expect(output.getBigUint64(8, true)).toBe(0x40n);
    const denied = translate(machine, TranslateGvaFlag.ValidateWrite);
    expect(denied.output.getUint32(0, true)).toBe(TranslateGvaResult.GpaNoWriteAccess);
  });

  test('the walk’s failures have their own codes', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    const code = () => translate(machine, TranslateGvaFlag.ValidateRead).output.getUint32(0, true);
    processor.translation = { kind: 'not-present' };
    expect(code()).toBe(TranslateGvaResult.PageNotPresent);
    processor.translation = { kind: 'privilege-violation' };
    expect(code()).toBe(TranslateGvaResult.PrivilegeViolation);
    processor.translation = { kind: 'gpa-unmapped', gpa: 0x9000 };
    expect(code()).toBe(TranslateGvaResult.GpaUnmapped);
    processor.translation = { kind: 'ok', gpa: 0xfee0_0000 };
    expect(translate(machine, TranslateGvaFlag.ValidateRead).output.getUint32(4, true)).toBe(0x106);
  });

  test('no access kind, or a reserved flag, is an invalid parameter', () => {
    const machine = new Machine();
    machine.start();
    expect(translate(machine, TranslateGvaFlag.PrivilegeExempt).status).toBe(HvStatus.INVALID_PARAMETER);
    expect(translate(machine, 0x41).status).toBe(HvStatus.INVALID_PARAMETER);
  });

  test('the TLB lock holds until the parent clears it', () => {
    const machine = new Machine();
    const { vp, processor } = machine.start();
    machine.map(0x40, CHILD_MEMORY_PAGE, 1, Access.Read);
    processor.translation = { kind: 'ok', gpa: 0x4_0000 };
    translate(machine, TranslateGvaFlag.ValidateRead | TranslateGvaFlag.TlbFlushInhibit);
    expect(vp.tlbFlushInhibited).toBe(true);
    machine.setRegisters(0, [[RegisterName.InterceptSuspend, 0n]]);
    expect(vp.tlbFlushInhibited).toBe(false);
  });
});

describe('HvReadGpa and HvWriteGpa', () => {
  const WRITE_BACK = 6n;
  const vpAndCount = (count: number) => BigInt(count) << 32n;
  const read = (machine: Machine, gpa: number, count: number) =>
    machine.call(0x0053, [machine.childId, vpAndCount(count), BigInt(gpa), WRITE_BACK]);
  const write = (machine: Machine, gpa: number, count: number, low: bigint, high = 0n) =>
    machine.call(0x0054, [machine.childId, vpAndCount(count), BigInt(gpa), WRITE_BACK, low, high]);

  test('what is written is read back, and no more', () => {
    const machine = new Machine();
    machine.start();
    machine.map(0x40, CHILD_MEMORY_PAGE, 1, Access.Read | Access.Write);
    expect(write(machine, 0x4_0ff0, 11, 0x8877_6655_4433_2211n, 0xffff_ffff_ffcc_bbaan).status).toBe(0);
    const { output } = read(machine, 0x4_0ff0, 16);
    expect(output.getUint32(0, true)).toBe(AccessGpaResult.Success);
    expect(output.getBigUint64(8, true)).toBe(0x8877_6655_4433_2211n);
    expect(output.getBigUint64(16, true)).toBe(0xcc_bbaan);
  });

  test('unmapped pages and missing rights are results, not statuses', () => {
    const machine = new Machine();
    machine.start();
    expect(read(machine, 0x5_0000, 4).output.getUint32(0, true)).toBe(AccessGpaResult.Unmapped);
    machine.map(0x50, CHILD_MEMORY_PAGE, 1, Access.Read);
    expect(write(machine, 0x5_0000, 4, 1n).output.getUint32(0, true)).toBe(AccessGpaResult.WriteIntercept);
  });

  test('the local APIC page is reached with its side effects', () => {
    const machine = new Machine();
    const { vp } = machine.start();
    expect(read(machine, 0xfee0_0030, 4).output.getUint32(8, true)).toBe(0x5_0014);
    write(machine, 0xfee0_00f0, 4, 0x1ffn);
    expect(vp.localApic.spurious).toBe(0x1ff);
  });

  test.each([
    ['no bytes', 0x4_0000, 0],
    ['more than sixteen', 0x4_0000, 17],
    ['a page crossing', 0x4_0ff8, 9],
    ['an address beyond the GPA space', 2 ** 40, 4],
  ])('%s is an invalid parameter', (_label, gpa, count) => {
    const machine = new Machine();
    machine.start();
    expect(read(machine, gpa, count).status).toBe(HvStatus.INVALID_PARAMETER);
  });
});

describe('HvInstallIntercept', () => {
  const install = (machine: Machine, type: number, access: number, parameter = 0n) =>
    machine.call(0x004d, [machine.childId, BigInt(access) | (BigInt(type) << 32n), parameter]).status;

  test.each<[string, number, number, bigint]>([
    ['a type that does not exist', 4, 3, 0n],
    ['reading only, where both directions are asked for', 0, 1, 0x3f8n],
    ['writing a CPUID leaf', 2, 2, 1n],
    ['a port beyond 65535', 0, 3, 0x1_0000n],
    ['an exception beyond 31', 3, 4, 32n],
    ['a parameter for MSRs', 1, 3, 1n],
  ])('%s is an invalid parameter', (_label, type, access, parameter) => {
    const machine = new Machine();
    expect(install(machine, type, access, parameter)).toBe(HvStatus.INVALID_PARAMETER);
  });

  test('a CPUID intercept needs a page of the pool', () => {
    const machine = new Machine();
    while (machine.child.pool.draw('test') >= 0);
    expect(install(machine, 2, 4, 1n)).toBe(HvStatus.INSUFFICIENT_MEMORY);
    machine.deposit(machine.childId, 200, 1);
    expect(install(machine, 2, 4, 1n)).toBe(HvStatus.SUCCESS);
    expect(install(machine, 2, 0, 1n)).toBe(HvStatus.SUCCESS);
    expect(machine.child.pool.free).toBe(1);
  });
});
