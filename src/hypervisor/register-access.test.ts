import { describe, expect, test } from 'vitest';
import { RegisterName as R } from '../hvdef/registers.ts';
import { HvStatus } from '../hvdef/status.ts';
import { Machine } from './virtual-processor-fixture.ts';

const DATA = 0xc093n << 32n;
const SELECTOR = 0x10n << 48n;

/** A value that every writable register accepts and answers again. */
const ROUND_TRIPS: [name: string, register: number, low: bigint, high?: bigint][] = [
  ['RAX', R.Rax, 0xffff_ffff_ffff_ffffn],
  ['R15', R.R15, 15n],
  ['RIP', R.Rip, 0xffff_8000_0000_0000n],
  ['RFLAGS', R.Rflags, 0x246n],
  ['XMM3', R.Xmm0 + 3, 0x1111n, 0x2222n],
  ['ST7', R.FpMmx0 + 7, 0x8000_0000_0000_0000n, 0x3fffn],
  ['FP control', R.FpControlStatus, 0x037fn, 0x5000n],
  ['XMM control', R.XmmControlStatus, 0x1234n, 0x1f80n],
  ['CR0', R.Cr0, 0x8005_0033n],
  ['CR2', R.Cr2, 0xffff_ffff_ffff_f000n],
  ['CR3', R.Cr3, 0x12_3000n],
  ['CR4', R.Cr4, 0x6f0n],
  ['CR8', R.Cr8, 0xfn],
  ['XFEM', R.Xfem, 3n],
  ['DR3', R.Dr3, 0x4000n],
  ['DR7', R.Dr7, 0x400n],
  ['DS', R.Ds, 0x1000n, 0xffff_ffffn | DATA | SELECTOR],
  ['TR', R.Tr, 0x1000n, 0x67n | (0x8bn << 32n) | SELECTOR],
  ['GDTR', R.Gdtr, 0x7fn << 48n, 0xffff_8000_0000_1000n],
  ['LSTAR', R.Lstar, 0xffff_8000_0000_1000n],
  ['PAT', R.Pat, 0x0007_0406_0007_0406n],
  ['initial APIC id', R.InitialApicId, 9n],
  ['MTRR default type', R.MtrrDefType, 0xc06n],
  ['MTRR base 7', R.MtrrPhysBase0 + 7, 0xc000_0000n],
  ['MTRR mask 7', R.MtrrPhysMask0 + 7, 0xf_c000_0800n],
  ['MTRR fixed F8000', R.MtrrFix4kC0000 + 7, 0x0505_0505_0505_0505n],
  ['APIC base', R.ApicBase, 0xfee0_0d00n],
  ['guest OS id', R.GuestOsId, 0x8100_0000_0000_0000n],
  ['TPR', R.Tpr, 0x20n],
  ['SINT2', R.Sint0 + 2, 0x2_0050n],
  ['SCONTROL', R.Scontrol, 1n],
  ['SIMP', R.Simp, 0x9001n],
  ['STIMER1 count', R.Stimer0Count + 2, 1000n],
  ['interrupt state', R.InterruptState, 3n],
  ['pending interruption', R.PendingInterruption, 1n | (3n << 1n) | (6n << 16n)],
];

describe('register hypercalls', () => {
  test.each(ROUND_TRIPS)('%s reads as it was written', (_label, name, low, high = 0n) => {
    const machine = new Machine();
    machine.start();
    expect(machine.setRegisters(0, [[name, low, high]]).status).toBe(HvStatus.SUCCESS);
    expect(machine.getRegister(0, name)).toEqual({ status: HvStatus.SUCCESS, low, high });
  });

  test.each<[string, number, bigint, bigint?]>([
    ['an unknown name', 0x000f_0000, 0n],
    ['a YMM register, as there is no AVX', R.Ymm0Low, 0n],
    ['a read-only register', R.VpIndex, 0n],
    ['MTRR capabilities', R.MtrrCap, 0n],
    ['the SynIC version', R.Sversion, 2n],
    ['RFLAGS without its fixed bit', R.Rflags, 0n],
    ['RFLAGS with a reserved bit', R.Rflags, 0xan],
    ['a reserved bit of CR0', R.Cr0, 0x1_0000_0011n],
    ['CR8 beyond 15', R.Cr8, 16n],
    ['bits beyond the size of a register', R.Rax, 0n, 1n],
    ['reserved segment attributes', R.Ds, 0n, 0x0f00n << 32n],
    ['a limit that granularity forbids', R.Ds, 0n, 0x1000n | DATA],
    ['setting intercept suspend', R.InterceptSuspend, 1n],
    ['an interruption of a reserved type', R.PendingInterruption, 1n | (1n << 1n)],
    ['an exception vector beyond 31', R.PendingInterruption, 1n | (3n << 1n) | (32n << 16n)],
    ['a SINT vector below 16', R.Sint0, 5n],
  ])('%s is refused', (_label, name, low, high = 0n) => {
    const machine = new Machine();
    machine.start();
    expect(machine.setRegisters(0, [[name, low, high]]).status).toBe(HvStatus.INVALID_PARAMETER);
  });

  test('elements before a refused one stay done and are counted', () => {
    const machine = new Machine();
    machine.start();
    const result = machine.setRegisters(0, [
      [R.Rax, 5n],
      [R.VpIndex, 0n],
    ]);
    expect(result).toMatchObject({ status: HvStatus.INVALID_PARAMETER, reps: 1 });
    expect(machine.getRegister(0, R.Rax).low).toBe(5n);
  });

  test('setting EFER while paging is on is allowed', () => {
    const machine = new Machine();
    const { processor } = machine.start();
    expect(machine.setRegisters(0, [[R.Efer, 0xd01n]]).status).toBe(HvStatus.SUCCESS);
    expect(processor.getControl(0)).toBe(0x8000_0011n);
  });

  test('the partition’s time stands still until its first VP is resumed', () => {
    const machine = new Machine();
    machine.call(0x004e, [machine.childId, 0n, 0n, 0n]);
    machine.now = 1000;
    expect(machine.getRegister(0, R.TimeRefCount).low).toBe(0n);
    machine.setRegisters(0, [[R.ExplicitSuspend, 0n]]);
    machine.now = 1500;
    expect(machine.getRegister(0, R.TimeRefCount).low).toBe(500n);
  });
});
