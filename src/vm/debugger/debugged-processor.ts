/**
 * One virtual processor in the debugger's hands: what it is doing, and the guest's own debug registers while the
 * debugger uses the real ones. Methods are hypercalls; what is to happen next is vm-debugger.ts's business.
 */
import { PendingInterruptionType } from '../../hvdef/intercepts.ts';
import { InterruptStateBit, PendingInterruption, RegisterName as R } from '../../hvdef/registers.ts';
import { FLAG } from '../../x86/flags.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import type { StopEvent } from './debug-target.ts';
import { type DebugRegisters, DR6, DR7, executesAt, type SlotPlan } from './hardware-breakpoints.ts';
import { linearRip, type ProcessorView, viewOf } from './processor-view.ts';

/** What follows when a motion is over: tell the debugger, or let everything run that stood still for it. */
export type Then = 'stop' | 'go';

export type Motion =
  | { kind: 'held' | 'run' }
  /** One instruction under TF. */
  | { kind: 'trap'; then: Then; guestTf: boolean; shape: 'ordinary' | 'pushes-flags' | 'loads-flags' }
  /**
   * Runs to one of these linear addresses. `next`: what happens there; `captures`: an exception on the way is followed
   * to its handler.
   */
  | {
      kind: 'arrive';
      targets: readonly bigint[];
      next: Then | 'step' | 'run';
      then: Then;
      captures: boolean;
    };

export const HELD: Motion = { kind: 'held' };

export interface GuestException {
  vector: number;
  errorCode?: number;
  /** The address of a page fault. */
  parameter?: bigint;
  /** INT3 and INTO: the guest's handler returns behind the instruction. */
  instructionLength?: number;
}

const PAGE_FAULT = 14;
const TF = BigInt(FLAG.TF);
const RF = BigInt(FLAG.RF);
const DEBUG_NAMES = [R.Dr0, R.Dr1, R.Dr2, R.Dr3, R.Dr6, R.Dr7];

export class DebuggedProcessor {
  readonly index: number;
  readonly #partition: ChildPartition;
  motion: Motion = HELD;
  /** The guest's debug registers, while the real ones may hold others. */
  guest: bigint[] | undefined;
  /** What is where in the real ones; undefined while they are the guest's or a motion's. */
  plan: SlotPlan | undefined;
  /** A stop that happened while another processor's was being told. */
  pendingStop: StopEvent | undefined;
  /** A step was given up here: its trap may still come before the next instruction, and is nobody's. */
  abandonedAt: bigint | undefined;
  /** Stopped with an intercept outstanding: it is settled when that has been handled. */
  unsettled = false;

  constructor(partition: ChildPartition, index: number) {
    this.#partition = partition;
    this.index = index;
  }

  view(): ProcessorView {
    return viewOf(this.#partition, this.index);
  }

  hold(): void {
    this.#put(R.ExplicitSuspend, 1n);
  }

  release(): void {
    this.#put(R.ExplicitSuspend, 0n);
  }

  /** An intercept of it has been answered. */
  resume(): void {
    this.#put(R.InterceptSuspend, 0n);
  }

  get hasIntercept(): boolean {
    return this.#partition.registers.read(this.index, [R.InterceptSuspend])[0] !== 0n;
  }

  setRip(rip: bigint): void {
    this.#put(R.Rip, rip);
  }

  setFlags(rflags: bigint): void {
    this.#put(R.Rflags, rflags);
  }

  // Stepping

  /**
   * Sets TF, and an interrupt shadow, so that the step is this instruction's and no interrupt saves the flag where
   * the guest would find it. An instruction breakpoint under it does not hit.
   */
  trapNext(view: ProcessorView, then: Then, shape: 'ordinary' | 'pushes-flags' | 'loads-flags'): void {
    this.motion = { kind: 'trap', then, guestTf: (view.rflags & TF) !== 0n, shape };
    const shadow = BigInt(InterruptStateBit.InterruptShadow);
    const batch = this.#partition.registers.begin(this.index);
    if ((view.interruptState & shadow) === 0n) batch.put(R.InterruptState, view.interruptState | shadow);
    batch.put(R.Rflags, this.#pastBreakpoint(view, view.rflags | TF)).commit();
  }

  /** RFLAGS as the guest has them: TF is taken back. */
  endTrap(guestTf: boolean): ProcessorView {
    const view = this.view();
    const rflags = guestTf ? view.rflags | TF : view.rflags & ~TF;
    if (rflags !== view.rflags) this.setFlags(rflags);
    return { ...view, rflags };
  }

  /** The instruction at RIP runs although the debugger has an instruction breakpoint there. */
  passBreakpoint(view: ProcessorView): void {
    const rflags = this.#pastBreakpoint(view, view.rflags);
    if (rflags !== view.rflags) this.setFlags(rflags);
  }

  #pastBreakpoint(view: ProcessorView, rflags: bigint): bigint {
    const { plan } = this;
    return plan !== undefined && executesAt(plan, linearRip(view)) ? rflags | RF : rflags;
  }

  /** The exception is delivered before the next instruction. */
  inject({ vector, errorCode, parameter, instructionLength }: GuestException): void {
    let word =
      PendingInterruption.Pending |
      (PendingInterruptionType.Exception << PendingInterruption.TypeShift) |
      (vector << PendingInterruption.VectorShift);
    if (errorCode !== undefined) word |= PendingInterruption.DeliverErrorCode;
    const batch = this.#partition.registers.begin(this.index);
    batch.put(R.PendingInterruption, (BigInt(errorCode ?? 0) << 32n) | BigInt(word >>> 0));
    if (vector === PAGE_FAULT && parameter !== undefined) batch.put(R.Cr2, parameter);
    batch.commit();
    if (instructionLength !== undefined) this.setRip(this.view().rip + BigInt(instructionLength));
  }

  // Debug registers

  readDebug(): bigint[] {
    return this.#partition.registers.read(this.index, DEBUG_NAMES);
  }

  /** Remembers the guest's, unless it is known already. */
  captureDebug(): bigint[] {
    this.guest ??= this.readDebug();
    return this.guest;
  }

  install(registers: DebugRegisters, plan: SlotPlan | undefined): void {
    this.captureDebug();
    this.plan = plan;
    this.#putDebug(registers);
  }

  /** The real debug registers are the guest's again. */
  restoreDebug(): void {
    if (this.guest !== undefined) this.#putDebug(this.guest);
    this.guest = undefined;
    this.plan = undefined;
  }

  /** Bits of DR6 that the guest is to find. In debug registers of its own they are already. */
  tellGuest(bits: bigint): void {
    const { guest } = this;
    if (guest !== undefined) guest[DR6] = (guest[DR6] & ~0xfn) | bits;
  }

  /** DR6 as the guest should have it. */
  putStatus(): void {
    if (this.guest !== undefined) this.#put(R.Dr6, this.guest[DR6]);
  }

  /** DR7 last: what it enables is in place then. */
  #putDebug(registers: DebugRegisters): void {
    const batch = this.#partition.registers.begin(this.index).putNumber(R.Dr7, 0x400);
    DEBUG_NAMES.slice(0, DR7).forEach((name, slot) => {
      batch.put(name, registers[slot]);
    });
    batch.put(R.Dr7, registers[DR7]).commit();
  }

  #put(name: number, value: bigint): void {
    this.#partition.registers.begin(this.index).put(name, value).commit();
  }
}
