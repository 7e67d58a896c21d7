/**
 * Hypercalls of the virtual MMU that change what is cached: address space switch and TLB flushes, plus
 * (TLFS 2.0a §12.4.1..§12.4.3; Ex forms and extended ranges: current TLFS).
 *
 * Chosen: an address space that is not the current one is flushed by flushing everything, since the soft TLB keeps
 * the current one only; short ranges are flushed page by page. A flush that meets a VP whose intercept inhibits
 * it suspends the caller and is repeated (§12.1.4).
 */
import { HvStatus } from '../../hvdef/status.ts';
import { FlushFlag } from '../../hvdef/synic.ts';
import { CONTINUE, type HypercallCall, type HypercallImplementation } from '../hypercall-call.ts';
import type { Partition, VirtualProcessorCore } from '../partition.ts';
import { ALL_VPS, type VpSet, vpSetAt, vpSetOfMask } from '../vp-set.ts';

const FLUSH_FLAGS = BigInt(
  FlushFlag.AllProcessors |
    FlushFlag.AllVirtualAddressSpaces |
    FlushFlag.NonGlobalMappingsOnly |
    FlushFlag.UseExtendedRangeFormat,
);
/** Physical address bits 12..51, the page bits below them (PWT, PCD, PCID). */
const CR3_RESERVED = 0xfff0_0000_0000_0000n;
/** Ranges longer than this flush the whole TLB. */
const MOST_SINGLE_PAGES = 32;
const PAGE = 4096n;
const LARGE_PAGE = 1n << 21n;

/** The part of a virtual processor that §12.1.4 is about. */
interface TlbInhibitor {
  readonly tlbFlushInhibited: boolean;
  waitForTlbFlush(): void;
}
function inhibitor(vp: VirtualProcessorCore | undefined): (VirtualProcessorCore & TlbInhibitor) | undefined {
  return vp !== undefined && 'tlbFlushInhibited' in vp
    ? (vp as VirtualProcessorCore & TlbInhibitor)
    : undefined;
}

function switchAddressSpace(call: HypercallCall): number {
  const addressSpace = call.u64(0);
  const processor = call.caller.virtualProcessors.get(call.callerVp)?.processor;
  if ((addressSpace & CR3_RESERVED) !== 0n || processor === undefined) return HvStatus.INVALID_PARAMETER;
  processor.setControl(3, addressSpace);
  return HvStatus.SUCCESS;
}

/** Checks what every flush has in common; a status other than SUCCESS refuses. */
function checkFlush(call: HypercallCall, list: boolean): number {
  const flags = call.u64(8);
  if ((flags & ~FLUSH_FLAGS) !== 0n) return HvStatus.INVALID_PARAMETER;
  const has = (flag: number) => (flags & BigInt(flag)) !== 0n;
  if (!has(FlushFlag.AllVirtualAddressSpaces) && (call.u64(0) & CR3_RESERVED) !== 0n) {
    return HvStatus.INVALID_PARAMETER;
  }
  if (list && has(FlushFlag.NonGlobalMappingsOnly)) return HvStatus.INVALID_PARAMETER;
  if (!list && has(FlushFlag.UseExtendedRangeFormat)) return HvStatus.INVALID_PARAMETER;
  return HvStatus.SUCCESS;
}

/** The processors that a flush names; undefined: INVALID_PARAMETER. */
function flushTargets(call: HypercallCall, extended: boolean): VpSet | undefined {
  if ((call.u64(8) & BigInt(FlushFlag.AllProcessors)) !== 0n) return ALL_VPS;
  if (extended) return vpSetAt(call, 16);
  const mask = call.u64(16);
  return mask === 0n ? undefined : vpSetOfMask(mask);
}

/** The targets among the VPs that exist, or CONTINUE when one of them inhibits flushes. */
function resolve(call: HypercallCall, set: VpSet): VirtualProcessorCore[] | typeof CONTINUE {
  const targets = members(call.caller, set);
  if (!targets.some((vp) => inhibitor(vp)?.tlbFlushInhibited)) return targets;
  inhibitor(call.caller.virtualProcessors.get(call.callerVp))?.waitForTlbFlush();
  return CONTINUE;
}

function members(partition: Partition, set: VpSet): VirtualProcessorCore[] {
  return [...partition.virtualProcessors.values()].filter((vp) => set(vp.index));
}

function flushSpace(call: HypercallCall, extended: boolean): number {
  const refusal = checkFlush(call, false);
  if (refusal !== HvStatus.SUCCESS) return refusal;
  const set = flushTargets(call, extended);
  if (set === undefined) return HvStatus.INVALID_PARAMETER;
  const targets = resolve(call, set);
  if (targets === CONTINUE) return CONTINUE;
  for (const vp of targets) vp.flushVirtual();
  return HvStatus.SUCCESS;
}

function flushList(call: HypercallCall, extended: boolean): number {
  const refusal = checkFlush(call, true);
  if (refusal !== HvStatus.SUCCESS) return refusal;
  const set = flushTargets(call, extended);
  if (set === undefined) return HvStatus.INVALID_PARAMETER;
  const targets = resolve(call, set);
  if (targets === CONTINUE) return CONTINUE;
  const extendedRanges = (call.u64(8) & BigInt(FlushFlag.UseExtendedRangeFormat)) !== 0n;
  while (call.hasRep()) {
    flushRange(targets, call.elementU64(0), extendedRanges);
    call.repDone();
  }
  return HvStatus.SUCCESS;
}

/**
 * One HV_GVA_RANGE: pages beyond the first in bits 11:0. Extended: in bits 10:0, bit 11 says that they are of
 * 2 MiB. What lies beyond the address space is ignored, as no such page is cached.
 */
function flushRange(targets: VirtualProcessorCore[], range: bigint, extended: boolean): void {
  const large = extended && (range & 0x800n) !== 0n;
  const additional = Number(range & (extended ? 0x7ffn : 0xfffn));
  const start = range & ~0xfffn;
  const step = large ? LARGE_PAGE : PAGE;
  for (const vp of targets) {
    if (large || additional >= MOST_SINGLE_PAGES || vp.processor === undefined) {
      vp.flushVirtual();
      continue;
    }
    for (let page = 0; page <= additional; page++) {
      vp.processor.flushTlbPage(BigInt.asUintN(64, start + BigInt(page) * step));
    }
  }
}

export const flushHypercalls: readonly HypercallImplementation[] = [
  { code: 0x0001, handle: switchAddressSpace },
  { code: 0x0002, handle: (call) => flushSpace(call, false) },
  { code: 0x0003, handle: (call) => flushList(call, false) },
  { code: 0x0013, handle: (call) => flushSpace(call, true) },
  { code: 0x0014, handle: (call) => flushList(call, true) },
  // Advice only: what it could tell the scheduler, it learns from the halt that usually follows.
];
