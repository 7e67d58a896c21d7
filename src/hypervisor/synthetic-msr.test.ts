import { describe, expect, test } from 'vitest';
import { SYNTHETIC_MSRS, SyntheticMsr, syntheticMsr } from '../hvdef/msr.ts';
import { Privilege } from '../hvdef/privileges.ts';
import { CrashRegisters, type GuestCrash } from './crash-registers.ts';
import { HypercallPage } from './hypercall-page.ts';
import { hypervisorCpuid } from './hypervisor-cpuid.ts';
import { LocalApic } from './local-apic.ts';
import type { VirtualProcessorCore } from './partition.ts';
import { ReferenceTime } from './reference-time.ts';
import { ReferenceTscPage } from './reference-tsc-page.ts';
import { StatsRegisters } from './stats-registers.ts';
import { apicHost, FakePool, readySynic } from './synic-fixture.ts';
import { SyntheticMsrs } from './synthetic-msr.ts';
import { SyntheticTimers } from './synthetic-timer.ts';
import { VpAssistPage } from './vp-assist-page.ts';

/** A VP whose machine shows no statistics. */
const statelessProcessor = {
  partition: { machine: { statistics: { show: () => {}, hide: () => {} } } },
} as unknown as VirtualProcessorCore;

function setup(privileges = 0xffff_ffff_ffff_ffffn) {
  const pool = new FakePool();
  const log: string[] = [];
  const crashes: GuestCrash[] = [];
  const apic = new LocalApic(apicHost(log), { apicId: 0, vpIndex: 0 });
  apic.writeSpurious(0x1ff);
  const msrs = new SyntheticMsrs({
    vpIndex: 3,
    hasPrivilege: (privilege) => ((privileges >> BigInt(privilege)) & 1n) === 1n,
    time: new ReferenceTime(() => 0),
    hypercallPage: HypercallPage.create(pool, 'intel')!,
    referenceTscPage: ReferenceTscPage.create(pool)!,
    crash: new CrashRegisters((crash) => crashes.push(crash)),
    apic,
    assistPage: VpAssistPage.create(pool)!,
    synic: readySynic(pool).synic,
    timers: new SyntheticTimers({
      referenceCount: () => 0,
      postTimer: () => true,
      requestInterrupt: () => {},
      deadlineChanged: () => {},
    }),
    statistics: new StatsRegisters(statelessProcessor),
    runTime: () => 5_000_000_000,
    systemReset: () => log.push('reset'),
    guestIdle: () => log.push('idle'),
    written: (_msr, name, low, _high, accepted) => log.push(`${name} ${low} ${accepted}`),
  });
  return { pool, log, crashes, apic, msrs };
}

describe('the table', () => {
  test('has each number once, in the synthetic range', () => {
    const numbers = SYNTHETIC_MSRS.map((row) => row.msr);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.every((msr) => msr >= 0x4000_0000 && msr < 0x4000_0200)).toBe(true);
  });

  test('every row answers reads and writes as its access says', () => {
    for (const row of SYNTHETIC_MSRS) {
      const { msrs } = setup();
      expect(msrs.read(row.msr), row.name).toBe(row.access !== 'write');
      const value = row.name.includes('SINT') ? 0x55 : 0;
      expect(msrs.write(row.msr, value, 0), row.name).toBe(row.access !== 'read');
    }
  });

  test('without its privilege an MSR is not handled', () => {
    const { msrs } = setup(0n);
    for (const row of SYNTHETIC_MSRS)
      expect(msrs.handles(row.msr), row.name).toBe(row.privilege === undefined);
    expect(msrs.handles(0x4000_0111)).toBe(false);
    expect(syntheticMsr(SyntheticMsr.Sint0 + 7)?.name).toBe('HV_X64_MSR_SINT7');
  });
});

describe('values', () => {
  test('index, frequencies and run time', () => {
    const { msrs } = setup();
    expect(msrs.readBig(SyntheticMsr.VpIndex)).toBe(3n);
    expect(msrs.readBig(SyntheticMsr.TscFrequency)).toBe(1_000_000_000n);
    expect(msrs.readBig(SyntheticMsr.ApicFrequency)).toBe(200_000_000n);
    expect(msrs.readBig(SyntheticMsr.VpRuntime)).toBe(5_000_000_000n);
  });

  test('guest OS id opens the hypercall page', () => {
    const { msrs, pool } = setup();
    msrs.writeBig(SyntheticMsr.GuestOsId, 0x8100_0006_0100_0000n);
    expect(msrs.readBig(SyntheticMsr.GuestOsId)).toBe(0x8100_0006_0100_0000n);
    msrs.writeBig(SyntheticMsr.Hypercall, 0x5001n);
    expect(pool.placed.get('hypercall-page')).toBe(5);
  });

  test('the APIC shortcuts reach the APIC', () => {
    const { msrs, apic, log } = setup();
    msrs.write(SyntheticMsr.Tpr, 0x20, 0);
    expect(apic.taskPriority).toBe(0x20);
    msrs.write(SyntheticMsr.Icr, 0x4040, 0x0200_0000);
    expect(msrs.readBig(SyntheticMsr.Icr)).toBe(0x0200_0000_0000_4040n);
    expect(log).toContain('ipi 0 64 2');
    expect(msrs.read(SyntheticMsr.Eoi)).toBe(false);
    apic.setTaskPriority(0);
    apic.requestInterrupt(0x50, false, false);
    apic.acceptInterrupt();
    msrs.write(SyntheticMsr.Eoi, 0, 0);
    expect(apic.isr.highest()).toBe(-1);
  });

  test('reset and idle are callbacks', () => {
    const { msrs, log } = setup();
    msrs.write(SyntheticMsr.Reset, 0, 0);
    msrs.write(SyntheticMsr.Reset, 1, 0);
    msrs.read(SyntheticMsr.GuestIdle);
    expect(log.filter((entry) => entry === 'reset' || entry === 'idle')).toEqual(['reset', 'idle']);
  });

  test('writes to the reference counter fault and are reported as refused', () => {
    const { msrs, log } = setup();
    expect(msrs.write(SyntheticMsr.TimeRefCount, 1, 0)).toBe(false);
    expect(log).toEqual(['HV_X64_MSR_TIME_REF_COUNT 1 false']);
  });
});

describe('crash', () => {
  test('control says what is supported', () => {
    expect(setup().msrs.readBig(SyntheticMsr.CrashCtl)).toBe(3n << 62n);
  });

  test("Linux's report carries the place and length of the panic text", () => {
    const { msrs, crashes } = setup();
    msrs.writeBig(SyntheticMsr.CrashP0 + 3, 0x1_2345_6000n);
    msrs.writeBig(SyntheticMsr.CrashP0 + 4, 1234n);
    msrs.writeBig(SyntheticMsr.CrashCtl, 3n << 62n);
    expect(crashes).toEqual([
      { parameters: [0n, 0n, 0n, 0x1_2345_6000n, 1234n], message: { gpa: 0x1_2345_6000, length: 1234 } },
    ]);
  });

  test('a report without a message has none, and without notify there is no report', () => {
    const { msrs, crashes } = setup();
    msrs.writeBig(SyntheticMsr.CrashP0, 7n);
    msrs.writeBig(SyntheticMsr.CrashCtl, 1n << 62n);
    expect(crashes).toEqual([]);
    msrs.writeBig(SyntheticMsr.CrashCtl, 1n << 63n);
    expect(crashes).toEqual([{ parameters: [7n, 0n, 0n, 0n, 0n], message: undefined }]);
  });
});

describe('CPUID', () => {
  const context = { privileges: 0xff00_0000_0aa6n, guestIdentified: false, maximumVps: 64 };
  const text = (...words: number[]) => Buffer.from(new Uint32Array(words).buffer).toString('latin1');

  test('says Microsoft Hv and Hv#1', () => {
    const first = hypervisorCpuid(0x4000_0000, context);
    expect(text(first.ebx, first.ecx, first.edx)).toBe('Microsoft Hv');
    expect(first.eax).toBeGreaterThanOrEqual(0x4000_0005);
    expect(text(hypervisorCpuid(0x4000_0001, context).eax)).toBe('Hv#1');
  });

  test('features are the privilege mask', () => {
    const leaf = hypervisorCpuid(0x4000_0003, context);
    expect([leaf.eax, leaf.ebx]).toEqual([0x0aa6, 0xff00]);
  });

  test('offers what Linux asks for, and nothing that moves it off the TSC page', () => {
    const privileges = [
      Privilege.AccessPartitionReferenceTsc,
      Privilege.AccessFrequencyMsrs,
      Privilege.AccessSyntheticTimerMsrs,
      Privilege.AccessApicMsrs,
    ].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
    const { eax, edx } = hypervisorCpuid(0x4000_0003, { ...context, privileges });
    for (const bit of [8, 10, 19]) expect((edx >>> bit) & 1).toBe(1);
    for (const bit of [9, 11]) expect((eax >>> bit) & 1).toBe(1);
    for (const bit of [13, 15]) expect((eax >>> bit) & 1).toBe(0);
    const hints = hypervisorCpuid(0x4000_0004, { ...context, privileges }).eax;
    for (const bit of [2, 3, 5, 10]) expect((hints >>> bit) & 1).toBe(1);
    for (const bit of [0, 1, 12, 14]) expect((hints >>> bit) & 1).toBe(0);
    expect(hypervisorCpuid(0x4000_000a, context).eax).toBe(0);
  });

  test('the version stays zero until the guest has identified itself', () => {
    expect(hypervisorCpuid(0x4000_0002, context).eax).toBe(0);
    expect(hypervisorCpuid(0x4000_0002, { ...context, guestIdentified: true }).eax).not.toBe(0);
  });

  test('leaves above the maximum are zero', () => {
    expect(hypervisorCpuid(0x4000_000b, context)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
  });
});
