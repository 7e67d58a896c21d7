/** What the debugger has to know of a virtual processor to run it on: one HvGetVpRegisters. */
import { PendingInterruption, RegisterName as R } from '../../hvdef/registers.ts';
import { CR0, EFER } from '../../x86/control-registers.ts';
import { FLAG } from '../../x86/flags.ts';
import type { ChildPartition } from '../parent/child-partition.ts';

export interface SegmentView {
  base: bigint;
  attributes: number;
  selector: number;
}

export interface TableView {
  base: bigint;
  limit: number;
}

export interface ProcessorView {
  rip: bigint;
  rsp: bigint;
  rflags: bigint;
  cs: SegmentView;
  ss: SegmentView;
  cr0: bigint;
  cr4: bigint;
  efer: bigint;
  idt: TableView;
  gdt: TableView;
  ldt: bigint;
  /** HvX64RegisterPendingInterruption, HvX64RegisterInterruptState. */
  pending: bigint;
  interruptState: bigint;
  lstar: bigint;
  cstar: bigint;
  sysenterRip: bigint;
}

const NAMES = [
  ...[R.Rip, R.Rsp, R.Rflags, R.Cs, R.Ss, R.Cr0, R.Cr4, R.Efer, R.Idtr, R.Gdtr, R.Ldtr],
  ...[R.PendingInterruption, R.InterruptState, R.Lstar, R.Cstar, R.SysenterRip],
];

const CS_LONG = 1 << 13;
const DEFAULT_32 = 1 << 14;
const LOW_64 = (1n << 64n) - 1n;
const LOW_32 = 0xffff_ffffn;

function segment(value: bigint): SegmentView {
  return {
    base: value & LOW_64,
    attributes: Number((value >> 96n) & 0xffffn),
    selector: Number((value >> 112n) & 0xffffn),
  };
}

function table(value: bigint): TableView {
  return { base: value >> 64n, limit: Number((value >> 48n) & 0xffffn) };
}

export function viewOf(partition: ChildPartition, vp: number): ProcessorView {
  const values = partition.registers.readAll(vp, NAMES);
  const of = (name: number): bigint => values.get(name) ?? 0n;
  return {
    rip: of(R.Rip),
    rsp: of(R.Rsp),
    rflags: of(R.Rflags),
    cs: segment(of(R.Cs)),
    ss: segment(of(R.Ss)),
    cr0: of(R.Cr0),
    cr4: of(R.Cr4),
    efer: of(R.Efer),
    idt: table(of(R.Idtr)),
    gdt: table(of(R.Gdtr)),
    ldt: of(R.Ldtr) & LOW_64,
    pending: of(R.PendingInterruption),
    interruptState: of(R.InterruptState),
    lstar: of(R.Lstar),
    cstar: of(R.Cstar),
    sysenterRip: of(R.SysenterRip),
  };
}

export const isLongMode = ({ efer }: ProcessorView): boolean => (efer & BigInt(EFER.LMA)) !== 0n;

/** Real and virtual-8086 mode: the vector table is at the IDT's base, segments are selectors times 16. */
export const isReal = ({ cr0, rflags }: ProcessorView): boolean =>
  (cr0 & BigInt(CR0.PE)) === 0n || (rflags & BigInt(FLAG.VM)) !== 0n;

export function codeSizeOf(view: ProcessorView): 16 | 32 | 64 {
  if (isLongMode(view) && (view.cs.attributes & CS_LONG) !== 0) return 64;
  return (view.cs.attributes & DEFAULT_32) !== 0 ? 32 : 16;
}

function linear(view: ProcessorView, { base, attributes }: SegmentView, offset: bigint): bigint {
  if (codeSizeOf(view) === 64) return offset;
  const wide = (attributes & DEFAULT_32) !== 0;
  return (base + (wide ? offset & LOW_32 : offset & 0xffffn)) & LOW_32;
}

export const linearRip = (view: ProcessorView): bigint => linear(view, view.cs, view.rip);
export const linearRsp = (view: ProcessorView): bigint => linear(view, view.ss, view.rsp);

/** The vector that waits to be delivered before the next instruction; undefined when none does. */
export function pendingVector({ pending }: ProcessorView): number | undefined {
  const word = Number(pending & LOW_32);
  return (word & PendingInterruption.Pending) === 0
    ? undefined
    : (word >>> PendingInterruption.VectorShift) & 0xff;
}
