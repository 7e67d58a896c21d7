/**
 * The environment in memory (FNSTENV, FLDENV, and the head of FNSAVE's image): 14 or 28 bytes, with linear
 * pointers in real and virtual-8086 mode and selector:offset in protected mode (SDM vol. 1 §8.1.10).
 */
import * as layout from '../../state-layout.ts';
import type { X87Unit } from './unit.ts';

const CR0_PE = 1;
const EFLAGS_VM = 1 << 17;
const OPCODE_BITS = 0x7ff;

export function environmentBytes(bits: number): number {
  return bits === 16 ? 14 : 28;
}

function usesLinearPointers(unit: X87Unit): boolean {
  const { view, base } = unit;
  if (!(view.getUint32(base + layout.CR0, true) & CR0_PE)) return true;
  return (view.getUint32(base + layout.FLAGS_SYSTEM, true) & EFLAGS_VM) !== 0;
}

/** Two bits a physical register: 0 a number, 1 zero, 2 anything else, 3 empty. */
export function fullTagWord(unit: X87Unit): number {
  const { tags, top } = unit;
  let word = 0;
  for (let physical = 0; physical < 8; physical++) {
    let tag = 3;
    if (tags & (1 << physical)) tag = tagOf(unit, (physical - top) & 7);
    word |= tag << (2 * physical);
  }
  return word;
}

function tagOf(unit: X87Unit, index: number): number {
  const exponent = unit.signExponent(index) & 0x7fff;
  const significand = unit.significand(index);
  if (exponent === 0) return significand === 0n ? 1 : 2;
  return exponent === 0x7fff || significand >> 63n === 0n ? 2 : 0;
}

/** One bit a register, 1 = in use, from the two-bit tag word: only emptiness counts when loading. */
export function abridgeTagWord(word: number): number {
  let tags = 0;
  for (let physical = 0; physical < 8; physical++) {
    if (((word >>> (2 * physical)) & 3) !== 3) tags |= 1 << physical;
  }
  return tags;
}

export function storeEnvironment(unit: X87Unit, bits: number): void {
  const { view, base, operandView: out } = unit;
  const ip = view.getUint32(base + layout.FPU_IP, true);
  const dp = view.getUint32(base + layout.FPU_DP, true);
  const opcode = view.getUint16(base + layout.FPU_OPCODE, true) & OPCODE_BITS;
  const linear = usesLinearPointers(unit);
  const cs = view.getUint16(base + layout.FPU_CS, true);
  const ds = view.getUint16(base + layout.FPU_DS, true);
  if (bits === 16) {
    const words = linear
      ? [ip, (((ip >>> 16) & 15) << 12) | opcode, dp, ((dp >>> 16) & 15) << 12]
      : [ip, cs, dp, ds];
    [unit.control, unit.status, fullTagWord(unit), ...words].forEach((word, index) => {
      out.setUint16(2 * index, word & 0xffff, true);
    });
    return;
  }
  const words = linear
    ? [0xffff0000 | ip, ((ip >>> 16) << 12) | opcode, 0xffff0000 | dp, (dp >>> 16) << 12]
    : [ip, (opcode << 16) | cs, dp, 0xffff0000 | ds];
  const state = [unit.control, unit.status, fullTagWord(unit)].map((word) => 0xffff0000 | word);
  [...state, ...words].forEach((word, index) => {
    out.setUint32(4 * index, word, true);
  });
}

export function loadEnvironment(unit: X87Unit, bits: number): void {
  const { view, base, operandView: image } = unit;
  const step = bits === 16 ? 2 : 4;
  const read = (index: number): number =>
    bits === 16 ? image.getUint16(index * 2, true) : image.getUint32(index * 4, true);
  unit.control = image.getUint16(0, true);
  unit.status = image.getUint16(step, true);
  unit.tags = abridgeTagWord(image.getUint16(2 * step, true));
  unit.updateSummary();
  const linear = usesLinearPointers(unit);
  const second = read(4);
  const pointerOf = (low: number, high: number): number =>
    linear ? ((low & 0xffff) | ((high >>> 12) << 16)) >>> 0 : low;
  setPointer(view, base + layout.FPU_IP, pointerOf(read(3), second));
  setPointer(view, base + layout.FPU_DP, pointerOf(read(5), read(6)));
  view.setUint16(base + layout.FPU_CS, linear ? 0 : second & 0xffff, true);
  view.setUint16(base + layout.FPU_DS, linear ? 0 : read(6) & 0xffff, true);
  // The 16-bit protected-mode form has no opcode.
  const opcode = linear ? second : bits === 32 ? second >>> 16 : 0;
  view.setUint16(base + layout.FPU_OPCODE, opcode & OPCODE_BITS, true);
}

function setPointer(view: DataView, address: number, value: number): void {
  view.setUint32(address, value >>> 0, true);
  view.setUint32(address + 4, 0, true);
}
