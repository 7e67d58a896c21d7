/**
 * The two ways to a local APIC's registers: the 4 KiB xAPIC page (SDM vol. 3 §10.4.1) and the MSRs (x2APIC
 * 0x800..0x83F, §10.12; IA32_APIC_BASE; IA32_TSC_DEADLINE). A register's MSR is 0x800 + page offset / 16, so one
 * read and one write function serve both. The synthetic EOI, ICR and TPR MSRs are in synthetic-msr.ts.
 */
import { PHYSICAL_ADDRESS_BITS } from '../x86/page-table.ts';
import { ApicBase, ErrorStatus, type LocalApic, Lvt } from './local-apic.ts';

const IA32_APIC_BASE = 0x1b;
const IA32_TSC_DEADLINE = 0x6e0;
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x83f;

/** Register numbers: page offset / 16. */
const Register = {
  Id: 0x02,
  Version: 0x03,
  TaskPriority: 0x08,
  ArbitrationPriority: 0x09,
  ProcessorPriority: 0x0a,
  Eoi: 0x0b,
  RemoteRead: 0x0c,
  LogicalDestination: 0x0d,
  DestinationFormat: 0x0e,
  Spurious: 0x0f,
  Isr: 0x10,
  Tmr: 0x18,
  Irr: 0x20,
  ErrorStatus: 0x28,
  IcrLow: 0x30,
  IcrHigh: 0x31,
  LvtFirst: 0x32,
  LvtLast: 0x37,
  InitialCount: 0x38,
  CurrentCount: 0x39,
  DivideConfiguration: 0x3e,
  SelfIpi: 0x3f,
} as const;

/** Order of the LVT entries from register 0x32 on. */
const LVT_ORDER = [Lvt.Timer, Lvt.Thermal, Lvt.Performance, Lvt.Lint0, Lvt.Lint1, Lvt.Error] as const;
/** Integrated APIC, six LVT entries, no EOI-broadcast suppression. */
const VERSION = 0x0005_0014;
const PHYSICAL_ADDRESS_HIGH_MASK = ~(2 ** (PHYSICAL_ADDRESS_BITS - 32) - 1) >>> 0;
/** Bits of IA32_APIC_BASE below the page number that may be set. */
const BASE_FLAGS = ApicBase.BootProcessor | ApicBase.X2Apic | ApicBase.Enable;
/** Bits that must be zero in a write of each x2APIC register. */
const X2_RESERVED: Partial<Record<number, number>> = {
  [Register.TaskPriority]: 0xffff_ff00,
  [Register.Eoi]: 0xffff_ffff,
  [Register.Spurious]: 0xffff_ec00,
  [Register.ErrorStatus]: 0xffff_ffff,
  [Register.DivideConfiguration]: 0xffff_fff4,
  [Register.SelfIpi]: 0xffff_ff00,
  50: 0xfff8_ef00,
  51: 0xfffe_e800,
  52: 0xfffe_e800,
  53: 0xfffe_0800,
  54: 0xfffe_0800,
  55: 0xfffe_ef00,
};
const X2_ICR_RESERVED = 0xfff3_2000;

export class LocalApicRegisters {
  readonly #apic: LocalApic;
  /** Result of the last `readMsr` that returned true. */
  low = 0;
  high = 0;

  constructor(apic: LocalApic) {
    this.#apic = apic;
  }

  /** True for the MSR numbers that `readMsr` and `writeMsr` answer. */
  static handles(msr: number): boolean {
    return msr === IA32_APIC_BASE || msr === IA32_TSC_DEADLINE || (msr >= X2APIC_FIRST && msr <= X2APIC_LAST);
  }

  /** A load of `size` bytes at byte `offset` of the xAPIC page. */
  readPage(offset: number, size: number): number {
    const value = this.#read(offset >>> 4);
    // Bytes 4..15 of a register's slot are undefined; narrow loads see the part that they name.
    if ((offset & 0xf) >= 4) return 0;
    const shifted = value >>> ((offset & 3) * 8);
    return size >= 4 ? shifted : shifted & ((1 << (size * 8)) - 1);
  }

  /** A store; only aligned 32-bit ones reach a register (§13.2.2). */
  writePage(offset: number, size: number, value: number): void {
    if (size !== 4 || (offset & 0xf) !== 0) return;
    this.#write(offset >>> 4, value >>> 0);
  }

  /** False: #GP. The value is left in `low` and `high`. */
  readMsr(msr: number): boolean {
    const apic = this.#apic;
    this.high = 0;
    if (msr === IA32_APIC_BASE) {
      this.low = apic.baseLow;
      this.high = apic.baseHigh;
      return true;
    }
    if (msr === IA32_TSC_DEADLINE) {
      this.low = apic.timer.deadlineLow;
      this.high = apic.timer.deadlineHigh;
      return true;
    }
    const register = msr - X2APIC_FIRST;
    if (!apic.x2apic || !isReadableX2(register)) return false;
    if (register === Register.IcrLow) this.high = apic.icrHigh;
    this.low = this.#read(register);
    return true;
  }

  /** False: #GP. */
  writeMsr(msr: number, low: number, high: number): boolean {
    if (msr === IA32_APIC_BASE) return this.#writeBase(low >>> 0, high >>> 0);
    const apic = this.#apic;
    if (msr === IA32_TSC_DEADLINE) {
      apic.timer.writeDeadline(apic.lvt[Lvt.Timer], low, high);
      apic.host.deliverabilityChanged();
      return true;
    }
    const register = msr - X2APIC_FIRST;
    if (!apic.x2apic || !isWritableX2(register)) return false;
    if (register === Register.IcrLow) {
      if ((low & X2_ICR_RESERVED) !== 0) return false;
      apic.writeIcr(low, high);
      return true;
    }
    if (high !== 0 || (low & (X2_RESERVED[register] ?? 0)) !== 0) return false;
    if (register === Register.SelfIpi) apic.requestInterrupt(low & 0xff, false, false);
    else this.#write(register, low >>> 0);
    return true;
  }

  #read(register: number): number {
    const apic = this.#apic;
    if (register >= Register.Isr && register < Register.ErrorStatus) {
      // What the guest ended through the assist page is no longer in service.
      if (register < Register.Tmr) void apic.processorPriority;
      const set = register < Register.Tmr ? apic.isr : register < Register.Irr ? apic.tmr : apic.irr;
      return set.words[register & 7];
    }
    if (register >= Register.LvtFirst && register <= Register.LvtLast) {
      return apic.lvt[LVT_ORDER[register - Register.LvtFirst]];
    }
    switch (register) {
      case Register.Id:
        return apic.x2apic ? apic.apicId : (apic.apicId << 24) >>> 0;
      case Register.Version:
        return VERSION;
      case Register.TaskPriority:
        return apic.taskPriority;
      case Register.ArbitrationPriority:
      case Register.ProcessorPriority:
        return apic.processorPriority;
      case Register.Eoi:
      case Register.RemoteRead:
        return 0;
      case Register.LogicalDestination:
        return apic.x2apic ? apic.x2LogicalId : apic.logicalDestination;
      case Register.DestinationFormat:
        return apic.destinationFormat;
      case Register.Spurious:
        return apic.spurious;
      case Register.ErrorStatus:
        return apic.errorStatus;
      case Register.IcrLow:
        return apic.icrLow;
      case Register.IcrHigh:
        return apic.icrHigh;
      case Register.InitialCount:
        return apic.timer.initialCount;
      case Register.CurrentCount:
        return apic.timer.currentCount(apic.lvt[Lvt.Timer], apic.host.readTsc());
      case Register.DivideConfiguration:
        return apic.timer.divideConfiguration;
      default:
        apic.reportError(ErrorStatus.IllegalRegister);
        return 0;
    }
  }

  #write(register: number, value: number): void {
    const apic = this.#apic;
    if (register >= Register.LvtFirst && register <= Register.LvtLast) {
      apic.writeLvt(LVT_ORDER[register - Register.LvtFirst], value);
      return;
    }
    switch (register) {
      case Register.TaskPriority:
        apic.setTaskPriority(value & 0xff);
        return;
      case Register.Eoi:
        apic.endOfInterrupt();
        return;
      case Register.LogicalDestination:
        apic.logicalDestination = (value & 0xff00_0000) >>> 0;
        return;
      case Register.DestinationFormat:
        apic.destinationFormat = (value | 0x0fff_ffff) >>> 0;
        return;
      case Register.Spurious:
        apic.writeSpurious(value);
        return;
      case Register.ErrorStatus:
        apic.latchErrors();
        return;
      case Register.IcrLow:
        apic.writeIcr(value, apic.icrHigh);
        return;
      case Register.IcrHigh:
        apic.icrHigh = (value & 0xff00_0000) >>> 0;
        return;
      case Register.InitialCount:
        apic.timer.writeInitialCount(apic.lvt[Lvt.Timer], value, apic.host.readTsc());
        apic.host.deliverabilityChanged();
        return;
      case Register.DivideConfiguration:
        apic.timer.writeDivideConfiguration(apic.lvt[Lvt.Timer], value, apic.host.readTsc());
        apic.host.deliverabilityChanged();
        return;
      case Register.Id: // The id is the hypervisor's to give.
      case Register.Version:
      case Register.ProcessorPriority:
      case Register.CurrentCount:
        return;
      default:
        apic.reportError(ErrorStatus.IllegalRegister);
    }
  }

  /** IA32_APIC_BASE: off, xAPIC and x2APIC follow SDM vol. 3 figure 10-27; other steps are #GP. */
  #writeBase(low: number, high: number): boolean {
    const apic = this.#apic;
    if ((high & PHYSICAL_ADDRESS_HIGH_MASK) !== 0 || (low & 0xfff & ~BASE_FLAGS) !== 0) return false;
    const enable = (low & ApicBase.Enable) !== 0;
    const extended = (low & ApicBase.X2Apic) !== 0;
    if (extended && (!enable || !apic.globallyEnabled)) return false;
    if (enable && !extended && apic.x2apic) return false;
    const entersX2 = extended && !apic.x2apic;
    if (!enable && apic.globallyEnabled) apic.init();
    apic.baseLow = ((low & ~ApicBase.BootProcessor) | (apic.baseLow & ApicBase.BootProcessor)) >>> 0;
    apic.baseHigh = high;
    if (entersX2) apic.icrHigh = 0;
    apic.host.deliverabilityChanged();
    return true;
  }
}

function isReadableX2(register: number): boolean {
  if (register >= Register.Isr && register <= Register.ErrorStatus) return true;
  if (register >= Register.LvtFirst && register <= Register.CurrentCount) return true;
  switch (register) {
    case Register.Id:
    case Register.Version:
    case Register.TaskPriority:
    case Register.ProcessorPriority:
    case Register.LogicalDestination:
    case Register.Spurious:
    case Register.IcrLow:
    case Register.DivideConfiguration:
      return true;
    default:
      return false;
  }
}

function isWritableX2(register: number): boolean {
  if (register >= Register.LvtFirst && register <= Register.InitialCount) return true;
  switch (register) {
    case Register.TaskPriority:
    case Register.Eoi:
    case Register.Spurious:
    case Register.ErrorStatus:
    case Register.IcrLow:
    case Register.DivideConfiguration:
    case Register.SelfIpi:
      return true;
    default:
      return false;
  }
}
