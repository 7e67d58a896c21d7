/**
 * The synthetic MSRs of one virtual processor: who answers each number of hvdef/msr.ts's table. Reads leave the
 * value in `low` and `high`; false means #GP. A number for which the partition lacks the privilege is not handled
 * at all: the caller intercepts it or raises #GP (TLFS 2.0a §5.2.3, §11.10).
 */
import { SyntheticMsr, syntheticMsr } from '../hvdef/msr.ts';
import type { CrashRegisters } from './crash-registers.ts';
import type { HypercallPage } from './hypercall-page.ts';
import type { LocalApic } from './local-apic.ts';
import type { OverlayRegister } from './overlay-register.ts';
import { APIC_FREQUENCY_HZ, type ReferenceTime, TSC_FREQUENCY_HZ } from './reference-time.ts';
import type { ReferenceTscPage } from './reference-tsc-page.ts';
import type { StatsRegisters } from './stats-registers.ts';
import type { Synic } from './synic.ts';
import type { SyntheticTimers } from './synthetic-timer.ts';
import type { VpAssistPage } from './vp-assist-page.ts';

const TWO_32 = 0x1_0000_0000;
const RESET = 1;

export interface SyntheticMsrParts {
  readonly vpIndex: number;
  /** Whether the partition has the privilege with this bit number now. */
  hasPrivilege(privilege: number): boolean;
  readonly time: ReferenceTime;
  readonly hypercallPage: HypercallPage;
  readonly referenceTscPage: ReferenceTscPage;
  readonly crash: CrashRegisters;
  readonly apic: LocalApic;
  readonly assistPage: VpAssistPage;
  readonly synic: Synic;
  readonly timers: SyntheticTimers;
  readonly statistics: StatsRegisters;
  /** How long this VP has executed, in 100 ns. */
  runTime(): number;
  /** HV_X64_MSR_RESET was written with its reset bit. */
  systemReset(): void;
  /** HV_X64_MSR_GUEST_IDLE was read: the VP sleeps until an interrupt arrives, enabled or not. */
  guestIdle(): void;
  /** For the trace. */
  written?(msr: number, name: string, low: number, high: number, accepted: boolean): void;
}

export class SyntheticMsrs {
  readonly #parts: SyntheticMsrParts;
  /** Result of the last `read` that returned true; unsigned halves. */
  low = 0;
  high = 0;

  constructor(parts: SyntheticMsrParts) {
    this.#parts = parts;
  }

  /** True when this hypervisor has the MSR and the partition may use it. */
  handles(msr: number): boolean {
    const row = syntheticMsr(msr);
    return row !== undefined && (row.privilege === undefined || this.#parts.hasPrivilege(row.privilege));
  }

  read(msr: number): boolean {
    const row = syntheticMsr(msr);
    if (row === undefined || row.access === 'write' || !this.handles(msr)) return false;
    if (msr >= SyntheticMsr.Scontrol && msr <= SyntheticMsr.Sint15) {
      const { synic } = this.#parts;
      return synic.readMsr(msr) && this.#answer(synic.low, synic.high);
    }
    if (msr >= SyntheticMsr.Stimer0Config && msr <= SyntheticMsr.Stimer3Count) {
      const { timers } = this.#parts;
      return timers.readMsr(msr) && this.#answer(timers.low, timers.high);
    }
    if (msr >= SyntheticMsr.CrashP0 && msr <= SyntheticMsr.CrashP4) {
      const { crash } = this.#parts;
      const index = msr - SyntheticMsr.CrashP0;
      return this.#answer(crash.parameterLow(index), crash.parameterHigh(index));
    }
    if (msr >= SyntheticMsr.StatsPartitionRetail && msr <= SyntheticMsr.StatsVpInternal) {
      const register = msr - SyntheticMsr.StatsPartitionRetail;
      return this.#answer(this.#parts.statistics.low(register), this.#parts.statistics.high(register));
    }
    return this.#readOne(msr);
  }

  #readOne(msr: number): boolean {
    const parts = this.#parts;
    switch (msr) {
      case SyntheticMsr.GuestOsId:
        return this.#answer(parts.hypercallPage.guestOsIdLow, parts.hypercallPage.guestOsIdHigh);
      case SyntheticMsr.Hypercall:
        return this.#answerRegister(parts.hypercallPage.register);
      case SyntheticMsr.VpIndex:
        return this.#answer(parts.vpIndex, 0);
      case SyntheticMsr.Reset:
        return this.#answer(0, 0);
      case SyntheticMsr.VpRuntime:
        return this.#answerNumber(parts.runTime());
      case SyntheticMsr.TimeRefCount:
        return this.#answerNumber(parts.time.read());
      case SyntheticMsr.ReferenceTsc:
        return this.#answerRegister(parts.referenceTscPage.register);
      case SyntheticMsr.TscFrequency:
        return this.#answerNumber(TSC_FREQUENCY_HZ);
      case SyntheticMsr.ApicFrequency:
        return this.#answerNumber(APIC_FREQUENCY_HZ);
      case SyntheticMsr.Icr:
        return this.#answer(parts.apic.icrLow, parts.apic.icrHigh);
      case SyntheticMsr.Tpr:
        return this.#answer(parts.apic.taskPriority, 0);
      case SyntheticMsr.VpAssistPage:
        return this.#answerRegister(parts.assistPage.register);
      case SyntheticMsr.GuestIdle:
        parts.guestIdle();
        return this.#answer(0, 0);
      case SyntheticMsr.CrashCtl:
        return this.#answer(parts.crash.controlLow, parts.crash.controlHigh);
      default:
        return false;
    }
  }

  #answer(low: number, high: number): true {
    this.low = low >>> 0;
    this.high = high >>> 0;
    return true;
  }
  #answerNumber(value: number): true {
    return this.#answer(value % TWO_32, Math.floor(value / TWO_32));
  }
  #answerRegister(register: OverlayRegister): true {
    return this.#answer(register.low, register.high);
  }

  write(msr: number, low: number, high: number): boolean {
    const row = syntheticMsr(msr);
    if (row === undefined) return false;
    const accepted = row.access !== 'read' && this.handles(msr) && this.#writeAny(msr, low >>> 0, high >>> 0);
    this.#parts.written?.(msr, row.name, low >>> 0, high >>> 0, accepted);
    return accepted;
  }

  #writeAny(msr: number, low: number, high: number): boolean {
    if (msr >= SyntheticMsr.Stimer0Config && msr <= SyntheticMsr.Stimer3Count) {
      return this.#parts.timers.writeMsr(msr, low, high);
    }
    if (msr >= SyntheticMsr.Scontrol && msr <= SyntheticMsr.Sint15) {
      return this.#parts.synic.writeMsr(msr, low, high);
    }
    if (msr >= SyntheticMsr.CrashP0 && msr <= SyntheticMsr.CrashP4) {
      this.#parts.crash.writeParameter(msr - SyntheticMsr.CrashP0, low, high);
      return true;
    }
    if (msr >= SyntheticMsr.StatsPartitionRetail && msr <= SyntheticMsr.StatsVpInternal) {
      this.#parts.statistics.write(msr - SyntheticMsr.StatsPartitionRetail, low, high);
      return true;
    }
    return this.#writeOne(msr, low, high);
  }

  #writeOne(msr: number, low: number, high: number): boolean {
    const parts = this.#parts;
    switch (msr) {
      case SyntheticMsr.GuestOsId:
        parts.hypercallPage.writeGuestOsId(low, high);
        return true;
      case SyntheticMsr.Hypercall:
        return parts.hypercallPage.write(low, high);
      case SyntheticMsr.Reset:
        if ((low & RESET) !== 0) parts.systemReset();
        return true;
      case SyntheticMsr.ReferenceTsc:
        parts.referenceTscPage.register.write(low, high);
        return true;
      case SyntheticMsr.Eoi:
        parts.apic.endOfInterrupt();
        return true;
      case SyntheticMsr.Icr:
        parts.apic.writeIcr(low, high);
        return true;
      case SyntheticMsr.Tpr:
        parts.apic.setTaskPriority(low & 0xff);
        return true;
      case SyntheticMsr.VpAssistPage:
        parts.apic.assistPageChanging();
        parts.assistPage.write(low, high);
        return true;
      case SyntheticMsr.CrashCtl:
        parts.crash.writeControl(low, high);
        return true;
      default:
        return false;
    }
  }

  /** For register hypercalls; undefined is #GP. */
  readBig(msr: number): bigint | undefined {
    return this.read(msr) ? (BigInt(this.high) << 32n) | BigInt(this.low) : undefined;
  }
  writeBig(msr: number, value: bigint): boolean {
    return this.write(msr, Number(value & 0xffff_ffffn), Number((value >> 32n) & 0xffff_ffffn));
  }
}
