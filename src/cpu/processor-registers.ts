/** The architectural registers of a processor, set and read from outside, and their reset values. */
import { CR0, EFER } from '../x86/control-registers.ts';
import { FLAG } from '../x86/flags.ts';
import { cpuid } from './cpuid.ts';
import { setDebug } from './microcode/control-registers.ts';
import { Core, type InterpreterExports } from './microcode/core.ts';
import { FloatingState } from './microcode/floating-state.ts';
import { type MsrContext, readMsr, writeMsr } from './microcode/msrs.ts';
import {
  Attention,
  type PhysicalMemory,
  type ProcessorHost,
  Segment,
  type SegmentRegister,
} from './processor.ts';
import { SoftTlb } from './soft-tlb.ts';
import { ProcessorState } from './state.ts';
import * as S from './state-layout.ts';

const CONTROL = { 0: S.CR0, 2: S.CR2, 3: S.CR3, 4: S.CR4, 8: S.CR8 } as const;

export abstract class ProcessorRegisters {
  readonly stateAddress: number;
  protected readonly memory: PhysicalMemory;
  protected readonly state: ProcessorState;
  protected readonly core: Core;
  protected readonly floating: FloatingState;
  protected readonly msrs: MsrContext;
  protected readonly tlb: SoftTlb;

  constructor(memory: PhysicalMemory, stateAddress: number, host: ProcessorHost, area: number) {
    this.memory = memory;
    this.stateAddress = stateAddress;
    this.state = new ProcessorState(memory, stateAddress);
    this.core = new Core(memory, this.state, () => this.interpreter());
    this.floating = new FloatingState(this.core);
    this.tlb = new SoftTlb(memory, area);
    this.msrs = {
      state: this.state,
      readTsc: () => BigInt(Math.floor(host.readTsc())),
      flushTlb: () => this.interpreter().flushVirtual(stateAddress),
    };
  }

  /** The interpreter's instance; asked for only once the processor is whole. */
  protected abstract interpreter(): InterpreterExports;

  // Translations

  flushTlb(): void {
    this.tlb.flush();
  }
  flushVirtual(): void {
    this.tlb.flushVirtual();
  }
  flushTlbPage(gva: bigint): void {
    this.tlb.flushPage(gva);
  }

  // Registers

  getGpr(index: number): bigint {
    return this.state.gpr(index);
  }
  setGpr(index: number, value: bigint): void {
    this.state.setGpr(index, value);
  }
  getRip(): bigint {
    return this.state.rip;
  }
  setRip(value: bigint): void {
    this.state.rip = value;
  }
  getRflags(): bigint {
    return BigInt(this.state.rflags >>> 0);
  }
  setRflags(value: bigint): void {
    this.state.rflags = Number(value & 0xffffffffn);
    this.state.refresh();
  }
  getSegment(index: number): SegmentRegister {
    return this.state.segment(index);
  }
  /** CPL follows SS's DPL, as on the real processor's VM entry (SDM vol. 3 §26.3.1.2). */
  setSegment(index: number, value: SegmentRegister): void {
    this.state.setSegment(index, value);
    if (index === Segment.SS && this.state.protectedMode)
      this.state.set32(S.CPL, (value.attributes >> 5) & 3);
    this.state.refresh();
  }
  getTable(which: 'gdtr' | 'idtr'): { base: bigint; limit: number } {
    const at = which === 'gdtr' ? S.GDTR : S.IDTR;
    return { base: this.state.get64(at), limit: this.state.get32(at + 8) >>> 0 };
  }
  setTable(which: 'gdtr' | 'idtr', value: { base: bigint; limit: number }): void {
    const at = which === 'gdtr' ? S.GDTR : S.IDTR;
    this.state.set64(at, value.base);
    this.state.set32(at + 8, value.limit);
  }
  getControl(index: 0 | 2 | 3 | 4 | 8): bigint {
    return this.state.get64(CONTROL[index]);
  }
  setControl(index: 0 | 2 | 3 | 4 | 8, value: bigint): void {
    this.state.set64(CONTROL[index], value);
    if (index === 0) this.deriveLongModeActive();
    this.state.refresh();
    if (index !== 2 && index !== 8) this.flushTlb();
  }
  getXcr0(): bigint {
    return this.state.get64(S.XCR0);
  }
  setXcr0(value: bigint): void {
    this.state.set64(S.XCR0, value);
  }
  getDebug(index: number): bigint {
    return this.state.get64(S.DR + 8 * index);
  }
  setDebug(index: number, value: bigint): void {
    setDebug(this.core, this, index, value);
  }
  getMsr(msr: number): bigint | undefined {
    return readMsr(this.msrs, msr);
  }
  setMsr(msr: number, value: bigint): 'ok' | 'fault' | 'unknown' {
    return writeMsr(this.msrs, msr, value);
  }
  /** EFER.LMA is LME while paging is on. */
  private deriveLongModeActive(): void {
    const efer = this.state.get32(S.EFER);
    const active = (this.state.get32(S.CR0) & CR0.PG) !== 0 && (efer & EFER.LME) !== 0;
    this.state.set32(S.EFER, active ? efer | EFER.LMA : efer & ~EFER.LMA);
  }
  saveFloatingPoint(): Uint8Array {
    return this.floating.save();
  }
  restoreFloatingPoint(image: Uint8Array): void {
    this.floating.restore(image);
  }
  cpuid(leaf: number, subleaf: number): { eax: number; ebx: number; ecx: number; edx: number } {
    return cpuid(leaf, subleaf, this.state.get32(S.CR4));
  }

  // Reset

  reset(): void {
    const { state } = this;
    this.init();
    this.floating.reset();
    state.set64(S.CR0, 0x60000010n);
    for (const at of [S.MSR_STAR, S.MSR_LSTAR, S.MSR_CSTAR, S.MSR_SFMASK, S.MSR_KERNEL_GS_BASE])
      state.set64(at, 0n);
    for (const at of [S.MSR_SYSENTER_CS, S.MSR_SYSENTER_ESP, S.MSR_SYSENTER_EIP, S.MSR_TSC_AUX])
      state.set64(at, 0n);
    state.set64(S.MSR_PAT, 0x0007040600070406n);
    state.set64(S.TSC_OFFSET, 0n);
    state.set64(S.MSR_TSC_ADJUST, 0n);
    state.refresh();
  }

  init(): void {
    const { state } = this;
    for (let k = 0; k < 16; k++) state.setGpr(k, 0n);
    state.setGpr(2, 0x000106a5n);
    state.set64(S.ZERO, 0n);
    state.rflags = FLAG.FIXED;
    for (let k = 0; k < 8; k++) {
      const attributes = k === Segment.CS ? 0x9b : k === Segment.LDTR ? 0x82 : k === Segment.TR ? 0x8b : 0x93;
      state.setSegment(k, { selector: 0, base: 0n, limit: 0xffff, attributes });
    }
    state.setSegment(Segment.CS, { selector: 0xf000, base: 0xffff0000n, limit: 0xffff, attributes: 0x9b });
    state.rip = 0xfff0n;
    this.setTable('gdtr', { base: 0n, limit: 0xffff });
    this.setTable('idtr', { base: 0n, limit: 0xffff });
    // CD and NW survive INIT.
    state.set64(S.CR0, (state.get64(S.CR0) & 0x60000000n) | 0x10n);
    for (const at of [S.CR2, S.CR3, S.CR4, S.CR8, S.EFER]) state.set64(at, 0n);
    state.set64(S.XCR0, 1n);
    for (let k = 0; k < 4; k++) state.set64(S.DR + 8 * k, 0n);
    state.set64(S.DR + 48, 0xffff0ff0n);
    state.set64(S.DR + 56, 0x400n);
    for (const at of [S.CPL, S.FAULT_VECTOR, S.INTERRUPT_SHADOW, S.NMI_MASKED]) state.set32(at, 0);
    state.clearAttention(Attention.Stop | Attention.InterruptWindow);
    this.forgetTraps();
    state.set32(S.BREAKPOINTS, 0);
    state.refresh();
    this.flushTlb();
  }

  protected forgetTraps(): void {
    this.state.set32(S.TRAP_PENDING, 0);
    this.state.set32(S.DEBUG_HITS, 0);
  }
}
