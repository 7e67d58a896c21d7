/**
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2, "PCMPxSTRx": aggregation, validity, polarity, output).
 * Operands and answers are in SCRATCH; the argument is the immediate byte.
 */
import { FLAG } from '../../x86/flags.ts';
import { SCRATCH } from '../state-layout.ts';

/** Offsets in SCRATCH. A length of -1 says that the string ends at its first zero. */
export const StringCompareScratch = {
  First: 0,
  Second: 16,
  FirstLength: 32,
  SecondLength: 40,
  /** Arithmetic flags in their RFLAGS places, 32 bits; the index; the mask of 16 bytes. */
  Flags: 48,
  Index: 52,
  Mask: 64,
} as const;

const Aggregation = { EqualAny: 0, Ranges: 1, EqualEach: 2, EqualOrdered: 3 } as const;

interface Text {
  lanes: number[];
  length: number;
}

function readText(view: DataView, at: number, lengthAt: number, control: number): Text {
  const wide = (control & 1) !== 0;
  const signed = (control & 2) !== 0;
  const count = wide ? 8 : 16;
  const lanes: number[] = [];
  for (let k = 0; k < count; k++) {
    if (wide) lanes.push(signed ? view.getInt16(at + 2 * k, true) : view.getUint16(at + 2 * k, true));
    else lanes.push(signed ? view.getInt8(at + k) : view.getUint8(at + k));
  }
  const explicit = view.getInt32(lengthAt, true);
  const end = lanes.indexOf(0);
  const length = explicit < 0 ? (end < 0 ? count : end) : Math.min(explicit, count);
  return { lanes, length };
}

/** The bit for lane `i` of the second text, before polarity. */
function aggregate(mode: number, first: Text, second: Text, i: number): boolean {
  switch (mode) {
    case Aggregation.EqualAny:
      return i < second.length && first.lanes.slice(0, first.length).includes(second.lanes[i]!);
    case Aggregation.Ranges:
      return i < second.length && inRanges(first, second.lanes[i]!);
    case Aggregation.EqualEach: {
      const [a, b] = [i < first.length, i < second.length];
      return a && b ? first.lanes[i] === second.lanes[i] : a === b;
    }
    default:
      return beginsAt(first, second, i);
  }
}

function inRanges(ranges: Text, value: number): boolean {
  for (let j = 0; j + 1 < ranges.length; j += 2) {
    if (ranges.lanes[j]! <= value && value <= ranges.lanes[j + 1]!) return true;
  }
  return false;
}

/** The first text lies at place `i` of the second, as far as the register goes. */
function beginsAt(first: Text, second: Text, i: number): boolean {
  for (let j = 0; j < first.length && i + j < second.lanes.length; j++) {
    if (i + j >= second.length || first.lanes[j] !== second.lanes[i + j]) return false;
  }
  return true;
}

const negates = (control: number, valid: boolean): boolean =>
  (control & 0x10) !== 0 && ((control & 0x20) === 0 || valid);

export function compareStrings(view: DataView, state: number, control: number): void {
  const at = state + SCRATCH;
  const first = readText(
    view,
    at + StringCompareScratch.First,
    at + StringCompareScratch.FirstLength,
    control,
  );
  const second = readText(
    view,
    at + StringCompareScratch.Second,
    at + StringCompareScratch.SecondLength,
    control,
  );
  const count = first.lanes.length;
  let bits = 0;
  for (let i = 0; i < count; i++) {
    const found = aggregate((control >> 2) & 3, first, second, i);
    if (found !== negates(control, i < second.length)) bits |= 1 << i;
  }
  const flags =
    (bits !== 0 ? FLAG.CF : 0) |
    (second.length < count ? FLAG.ZF : 0) |
    (first.length < count ? FLAG.SF : 0) |
    (bits & 1 ? FLAG.OF : 0);
  view.setUint32(at + StringCompareScratch.Flags, flags, true);
  const highest = (control & 0x40) !== 0;
  const index = bits === 0 ? count : highest ? 31 - Math.clz32(bits) : 31 - Math.clz32(bits & -bits);
  view.setUint32(at + StringCompareScratch.Index, index, true);
  writeMask(view, at + StringCompareScratch.Mask, bits, count, (control & 0x40) !== 0);
}

/** The bits as they are, or each spread over its lane. */
function writeMask(view: DataView, at: number, bits: number, count: number, spread: boolean): void {
  const laneBytes = 16 / count;
  for (let k = 0; k < 16; k++) {
    if (spread) view.setUint8(at + k, (bits >> Math.floor(k / laneBytes)) & 1 ? 0xff : 0);
    else view.setUint8(at + k, k < 2 ? (bits >> (8 * k)) & 0xff : 0);
  }
}
