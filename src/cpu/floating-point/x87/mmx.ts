/**
 * How MMX uses the x87 registers (SDM vol. 1 §9.6, vol. 3 §12.2): MM0..7 are the significands of physical
 * registers 0..7. Every MMX instruction makes all registers valid and TOP zero; EMMS empties them.
 */
import * as layout from '../../state-layout.ts';

const TOP_FIELD = 0x3800;

/** Address of MMn in `view`: eight bytes. */
export function mmxAddress(base: number, index: number): number {
  return base + layout.FPU_REGISTER + index * layout.FPU_REGISTER_SIZE;
}

function setTop(view: DataView, base: number, tags: number): void {
  const status = view.getUint16(base + layout.FPU_STATUS, true);
  view.setUint16(base + layout.FPU_STATUS, status & ~TOP_FIELD, true);
  view.setUint8(base + layout.FPU_TAG, tags);
}

/** Before or after any MMX instruction but EMMS. */
export function enterMmx(view: DataView, base: number): void {
  setTop(view, base, 0xff);
}

/** After a write to MMn: sign and exponent become all ones. */
export function markMmxWritten(view: DataView, base: number, index: number): void {
  view.setUint16(mmxAddress(base, index) + 8, 0xffff, true);
}

/** EMMS. */
export function leaveMmx(view: DataView, base: number): void {
  setTop(view, base, 0);
}
