/**
 * String instructions. A repeated one is interruptible between elements: registers are true after each, and the
 * instruction starts again where it stands. MOVS and STOS move a run up to the next page border at once; that is
 * exact, since a fault can only come at the border.
 */
import { i32, i64, select, type Value } from '../../support/wasm/values.ts';
import { FLAG } from '../../x86/flags.ts';
import { Operation } from '../microcode/operations.ts';
import { Mode } from '../mode.ts';
import type { Semantics, Stage } from '../stage.ts';
import * as S from '../state-layout.ts';
import { setSubFlags, zeroFlag } from './flags.ts';

const RAX = 0;
const RCX = 1;
const RSI = 6;
const RDI = 7;
/** Below this many bytes a loop beats memory.copy. */
const SMALL_COPY = 64;

class StringOperation {
  readonly s: Stage;
  readonly bytes: number;
  readonly mask: Value;
  /** Element size, negative when DF is set. */
  readonly step: Value;
  readonly forward: Value;

  constructor(s: Stage) {
    this.s = s;
    this.bytes = s.bits / 8;
    this.mask = s.f.let(s.addressMask());
    this.forward = s.f.let(i32.eqz(i32.and(s.field('i32', S.FLAGS_SYSTEM), i32.const(FLAG.DF))));
    this.step = s.f.let(select(this.forward, i64.const(this.bytes), i64.const(-this.bytes)));
  }

  get source(): Value {
    return this.s.segmentAddress(i64.and(this.s.gpr(RSI), this.mask));
  }
  get destination(): Value {
    const linear = i64.add(this.s.field('i64', S.STRING_BASE), i64.and(this.s.gpr(RDI), this.mask));
    return i64.and(linear, this.s.field('i64', S.CODE_MASK));
  }
  /** Debug exceptions come between elements. */
  get stepping(): Value {
    return i32.and(this.s.field('i32', S.MODE), i32.const(Mode.Trap));
  }
  get count(): Value {
    return i64.and(this.s.gpr(RCX), this.mask);
  }

  /** Whether a run of elements may be done at once. */
  get bulk(): Value {
    return i32.and(this.forward, i32.eqz(this.stepping));
  }

  /** Adds within the address size; 32-bit results zero-extend, 16-bit ones keep the rest. */
  advance(register: number, amount: Value): void {
    const { s, mask } = this;
    const old = s.f.let(s.gpr(register));
    const sum = i64.and(i64.add(old, amount), mask);
    const kept = select(i64.eq(mask, i64.const(0xffff)), i64.and(old, i64.const(~0xffffn)), i64.const(0));
    s.setGpr(register, 64, i64.or(sum, kept));
  }

  /** Runs `element` once, or while RCX lasts and it says so, a bounded number of times before looking around. */
  repeat(element: () => void, goOn?: () => Value): void {
    const { s } = this;
    const { f } = s;
    if (s.form.repeat === 'none') {
      element();
      return;
    }
    const turns = f.variable(select(this.stepping, i32.const(1), i32.const(1024)));
    f.block((done) => {
      f.loop((again) => {
        f.scope(() => {
          f.branchIf(done, i64.eqz(this.count));
          element();
          this.advance(RCX, i64.const(-1));
          if (goOn) f.branchIf(done, i32.eqz(goOn()));
          f.set(turns, i32.sub(turns.get, i32.const(1)));
          f.branchIf(again, turns.get);
        });
      });
      f.branchIf(done, i64.eqz(this.count));
      s.jump(s.rip());
    });
  }

  /** Elements from `va` to its page's end, at most. */
  untilPageEnd(va: Value): Value {
    const left = i64.sub(i64.const(4096), i64.and(va, i64.const(4095)));
    return i64.shrU(left, i64.const(Math.log2(this.bytes)));
  }

  smaller(a: Value, b: Value): Value {
    const { f } = this.s;
    const [x, y] = [f.let(a), f.let(b)];
    return f.let(select(i64.ltU(x, y), x, y));
  }
}

const moveElement = (op: StringOperation): void => {
  const { s } = op;
  const value = s.load(s.bits, op.source);
  s.store(s.bits, op.destination, value);
  op.advance(RSI, op.step);
  op.advance(RDI, op.step);
};

/** Copies the run and finishes with the registers; RCX says whether the instruction goes on. */
function moveRun(op: StringOperation, source: Value, destination: Value, elements: Value): void {
  const { s } = op;
  const { f } = s;
  const bytes = f.let(i64.mul(elements, i64.const(op.bytes)));
  const size = f.let(i32.wrap(bytes));
  const from = s.readable(source, 1);
  s.withWritableRun(destination, size, (to) => {
    const propagates = i32.ltU(i32.sub(to, from), size);
    f.if(
      i32.or(propagates, i32.ltU(size, i32.const(SMALL_COPY))),
      () => {
        const at = f.variable(i32.const(0));
        const kind = ({ 8: 'i64_8', 16: 'i64_16', 32: 'i64_32', 64: 'i64' } as const)[s.bits];
        const load = { 8: 0x31, 16: 0x33, 32: 0x35, 64: 0x29 }[s.bits];
        f.loop((again) => {
          const value: Value = {
            type: 'i64',
            kind: 'load',
            code: [load, 0],
            address: i32.add(from, at.get),
            offset: 0,
          };
          f.store(kind, i32.add(to, at.get), 0, value);
          f.set(at, i32.add(at.get, i32.const(op.bytes)));
          f.branchIf(again, i32.ltU(at.get, size));
        });
      },
      () => f.memoryCopy(to, from, size),
    );
  });
  op.advance(RSI, bytes);
  op.advance(RDI, bytes);
  op.advance(RCX, i64.sub(i64.const(0), elements));
}

const movs: Semantics = (s) => {
  const op = new StringOperation(s);
  if (s.form.repeat === 'none') {
    moveElement(op);
    return;
  }
  const { f } = s;
  f.block((done) => {
    f.branchIf(done, i64.eqz(op.count));
    const [source, destination] = [f.let(op.source), f.let(op.destination)];
    const run = op.smaller(op.smaller(op.untilPageEnd(source), op.untilPageEnd(destination)), op.count);
    f.if(
      i32.and(op.bulk, i64.ne(run, i64.const(0))),
      () => moveRun(op, source, destination, run),
      () => {
        moveElement(op);
        op.advance(RCX, i64.const(-1));
      },
    );
    f.branchIf(done, i64.eqz(op.count));
    s.jump(s.rip());
  });
};

/** The low element of RAX repeated over eight bytes. */
function pattern(s: Stage): Value {
  let value = s.f.let(s.gpr(RAX, s.bits));
  for (let width: number = s.bits; width < 64; width *= 2)
    value = s.f.let(i64.or(value, i64.shl(value, i64.const(width))));
  return value;
}

function storeRun(op: StringOperation, destination: Value, elements: Value): void {
  const { s } = op;
  const { f } = s;
  const bytes = f.let(i64.mul(elements, i64.const(op.bytes)));
  const size = f.let(i32.wrap(bytes));
  const value = pattern(s);
  s.withWritableRun(destination, size, (to) => {
    const uniform = i64.eq(value, i64.rotl(value, i64.const(8)));
    f.if(
      uniform,
      () => f.memoryFill(to, i32.wrap(value), size),
      () => {
        const at = f.variable(i32.const(0));
        const kind = ({ 8: 'i64_8', 16: 'i64_16', 32: 'i64_32', 64: 'i64' } as const)[s.bits];
        f.loop((again) => {
          f.store(kind, i32.add(to, at.get), 0, value);
          f.set(at, i32.add(at.get, i32.const(op.bytes)));
          f.branchIf(again, i32.ltU(at.get, size));
        });
      },
    );
  });
  op.advance(RDI, bytes);
  op.advance(RCX, i64.sub(i64.const(0), elements));
}

const storeElement = (op: StringOperation): void => {
  op.s.store(op.s.bits, op.destination, op.s.gpr(RAX, op.s.bits));
  op.advance(RDI, op.step);
};

const stos: Semantics = (s) => {
  const op = new StringOperation(s);
  if (s.form.repeat === 'none') {
    storeElement(op);
    return;
  }
  const { f } = s;
  f.block((done) => {
    f.branchIf(done, i64.eqz(op.count));
    const destination = f.let(op.destination);
    const run = op.smaller(op.untilPageEnd(destination), op.count);
    f.if(
      i32.and(op.bulk, i64.ne(run, i64.const(0))),
      () => storeRun(op, destination, run),
      () => {
        storeElement(op);
        op.advance(RCX, i64.const(-1));
      },
    );
    f.branchIf(done, i64.eqz(op.count));
    s.jump(s.rip());
  });
};

const lods: Semantics = (s) => {
  const op = new StringOperation(s);
  op.repeat(() => {
    s.setGpr(RAX, s.bits, s.load(s.bits, op.source));
    op.advance(RSI, op.step);
  });
};

/** REPE goes on while equal, REPNE while not. */
const wanted = (s: Stage) => (): Value => (s.form.repeat === 'rep' ? zeroFlag(s) : i32.eqz(zeroFlag(s)));

const cmps: Semantics = (s) => {
  const op = new StringOperation(s);
  op.repeat(() => {
    const a = s.load(s.bits, op.source);
    const b = s.load(s.bits, op.destination);
    setSubFlags(s, s.bits, a, b, s.f.let(i64.sub(a, b)));
    op.advance(RSI, op.step);
    op.advance(RDI, op.step);
  }, wanted(s));
};

const scas: Semantics = (s) => {
  const op = new StringOperation(s);
  op.repeat(() => {
    const a = s.f.let(s.gpr(RAX, s.bits));
    const b = s.load(s.bits, op.destination);
    setSubFlags(s, s.bits, a, b, s.f.let(i64.sub(a, b)));
    op.advance(RDI, op.step);
  }, wanted(s));
};

/** INS and OUTS exit to the host with all they need to know; the argument is 1 for a repeated one. */
const portString =
  (operation: number): Semantics =>
  (s) =>
    s.microcode(operation, i32.const(s.form.repeat === 'none' ? 0 : 1));

export const strings: Record<string, Semantics> = {
  movs,
  stos,
  lods,
  cmps,
  scas,
  ins: portString(Operation.PortInString),
  outs: portString(Operation.PortOutString),
};
