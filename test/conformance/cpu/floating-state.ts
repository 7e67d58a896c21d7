/** x87 and SSE state that a case begins with: rounding, precision, masks, sticky flags, top of stack, tags. */
import { Place } from '../../../src/cpu/instructions/operand-codes.ts';
import type { InstructionRow } from '../../../src/cpu/instructions/table.ts';
import { Fxsave } from './cpu-state.ts';
import { isX87 } from './instruction-traits.ts';
import { bytesOf, type Draw } from './values.ts';

const hasPlace = (row: InstructionRow, first: Place, last: Place): boolean =>
  row.operands.some(({ place }) => place >= first && place <= last);

/** Mostly defaults; sometimes other rounding, DAZ or FTZ, unmasked exceptions, flags already set. */
function drawMxcsr(draw: Draw): number {
  let mxcsr = 0x1f80;
  if (draw.chance(60)) mxcsr |= draw.below(4) << 13;
  if (draw.chance(12)) mxcsr |= draw.pick([0x8000, 0x40, 0x8040]);
  if (draw.chance(8)) mxcsr &= ~((draw.below(63) + 1) << 7);
  if (draw.chance(15)) mxcsr |= draw.below(64) & (mxcsr >> 7);
  return mxcsr;
}

function drawX87(draw: Draw, row: InstructionRow, floating: Uint8Array, view: DataView): void {
  const top = draw.chance(50) ? 0 : draw.below(8);
  const depth = draw.chance(70) ? 5 + draw.below(3) : draw.below(9);
  let tag = 0;
  for (let i = 0; i < depth; i++) tag |= 1 << ((top + i) & 7);
  let control = 0x37f;
  if (draw.chance(50)) control = (control & ~0xc00) | (draw.below(4) << 10);
  if (draw.chance(20)) control = (control & ~0x300) | (draw.pick([0, 2]) << 8);
  if (draw.chance(10)) control &= ~(draw.below(63) + 1);
  let status = top << 11;
  if (draw.chance(40)) status |= draw.u32() & 0x4700;
  if (draw.chance(15)) status |= draw.below(64) & control & 63;
  // Rarely an unmasked exception is pending.
  if (draw.chance(3)) status |= 0x8080 | (~control & 63);
  if ((status & 0x80) !== 0 && (status & ~control & 63) === 0) status &= ~0x8080;
  view.setUint16(Fxsave.Control, control, true);
  view.setUint16(Fxsave.Status, status, true);
  floating[Fxsave.Tag] = tag;
  if (isX87(row))
    for (let i = 0; i < 2; i++) floating.set(bytesOf(draw, 'extended', 10), Fxsave.Stack + i * 16);
}

/** Fills what the row's instruction looks at, in an FXSAVE image. */
export function drawFloatingState(draw: Draw, row: InstructionRow, floating: Uint8Array): void {
  const view = new DataView(floating.buffer);
  if (hasPlace(row, Place.XmmReg, Place.XmmFixed)) view.setUint32(Fxsave.Mxcsr, drawMxcsr(draw), true);
  const usesMmx = hasPlace(row, Place.MmxReg, Place.MmxOrMemory);
  if (isX87(row) || usesMmx || row.mnemonic === 'emms' || row.mnemonic === 'fwait') {
    drawX87(draw, row, floating, view);
  }
}
