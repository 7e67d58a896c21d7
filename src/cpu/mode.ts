/**
 * The execution mode in one word (MODE in the state page): everything that decoding depends on. Decoded code is
 * found by physical address and mode together, so a handler need not test any of it again.
 */
import { CR0, CR4, EFER } from '../x86/control-registers.ts';
import { FLAG } from '../x86/flags.ts';

export const Mode = {
  /** Two bits: 0 = 16-bit code, 1 = 32-bit, 2 = 64-bit. */
  CodeSizeMask: 3,
  Code16: 0,
  Code32: 1,
  Code64: 2,
  /** CPL is not 0: privileged instructions fault. */
  Unprivileged: 1 << 2,
  /** Real or virtual-8086 mode: protected-mode instructions are undefined. */
  Real: 1 << 3,
  /** CR0.TS: FPU and SSE instructions raise #NM. */
  TaskSwitched: 1 << 4,
  /** CR0.EM: x87 raises #NM, SSE #UD. */
  Emulate: 1 << 5,
  /** CR4.OSFXSR clear: SSE raises #UD. */
  NoSse: 1 << 6,
  /** Shifted left by a segment's index: that segment is not flat, accesses through it check limit and type. */
  CheckSegment: 1 << 16,
  /** One instruction runs before anything is accepted: STI or MOV SS shadow. */
  Shadow: 1 << 8,
  /** RFLAGS.TF, a debug exception that waits, or an enabled breakpoint: something happens between instructions. */
  Trap: 1 << 9,
  /** CR0.MP with TS: WAIT raises #NM. */
  MonitorProcessor: 1 << 10,
  /** CR4.OSXSAVE clear: XSAVE and XGETBV are undefined. */
  NoXsave: 1 << 11,
} as const;

export interface ModeInputs {
  cr0: number;
  cr4: number;
  efer: number;
  rflags: number;
  cpl: number;
  csAttributes: number;
  /** Bit i: segment i (ES..GS) is a present, writable data segment of 4 GiB. */
  flat: number;
  shadow: boolean;
  /** A debug trap is pending or a breakpoint enabled. */
  debugging: boolean;
}

/** L and D/B bits of a code segment's attributes (descriptor bits 53 and 54 as bits 13 and 14 of 40..55). */
export const ATTRIBUTE_L = 1 << 13;
export const ATTRIBUTE_DB = 1 << 14;

export const isLongMode = (efer: number): boolean => (efer & EFER.LMA) !== 0;

export function modeOf(i: ModeInputs): number {
  const real = (i.cr0 & CR0.PE) === 0 || (i.rflags & FLAG.VM) !== 0;
  const long = isLongMode(i.efer) && (i.csAttributes & ATTRIBUTE_L) !== 0;
  let mode: number = long
    ? Mode.Code64
    : (i.csAttributes & ATTRIBUTE_DB) !== 0 && !real
      ? Mode.Code32
      : Mode.Code16;
  if (real && (i.rflags & FLAG.VM) === 0 && (i.csAttributes & ATTRIBUTE_DB) !== 0) mode = Mode.Code32;
  if (i.cpl !== 0) mode |= Mode.Unprivileged;
  if (real) mode |= Mode.Real;
  if (i.cr0 & CR0.TS) mode |= Mode.TaskSwitched;
  if (i.cr0 & CR0.MP) mode |= Mode.MonitorProcessor;
  if (i.cr0 & CR0.EM) mode |= Mode.Emulate;
  if ((i.cr4 & CR4.OSFXSR) === 0) mode |= Mode.NoSse;
  if ((i.cr4 & CR4.OSXSAVE) === 0) mode |= Mode.NoXsave;
  if (!long) mode |= (~i.flat & 0x3f) * Mode.CheckSegment;
  if (i.shadow) mode |= Mode.Shadow;
  if (i.debugging || i.rflags & FLAG.TF) mode |= Mode.Trap;
  return mode;
}
