/**
 * Every register of a virtual processor by its TLFS name (2.0a §10.2, §10.3): reading into and writing from a
 * 16-byte value. No side effects beyond the register itself; a value is checked on its own (reserved bits, fixed
 * bits), and together with others when the VP resumes (§10.1.2).
 *
 * AVX does not exist on this processor, so the YMM names are invalid.
 */
import { Segment } from '../cpu/processor.ts';
import { PendingInterruptionType } from '../hvdef/intercepts.ts';
import {
  InterruptStateBit,
  PendingInterruption,
  RegisterName as R,
  SEGMENT_ATTRIBUTES_MASK,
  SuspendBit,
} from '../hvdef/registers.ts';
import { readMsrRegister, writeMsrRegister } from './register-access-msr.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

/** The two halves of a value; reused by callers. */
export interface RegisterValue {
  low: bigint;
  high: bigint;
}

const CONTROL = [0, 2, 3, 4, 8] as const;
const DEBUG = [0, 1, 2, 3, 6, 7] as const;
const LOW32 = 0xffff_ffffn;

const RFLAGS_RESERVED = ~0x3f_7fd7n & 0xffff_ffff_ffff_ffffn;
const RFLAGS_FIXED = 2n;
const CR0_DEFINED = 0xe005_003fn;
const CR0_ET = 0x10n;
const CR3_RESERVED = 0xfff0_0000_0000_0000n;
const CR4_DEFINED = 0x7f_7fffn;
const XCR0_X87 = 1n;
const XCR0_DEFINED = 7n;

/** Offsets in an FXSAVE64 image (SDM vol. 1 §10.5.1). */
const Image = { Environment: 0, Data: 16, Mxcsr: 24, MxcsrMask: 28, X87: 32, Xmm: 160 } as const;

const SegmentBit = { System: 1 << 4, Present: 1 << 7, Long: 1 << 13, Granularity: 1 << 15 } as const;

/** False: there is no register of that name. */
export function readRegister(vp: VirtualProcessor, name: number, value: RegisterValue): boolean {
  const { processor } = vp;
  const index = name & 0xffff;
  value.high = 0n;
  switch (name >>> 16) {
    case 1:
      return readInterruptRegister(vp, name, value);
    case 2:
      if (index > 0x11) return false;
      value.low =
        index < 16 ? processor.getGpr(index) : index === 16 ? processor.getRip() : processor.getRflags();
      return true;
    case 3:
      return readVectorRegister(vp, index, value);
    case 4:
      if (index > 5) return false;
      value.low = index === 5 ? processor.getXcr0() : processor.getControl(CONTROL[index]);
      return true;
    case 5:
      if (index >= DEBUG.length) return false;
      value.low = processor.getDebug(DEBUG[index]);
      return true;
    case 6: {
      if (index > Segment.TR) return false;
      const segment = processor.getSegment(index);
      value.low = segment.base;
      const attributes = BigInt(segment.attributes) << 32n;
      value.high = BigInt(segment.limit >>> 0) | attributes | (BigInt(segment.selector) << 48n);
      return true;
    }
    case 7: {
      if (index > 1) return false;
      const table = processor.getTable(index === 0 ? 'idtr' : 'gdtr');
      value.low = BigInt(table.limit & 0xffff) << 48n;
      value.high = table.base;
      return true;
    }
  }
  if (name === R.ExplicitSuspend || name === R.InterceptSuspend) {
    value.low = BigInt(name === R.ExplicitSuspend ? Number(vp.explicitlySuspended) : vp.interceptSuspend);
    return true;
  }
  const msr = readMsrRegister(vp, name);
  if (msr === undefined) return false;
  value.low = msr;
  return true;
}

/** False: no such register, read-only, or an invalid value; nothing is changed then. */
export function writeRegister(vp: VirtualProcessor, name: number, low: bigint, high: bigint): boolean {
  const { processor } = vp;
  const index = name & 0xffff;
  const group = name >>> 16;
  // Only vectors, segments and tables are wider than 64 bits.
  if (high !== 0n && group !== 3 && group !== 6 && group !== 7) return false;
  switch (group) {
    case 1:
      return writeInterruptRegister(vp, name, low);
    case 2:
      return writeUserRegister(vp, index, low);
    case 3:
      return writeVectorRegister(vp, index, low, high);
    case 4:
      return writeControlRegister(vp, index, low);
    case 5:
      if (index >= DEBUG.length || (index >= 4 && low > LOW32)) return false;
      processor.setDebug(DEBUG[index], low);
      return true;
    case 6:
      return writeSegment(vp, index, low, high);
    case 7:
      if (index > 1) return false;
      processor.setTable(index === 0 ? 'idtr' : 'gdtr', { base: high, limit: Number(low >> 48n) });
      return true;
  }
  if (name === R.ExplicitSuspend) {
    if (low > 1n) return false;
    vp.setExplicitSuspend(low === 1n);
    return true;
  }
  if (name === R.InterceptSuspend) {
    // Only the hypervisor sets bits (§10.3.1).
    if ((low & ~BigInt(vp.interceptSuspend)) !== 0n) return false;
    vp.clearInterceptSuspend(~Number(low) & (SuspendBit.Suspended | SuspendBit.TlbFlushInhibit));
    return true;
  }
  return writeMsrRegister(vp, name, low);
}

function readInterruptRegister(vp: VirtualProcessor, name: number, value: RegisterValue): boolean {
  if (name === R.PendingInterruption) {
    value.low = (BigInt(vp.pendingErrorCode >>> 0) << 32n) | BigInt(vp.pendingInterruption >>> 0);
    return true;
  }
  if (name !== R.InterruptState) return false;
  const shadow = vp.processor.interruptShadow ? InterruptStateBit.InterruptShadow : 0;
  value.low = BigInt(shadow | (vp.processor.nmiMasked ? InterruptStateBit.NmiMasked : 0));
  return true;
}

function writeInterruptRegister(vp: VirtualProcessor, name: number, low: bigint): boolean {
  if (name === R.InterruptState) {
    if (low > 3n) return false;
    vp.processor.interruptShadow = (low & 1n) !== 0n;
    vp.processor.nmiMasked = (low & 2n) !== 0n;
    return true;
  }
  if (name !== R.PendingInterruption) return false;
  const word = Number(low & LOW32);
  if ((word & PendingInterruption.Pending) === 0) {
    vp.pendingInterruption = 0;
    return true;
  }
  const type = (word >>> PendingInterruption.TypeShift) & PendingInterruption.TypeMask;
  const vector = word >>> PendingInterruption.VectorShift;
  const { Interrupt, Nmi, Exception } = PendingInterruptionType;
  const known = type === Interrupt || type === Nmi || (type === Exception && vector < 32);
  if ((word & PendingInterruption.ReservedMask) !== 0 || vector > 0xff || !known) return false;
  vp.pendingInterruption = word;
  vp.pendingErrorCode = Number(low >> 32n);
  return true;
}

function writeUserRegister(vp: VirtualProcessor, index: number, low: bigint): boolean {
  if (index < 16) vp.processor.setGpr(index, low);
  else if (index === 16) vp.processor.setRip(low);
  else if (index === 17) {
    if ((low & RFLAGS_RESERVED) !== 0n || (low & RFLAGS_FIXED) === 0n) return false;
    vp.processor.setRflags(low);
    vp.registersChanged = true;
  } else return false;
  return true;
}

function writeControlRegister(vp: VirtualProcessor, index: number, low: bigint): boolean {
  const { processor } = vp;
  switch (index) {
    case 0:
      if ((low & ~CR0_DEFINED) !== 0n || (low & CR0_ET) === 0n) return false;
      break;
    case 2:
      if ((low & CR3_RESERVED) !== 0n) return false;
      break;
    case 3:
      if ((low & ~CR4_DEFINED) !== 0n) return false;
      break;
    case 4:
      if (low > 15n) return false;
      break;
    case 5:
      if ((low & ~XCR0_DEFINED) !== 0n || (low & XCR0_X87) === 0n) return false;
      processor.setXcr0(low);
      return true;
  }
  if (index > 5) return false;
  processor.setControl(CONTROL[index], low);
  vp.registersChanged = true;
  return true;
}

function writeSegment(vp: VirtualProcessor, index: number, base: bigint, high: bigint): boolean {
  if (index > Segment.TR) return false;
  const limit = Number(high & LOW32);
  const attributes = Number((high >> 32n) & 0xffffn);
  const selector = Number(high >> 48n);
  if ((attributes & ~SEGMENT_ATTRIBUTES_MASK) !== 0) return false;
  const legacy = SegmentBit.System | SegmentBit.Present;
  if ((attributes & legacy) === legacy && (attributes & SegmentBit.Long) === 0) {
    // §10.3.6: what a descriptor could not say is no limit.
    if ((attributes & SegmentBit.Granularity) !== 0 && (limit & 0xfff) !== 0xfff) return false;
    if ((attributes & SegmentBit.Granularity) === 0 && limit > 0xf_ffff) return false;
  }
  vp.processor.setSegment(index, { selector, base, limit, attributes });
  return true;
}

/** Offset of a 16-byte register in the FXSAVE image, or -1. */
function imageOffset(index: number): number {
  if (index < 16) return Image.Xmm + 16 * index;
  return index < 24 ? Image.X87 + 16 * (index - 16) : -1;
}

function readVectorRegister(vp: VirtualProcessor, index: number, value: RegisterValue): boolean {
  if (index > 0x19) return false;
  const image = vp.processor.saveFloatingPoint();
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const at = imageOffset(index);
  if (at >= 0) {
    value.low = view.getBigUint64(at, true);
    value.high = view.getBigUint64(at + 8, true) & (index < 16 ? 0xffff_ffff_ffff_ffffn : 0xffffn);
    return true;
  }
  const status = index === 0x18;
  value.low = view.getBigUint64(status ? Image.Environment : Image.Data, true);
  value.high = view.getBigUint64(status ? Image.Environment + 8 : Image.Mxcsr, true);
  return true;
}

function writeVectorRegister(vp: VirtualProcessor, index: number, low: bigint, high: bigint): boolean {
  if (index > 0x19) return false;
  const isFp = index >= 16 && index < 24;
  if (isFp && high > 0xffffn) return false;
  const image = vp.processor.saveFloatingPoint();
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const at = imageOffset(index);
  if (at >= 0) {
    view.setBigUint64(at, low, true);
    view.setBigUint64(at + 8, high, true);
  } else if (index === 0x18) {
    // IGNNE# (bit 40) has no state here: CR0.NE = 0 reporting is not supported.
    view.setBigUint64(Image.Environment, low & ~(0xffn << 40n), true);
    view.setBigUint64(Image.Environment + 8, high, true);
  } else {
    const mask = BigInt(view.getUint32(Image.MxcsrMask, true)) || 0xffffn;
    if ((high & LOW32 & ~mask) !== 0n) return false;
    view.setBigUint64(Image.Data, low, true);
    view.setUint32(Image.Mxcsr, Number(high & LOW32), true);
  }
  vp.processor.restoreFloatingPoint(image);
  return true;
}
