/**
 * What an operation with a NaN operand answers (SDM vol. 1 §4.8.3.5, table 4-7): both units quiet the NaN they
 * choose and raise invalid for a signalling one; they differ in the choice.
 */
import { type FloatEnvironment, FloatException } from './format.ts';
import { type FloatValue, Kind } from './value.ts';

export function invalid(env: FloatEnvironment, out: FloatValue): void {
  env.flags |= FloatException.Invalid;
  out.setDefaultNan();
}

/** One operand, which is a NaN or unsupported. */
export function propagateNan(env: FloatEnvironment, a: FloatValue, out: FloatValue): void {
  if (a.kind === Kind.Unsupported) {
    invalid(env, out);
    return;
  }
  if (a.kind === Kind.SignallingNan) env.flags |= FloatException.Invalid;
  out.setNan(a.sign, a.significand);
}

/** Two operands, at least one of them a NaN or unsupported. */
export function propagateNans(env: FloatEnvironment, a: FloatValue, b: FloatValue, out: FloatValue): void {
  if (a.kind === Kind.Unsupported || b.kind === Kind.Unsupported) {
    invalid(env, out);
    return;
  }
  if (a.kind === Kind.SignallingNan || b.kind === Kind.SignallingNan) env.flags |= FloatException.Invalid;
  const chosen = env.sseNanRule ? (a.isNan ? a : b) : chooseBySignificand(a, b);
  out.setNan(chosen.sign, chosen.significand);
}

function chooseBySignificand(a: FloatValue, b: FloatValue): FloatValue {
  if (!a.isNan) return b;
  if (!b.isNan) return a;
  if (a.kind !== b.kind) return a.kind === Kind.QuietNan ? a : b;
  if (a.significand !== b.significand) return a.significand > b.significand ? a : b;
  return a.sign <= b.sign ? a : b;
}
