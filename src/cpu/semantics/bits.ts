/** Bit tests, scans, counts and CRC32. */
import { i32, i64, type Value } from '../../support/wasm/values.ts';
import { Access } from '../processor.ts';
import { type IntegerBits, type Semantics, type Stage, signExtend, zeroExtend } from '../stage.ts';
import { setCarry, setLogicFlags, setResultCarryOverflow, setZeroFlagOnly } from './flags.ts';

type BitChange = 'keep' | 'set' | 'reset' | 'complement';

const changed = (old: Value, one: Value, change: BitChange): Value => {
  if (change === 'keep') return old;
  if (change === 'set') return i64.or(old, one);
  return change === 'reset' ? i64.and(old, i64.xor(one, i64.const(-1))) : i64.xor(old, one);
};

/** A register bit index addresses memory beyond the operand, in units of its width; an immediate does not. */
const bitTest =
  (change: BitChange): Semantics =>
  (s) => {
    const { f } = s;
    const bits = s.width(0);
    const index = f.let(signExtend(s.read(1), bits));
    const within = f.let(i64.and(index, i64.const(bits - 1)));
    const one = i64.shl(i64.const(1), within);
    const apply = (old: Value): Value => {
      setCarry(s, i32.and(i32.wrap(i64.shrU(old, within)), i32.const(1)));
      return changed(old, one, change);
    };
    if (!s.isMemory(0)) {
      if (change === 'keep') apply(f.let(s.read(0)));
      else s.modify(0, apply);
      return;
    }
    const far = s.shape(1) !== 'i';
    const bytes = bits / 8;
    const step = i64.mul(i64.shrS(index, i64.const(Math.log2(bits))), i64.const(bytes));
    const access = change === 'keep' ? Access.Read : Access.Write;
    const va = s.linearAddress(0, bytes, access, far ? f.let(step) : undefined);
    if (change === 'keep') apply(s.load(bits, va));
    else s.modifyMemory(va, bits, apply);
  };

/** BSF and BSR: a zero source sets ZF and leaves the destination (as processors do). */
const scan =
  (find: (value: Value, bits: IntegerBits) => Value): Semantics =>
  (s) => {
    const bits = s.width(0);
    const source = s.f.let(s.read(1));
    setLogicFlags(s, bits, source);
    s.f.if(i64.ne(source, i64.const(0)), () => s.write(0, find(source, bits)));
  };

/** TZCNT and LZCNT: CF for a zero source, ZF for a zero result. */
const count =
  (find: (value: Value, bits: IntegerBits) => Value): Semantics =>
  (s) => {
    const bits = s.width(0);
    const source = s.f.let(s.read(1));
    const result = s.f.let(find(source, bits));
    setResultCarryOverflow(s, bits, result, i64.eqz(source), i32.const(0));
    s.write(0, result);
  };

const limited = (value: Value, bits: IntegerBits): Value =>
  bits === 64 ? value : i64.or(value, i64.const(1n << BigInt(bits)));

/** One byte into a CRC-32C (polynomial 0x11EDC6F41, reflected 0x82F63B78), bit by bit. */
function crcByte(s: Stage, crc: Value): Value {
  let value = crc;
  for (let k = 0; k < 8; k++) {
    const low = i64.sub(i64.const(0), i64.and(value, i64.const(1)));
    value = s.f.let(i64.xor(i64.shrU(value, i64.const(1)), i64.and(low, i64.const(0x82f63b78))));
  }
  return value;
}

const crc32: Semantics = (s) => {
  const { f } = s;
  const source = f.let(s.read(1));
  const crc = f.variable(zeroExtend(s.read(0), 32));
  const bytes = s.width(1) / 8;
  for (let k = 0; k < bytes; k++) {
    const byte = i64.and(i64.shrU(source, i64.const(8 * k)), i64.const(0xff));
    f.scope(() => f.set(crc, crcByte(s, f.let(i64.xor(crc.get, byte)))));
  }
  s.write(0, crc.get);
};

export const bitOperations: Record<string, Semantics> = {
  bt: bitTest('keep'),
  bts: bitTest('set'),
  btr: bitTest('reset'),
  btc: bitTest('complement'),
  bsf: scan((value) => i64.ctz(value)),
  bsr: scan((value) => i64.sub(i64.const(63), i64.clz(value))),
  tzcnt: count((value, bits) => i64.ctz(limited(value, bits))),
  lzcnt: count((value, bits) => i64.sub(i64.clz(value), i64.const(64 - bits))),
  popcnt: (s) => {
    const source = s.f.let(s.read(1));
    setZeroFlagOnly(s, i64.eqz(source));
    s.write(0, i64.popcnt(source));
  },
  crc32,
};
