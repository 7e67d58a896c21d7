/**
 * Sets of virtual processors as hypercalls name them: a 64-bit mask, or HV_VP_SET (format, bank mask, banks; current
 * TLFS). Both are decoded to a test that is asked per VP that exists, so nothing depends on what a guest counts.
 */
import { VpSetFormat } from '../hvdef/synic.ts';
import type { HypercallCall } from './hypercall-call.ts';

/** True for the VP indices in the set. */
export type VpSet = (vpIndex: number) => boolean;

export const ALL_VPS: VpSet = () => true;

export function vpSetOfMask(mask: bigint): VpSet {
  return (vpIndex) => vpIndex < 64 && ((mask >> BigInt(vpIndex)) & 1n) === 1n;
}

/** The HV_VP_SET at `offset` of the input, or undefined if its format is unknown or its banks are not all there. */
export function vpSetAt(call: HypercallCall, offset: number): VpSet | undefined {
  const format = call.u64(offset);
  if (format === BigInt(VpSetFormat.All)) return ALL_VPS;
  if (format !== BigInt(VpSetFormat.Sparse)) return undefined;
  const valid = call.u64(offset + 8);
  const banks = new Map<number, bigint>();
  let at = offset + 16;
  for (let bank = 0; bank < 64; bank++) {
    if (((valid >> BigInt(bank)) & 1n) === 0n) continue;
    if (at + 8 > call.headerBytes) return undefined;
    banks.set(bank, call.u64(at));
    at += 8;
  }
  return (vpIndex) => {
    const mask = banks.get(vpIndex >>> 6);
    return mask !== undefined && ((mask >> BigInt(vpIndex & 63)) & 1n) === 1n;
  };
}
