/** Ordered and unordered comparison. Denormal operands raise their exception; unordered may raise invalid. */
import { type FloatEnvironment, FloatException } from './format.ts';
import { type FloatValue, Kind } from './value.ts';

export const Relation = { Less: 0, Equal: 1, Greater: 2, Unordered: 3 } as const;

/** `signalQuiet`: a quiet NaN is invalid too (FCOM, COMISD), not only a signalling one (FUCOM, UCOMISD). */
export function compare(env: FloatEnvironment, a: FloatValue, b: FloatValue, signalQuiet: boolean): number {
  if (a.kind >= Kind.QuietNan || b.kind >= Kind.QuietNan) {
    if (signalQuiet || a.kind > Kind.QuietNan || b.kind > Kind.QuietNan) env.flags |= FloatException.Invalid;
    return Relation.Unordered;
  }
  if (a.denormal || b.denormal) env.flags |= FloatException.Denormal;
  return order(a, b);
}

/** Order of two values that are no NaNs. */
export function order(a: FloatValue, b: FloatValue): number {
  if (a.kind === Kind.Zero && b.kind === Kind.Zero) return Relation.Equal;
  if (a.kind === Kind.Zero) return b.sign ? Relation.Greater : Relation.Less;
  if (b.kind === Kind.Zero || a.sign !== b.sign) return a.sign ? Relation.Less : Relation.Greater;
  const magnitude = orderMagnitude(a, b);
  if (magnitude === Relation.Equal) return magnitude;
  return (magnitude === Relation.Greater) === (a.sign === 0) ? Relation.Greater : Relation.Less;
}

function orderMagnitude(a: FloatValue, b: FloatValue): number {
  if (a.kind !== b.kind) return a.kind === Kind.Infinity ? Relation.Greater : Relation.Less;
  if (a.kind === Kind.Infinity) return Relation.Equal;
  if (a.exponent !== b.exponent) return a.exponent > b.exponent ? Relation.Greater : Relation.Less;
  if (a.significand === b.significand) return Relation.Equal;
  return a.significand > b.significand ? Relation.Greater : Relation.Less;
}
