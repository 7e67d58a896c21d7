/**
 * The local APIC of a virtual processor (TLFS 2.0a §13.2, §13.3; SDM vol. 3 ch. 10). It owns IRR, ISR, TMR, the
 * priorities, the LVT, ICR and error state. How registers are reached (xAPIC page, x2APIC and synthetic MSRs) is
 * in local-apic-registers.ts, who receives what in local-apic-bus.ts.
 *
 *   requested (IRR) --acceptInterrupt()--> in service (ISR) --EOI--> done
 *                                   auto-EOI: --> done
 *
 * TPR's class lives in the processor's CR8, its low four bits here. Chosen where the TLFS leaves it open:
 * - "No EOI required" is set when an edge-triggered interrupt is accepted and nothing else is requested; a
 *   request that the one in service holds back withdraws it. Whether the guest used it is seen at the next look.
 * - A level-triggered fixed interrupt that is withdrawn clears every level request not yet accepted, because
 *   HvAssertVirtualInterrupt withdraws without naming a vector.
 */

import { type StateReader, type StateRecord, wordBytes } from '../support/saved-state/state-value.ts';
import { LocalApicTimer } from './local-apic-timer.ts';
import { VectorSet } from './local-apic-vectors.ts';
import type { EoiAssist } from './vp-assist-page.ts';

export const DeliveryMode = {
  Fixed: 0,
  LowestPriority: 1,
  Smi: 2,
  Nmi: 4,
  Init: 5,
  Startup: 6,
  ExtInt: 7,
} as const;
export const Shorthand = { None: 0, Self: 1, AllIncludingSelf: 2, AllExcludingSelf: 3 } as const;

/** An interrupt on its way to one or more local APICs. */
export interface InterruptRequest {
  mode: number;
  vector: number;
  levelTriggered: boolean;
  logical: boolean;
  destination: number;
  shorthand: number;
}

/** What a local APIC needs of its virtual processor. */
export interface LocalApicHost {
  /** Partition time in TSC ticks (nanoseconds). */
  readTsc(): number;
  /** What this processor's TSC is ahead of `readTsc()`. */
  guestTscOffset(): number;
  getCr8(): number;
  setCr8(value: number): void;
  readonly eoiAssist: EoiAssist | undefined;
  /** A level-triggered interrupt ended: an X64ApicEoi message is due (§16.5.5). */
  levelEoi(vector: number): void;
  /** After any EOI that the hypervisor saw: the SynIC scans its queues (§14.2.4). */
  afterEoi(): void;
  /** `hasDeliverable()` may have become true. */
  deliverabilityChanged(): void;
  sendIpi(request: InterruptRequest): void;
  nmi(): void;
  /** INIT arrived. */
  init(): void;
  /** A start-up IPI arrived; ignored unless the processor waits for one. */
  startup(vector: number): void;
}

/** Indices of `lvt`. */
export const Lvt = { Timer: 0, Thermal: 1, Performance: 2, Lint0: 3, Lint1: 4, Error: 5 } as const;
export const LVT_MASKED = 1 << 16;
/** Bits of each entry that a guest can write. */
const LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff] as const;

const SVR_ENABLED = 1 << 8;
const SVR_WRITABLE = 0x3ff;
export const ErrorStatus = {
  SendIllegalVector: 1 << 5,
  ReceivedIllegalVector: 1 << 6,
  IllegalRegister: 1 << 7,
};
const FIRST_LEGAL_VECTOR = 16;

/** Bits of IA32_APIC_BASE. */
export const ApicBase = {
  BootProcessor: 1 << 8,
  X2Apic: 1 << 10,
  Enable: 1 << 11,
  DefaultPage: 0xfee00,
} as const;

type ExternalInterrupt = 'none' | 'asserted' | 'acknowledged';

export class LocalApic {
  readonly host: LocalApicHost;
  readonly vpIndex: number;
  readonly apicId: number;
  readonly timer = new LocalApicTimer();
  readonly irr = new VectorSet();
  readonly isr = new VectorSet();
  readonly tmr = new VectorSet();
  readonly #autoEoi = new VectorSet();
  readonly lvt = new Uint32Array(6);
  #spurious = 0xff;
  logicalDestination = 0;
  destinationFormat = 0xffff_ffff;
  icrLow = 0;
  icrHigh = 0;
  #errorStatus = 0;
  #pendingErrors = 0;
  #tprSubclass = 0;
  baseLow = 0;
  baseHigh = 0;
  #highestRequest = -1;
  #assistArmed = false;
  #external: ExternalInterrupt = 'none';
  #externalVector = 0;

  constructor(host: LocalApicHost, identity: { apicId: number; vpIndex: number }) {
    this.host = host;
    this.apicId = identity.apicId;
    this.vpIndex = identity.vpIndex;
    this.reset();
  }

  // Modes

  get globallyEnabled(): boolean {
    return (this.baseLow & ApicBase.Enable) !== 0;
  }
  get x2apic(): boolean {
    return (this.baseLow & ApicBase.X2Apic) !== 0;
  }
  get softwareEnabled(): boolean {
    return (this.#spurious & SVR_ENABLED) !== 0;
  }
  /** Guest page of the register page, or -1 where there is none (disabled, x2APIC). */
  get pageGpn(): number {
    if (!this.globallyEnabled || this.x2apic) return -1;
    return this.baseHigh * 0x10_0000 + (this.baseLow >>> 12);
  }

  // Requests

  /** A fixed interrupt arrives. It is lost when the APIC is software disabled. */
  requestInterrupt(vector: number, levelTriggered: boolean, autoEoi: boolean): void {
    if (vector < FIRST_LEGAL_VECTOR) {
      this.reportError(ErrorStatus.ReceivedIllegalVector);
      return;
    }
    if (!this.globallyEnabled || !this.softwareEnabled) return;
    this.#settleAssist();
    this.irr.add(vector);
    if (levelTriggered) this.tmr.add(vector);
    else this.tmr.delete(vector);
    if (autoEoi) this.#autoEoi.add(vector);
    else this.#autoEoi.delete(vector);
    if (vector > this.#highestRequest) this.#highestRequest = vector;
    if (this.#assistArmed && vector >>> 4 <= this.isr.highest() >>> 4) this.#disarmAssist();
    this.host.deliverabilityChanged();
  }

  /** Deasserts level-triggered requests that have not been accepted. */
  withdrawLevelRequests(): void {
    for (let word = 0; word < 8; word++) this.irr.words[word] &= ~this.tmr.words[word];
    this.#highestRequest = this.irr.highest();
  }

  /** False when an acknowledged external interrupt has not been cleared (§13.5.1). */
  assertExternalInterrupt(vector: number): boolean {
    if (this.#external === 'acknowledged') return false;
    this.#external = 'asserted';
    this.#externalVector = vector;
    this.host.deliverabilityChanged();
    return true;
  }
  withdrawExternalInterrupt(): void {
    if (this.#external === 'asserted') this.#external = 'none';
  }
  /** False when none has been acknowledged (§13.5.2). */
  clearExternalInterrupt(): boolean {
    if (this.#external !== 'acknowledged') return false;
    this.#external = 'none';
    return true;
  }
  get externalAcknowledged(): boolean {
    return this.#external === 'acknowledged';
  }

  /** One interrupt of any delivery mode. */
  receive(mode: number, vector: number, levelTriggered: boolean): void {
    switch (mode) {
      case DeliveryMode.Fixed:
      case DeliveryMode.LowestPriority:
        this.requestInterrupt(vector, levelTriggered, false);
        return;
      case DeliveryMode.Nmi:
        this.host.nmi();
        return;
      case DeliveryMode.Init:
        this.host.init();
        return;
      case DeliveryMode.Startup:
        this.host.startup(vector);
        return;
      case DeliveryMode.ExtInt:
        this.assertExternalInterrupt(vector);
        return;
      default: // SMI: not generated (§13.2.1)
    }
  }

  // Priorities

  get taskPriority(): number {
    return ((this.host.getCr8() & 0xf) << 4) | this.#tprSubclass;
  }
  setTaskPriority(value: number): void {
    this.#tprSubclass = value & 0xf;
    this.host.setCr8((value >>> 4) & 0xf);
    this.host.deliverabilityChanged();
  }
  get processorPriority(): number {
    this.#settleAssist();
    const inService = Math.max(this.isr.highest(), 0) & 0xf0;
    const task = this.taskPriority;
    return (task & 0xf0) >= inService ? task : inService;
  }

  /** True when an interrupt would be accepted if the processor were willing. */
  hasDeliverable(): boolean {
    if (this.#external === 'asserted') return true;
    if (this.#highestRequest < 0 || !this.softwareEnabled) return false;
    return this.#highestRequest >>> 4 > this.processorPriority >>> 4;
  }

  /** Moves the highest deliverable request into service and returns its vector; -1 when there is none. */
  acceptInterrupt(): number {
    if (!this.hasDeliverable()) return -1;
    if (this.#external === 'asserted') {
      this.#external = 'acknowledged';
      return this.#externalVector;
    }
    this.#settleAssist();
    const vector = this.#highestRequest;
    this.irr.delete(vector);
    this.#highestRequest = this.irr.highest();
    if (this.#autoEoi.has(vector)) return vector;
    this.isr.add(vector);
    const assist = this.host.eoiAssist;
    if (assist?.enabled) {
      this.#assistArmed = !this.tmr.has(vector) && this.#highestRequest < 0;
      assist.set(this.#assistArmed);
    }
    return vector;
  }

  // End of interrupt

  /** A write to an EOI register. */
  endOfInterrupt(): void {
    this.#settleAssist();
    this.#disarmAssist();
    this.#finishHighest();
    this.host.afterEoi();
    if (this.#highestRequest >= 0) this.host.deliverabilityChanged();
  }

  #finishHighest(): void {
    const vector = this.isr.highest();
    if (vector < 0) return;
    this.isr.delete(vector);
    if (this.tmr.has(vector)) this.host.levelEoi(vector);
  }

  /** Does the EOI that the guest did by clearing "no EOI required". */
  #settleAssist(): void {
    if (!this.#assistArmed || this.host.eoiAssist?.get()) return;
    this.#assistArmed = false;
    this.#finishHighest();
  }
  /** The guest may have ended the interrupt an instant before: then that counts. */
  #disarmAssist(): void {
    if (!this.#assistArmed) return;
    this.#assistArmed = false;
    if (this.host.eoiAssist?.set(false) === false) this.#finishHighest();
  }
  /** The assist page is about to move or go: what the guest did so far still counts. */
  assistPageChanging(): void {
    this.#settleAssist();
    this.#disarmAssist();
  }

  // Local sources

  /** A local interrupt fires (LINT pins, the timer, errors, performance counters). */
  signalLocal(index: number): void {
    const entry = this.lvt[index];
    if ((entry & LVT_MASKED) !== 0) return;
    const mode = index === Lvt.Timer || index === Lvt.Error ? DeliveryMode.Fixed : (entry >>> 8) & 7;
    const lint = index === Lvt.Lint0 || index === Lvt.Lint1;
    this.receive(mode, entry & 0xff, lint && (entry & 0x8000) !== 0);
  }

  writeLvt(index: number, value: number): void {
    // A count that has run out already did so under the old entry.
    if (index === Lvt.Timer) this.expire(this.host.readTsc());
    const before = this.lvt[index];
    const masked = this.softwareEnabled ? 0 : LVT_MASKED;
    this.lvt[index] = (value & LVT_WRITABLE[index]) | masked;
    if (index === Lvt.Timer) this.timer.lvtChanged(before, this.lvt[index], this.host.readTsc());
    this.host.deliverabilityChanged();
  }

  nextDeadline(): number {
    return this.timer.nextDeadline(this.lvt[Lvt.Timer], this.host.guestTscOffset());
  }
  /** Fires the timer if it is due. */
  expire(now: number): void {
    if (this.timer.expire(this.lvt[Lvt.Timer], now, this.host.guestTscOffset())) this.signalLocal(Lvt.Timer);
  }

  reportError(bit: number): void {
    if ((this.#pendingErrors & bit) !== 0) return;
    this.#pendingErrors |= bit;
    // An error entry with an illegal vector would report itself for ever.
    if ((this.lvt[Lvt.Error] & 0xff) >= FIRST_LEGAL_VECTOR) this.signalLocal(Lvt.Error);
  }
  get errorStatus(): number {
    return this.#errorStatus;
  }
  /** A write latches what has happened since the last one. */
  latchErrors(): void {
    this.#errorStatus = this.#pendingErrors;
    this.#pendingErrors = 0;
  }

  get spurious(): number {
    return this.#spurious;
  }
  writeSpurious(value: number): void {
    this.#spurious = value & SVR_WRITABLE;
    if (!this.softwareEnabled) {
      for (let index = 0; index < this.lvt.length; index++) this.lvt[index] |= LVT_MASKED;
    }
    this.host.deliverabilityChanged();
  }

  /** Sends what ICR says. */
  writeIcr(low: number, high: number): void {
    this.icrLow = (low & 0xc_cfff) >>> 0;
    this.icrHigh = this.x2apic ? high >>> 0 : (high & 0xff00_0000) >>> 0;
    const mode = (low >>> 8) & 7;
    const vector = low & 0xff;
    const levelTriggered = (low & 0x8000) !== 0;
    const deassert = levelTriggered && (low & 0x4000) === 0;
    if (mode === DeliveryMode.Init && deassert) return;
    if (mode <= DeliveryMode.LowestPriority && vector < FIRST_LEGAL_VECTOR) {
      this.reportError(ErrorStatus.SendIllegalVector);
      return;
    }
    this.host.sendIpi({
      mode,
      vector,
      levelTriggered: false,
      logical: (low & 0x800) !== 0,
      destination: this.x2apic ? this.icrHigh : this.icrHigh >>> 24,
      shorthand: (low >>> 18) & 3,
    });
  }

  // Destinations

  matches(destination: number, logical: boolean): boolean {
    if (destination === (this.x2apic ? 0xffff_ffff : 0xff)) return true;
    if (!logical) return destination === this.apicId;
    if (this.x2apic) {
      const own = this.x2LogicalId;
      return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0;
    }
    const own = this.logicalDestination >>> 24;
    const cluster = this.destinationFormat >>> 28 === 0;
    if (!cluster) return (own & destination) !== 0;
    return own >>> 4 === destination >>> 4 && (own & destination & 0xf) !== 0;
  }
  get x2LogicalId(): number {
    return (((this.apicId >>> 4) << 16) | (1 << (this.apicId & 0xf))) >>> 0;
  }

  // Saved state

  save(): StateRecord {
    return {
      irr: wordBytes(this.irr.words),
      isr: wordBytes(this.isr.words),
      tmr: wordBytes(this.tmr.words),
      autoEoi: wordBytes(this.#autoEoi.words),
      lvt: wordBytes(this.lvt),
      spurious: this.#spurious,
      logicalDestination: this.logicalDestination,
      destinationFormat: this.destinationFormat,
      icrLow: this.icrLow,
      icrHigh: this.icrHigh,
      errorStatus: this.#errorStatus,
      pendingErrors: this.#pendingErrors,
      tprSubclass: this.#tprSubclass,
      baseLow: this.baseLow,
      baseHigh: this.baseHigh,
      assistArmed: this.#assistArmed,
      external: this.#external,
      externalVector: this.#externalVector,
      timer: this.timer.save(),
    };
  }

  /** The owner places the register page afterwards (`pageGpn`). */
  restore(from: StateReader): void {
    this.irr.words.set(from.words('irr', 8));
    this.isr.words.set(from.words('isr', 8));
    this.tmr.words.set(from.words('tmr', 8));
    this.#autoEoi.words.set(from.words('autoEoi', 8));
    this.lvt.set(from.words('lvt', this.lvt.length));
    for (let index = 0; index < this.lvt.length; index++) this.lvt[index] &= LVT_WRITABLE[index];
    this.#spurious = from.integer('spurious', SVR_WRITABLE);
    this.logicalDestination = from.u32('logicalDestination');
    this.destinationFormat = from.u32('destinationFormat');
    this.icrLow = from.u32('icrLow');
    this.icrHigh = from.u32('icrHigh');
    this.#errorStatus = from.integer('errorStatus', 0xff);
    this.#pendingErrors = from.integer('pendingErrors', 0xff);
    this.#tprSubclass = from.integer('tprSubclass', 0xf);
    this.baseLow = from.u32('baseLow');
    this.baseHigh = from.integer('baseHigh', 0xf_ffff);
    if ((this.baseLow & (ApicBase.X2Apic | ApicBase.Enable)) === ApicBase.X2Apic) from.fail('baseLow');
    this.#assistArmed = from.flag('assistArmed');
    this.#external = from.choice('external', ['none', 'asserted', 'acknowledged']);
    this.#externalVector = from.integer('externalVector', 0xff);
    this.timer.restore(from.record('timer'));
    this.#highestRequest = this.irr.highest();
  }

  // Reset

  /** INIT: all but the APIC id and IA32_APIC_BASE. */
  init(): void {
    this.irr.clear();
    this.isr.clear();
    this.tmr.clear();
    this.#autoEoi.clear();
    this.#highestRequest = -1;
    this.#assistArmed = false;
    this.#external = 'none';
    this.lvt.fill(LVT_MASKED);
    this.#spurious = 0xff;
    this.logicalDestination = 0;
    this.destinationFormat = 0xffff_ffff;
    this.icrLow = 0;
    this.icrHigh = 0;
    this.#errorStatus = 0;
    this.#pendingErrors = 0;
    this.#tprSubclass = 0;
    this.timer.reset();
  }

  reset(): void {
    this.init();
    const boot = this.vpIndex === 0 ? ApicBase.BootProcessor : 0;
    this.baseLow = (ApicBase.DefaultPage * 4096 + (ApicBase.Enable | boot)) >>> 0;
    this.baseHigh = 0;
  }

  inspect(): unknown {
    const vectors = (set: VectorSet) => Array.from({ length: 256 }, (_, v) => v).filter((v) => set.has(v));
    return {
      apicId: this.apicId,
      mode: this.globallyEnabled ? (this.x2apic ? 'x2apic' : 'xapic') : 'disabled',
      softwareEnabled: this.softwareEnabled,
      requested: vectors(this.irr),
      inService: vectors(this.isr),
      external: this.#external,
    };
  }
}
