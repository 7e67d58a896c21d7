/**
 * What the transcendental functions share: how precisely they compute and how an irrational result is rounded.
 * Results have about 140 good bits and are rounded once, so they are the correctly rounded ones; the hardware
 * promises an error below one unit in the last place (SDM vol. 1 §8.3.10). Precision control does not apply.
 */
import { Extended, type FloatEnvironment, FloatException } from './format.ts';
import { roundFinite } from './round.ts';
import type { FloatValue } from './value.ts';

/** Significant bits to compute with. */
export const WORKING_BITS = 140;
/** Below 2^TINY a function's second series term cannot be seen in WORKING_BITS / 2 bits: it becomes a sticky bit. */
export const TINY = -72;

export function noteDenormal(env: FloatEnvironment, a: FloatValue): void {
  if (a.denormal) env.flags |= FloatException.Denormal;
}

/** Rounds a fixed-point magnitude that stands for an irrational number. */
export function roundFixed(
  env: FloatEnvironment,
  sign: number,
  fixed: bigint,
  bits: number,
  out: FloatValue,
): void {
  roundFinite(env, Extended, sign, -bits - 1, (fixed << 1n) | 1n, out);
}

/** Rounds significand(a) * factor * 2^exponent, an irrational number given by its leading bits. */
export function roundSticky(
  env: FloatEnvironment,
  sign: number,
  exponent: number,
  significand: bigint,
  out: FloatValue,
): void {
  roundFinite(env, Extended, sign, exponent - 1, (significand << 1n) | 1n, out);
}
