/** Moves, stack, conditional moves and sets, exchanges. */
import { atomics } from '../../support/wasm/atomics.ts';
import { i32, i64, select, type Value } from '../../support/wasm/values.ts';
import { VECTOR } from '../../x86/exceptions.ts';
import { FLAG } from '../../x86/flags.ts';
import { Exclusive } from '../host-imports.ts';
import { Operation } from '../microcode/operations.ts';
import { Access } from '../processor.ts';
import { type IntegerBits, type Semantics, type Stage, signExtend } from '../stage.ts';
import * as S from '../state-layout.ts';
import { CONDITION, packFlags, unpackArithmetic } from './flags.ts';
import { pop, popInto, push, stackPointer } from './stack.ts';

const RAX = 0;
const RSP = 4;
const RBP = 5;

const selector = (s: Stage, k: number): Value => {
  const { base, offset } = s.place(k);
  return s.f.let({
    type: 'i64',
    kind: 'load',
    code: [0x33, 0],
    address: base,
    offset: offset + S.SEGMENT_SELECTOR,
  });
};

/** MOV in all its forms: general, to and from segment, control and debug registers. */
const mov: Semantics = (s) => {
  const [to, from] = [s.shape(0), s.shape(1)];
  if (from === 'seg') s.write(0, selector(s, 1));
  else if (to === 'seg') loadSegment(s, 0, s.f.let(s.read(1)));
  else if (from === 'cr') s.microcode(Operation.ReadControl, operandIndices(s, 0, 1));
  else if (to === 'cr') s.microcode(Operation.WriteControl, operandIndices(s, 1, 0));
  else if (from === 'dr') s.microcode(Operation.ReadDebug, operandIndices(s, 0, 1));
  else if (to === 'dr') s.microcode(Operation.WriteDebug, operandIndices(s, 1, 0));
  else s.write(0, s.f.let(s.read(1)));
};

/** Offset of general register operand `gpr`, and of control or debug register `special` from the state's start. */
function operandIndices(s: Stage, gpr: number, special: number): Value {
  const at = (k: number): Value => {
    const { base, offset } = s.place(k);
    return i32.sub(i32.add(base, i32.const(offset)), s.state);
  };
  return i32.or(at(gpr), i32.shl(at(special), i32.const(16)));
}

/** Loads the segment register of operand `k` from a selector (i64). */
export function loadSegment(s: Stage, k: number, value: Value): void {
  const { base, offset } = s.place(k);
  const index = i32.shrU(i32.sub(i32.add(base, i32.const(offset - S.SEGMENT)), s.state), i32.const(4));
  s.setField('i64', S.SCRATCH, value);
  s.microcode(Operation.LoadSegment, index);
}

const lea: Semantics = (s) => s.write(0, s.effectiveAddress(1));

const exchange: Semantics = (s) => {
  const incoming = s.f.let(s.read(1));
  const old = s.f.local('i64');
  s.modify(0, (current) => {
    s.f.set(old, current);
    return incoming;
  });
  s.write(1, old.get);
};

const pushOperand: Semantics = (s) => {
  const value = s.shape(0) === 'seg' ? selector(s, 0) : s.f.let(s.read(0));
  push(s, s.bits, value);
};

/** POP to memory computes its address with the incremented stack pointer; a fault puts the pointer back. */
const popOperand: Semantics = (s) => {
  if (s.shape(0) === 'seg') {
    const value = popInto(s, s.bits);
    const { base, offset } = s.place(0);
    const index = i32.shrU(i32.sub(i32.add(base, i32.const(offset - S.SEGMENT)), s.state), i32.const(4));
    s.setField('i64', S.SCRATCH, value.value);
    s.setField('i64', S.SCRATCH + 8, value.pointerAfter);
    s.microcode(Operation.PopSegment, index);
  } else if (s.isMemory(0)) popMemory(s);
  else {
    const value = pop(s, s.bits);
    s.write(0, value);
  }
};

function popMemory(s: Stage): void {
  const { f } = s;
  const before = f.let(s.gpr(RSP));
  const { value, pointerAfter } = popInto(s, s.bits);
  s.setGpr(RSP, 64, pointerAfter);
  // The address is formed now; should the store fault, `leave` must find the old pointer.
  s.setField('i64', S.SCRATCH + 0x200, before);
  s.guarded(
    () => s.write(0, value),
    () => s.setGpr(RSP, 64, before),
  );
}

const moveExtended =
  (extend: (value: Value, bits: number) => Value): Semantics =>
  (s) =>
    s.write(0, extend(s.f.let(s.read(1)), s.width(1)));

const conditionalMove =
  (condition: string): Semantics =>
  (s) => {
    // The source is read, and a 32-bit destination zero-extended, whether or not the condition holds.
    const source = s.f.let(s.read(1));
    s.write(0, select(CONDITION[condition]!(s), source, s.read(0)));
  };

const leave: Semantics = (s) => {
  const { f } = s;
  const frame = f.let(i64.and(s.gpr(RBP), s.field('i64', S.STACK_MASK)));
  const value = s.load(s.bits, i64.add(s.field('i64', S.STACK_BASE), frame));
  s.setGpr(RSP, 64, stackPointer(s, i64.add(frame, i64.const(s.bits / 8))));
  s.setGpr(RBP, s.bits, value);
};

const xlat: Semantics = (s) => {
  const offset = i64.and(i64.add(s.gpr(3), s.gpr(RAX, 8)), s.addressMask());
  s.setGpr(RAX, 8, s.load(8, s.segmentAddress(offset)));
};

const setFlagImage = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF;

const moveBigEndian: Semantics = (s) => {
  const bits = s.width(0);
  const value = s.f.let(s.read(1));
  let swapped = s.f.let(i64.const(0));
  for (let k = 0; k < bits / 8; k++) {
    const byte = i64.and(i64.shrU(value, i64.const(8 * k)), i64.const(0xff));
    swapped = s.f.let(i64.or(swapped, i64.shl(byte, i64.const(bits - 8 - 8 * k))));
  }
  s.write(0, swapped);
};

/** CMPXCHG8B and CMPXCHG16B: operand width decides. */
const compareExchangePair: Semantics = (s) => {
  const { f } = s;
  const wide = s.shape(0) === 'm128';
  const half: IntegerBits = wide ? 64 : 32;
  const bytes = half / 4;
  const va = f.let(s.linearAddress(0, bytes, Access.Write));
  if (wide) s.raiseIf(i64.ne(i64.and(va, i64.const(15)), i64.const(0)), VECTOR.GP, 0);
  if (!s.isAtomic) exchangePair(s, va, half);
  else if (wide) exchangePairLocked(s, va);
  else
    s.alignedOrAlone(
      va,
      bytes,
      (at) => exchangeWhole(s, at),
      (at) => exchangePair(s, at, half),
    );
};

/** ZF of the comparison, the other flags kept. */
function setPairFlag(s: Stage, equal: Value): void {
  const zf = i32.or(i32.and(packFlags(s), i32.const(~FLAG.ZF)), i32.shl(equal, i32.const(6)));
  unpackArithmetic(s, zf);
}

/** CMPXCHG8B as one atomic exchange of 64 bits. */
function exchangeWhole(s: Stage, va: Value): void {
  const { f } = s;
  const joined = (high: number, low: number): Value =>
    f.let(i64.or(i64.shl(s.gpr(high, 32), i64.const(32)), s.gpr(low, 32)));
  const expected = joined(2, 0);
  const replacement = joined(1, 3);
  s.withWritable(va, 8, (host) => {
    const seen = f.let(atomics.compareExchange(64, host, expected, replacement));
    const equal = f.let(i64.eq(seen, expected));
    setPairFlag(s, equal);
    f.if(i32.eqz(equal), () => {
      s.setGpr(0, 32, i64.and(seen, i64.const(0xffffffffn)));
      s.setGpr(2, 32, i64.shrU(seen, i64.const(32)));
    });
  });
}

/**
 * CMPXCHG16B: WebAssembly exchanges 64 bits at most. One such exchange at a time in the machine, each half by an
 * atomic exchange, the first put back should the second fail (docs/decisions/one-thread-per-vp.md says what others see).
 */
function exchangePairLocked(s: Stage, va: Value): void {
  const { f } = s;
  const exclusive = (what: number) => f.run(s.runtime.imports.exclusive, s.state, i32.const(what));
  s.withWritable(va, 16, (host) => {
    const [low, high] = [f.local('i64'), f.local('i64')];
    const [oldLow, oldHigh] = [f.let(s.gpr(0)), f.let(s.gpr(2))];
    const [newLow, newHigh] = [f.let(s.gpr(3)), f.let(s.gpr(1))];
    exclusive(Exclusive.EnterPair);
    f.set(low, atomics.load(64, host));
    f.set(high, atomics.load(64, host, 8));
    const matches = () => i32.and(i64.eq(low.get, oldLow), i64.eq(high.get, oldHigh));
    f.if(matches(), () => {
      f.set(low, atomics.compareExchange(64, host, oldLow, newLow));
      f.if(i64.eq(low.get, oldLow), () => {
        f.set(high, atomics.compareExchange(64, host, oldHigh, newHigh, 8));
        f.if(i64.ne(high.get, oldHigh), () => f.do(atomics.compareExchange(64, host, newLow, oldLow)));
      });
    });
    exclusive(Exclusive.LeavePair);
    const equal = f.let(matches());
    setPairFlag(s, equal);
    f.if(i32.eqz(equal), () => {
      s.setGpr(0, 64, low.get);
      s.setGpr(2, 64, high.get);
    });
  });
}

function exchangePair(s: Stage, va: Value, half: IntegerBits): void {
  const { f } = s;
  const bytes = half / 4;
  s.withWritable(va, bytes, (host) => {
    const code = half === 64 ? [0x29, 0] : [0x35, 0];
    const part = (offset: number): Value => f.let({ type: 'i64', kind: 'load', code, address: host, offset });
    const [low, high] = [part(0), part(bytes / 2)];
    const equal = f.let(i32.and(i64.eq(low, s.gpr(0, half)), i64.eq(high, s.gpr(2, half))));
    setPairFlag(s, equal);
    f.if(
      equal,
      () => {
        const kind = half === 64 ? 'i64' : 'i64_32';
        f.store(kind, host, 0, s.gpr(3, half));
        f.store(kind, host, bytes / 2, s.gpr(1, half));
      },
      () => {
        s.setGpr(0, half, low);
        s.setGpr(2, half, high);
      },
    );
  });
}

export const dataMovement: Record<string, Semantics> = {
  mov,
  lea,
  xchg: exchange,
  push: pushOperand,
  pop: popOperand,
  leave,
  xlat,
  movzx: moveExtended((value) => value),
  movsx: moveExtended(signExtend),
  movsxd: moveExtended(signExtend),
  movbe: moveBigEndian,
  movnti: mov,
  cmpxchg8b: compareExchangePair,
  cmpxchg16b: compareExchangePair,
  lahf: (s) =>
    s.setField(
      'i32_8',
      S.GPR + 1,
      i32.or(i32.and(packFlags(s), i32.const(setFlagImage)), i32.const(FLAG.FIXED)),
    ),
  sahf: (s) => {
    const ah = s.f.let(s.field('i32_8u', S.GPR + 1));
    const kept = i32.and(packFlags(s), i32.const(FLAG.OF));
    unpackArithmetic(s, i32.or(kept, i32.and(ah, i32.const(setFlagImage))));
  },
  ...Object.fromEntries(Object.keys(CONDITION).map((name) => [`cmov${name}`, conditionalMove(name)])),
  ...Object.fromEntries(
    Object.entries(CONDITION).map(([name, flag]): [string, Semantics] => [
      `set${name}`,
      (s) => s.write(0, i64.extendU(s.f.let(flag(s)))),
    ]),
  ),
};
