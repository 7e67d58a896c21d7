/**
 * What a debugger's session needs of a machine. Everything is asked for between two slices of the run loop; addresses
 * are linear (guest-virtual with segment bases added), virtual processors are counted from 0.
 */

/** GDB's numbers of breakpoint kinds (Z packets). */
export const BreakpointKind = { Software: 0, Hardware: 1, Write: 2, Read: 3, Access: 4 } as const;
export type BreakpointKind = (typeof BreakpointKind)[keyof typeof BreakpointKind];

export interface StopEvent {
  vp: number;
  /** As GDB numbers signals: 2 interrupted, 5 trap, 11 the guest crashed. */
  signal: number;
  cause:
    | { kind: 'none' | 'software-breakpoint' | 'hardware-breakpoint' }
    | { kind: 'watchpoint'; access: 'watch' | 'rwatch' | 'awatch'; address: bigint };
  /** Something to tell the user besides. */
  text?: string;
}

export type VpAction = 'continue' | 'step' | 'hold';

export interface DebugTarget {
  readonly vpCount: number;
  /** All virtual processors stand still for the debugger. */
  readonly stopped: boolean;
  /** A debugger takes over: the machine stops. Later stops are told to `onStop`. */
  attach(onStop: (event: StopEvent) => void): void;
  /** Breakpoints go. With `goOn` the machine runs; without, it stays as it is, for the next debugger. */
  detach(goOn: boolean): void;
  /** Values of REGISTERS (register-table.ts), in its order. */
  readRegisters(vp: number): bigint[];
  /** False: no such register, or no value for it. */
  writeRegister(vp: number, index: number, value: bigint): boolean;
  /** As many bytes as can be read from `address` on, breakpoints hidden. */
  readMemory(vp: number, address: bigint, length: number): Uint8Array;
  /** False when not all of it could be written. */
  writeMemory(vp: number, address: bigint, bytes: Uint8Array): boolean;
  /** False: there is no room in the debug registers, or no memory at the address. Inserting twice is once. */
  insertBreakpoint(kind: BreakpointKind, vp: number, address: bigint, length: number): boolean;
  removeBreakpoint(kind: BreakpointKind, vp: number, address: bigint, length: number): boolean;
  /** One action for each virtual processor. */
  resume(actions: readonly VpAction[]): void;
  interrupt(): void;
  /** Ends the machine. */
  kill(): void;
  reset(): void;
  /** GPA of a linear address; undefined where nothing is. */
  translate(vp: number, address: bigint): number | undefined;
}
