/** Replays records of native.c on the x87 unit and tells where it differs. */

import { loadEnvironment, storeEnvironment } from '../../../src/cpu/floating-point/x87/environment.ts';
import { executeX87, resolveX87 } from '../../../src/cpu/floating-point/x87/resolve.ts';
import { X87Unit } from '../../../src/cpu/floating-point/x87/unit.ts';
import * as layout from '../../../src/cpu/state-layout.ts';
import { conditionHolds, type X87Form, x87Forms } from './forms.ts';

const IMAGE = 108;
const MEMORY = 112;
const Field = { Before: 4, MemoryBefore: 112, After: 224, MemoryAfter: 332, FlagsAfter: 444 } as const;
export const RECORD_BYTES = 448;

/** Not correctly rounded by the hardware: compared to one unit in the last place, without C1. */
const APPROXIMATE = new Set(['f2xm1', 'fyl2x', 'fyl2xp1', 'fsin', 'fcos', 'fsincos', 'fptan', 'fpatan']);
const STATUS_C1 = 0x200;
const FLAG_BITS = 0x8d5;

const page = new DataView(new ArrayBuffer(layout.STATE_SIZE));
const unit = new X87Unit(page, 0);
page.setUint32(layout.CR0, 1, true);

function putState(image: Uint8Array): void {
  unit.operand.set(image.subarray(0, 28));
  loadEnvironment(unit, 32);
  const { tags } = unit;
  const view = new DataView(image.buffer, image.byteOffset);
  for (let i = 0; i < 8; i++) {
    unit.storeBits(i, view.getUint16(28 + 10 * i + 8, true), view.getBigUint64(28 + 10 * i, true));
  }
  unit.tags = tags;
}

function takeState(): Uint8Array {
  const image = new Uint8Array(IMAGE);
  const view = new DataView(image.buffer);
  const saved = unit.operand.slice();
  storeEnvironment(unit, 32);
  image.set(unit.operand.subarray(0, 28));
  unit.operand.set(saved);
  for (let i = 0; i < 8; i++) {
    view.setBigUint64(28 + 10 * i, unit.significand(i), true);
    view.setUint16(28 + 10 * i + 8, unit.signExponent(i), true);
  }
  return image;
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const registerText = (image: Uint8Array, index: number): string =>
  hexOf(image.slice(28 + 10 * index, 38 + 10 * index).reverse());

/** Distance in units of the last place of two registers of one sign, or infinity. */
function distance(a: string, b: string): number {
  // Without the integer bit, neighbours across a power of two differ by one as well.
  const number = (text: string): bigint =>
    (BigInt(`0x${text.slice(0, 4)}`) << 63n) + BigInt.asUintN(63, BigInt(`0x${text}`));
  const one = number(a);
  const two = number(b);
  const apart = one > two ? one - two : two - one;
  return apart < 16n ? Number(apart) : Infinity;
}

/** Differences of one record as text; empty if the unit agrees. */
export function replayRecord(record: Uint8Array): string[] {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const form = x87Forms[view.getUint16(0, true)]!;
  const flagsBefore = view.getUint16(2, true);
  const operation = resolveX87(form.mnemonic, form.operands, form.operandSize);
  if (operation === undefined) return ['unresolved'];
  putState(record.subarray(Field.Before, Field.Before + IMAGE));
  unit.operand.set(record.subarray(Field.MemoryBefore, Field.MemoryBefore + MEMORY));
  unit.condition = conditionHolds(form.mnemonic, flagsBefore);
  unit.comparison = -1;
  unit.stored = true;
  const fault = executeX87(unit, operation);
  const differences: string[] = fault ? [`fault ${fault}`] : [];
  const flags = operation.setsFlags && unit.comparison >= 0 ? unit.comparison : flagsBefore;
  const nativeFlags = view.getUint32(Field.FlagsAfter, true) & FLAG_BITS;
  if (flags !== nativeFlags) differences.push(`flags ${flags} native ${nativeFlags}`);
  compareImages(form, takeState(), record.subarray(Field.After, Field.After + IMAGE), differences);
  compareMemory(form, operation.writes, record, differences);
  return differences;
}

function compareImages(form: X87Form, ours: Uint8Array, native: Uint8Array, differences: string[]): void {
  const word = (image: Uint8Array, at: number): number => image[at]! | (image[at + 1]! << 8);
  const approximate = APPROXIMATE.has(form.mnemonic);
  for (const [name, at] of [
    ['control', 0],
    ['status', 4],
    ['tags', 8],
  ] as const) {
    const ignored = name === 'status' && approximate ? STATUS_C1 : 0;
    if ((word(ours, at) ^ word(native, at)) & ~ignored) {
      differences.push(`${name} ${word(ours, at).toString(16)} native ${word(native, at).toString(16)}`);
    }
  }
  for (let index = 0; index < 8; index++) {
    const a = registerText(ours, index);
    const b = registerText(native, index);
    if (a !== b && !(approximate && distance(a, b) <= 1)) differences.push(`st${index} ${a} native ${b}`);
  }
}

function compareMemory(form: X87Form, writes: number, record: Uint8Array, differences: string[]): void {
  const after = record.subarray(Field.MemoryAfter, Field.MemoryAfter + MEMORY);
  const before = record.subarray(Field.MemoryBefore, Field.MemoryBefore + MEMORY);
  if (form.setsAx) {
    const ax = after[110]! | (after[111]! << 8);
    if (unit.operandView.getUint16(0, true) !== ax) differences.push(`ax native ${ax.toString(16)}`);
    return;
  }
  const ours = (unit.stored ? unit.operand : before).slice(0, writes);
  const native = after.slice(0, writes);
  // Instruction and data pointers are the caller's to pass in.
  if (form.mnemonic === 'fnstenv' || form.mnemonic === 'fnsave') {
    const [from, to] = form.operandSize === 16 ? [6, 14] : [12, 28];
    ours.fill(0, from, to);
    native.fill(0, from, to);
  }
  if (hexOf(ours) !== hexOf(native)) differences.push(`memory ${hexOf(ours)} native ${hexOf(native)}`);
}

/** The state a record starts from, for messages. */
export function describeRecord(record: Uint8Array): string {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const form = x87Forms[view.getUint16(0, true)]!;
  const image = record.subarray(Field.Before, Field.Before + IMAGE);
  const word = (at: number): string => view.getUint16(Field.Before + at, true).toString(16);
  const registers = Array.from({ length: 8 }, (_, i) => registerText(image, i)).join(' ');
  const memory = hexOf(record.slice(Field.MemoryBefore, Field.MemoryBefore + 10));
  return `${form.mnemonic} ${form.bytes} cw=${word(0)} sw=${word(4)} tags=${word(8)} ${registers} memory=${memory}`;
}
