/**
 * SYSCALL, SYSRET and IRET as 64-bit kernels use them: between flat 64-bit segments, without single stepping.
 * Every other case goes to the microcode, which has all of the checks; what is here is the same transition with
 * its checks reduced to comparisons.
 */
import { i32, i64, loads, type Value } from '../../support/wasm/values.ts';
import { EFER } from '../../x86/control-registers.ts';
import { ARITHMETIC_FLAGS, FLAG } from '../../x86/flags.ts';
import { Operation } from '../microcode/operations.ts';
import { Mode } from '../mode.ts';
import { Segment } from '../processor.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';
import { packFlags, unpackArithmetic } from './flags.ts';

const RCX = 1;
const RSP = 4;
const R11 = 11;

/** Attributes of flat segments by privilege: 64-bit code, and writable data. */
const CODE_64 = { 0: 0xa09b, 3: 0xa0fb } as const;
const DATA = { 0: 0xc093, 3: 0xc0f3 } as const;
/** The same as descriptors in memory. */
const CODE_64_DESCRIPTOR = { 0: 0x00af9b000000ffffn, 3: 0x00affb000000ffffn } as const;
const DATA_DESCRIPTOR = { 0: 0x00cf93000000ffffn, 3: 0x00cff3000000ffffn } as const;

/** Flags that SYSRET and IRET take from their image. */
const RESTORED = 0x3f7fd7;

const canonical = (value: Value): Value =>
  i64.eq(i64.shrS(i64.shl(value, i64.const(16)), i64.const(16)), value);

/** Writes all of RFLAGS (i32). */
function setFlags(s: Stage, value: Value): void {
  const flags = s.f.let(value);
  unpackArithmetic(s, flags);
  s.setField('i32', S.FLAGS_SYSTEM, i32.and(flags, i32.const(~(ARITHMETIC_FLAGS | FLAG.FIXED))));
}

/** A flat segment register; `selector` is i32. */
function setFlat(s: Stage, segment: number, selector: Value, attributes: number): void {
  const at = S.SEGMENT + segment * S.SEGMENT_SIZE;
  s.setField('i64', at + S.SEGMENT_BASE, i64.const(0));
  s.setField('i32', at + S.SEGMENT_LIMIT, i32.const(-1));
  s.setField(
    'i32',
    at + S.SEGMENT_ATTRIBUTES,
    i32.or(i32.const(attributes), i32.shl(selector, i32.const(16))),
  );
}

/** The null SS that ring 0 may have in 64-bit mode. */
function setNullStack(s: Stage): void {
  const at = S.SEGMENT + Segment.SS * S.SEGMENT_SIZE;
  s.setField('i64', at + S.SEGMENT_BASE, i64.const(0));
  s.setField('i64', at + S.SEGMENT_LIMIT, i64.const(0));
}

function setPrivilege(s: Stage, cpl: 0 | 3): void {
  const mode = s.field('i32', S.MODE);
  s.setField('i32', S.CPL, i32.const(cpl));
  const changed =
    cpl === 3 ? i32.or(mode, i32.const(Mode.Unprivileged)) : i32.and(mode, i32.const(~Mode.Unprivileged));
  s.setField('i32', S.MODE, changed);
}

const systemCalls = (s: Stage): Value =>
  i32.ne(i32.and(s.field('i32', S.EFER), i32.const(EFER.SCE)), i32.const(0));
const stepping = (s: Stage): Value => i32.and(s.field('i32', S.MODE), i32.const(Mode.Shadow | Mode.Trap));

const syscall: Semantics = (s) => {
  const { f } = s;
  f.if(
    i32.and(systemCalls(s), i32.eqz(stepping(s))),
    () => {
      const flags = f.let(i32.and(packFlags(s), i32.const(~FLAG.RF)));
      const star = f.let(
        i32.and(i32.wrap(i64.shrU(s.field('i64', S.MSR_STAR), i64.const(32))), i32.const(0xfffc)),
      );
      const target = f.let(s.field('i64', S.MSR_LSTAR));
      s.setGpr(RCX, 64, s.nextRip());
      s.setGpr(R11, 64, i64.extendU(i32.or(flags, i32.const(FLAG.FIXED))));
      setFlags(s, i32.and(flags, i32.xor(s.field('i32', S.MSR_SFMASK), i32.const(-1))));
      setFlat(s, Segment.CS, star, CODE_64[0]);
      setFlat(s, Segment.SS, i32.add(star, i32.const(8)), DATA[0]);
      setPrivilege(s, 0);
      s.jump(target);
    },
    () => s.microcode(Operation.Syscall),
    'likely',
  );
};

const sysret: Semantics = (s) => {
  if (s.bits !== 64) {
    s.microcode(Operation.Sysret);
    return;
  }
  const { f } = s;
  const target = f.let(s.gpr(RCX));
  const image = f.let(i32.wrap(s.gpr(R11)));
  const plain = i32.eqz(i32.or(i32.and(image, i32.const(FLAG.TF)), stepping(s)));
  f.if(
    i32.and(i32.and(systemCalls(s), canonical(target)), plain),
    () => {
      const base = f.let(i32.wrap(i64.shrU(s.field('i64', S.MSR_STAR), i64.const(48))));
      setFlags(s, i32.and(image, i32.const(RESTORED & ~(FLAG.RF | FLAG.VM))));
      setFlat(s, Segment.CS, i32.or(i32.add(base, i32.const(16)), i32.const(3)), CODE_64[3]);
      setFlat(s, Segment.SS, i32.or(i32.add(base, i32.const(8)), i32.const(3)), DATA[3]);
      setPrivilege(s, 3);
      s.jump(target);
    },
    () => s.microcode(Operation.Sysret),
    'likely',
  );
};

/** The five quadwords that IRET pops, fixed in locals. */
interface Frame {
  rip: Value;
  cs: Value;
  flags: Value;
  rsp: Value;
  ss: Value;
}

function readFrame(s: Stage): Frame {
  const { f } = s;
  const host = s.readable(s.gpr(RSP), 40);
  return {
    rip: f.let(loads.i64(host, 0)),
    cs: f.let(loads.i32_16u(host, 8)),
    flags: f.let(loads.i32(host, 16)),
    rsp: f.let(loads.i64(host, 24)),
    ss: f.let(loads.i32_16u(host, 32)),
  };
}

/** Whether GDT selector `selector` (i32) names exactly `descriptor`. */
function names(s: Stage, selector: Value, descriptor: bigint): Value {
  const { f } = s;
  const result = f.variable(i32.const(0));
  const offset = f.let(i32.and(selector, i32.const(0xfff8)));
  const local = i32.and(selector, i32.const(4));
  const within = i32.leU(i32.add(offset, i32.const(7)), s.field('i32', S.GDTR + 8));
  f.if(i32.and(within, i32.eqz(local)), () => {
    const raw = s.load(64, i64.add(s.field('i64', S.GDTR), i64.extendU(offset)));
    f.set(result, i64.eq(raw, i64.const(descriptor)));
  });
  return result.get;
}

/** No data segment is of an inner privilege: nothing to be made null on the way out. */
function noInnerSegments(s: Stage): Value {
  return [Segment.ES, Segment.DS, Segment.FS, Segment.GS]
    .map((index) => {
      const word = s.f.let(s.field('i32', S.SEGMENT + index * S.SEGMENT_SIZE + S.SEGMENT_ATTRIBUTES));
      const outer = i32.eq(i32.and(word, i32.const(0x60)), i32.const(0x60));
      return i32.or(outer, i32.eqz(i32.and(i32.shrU(word, i32.const(16)), i32.const(0xfffc))));
    })
    .reduce((a, b) => i32.and(a, b));
}

function resume(s: Stage, frame: Frame, cpl: 0 | 3): void {
  setFlags(s, i32.and(frame.flags, i32.const(RESTORED)));
  setFlat(s, Segment.CS, frame.cs, CODE_64[cpl]);
  if (cpl === 3) setFlat(s, Segment.SS, frame.ss, DATA[3]);
  else
    s.f.if(
      i32.eqz(frame.ss),
      () => setNullStack(s),
      () => setFlat(s, Segment.SS, frame.ss, DATA[0]),
    );
  setPrivilege(s, cpl);
  s.setGpr(RSP, 64, frame.rsp);
  s.jump(frame.rip);
}

const interruptReturn: Semantics = (s) => {
  const general = (): void => {
    s.setField('i64', S.SCRATCH, i64.const(0));
    s.microcode(Operation.InterruptReturn);
  };
  if (s.bits !== 64) {
    general();
    return;
  }
  const { f } = s;
  const nested = i32.and(s.field('i32', S.FLAGS_SYSTEM), i32.const(FLAG.NT));
  const special = i32.or(i32.or(s.field('i32', S.CPL), nested), stepping(s));
  f.if(i32.eqz(special), () => {
    const frame = readFrame(s);
    const plain = i32.eqz(i32.and(frame.flags, i32.const(FLAG.TF | FLAG.VM)));
    f.if(i32.and(plain, canonical(frame.rip)), () => {
      const rpl = i32.and(frame.cs, i32.const(3));
      f.if(
        i32.eqz(rpl),
        () => {
          const stack = f.variable(i32.eqz(frame.ss));
          f.if(i32.eqz(stack.get), () => f.set(stack, names(s, frame.ss, DATA_DESCRIPTOR[0])));
          const stackPrivilege = i32.eqz(i32.and(frame.ss, i32.const(3)));
          f.if(i32.and(i32.and(stack.get, stackPrivilege), names(s, frame.cs, CODE_64_DESCRIPTOR[0])), () =>
            resume(s, frame, 0),
          );
        },
        () => {
          const outer = i32.and(
            i32.eq(rpl, i32.const(3)),
            i32.eq(i32.and(frame.ss, i32.const(3)), i32.const(3)),
          );
          f.if(i32.and(outer, noInnerSegments(s)), () => {
            const code = names(s, frame.cs, CODE_64_DESCRIPTOR[3]);
            f.if(i32.and(code, names(s, frame.ss, DATA_DESCRIPTOR[3])), () => resume(s, frame, 3));
          });
        },
      );
    });
  });
  general();
};

export const privilegeChanges: Record<string, Semantics> = { syscall, sysret, iret: interruptReturn };
