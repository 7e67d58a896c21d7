/**
 * The debugger of one virtual machine as a `DebugTarget`: registers and memory through hypercalls, breakpoints in two
 * kinds, and run-control.ts, which stops and moves the virtual processors.
 */
import type { ChildPartition } from '../parent/child-partition.ts';
import { HypercallFailure } from '../parent/hypercall-page.ts';
import type { MessagePump } from '../parent/message-pump.ts';
import { BreakpointKind, type DebugTarget, type StopEvent, type VpAction } from './debug-target.ts';
import { GuestLinearMemory } from './guest-linear-memory.ts';
import { HardwareBreakpoints } from './hardware-breakpoints.ts';
import { REGISTERS, registerValue, SOURCES, withRegister } from './register-table.ts';
import { RunControl } from './run-control.ts';
import { SoftwareBreakpoints } from './software-breakpoints.ts';

export interface DebuggedMachine {
  readonly partition: ChildPartition;
  readonly vpCount: number;
  readonly pump: MessagePump;
  end(outcome: { kind: 'stopped' } | { kind: 'reset' }): void;
}

export class VmDebugger implements DebugTarget {
  readonly #machine: DebuggedMachine;
  readonly #memory: GuestLinearMemory;
  readonly #software: SoftwareBreakpoints;
  readonly #hardware = new HardwareBreakpoints();
  readonly #run: RunControl;
  /** Software breakpoints where no memory was yet: the debug registers hold them. */
  readonly #unmapped = new Set<bigint>();

  constructor(machine: DebuggedMachine) {
    this.#machine = machine;
    this.#memory = new GuestLinearMemory(machine.partition);
    this.#software = new SoftwareBreakpoints(machine.partition);
    const { partition, vpCount, pump } = machine;
    const [memory, software, hardware] = [this.#memory, this.#software, this.#hardware] as const;
    this.#run = new RunControl({ partition, vpCount, pump, memory, software, hardware });
  }

  get vpCount(): number {
    return this.#machine.vpCount;
  }

  get stopped(): boolean {
    return this.#run.stopped;
  }

  /** A debugger is connected. */
  get attached(): boolean {
    return this.#run.attached;
  }

  /** The processors have not been started: they wait for a debugger. */
  holdAtStart(): void {
    this.#run.holdAtStart();
  }

  attach(onStop: (event: StopEvent) => void): void {
    this.#run.attach(onStop);
  }

  detach(goOn: boolean): void {
    this.#run.detach(goOn, () => {
      this.#software.removeAll(0);
      this.#hardware.removeAll();
      this.#unmapped.clear();
    });
  }

  resume(actions: readonly VpAction[]): void {
    this.#run.resume(actions);
  }

  interrupt(): void {
    this.#run.interrupt();
  }

  kill(): void {
    this.#machine.end({ kind: 'stopped' });
  }

  reset(): void {
    this.#machine.end({ kind: 'reset' });
  }

  /** The machine can't go on. True: the debugger looks at it first, and `end` is called when it lets go. */
  crashed(text: string, end: () => void): boolean {
    return this.#run.crashed(text, end);
  }

  readRegisters(vp: number): bigint[] {
    const values = this.#machine.partition.registers.readAll(vp, SOURCES);
    return REGISTERS.map((register) => registerValue(register, values));
  }

  writeRegister(vp: number, index: number, value: bigint): boolean {
    const register = REGISTERS[index];
    if (register === undefined) return false;
    const { registers } = this.#machine.partition;
    const current = registers.readAll(vp, [register.source]).get(register.source) ?? 0n;
    const next = withRegister(register, current, value);
    if (next === undefined) return false;
    try {
      registers
        .begin(vp)
        .putWide(register.source, BigInt.asUintN(64, next), next >> 64n)
        .commit();
      return true;
    } catch (error) {
      // A value that the register cannot have.
      if (error instanceof HypercallFailure) return false;
      throw error;
    }
  }

  readMemory(vp: number, address: bigint, length: number): Uint8Array {
    return this.#memory.read(vp, address, length, (gpa, bytes) => this.#software.hideIn(gpa, bytes));
  }

  writeMemory(vp: number, address: bigint, bytes: Uint8Array): boolean {
    const keep = (gpa: number, piece: Uint8Array): void => this.#software.keepIn(gpa, piece);
    return this.#memory.write(vp, address, bytes, keep) === bytes.length;
  }

  translate(vp: number, address: bigint): number | undefined {
    return this.#memory.translate(vp, address);
  }

  insertBreakpoint(kind: BreakpointKind, vp: number, address: bigint, length: number): boolean {
    if (kind !== BreakpointKind.Software) return this.#hardware.insert(kind, address, length);
    const gpa = this.#memory.translate(vp, address);
    if (gpa !== undefined) return this.#software.insert(vp, gpa);
    // Before the guest has mapped its code: as in an emulator that breaks by address.
    if (!this.#hardware.insert(BreakpointKind.Software, address, 1)) return false;
    this.#unmapped.add(address);
    return true;
  }

  removeBreakpoint(kind: BreakpointKind, vp: number, address: bigint, length: number): boolean {
    if (kind !== BreakpointKind.Software) return this.#hardware.remove(kind, address, length);
    if (this.#unmapped.delete(address)) return this.#hardware.remove(BreakpointKind.Software, address, 1);
    const gpa = this.#memory.translate(vp, address);
    return gpa !== undefined && this.#software.remove(vp, gpa);
  }
}
