/** The HV_PROXIMITY_DOMAIN_INFO of a hypercall's input, read into a placement. TLFS 2.0a §7.2.1. */
import { ProximityFlags } from '../../hvdef/types.ts';
import type { HypercallCall } from '../hypercall-call.ts';
import { ANYWHERE, type Placement } from '../proximity-domain.ts';

const DEFINED = (ProximityFlags.Preferred | ProximityFlags.InfoValid) >>> 0;

/** What the structure at `offset` of the input asks for; undefined: INVALID_PARAMETER is due. */
export function placementAt(call: HypercallCall, offset: number): Placement | undefined {
  const id = call.u32(offset);
  const flags = call.u32(offset + 4);
  if ((flags & ~DEFINED) !== 0) return undefined;
  if ((flags & ProximityFlags.InfoValid) === 0) return ANYWHERE;
  const domain = call.hypervisor.proximity.indexOfId(id);
  const required = (flags & ProximityFlags.Preferred) === 0;
  if (domain < 0) return required ? undefined : ANYWHERE;
  return { domain, required };
}
