/**
 * Whether a segment lets an access of code that is not 64-bit through (SDM vol. 3 §5.3, §5.5): what segmentation.ts
 * decides in generated code, for whoever makes an access on behalf of an instruction (INS and OUTS, whose port is asked
 * before their memory).
 */
import { Access, type SegmentRegister } from './processor.ts';
import { ATTRIBUTE } from './segmentation.ts';

const BIG_TOP = 0xffff_ffff;
const SMALL_TOP = 0xffff;

/** `offset` in bytes, below 2^32; `access`: Access.Read or Access.Write. In real mode limits count, types do not. */
export function segmentAllows(
  { attributes, limit }: SegmentRegister,
  offset: number,
  bytes: number,
  access: number,
  protectedMode: boolean,
): boolean {
  const has = (bit: number): boolean => (attributes & bit) !== 0;
  const isCode = has(ATTRIBUTE.Code);
  const last = offset + bytes - 1;
  const outside =
    !isCode && has(ATTRIBUTE.ExpandDown)
      ? offset <= limit || last > (has(ATTRIBUTE.Big) ? BIG_TOP : SMALL_TOP)
      : last > limit;
  if (outside) return false;
  if (!protectedMode) return true;
  // The same bit is "writable" of data and "readable" of code.
  const allowed =
    access === Access.Write ? !isCode && has(ATTRIBUTE.Writable) : !isCode || has(ATTRIBUTE.Writable);
  return has(ATTRIBUTE.Present) && allowed;
}
