/** Segment descriptors: reading them, loading segment registers (SDM vol. 3 §3.4.5, §5; MOV, POP, Lxx to segments). */
import { VECTOR } from '../../x86/exceptions.ts';
import { Segment, type SegmentRegister } from '../processor.ts';
import { ATTRIBUTE } from '../segmentation.ts';
import { Status } from '../stage.ts';
import * as S from '../state-layout.ts';
import { type Core, isCanonical } from './core.ts';

const GRANULARITY = 1 << 15;
const ACCESSED = 1n << 40n;
const BUSY = 1n << 41n;

export interface Descriptor extends SegmentRegister {
  /** Linear address of the descriptor itself. */
  at: bigint;
  raw: bigint;
}

export const dplOf = (attributes: number): number => (attributes >> 5) & 3;
export const isCode = (attributes: number): boolean =>
  (attributes & (ATTRIBUTE.System | ATTRIBUTE.Code)) === (ATTRIBUTE.System | ATTRIBUTE.Code);
/** Of a code segment: conforming. Of data: expand-down. */
export const isConforming = (attributes: number): boolean => (attributes & 4) !== 0;
export const isPresent = (attributes: number): boolean => (attributes & ATTRIBUTE.Present) !== 0;
/** S bit clear. */
export const isSystem = (attributes: number): boolean => (attributes & ATTRIBUTE.System) === 0;

export function decodeDescriptor(raw: bigint, selector: number, at: bigint): Descriptor {
  const attributes = Number((raw >> 40n) & 0xf0ffn);
  const limit = Number((raw & 0xffffn) | ((raw >> 32n) & 0xf0000n));
  const base = ((raw >> 16n) & 0xffffffn) | ((raw >> 32n) & 0xff000000n);
  const scaled = attributes & GRANULARITY ? limit * 4096 + 4095 : limit;
  return { selector, base, limit: scaled, attributes, at, raw };
}

/** The descriptor a selector names; undefined with `vector`(selector) pending where the table does not hold it. */
export function readDescriptor(
  core: Core,
  selector: number,
  vector: number = VECTOR.GP,
): Descriptor | undefined {
  const { state } = core;
  const local = (selector & 4) !== 0;
  const ldtr = state.segment(Segment.LDTR);
  const base = local ? ldtr.base : state.get64(S.GDTR);
  const limit = local ? (isPresent(ldtr.attributes) ? ldtr.limit : -1) : state.get32(S.GDTR + 8) >>> 0;
  const offset = selector & 0xfff8;
  if (offset + 7 > limit) {
    core.fault(vector, selector & 0xfffc);
    return undefined;
  }
  const at = base + BigInt(offset);
  const raw = core.readSystem(at, 8);
  return raw === undefined ? undefined : decodeDescriptor(raw, selector, at);
}

/** The upper half of a 16-byte system descriptor's base, in long mode. */
export function readUpperBase(core: Core, descriptor: Descriptor): boolean {
  if (!core.state.longMode) return true;
  const upper = core.readSystem(descriptor.at + 8n, 8);
  if (upper === undefined) return false;
  descriptor.base |= (upper & 0xffffffffn) << 32n;
  return true;
}

/** Sets the accessed bit in memory. */
export function setAccessed(core: Core, descriptor: Descriptor): boolean {
  if (descriptor.raw & ACCESSED) return true;
  descriptor.attributes |= 1;
  return core.writeSystem(descriptor.at + 5n, 1, ((descriptor.raw | ACCESSED) >> 40n) & 0xffn);
}

/** Real and virtual-8086 mode: the base is the selector times 16; limits stay as they are in real mode. */
export function realModeSegment(core: Core, index: number, selector: number): SegmentRegister {
  const old = core.state.segment(index);
  const base = BigInt(selector) << 4n;
  if (core.state.virtual8086) return { selector, base, limit: 0xffff, attributes: 0xf3 };
  return { selector, base, limit: old.limit, attributes: old.attributes };
}

const NULL_ATTRIBUTES = 0;

/** Loads ES, SS, DS, FS or GS with all checks; `Status.Next`, or `Status.Leave` with a fault pending. */
export function loadSegment(core: Core, index: number, selector: number): number {
  const { state } = core;
  if (!state.protectedMode || state.virtual8086) {
    state.setSegment(index, realModeSegment(core, index, selector));
    state.refresh();
    return Status.Next;
  }
  const { cpl } = state;
  const rpl = selector & 3;
  if ((selector & 0xfffc) === 0) {
    if (index === Segment.SS && !(state.code64 && cpl !== 3 && rpl === cpl)) return core.fault(VECTOR.GP, 0);
    const old = state.segment(index);
    // Intel processors keep FS and GS bases of a null selector at 0.
    const attributes = index === Segment.SS ? (cpl << 5) | NULL_ATTRIBUTES : NULL_ATTRIBUTES;
    state.setSegment(index, {
      selector,
      base: index >= Segment.FS ? 0n : old.base & 0n,
      limit: 0,
      attributes,
    });
    state.refresh();
    return Status.Next;
  }
  const descriptor = readDescriptor(core, selector);
  if (!descriptor) return Status.Leave;
  const { attributes } = descriptor;
  const dpl = dplOf(attributes);
  const error = selector & 0xfffc;
  if (isSystem(attributes)) return core.fault(VECTOR.GP, error);
  const code = isCode(attributes);
  const second = (attributes & ATTRIBUTE.Writable) !== 0;
  if (index === Segment.SS) {
    if (rpl !== cpl || code || !second || dpl !== cpl) return core.fault(VECTOR.GP, error);
    if (!isPresent(attributes)) return core.fault(VECTOR.SS, error);
  } else {
    if (code && !second) return core.fault(VECTOR.GP, error);
    if (!(code && isConforming(attributes)) && (rpl > dpl || cpl > dpl)) return core.fault(VECTOR.GP, error);
    if (!isPresent(attributes)) return core.fault(VECTOR.NP, error);
  }
  if (!setAccessed(core, descriptor)) return Status.Leave;
  state.setSegment(index, descriptor);
  state.refresh();
  return Status.Next;
}

export function loadLdt(core: Core, selector: number): number {
  const { state } = core;
  if ((selector & 0xfffc) === 0) {
    state.setSegment(Segment.LDTR, { selector, base: 0n, limit: 0, attributes: 0 });
    return Status.Next;
  }
  const error = selector & 0xfffc;
  if (selector & 4) return core.fault(VECTOR.GP, error);
  const descriptor = readDescriptor(core, selector);
  if (!descriptor) return Status.Leave;
  if ((descriptor.attributes & 0x1f) !== 2) return core.fault(VECTOR.GP, error);
  if (!isPresent(descriptor.attributes)) return core.fault(VECTOR.NP, error);
  if (!readUpperBase(core, descriptor)) return Status.Leave;
  if (state.longMode && !isCanonical(descriptor.base)) return core.fault(VECTOR.GP, error);
  state.setSegment(Segment.LDTR, descriptor);
  return Status.Next;
}

export function loadTask(core: Core, selector: number): number {
  const { state } = core;
  const error = selector & 0xfffc;
  if (error === 0 || selector & 4) return core.fault(VECTOR.GP, error);
  const descriptor = readDescriptor(core, selector);
  if (!descriptor) return Status.Leave;
  const type = descriptor.attributes & 0x1f;
  if (type !== 9 && !(type === 1 && !state.longMode)) return core.fault(VECTOR.GP, error);
  if (!isPresent(descriptor.attributes)) return core.fault(VECTOR.NP, error);
  if (!readUpperBase(core, descriptor)) return Status.Leave;
  if (state.longMode && !isCanonical(descriptor.base)) return core.fault(VECTOR.GP, error);
  if (!core.writeSystem(descriptor.at + 5n, 1, ((descriptor.raw | BUSY) >> 40n) & 0xffn)) return Status.Leave;
  descriptor.attributes |= 2;
  state.setSegment(Segment.TR, descriptor);
  return Status.Next;
}

/** After a return to an outer privilege: data segments that it may not use become null (SDM vol. 3 §5.8.6). */
export function dropInnerSegments(core: Core): void {
  const { state } = core;
  for (const index of [Segment.ES, Segment.DS, Segment.FS, Segment.GS]) {
    const { selector, attributes, base } = state.segment(index);
    if ((selector & 0xfffc) === 0) continue;
    const conformingCode = isCode(attributes) && isConforming(attributes);
    if (conformingCode || dplOf(attributes) >= state.cpl) continue;
    state.setSegment(index, {
      selector: 0,
      base: index >= Segment.FS && state.longMode ? base : 0n,
      limit: 0,
      attributes: 0,
    });
  }
}

type Query = (core: Core, selector: number) => { ok: boolean; value: bigint } | undefined;

/** The descriptor if the current privilege may see it; null where it may not; undefined with a fault pending. */
function visible(core: Core, selector: number, types: readonly number[]): Descriptor | null | undefined {
  if ((selector & 0xfffc) === 0) return null;
  const descriptor = readDescriptor(core, selector);
  if (!descriptor) {
    // Beyond the table's limit is an answer, not a fault; a page fault on the table is one.
    if (core.state.get32(S.FAULT_VECTOR) !== VECTOR.GP + 1) return undefined;
    core.state.set32(S.FAULT_VECTOR, 0);
    return null;
  }
  const { attributes } = descriptor;
  if (isSystem(attributes) && !types.includes(attributes & 0xf)) return null;
  const exempt = isCode(attributes) && isConforming(attributes);
  const privilege = Math.max(core.state.cpl, selector & 3);
  return exempt || dplOf(attributes) >= privilege ? descriptor : null;
}

const LAR_TYPES = { legacy: [1, 2, 3, 4, 5, 9, 11, 12], long: [2, 9, 11, 12] };
const LSL_TYPES = { legacy: [1, 2, 3, 9, 11], long: [2, 9, 11] };

export const loadAccessRights: Query = (core, selector) => {
  const found = visible(core, selector, core.state.longMode ? LAR_TYPES.long : LAR_TYPES.legacy);
  if (found === undefined) return undefined;
  return found ? { ok: true, value: (found.raw >> 32n) & 0xf0ff00n } : { ok: false, value: 0n };
};
export const loadLimit: Query = (core, selector) => {
  const found = visible(core, selector, core.state.longMode ? LSL_TYPES.long : LSL_TYPES.legacy);
  if (found === undefined) return undefined;
  return found ? { ok: true, value: BigInt(found.limit) } : { ok: false, value: 0n };
};
export const verify =
  (write: boolean): Query =>
  (core, selector) => {
    const found = visible(core, selector, []);
    if (found === undefined) return undefined;
    if (!found) return { ok: false, value: 0n };
    const second = (found.attributes & ATTRIBUTE.Writable) !== 0;
    const ok = write ? !isCode(found.attributes) && second : !isCode(found.attributes) || second;
    return { ok, value: 0n };
  };
