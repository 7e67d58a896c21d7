/** System instructions: privilege is checked by the decoder's mode where the table says cpl0. */
import { i32, i64, type Value } from '../../support/wasm/values.ts';
import { CR4 } from '../../x86/control-registers.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { Operation } from '../microcode/operations.ts';
import { Segment } from '../processor.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';
import { packFlags, unpackArithmetic } from './flags.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;

const plain =
  (operation: number): Semantics =>
  (s) =>
    s.microcode(operation);

/** IN and OUT: the port is an immediate byte or DX; the access size is the operand size, at most 32 bits. */
const port =
  (operation: number, portOperand: number): Semantics =>
  (s) => {
    const number =
      s.shape(portOperand) === 'i' ? i64.and(s.read(portOperand), i64.const(0xff)) : s.gpr(RDX, 16);
    s.setField('i64', S.SCRATCH, number);
    const size = s.shape(1 - portOperand) === 'r8' ? 1 : s.shape(1 - portOperand) === 'r16' ? 2 : 4;
    s.microcode(operation, i32.const(size));
  };

const base = (s: Stage, segment: number): Value =>
  s.field('i64', S.SEGMENT + segment * S.SEGMENT_SIZE + S.SEGMENT_BASE);

const swapgs: Semantics = (s) => {
  const old = s.f.let(base(s, Segment.GS));
  s.setField('i64', S.SEGMENT + Segment.GS * S.SEGMENT_SIZE, s.field('i64', S.MSR_KERNEL_GS_BASE));
  s.setField('i64', S.MSR_KERNEL_GS_BASE, old);
};

const readBase =
  (segment: number): Semantics =>
  (s) => {
    requireFsgsbase(s);
    s.write(0, base(s, segment));
  };
const writeBase =
  (segment: number): Semantics =>
  (s) => {
    requireFsgsbase(s);
    const value = s.f.let(s.read(0));
    const canonical = i64.shrS(i64.shl(value, i64.const(16)), i64.const(16));
    s.raiseIf(i64.ne(canonical, value), VECTOR.GP, 0);
    s.setField('i64', S.SEGMENT + segment * S.SEGMENT_SIZE, value);
  };
const requireFsgsbase = (s: Stage): void =>
  s.raiseIf(i32.eqz(i32.and(s.field('i32', S.CR4), i32.const(CR4.FSGSBASE))), VECTOR.UD);

/** RDTSC: #GP at user level when CR4.TSD is set. */
function readTsc(s: Stage): void {
  const restricted = i32.and(
    i32.ne(s.field('i32', S.CPL), i32.const(0)),
    i32.shrU(s.field('i32', S.CR4), i32.const(2)),
  );
  s.raiseIf(i32.and(restricted, i32.const(1)), VECTOR.GP, 0);
  const ticks = i64.truncSatF64U(s.f.call(s.runtime.imports.readTsc, s.state));
  const now = s.f.let(i64.add(ticks, s.field('i64', S.TSC_OFFSET)));
  s.setGpr(RAX, 32, now);
  s.setGpr(RDX, 32, i64.shrU(now, i64.const(32)));
}

const storeSelector =
  (segment: number): Semantics =>
  (s) => {
    const selector = S.SEGMENT + segment * S.SEGMENT_SIZE + S.SEGMENT_SELECTOR;
    s.write(0, s.f.let(s.field('i64_16u', selector)));
  };

const withSelector =
  (operation: number): Semantics =>
  (s) => {
    s.setField('i64', S.SCRATCH, s.f.let(s.read(0)));
    s.microcode(operation);
  };

/** Pseudo-descriptor: limit, then a base of 4 (3 used with 16-bit operands) or 8 bytes. */
const storeTable =
  (table: number): Semantics =>
  (s) => {
    const wide = s.bits === 64;
    const va = s.f.let(s.linearAddress(0, wide ? 10 : 6, 2));
    s.store(16, va, s.field('i64_32u', table + 8));
    s.store(wide ? 64 : 32, i64.add(va, i64.const(2)), s.field('i64', table));
  };
const loadTable =
  (operation: number): Semantics =>
  (s) => {
    const wide = s.bits === 64;
    const va = s.f.let(s.linearAddress(0, wide ? 10 : 6, 1));
    const limit = s.load(16, va);
    const address = s.load(wide ? 64 : 32, i64.add(va, i64.const(2)));
    s.setField('i64', S.SCRATCH, limit);
    s.setField('i64', S.SCRATCH + 8, s.bits === 16 ? i64.and(address, i64.const(0xffffff)) : address);
    s.microcode(operation);
  };

/** LAR, LSL: destination and ZF come back in scratch. */
const queryDescriptor =
  (operation: number): Semantics =>
  (s) => {
    s.setField('i64', S.SCRATCH, i64.and(s.f.let(s.read(1)), i64.const(0xffff)));
    s.microcode(operation);
    s.f.if(setZeroFromScratch(s), () => s.write(0, s.field('i64', S.SCRATCH + 8)));
  };
const verify =
  (operation: number): Semantics =>
  (s) => {
    s.setField('i64', S.SCRATCH, s.f.let(s.read(0)));
    s.microcode(operation);
    setZeroFromScratch(s);
  };
function setZeroFromScratch(s: Stage): Value {
  const zero = s.f.let(s.field('i32', S.SCRATCH + 16));
  unpackArithmetic(s, i32.or(i32.and(packFlags(s), i32.const(~0x40)), i32.shl(zero, i32.const(6))));
  return zero;
}

const arpl: Semantics = (s) => {
  const source = s.f.let(i64.and(s.read(1), i64.const(3)));
  s.modify(0, (old) => {
    const lower = s.f.let(i64.ltU(i64.and(old, i64.const(3)), source));
    unpackArithmetic(s, i32.or(i32.and(packFlags(s), i32.const(~0x40)), i32.shl(lower, i32.const(6))));
    const raised = i64.or(i64.and(old, i64.const(0xfffc)), source);
    const result = s.f.variable(old);
    s.f.if(lower, () => s.f.set(result, raised));
    return result.get;
  });
};

const nothing: Semantics = () => {};
/** NOP with a memory operand and prefetches never touch it. */

const saveArea =
  (operation: number): Semantics =>
  (s) => {
    const access = operation === Operation.Fxsave || operation === Operation.Xsave ? 2 : 1;
    s.setField('i64', S.SCRATCH + 0x300, s.linearAddress(0, 1, access));
    s.microcode(operation);
  };

export const system: Record<string, Semantics> = {
  nop: nothing,
  pause: nothing,
  prefetch: nothing,
  lfence: nothing,
  mfence: (s) => {
    if (s.runtime.isShared) s.f.fence();
  },
  sfence: nothing,
  invd: nothing,
  wbinvd: nothing,
  /** Reads the line's address for its faults only. */
  clflush: (s) => s.f.do(s.readable(s.linearAddress(0, 1, 1), 1)),
  clflushopt: (s) => s.f.do(s.readable(s.linearAddress(0, 1, 1), 1)),
  ud0: (s) => s.raise(VECTOR.UD),
  ud1: (s) => s.raise(VECTOR.UD),
  ud2: (s) => s.raise(VECTOR.UD),
  rsm: (s) => s.raise(VECTOR.UD),
  in: port(Operation.PortIn, 1),
  out: port(Operation.PortOut, 0),
  rdmsr: plain(Operation.ReadMsr),
  wrmsr: plain(Operation.WriteMsr),
  rdpmc: plain(Operation.Rdpmc),
  cpuid: plain(Operation.Cpuid),
  hlt: plain(Operation.Halt),
  vmcall: plain(Operation.Hypercall),
  vmmcall: plain(Operation.Hypercall),
  sysenter: plain(Operation.Sysenter),
  sysexit: plain(Operation.Sysexit),
  swapgs,
  rdfsbase: readBase(Segment.FS),
  rdgsbase: readBase(Segment.GS),
  wrfsbase: writeBase(Segment.FS),
  wrgsbase: writeBase(Segment.GS),
  rdtsc: readTsc,
  rdtscp: (s) => {
    readTsc(s);
    s.setGpr(RCX, 32, s.field('i64', S.MSR_TSC_AUX));
  },
  rdpid: (s) => s.write(0, s.field('i64', S.MSR_TSC_AUX)),
  sldt: storeSelector(Segment.LDTR),
  str: storeSelector(Segment.TR),
  lldt: withSelector(Operation.LoadLdt),
  ltr: withSelector(Operation.LoadTask),
  verr: verify(Operation.VerifyRead),
  verw: verify(Operation.VerifyWrite),
  lar: queryDescriptor(Operation.LoadAccessRights),
  lsl: queryDescriptor(Operation.LoadLimit),
  arpl,
  sgdt: storeTable(S.GDTR),
  sidt: storeTable(S.IDTR),
  lgdt: loadTable(Operation.LoadGdt),
  lidt: loadTable(Operation.LoadIdt),
  smsw: (s) => s.write(0, s.field('i64', S.CR0)),
  lmsw: withSelector(Operation.LoadMachineStatus),
  clts: plain(Operation.ClearTaskSwitched),
  invlpg: (s) => {
    s.setField('i64', S.SCRATCH, s.linearAddress(0, 1, 0));
    s.microcode(Operation.InvalidatePage);
  },
  xgetbv: plain(Operation.Xgetbv),
  xsetbv: plain(Operation.Xsetbv),
  fxsave: saveArea(Operation.Fxsave),
  fxrstor: saveArea(Operation.Fxrstor),
  xsave: saveArea(Operation.Xsave),
  xrstor: saveArea(Operation.Xrstor),
  ldmxcsr: (s) => {
    const value = s.load(32, s.linearAddress(0, 4, 1));
    s.raiseIf(i64.ne(i64.and(value, i64.const(~0xffffn)), i64.const(0)), VECTOR.GP, 0);
    s.setField('i64_32', S.MXCSR, value);
  },
  stmxcsr: (s) => s.store(32, s.linearAddress(0, 4, 2), s.field('i64_32u', S.MXCSR)),
  enter: (s) => {
    s.setField('i64', S.SCRATCH, s.immediate(0));
    s.setField('i64', S.SCRATCH + 8, s.immediate(1));
    s.microcode(Operation.Enter);
  },
  pusha: plain(Operation.PushAll),
  popa: plain(Operation.PopAll),
  bound: (s) => {
    const width = s.width(0);
    const va = s.f.let(s.linearAddress(1, width / 4, 1));
    const extend = width === 16 ? i64.extend16S : i64.extend32S;
    const low = s.f.let(extend(s.load(width, va)));
    const high = s.f.let(extend(s.load(width, i64.add(va, i64.const(width / 8)))));
    const index = s.f.let(extend(s.read(0)));
    s.raiseIf(i32.or(i64.ltS(index, low), i64.gtS(index, high)), VECTOR.BR);
  },
  ...Object.fromEntries(
    ['daa', 'das', 'aaa', 'aas', 'aam', 'aad'].map((name, k): [string, Semantics] => [
      name,
      (s) => {
        s.setField('i64', S.SCRATCH, s.form.shapes.length > 0 ? s.immediate(0) : i64.const(0));
        s.microcode(Operation.DecimalAdjust, i32.const(k));
      },
    ]),
  ),
};
