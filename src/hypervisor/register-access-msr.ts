/**
 * Registers of a virtual processor that are MSRs under another name (TLFS 2.0a §10.2.2, groups 0x8 to 0xB): which
 * MSR each is and which virtual part answers it. Setting one performs no side effect (§10.4.4): ICR sends
 * nothing, EOI ends nothing.
 */
import { SyntheticMsr } from '../hvdef/msr.ts';
import { RegisterName as R } from '../hvdef/registers.ts';
import { LocalApicRegisters } from './local-apic-registers.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

const EFER = 0xc000_0080;
const EFER_LMA = 1n << 10n;
const CR0_PG = 1n << 31n;
const IA32_APIC_BASE = 0x1b;

/** Register name to MSR number. */
const MSR_OF = new Map<number, number>([
  [R.Tsc, 0x10],
  [R.Efer, EFER],
  [R.KernelGsBase, 0xc000_0102],
  [R.ApicBase, IA32_APIC_BASE],
  [R.Pat, 0x277],
  [R.SysenterCs, 0x174],
  [R.SysenterRsp, 0x175],
  [R.SysenterRip, 0x176],
  [R.Star, 0xc000_0081],
  [R.Lstar, 0xc000_0082],
  [R.Cstar, 0xc000_0083],
  [R.Sfmask, 0xc000_0084],
  [R.TscAux, 0xc000_0103],
  [R.MtrrCap, 0xfe],
  [R.MtrrDefType, 0x2ff],
  [R.MtrrFix64k00000, 0x250],
  [R.MtrrFix16k80000, 0x258],
  [R.MtrrFix16kA0000, 0x259],
  [R.VpRuntime, SyntheticMsr.VpRuntime],
  [R.Hypercall, SyntheticMsr.Hypercall],
  [R.GuestOsId, SyntheticMsr.GuestOsId],
  [R.VpIndex, SyntheticMsr.VpIndex],
  [R.TimeRefCount, SyntheticMsr.TimeRefCount],
  [R.ReferenceTsc, SyntheticMsr.ReferenceTsc],
  [R.TscFrequency, SyntheticMsr.TscFrequency],
  [R.ApicFrequency, SyntheticMsr.ApicFrequency],
  [R.Tpr, SyntheticMsr.Tpr],
  [R.ApicAssistPage, SyntheticMsr.VpAssistPage],
  [R.Scontrol, SyntheticMsr.Scontrol],
  [R.Sversion, SyntheticMsr.Sversion],
  [R.Siefp, SyntheticMsr.Siefp],
  [R.Simp, SyntheticMsr.Simp],
  [R.StatsPartitionRetail, SyntheticMsr.StatsPartitionRetail],
  [R.StatsPartitionInternal, SyntheticMsr.StatsPartitionInternal],
  [R.StatsVpRetail, SyntheticMsr.StatsVpRetail],
  [R.StatsVpInternal, SyntheticMsr.StatsVpInternal],
]);
for (let range = 0; range < 8; range++) {
  MSR_OF.set(R.MtrrPhysBase0 + range, 0x200 + 2 * range);
  MSR_OF.set(R.MtrrPhysMask0 + range, 0x201 + 2 * range);
  MSR_OF.set(R.MtrrFix4kC0000 + range, 0x268 + range);
  MSR_OF.set(R.Stimer0Config + range, SyntheticMsr.Stimer0Config + range);
}
for (let sint = 0; sint < 16; sint++) MSR_OF.set(R.Sint0 + sint, SyntheticMsr.Sint0 + sint);
for (let index = 0; index < 6; index++) MSR_OF.set(R.GuestCrashP0 + index, SyntheticMsr.CrashP0 + index);

/** Undefined for a name that is no MSR-backed register. */
export function readMsrRegister(vp: VirtualProcessor, name: number): bigint | undefined {
  if (name === R.InitialApicId) return BigInt(vp.initialApicId);
  if (name === R.Eoi || name === R.Eom) return 0n;
  if (name === R.Icr) return (BigInt(vp.localApic.icrHigh) << 32n) | BigInt(vp.localApic.icrLow);
  const msr = MSR_OF.get(name);
  if (msr === undefined) return undefined;
  const own = vp.processor.getMsr(msr);
  if (own !== undefined) return own;
  if (LocalApicRegisters.handles(msr)) {
    const apic = vp.apicRegisters;
    return apic.readMsr(msr) ? (BigInt(apic.high) << 32n) | BigInt(apic.low) : undefined;
  }
  return vp.parentMsrs.readBig(msr) ?? vp.architecturalMsrs.read(msr);
}

/** False: no such register, read-only, or an invalid value. */
export function writeMsrRegister(vp: VirtualProcessor, name: number, value: bigint): boolean {
  if (name === R.InitialApicId) {
    if (value > 0xffn) return false;
    vp.initialApicId = Number(value);
    return true;
  }
  if (name === R.Eoi || name === R.Eom) return value === 0n;
  if (name === R.Icr) {
    vp.localApic.icrLow = Number(value & 0xc_cfffn);
    vp.localApic.icrHigh = Number(value >> 32n);
    return true;
  }
  const msr = MSR_OF.get(name);
  if (msr === undefined) return false;
  if (msr === EFER) return writeEfer(vp, value);
  const own = vp.processor.setMsr(msr, value);
  if (own !== 'unknown') return own === 'ok';
  if (LocalApicRegisters.handles(msr)) return writeApicBase(vp, value);
  if (vp.parentMsrs.handles(msr)) return vp.parentMsrs.writeBig(msr, value);
  return vp.architecturalMsrs.write(msr, value) === 'ok';
}

/**
 * EFER may come before or after CR0 in a list, so its order rules (no change of LME while paging) don't apply.
 * LMA follows from LME and CR0.PG; whether they agree is checked when the VP resumes.
 */
function writeEfer(vp: VirtualProcessor, value: bigint): boolean {
  const { processor } = vp;
  const cr0 = processor.getControl(0);
  const paging = (cr0 & CR0_PG) !== 0n;
  if (paging) processor.setControl(0, cr0 & ~CR0_PG);
  const outcome = processor.setMsr(EFER, value & ~EFER_LMA);
  if (paging) processor.setControl(0, cr0);
  return outcome === 'ok';
}

/** Any legal mode may be set from any other: the guest's transition rules (off, xAPIC, x2APIC) are stepped through. */
function writeApicBase(vp: VirtualProcessor, value: bigint): boolean {
  const apic = vp.apicRegisters;
  const low = Number(value & 0xffff_ffffn);
  const high = Number(value >> 32n);
  const before = { low: vp.localApic.baseLow, high: vp.localApic.baseHigh };
  const accepted = apic.writeMsr(IA32_APIC_BASE, low, high) || stepApicBase(vp, low, high);
  if (!accepted) {
    vp.localApic.baseLow = before.low;
    vp.localApic.baseHigh = before.high;
  }
  vp.apicBaseChanged();
  return accepted;
}

function stepApicBase(vp: VirtualProcessor, low: number, high: number): boolean {
  const apic = vp.apicRegisters;
  const enable = 1 << 11;
  const extended = 1 << 10;
  if ((low & (enable | extended)) === extended) return false;
  apic.writeMsr(IA32_APIC_BASE, low & ~(enable | extended), high);
  if (!apic.writeMsr(IA32_APIC_BASE, (low & ~extended) | (low & enable), high)) return false;
  return (low & extended) === 0 || apic.writeMsr(IA32_APIC_BASE, low, high);
}
