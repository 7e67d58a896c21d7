/**
 * The 512-byte FXSAVE image (SDM vol. 1 §10.5.1): x87 and SSE state between a state page and a buffer. Registers
 * lie in it by stack position, tags by physical register.
 */
import * as layout from '../../state-layout.ts';
import { X87Unit } from './unit.ts';

export const FXSAVE_BYTES = 512;
/** MXCSR bits that may be set; FXRSTOR and LDMXCSR fault on others. */
export const MXCSR_MASK = 0xffff;

const Image = {
  Control: 0,
  Status: 2,
  Tag: 4,
  Opcode: 6,
  Ip: 8,
  Cs: 12,
  Dp: 16,
  Ds: 20,
  Mxcsr: 24,
  MxcsrMask: 28,
  Registers: 32,
  Xmm: 160,
} as const;

/** How an image is laid out: FXSAVE64 has 64-bit pointers; outside 64-bit mode only XMM0..7 are moved. */
export interface FxsaveForm {
  wide: boolean;
  xmmCount: 8 | 16;
}

/** Bytes beyond the XMM registers that `form` moves are left as they are. */
export function saveFxImage(view: DataView, base: number, image: DataView, form: FxsaveForm): void {
  const unit = new X87Unit(view, base);
  image.setUint16(Image.Control, unit.control, true);
  image.setUint16(Image.Status, unit.status, true);
  image.setUint16(Image.Tag, unit.tags, true);
  image.setUint16(Image.Opcode, view.getUint16(base + layout.FPU_OPCODE, true), true);
  savePointer(view, base, layout.FPU_IP, layout.FPU_CS, image, Image.Ip, form.wide);
  savePointer(view, base, layout.FPU_DP, layout.FPU_DS, image, Image.Dp, form.wide);
  image.setUint32(Image.Mxcsr, view.getUint32(base + layout.MXCSR, true), true);
  image.setUint32(Image.MxcsrMask, MXCSR_MASK, true);
  for (let index = 0; index < 8; index++) {
    const at = Image.Registers + 16 * index;
    image.setBigUint64(at, unit.significand(index), true);
    image.setBigUint64(at + 8, BigInt(unit.signExponent(index)), true);
  }
  for (let offset = 0; offset < 16 * form.xmmCount; offset += 8) {
    image.setBigUint64(Image.Xmm + offset, view.getBigUint64(base + layout.XMM + offset, true), true);
  }
}

function savePointer(
  view: DataView,
  base: number,
  pointer: number,
  selector: number,
  image: DataView,
  at: number,
  wide: boolean,
): void {
  image.setUint32(at, view.getUint32(base + pointer, true), true);
  const upper = wide ? view.getUint32(base + pointer + 4, true) : view.getUint16(base + selector, true);
  image.setUint32(at + 4, upper, true);
}

/** Loads an image; false (#GP is due, and nothing has changed) if it sets reserved MXCSR bits. */
export function restoreFxImage(view: DataView, base: number, image: DataView, form: FxsaveForm): boolean {
  const mxcsr = image.getUint32(Image.Mxcsr, true);
  if (mxcsr & ~MXCSR_MASK) return false;
  const unit = new X87Unit(view, base);
  unit.control = image.getUint16(Image.Control, true);
  unit.status = image.getUint16(Image.Status, true);
  unit.updateSummary();
  view.setUint16(base + layout.FPU_OPCODE, image.getUint16(Image.Opcode, true) & 0x7ff, true);
  restorePointer(view, base, layout.FPU_IP, layout.FPU_CS, image, Image.Ip, form.wide);
  restorePointer(view, base, layout.FPU_DP, layout.FPU_DS, image, Image.Dp, form.wide);
  view.setUint32(base + layout.MXCSR, mxcsr, true);
  for (let index = 0; index < 8; index++) {
    const at = Image.Registers + 16 * index;
    unit.storeBits(index, image.getUint16(at + 8, true), image.getBigUint64(at, true));
  }
  unit.tags = image.getUint8(Image.Tag);
  for (let offset = 0; offset < 16 * form.xmmCount; offset += 8) {
    view.setBigUint64(base + layout.XMM + offset, image.getBigUint64(Image.Xmm + offset, true), true);
  }
  return true;
}

function restorePointer(
  view: DataView,
  base: number,
  pointer: number,
  selector: number,
  image: DataView,
  at: number,
  wide: boolean,
): void {
  view.setUint32(base + pointer, image.getUint32(at, true), true);
  view.setUint32(base + pointer + 4, wide ? image.getUint32(at + 4, true) : 0, true);
  view.setUint16(base + selector, wide ? 0 : image.getUint16(at + 4, true), true);
}
