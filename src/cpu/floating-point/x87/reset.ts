/** The states that are not computed: FNINIT and processor reset. */
import * as layout from '../../state-layout.ts';

const CONTROL_AFTER_FNINIT = 0x037f;
const CONTROL_AFTER_RESET = 0x0040;
const MXCSR_AFTER_RESET = 0x1f80;

function clearEnvironment(view: DataView, base: number): void {
  view.setUint16(base + layout.FPU_STATUS, 0, true);
  view.setUint16(base + layout.FPU_OPCODE, 0, true);
  for (let offset = layout.FPU_IP; offset < layout.MXCSR; offset += 4) view.setUint32(base + offset, 0, true);
}

/** FNINIT: registers keep their bits, all marked empty. */
export function resetX87(view: DataView, base: number): void {
  clearEnvironment(view, base);
  view.setUint16(base + layout.FPU_CONTROL, CONTROL_AFTER_FNINIT, true);
  view.setUint8(base + layout.FPU_TAG, 0);
}

/** Power-up or reset of x87 and SSE (SDM vol. 3 table 9-1): all registers +0.0, marked in use. */
export function resetFloatingPoint(view: DataView, base: number): void {
  clearEnvironment(view, base);
  view.setUint16(base + layout.FPU_CONTROL, CONTROL_AFTER_RESET, true);
  view.setUint8(base + layout.FPU_TAG, 0xff);
  view.setUint32(base + layout.MXCSR, MXCSR_AFTER_RESET, true);
  const bytes = 8 * layout.FPU_REGISTER_SIZE + 16 * 16;
  for (let offset = 0; offset < bytes; offset += 4) {
    view.setUint32(base + layout.FPU_REGISTER + offset, 0, true);
  }
}
