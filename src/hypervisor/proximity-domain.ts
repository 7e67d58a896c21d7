/**
 * HV_PROXIMITY_DOMAIN_INFO: there is one NUMA node here, domain 0. An invalid flag bit, or a required domain
 * that doesn't exist, is refused; a merely preferred one falls back to domain 0. TLFS 2.0a §7.2.1.
 */
import { ProximityFlags } from '../hvdef/types.ts';
import type { HypercallCall } from './hypercall-call.ts';

const DEFINED = (ProximityFlags.Preferred | ProximityFlags.InfoValid) >>> 0;

/** True if the structure at `offset` of the input can be honoured. */
export function proximityIsValid(call: HypercallCall, offset: number): boolean {
  const id = call.u32(offset);
  const flags = call.u32(offset + 4);
  if ((flags & ~DEFINED) !== 0) return false;
  const required = (flags & ProximityFlags.InfoValid) !== 0 && (flags & ProximityFlags.Preferred) === 0;
  return !required || id === 0;
}
