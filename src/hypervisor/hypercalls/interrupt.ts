/**
 * Virtual interrupt hypercalls (TLFS 2.0a §13.5; cluster IPIs and VP index from APIC id: current TLFS).
 *
 * Chosen: §13.5.1 lists two statuses for a non-zero destination of an external interrupt; INVALID_PARAMETER it is.
 * A second assertion supersedes the first only for external interrupts, which have one request line; fixed ones
 * are latched by vector, and HV_INTERRUPT_VECTOR_NONE withdraws level-triggered requests at the destination.
 */
import { HvStatus } from '../../hvdef/status.ts';
import { INTERRUPT_VECTOR_NONE, InterruptControlBit, InterruptType } from '../../hvdef/synic.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOf, childOrSelf, isStatus } from '../hypercall-target.ts';
import { Shorthand } from '../local-apic.ts';
import type { LocalApicBus } from '../local-apic-bus.ts';
import type { Partition } from '../partition.ts';
import { APIC_BUS } from '../partition-interrupts.ts';
import { type VpSet, vpSetAt, vpSetOfMask } from '../vp-set.ts';

const VECTORED: readonly number[] = [InterruptType.Fixed, InterruptType.LowestPriority, InterruptType.ExtInt];
const TYPES: readonly number[] = Object.values(InterruptType);

interface Assertion {
  type: number;
  levelTriggered: boolean;
  logical: boolean;
  destination: number;
  /** 0..255 or INTERRUPT_VECTOR_NONE. */
  vector: number;
}

function decodeAssertion(call: HypercallCall): Assertion | undefined {
  const type = call.u32(8);
  const control = call.u32(12);
  const destination = call.number(16);
  const vector = call.u32(24);
  if (!TYPES.includes(type) || (control & InterruptControlBit.Reserved) !== 0) return undefined;
  if (destination > 0xffff_ffff) return undefined;
  if (vector > 0xff && !(vector === INTERRUPT_VECTOR_NONE && VECTORED.includes(type))) return undefined;
  if (vector !== 0 && (type === InterruptType.Nmi || type === InterruptType.Init)) return undefined;
  if (type === InterruptType.ExtInt && destination !== 0) return undefined;
  return {
    type,
    levelTriggered: (control & InterruptControlBit.LevelTriggered) !== 0,
    logical: (control & InterruptControlBit.LogicalDestination) !== 0,
    destination,
    vector,
  };
}

function assertInterrupt(call: HypercallCall): number {
  const target = activeChild(call);
  if (isStatus(target)) return target;
  const assertion = decodeAssertion(call);
  if (assertion === undefined) return HvStatus.INVALID_PARAMETER;
  const bus = target.parts.get(APIC_BUS);
  return assertion.type === InterruptType.ExtInt
    ? assertExternal(bus, assertion)
    : assertFixed(bus, assertion);
}

function assertExternal(bus: LocalApicBus, { vector }: Assertion): number {
  const boot = bus.ofVp(0);
  if (boot === undefined) return HvStatus.INVALID_VP_INDEX;
  if (vector === INTERRUPT_VECTOR_NONE) {
    boot.withdrawExternalInterrupt();
    return HvStatus.SUCCESS;
  }
  return boot.assertExternalInterrupt(vector) ? HvStatus.SUCCESS : HvStatus.ACKNOWLEDGED;
}

function assertFixed(bus: LocalApicBus, assertion: Assertion): number {
  const { type, vector, levelTriggered, logical, destination } = assertion;
  if (vector === INTERRUPT_VECTOR_NONE) {
    // An edge is latched and can't be taken back.
    const addressed = levelTriggered ? bus.withdraw(destination, logical) : 1;
    return addressed > 0 ? HvStatus.SUCCESS : HvStatus.INVALID_VP_INDEX;
  }
  const shorthand = Shorthand.None;
  const addressed = bus.deliver({ mode: type, vector, levelTriggered, logical, destination, shorthand });
  return addressed > 0 ? HvStatus.SUCCESS : HvStatus.INVALID_VP_INDEX;
}

function clearInterrupt(call: HypercallCall): number {
  const target = activeChild(call);
  if (isStatus(target)) return target;
  const boot = target.parts.get(APIC_BUS).ofVp(0);
  return boot?.clearExternalInterrupt() ? HvStatus.SUCCESS : HvStatus.NOT_ACKNOWLEDGED;
}

function activeChild(call: HypercallCall): Partition | HvStatus {
  const target = childOf(call);
  if (isStatus(target)) return target;
  return target.state === 'active' ? target : HvStatus.INVALID_PARTITION_STATE;
}

function assertVtl(call: HypercallCall): number {
  return call.u8(28) === 0 ? assertInterrupt(call) : HvStatus.INVALID_PARAMETER;
}

function sendIpi(call: HypercallCall, set: VpSet | undefined): number {
  const vector = call.u32(0);
  if (vector < 0x10 || vector > 0xff || call.u8(4) !== 0 || set === undefined)
    return HvStatus.INVALID_PARAMETER;
  const bus = call.caller.parts.get(APIC_BUS);
  for (const index of call.caller.virtualProcessors.keys()) {
    if (set(index)) bus.ofVp(index)?.requestInterrupt(vector, false, false);
  }
  return HvStatus.SUCCESS;
}

function vpIndexFromApicId(call: HypercallCall): number {
  const target = childOrSelf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  if (call.u8(8) !== 0) return HvStatus.INVALID_PARAMETER;
  const bus = target.parts.get(APIC_BUS);
  while (call.hasRep()) {
    const apic = bus.ofApicId(call.elementU32(0));
    if (apic === undefined) return HvStatus.INVALID_PARAMETER;
    call.putElementU32(0, apic.vpIndex);
    call.repDone();
  }
  return HvStatus.SUCCESS;
}

export const interruptHypercalls: readonly HypercallImplementation[] = [
  { code: 0x000b, handle: (call) => sendIpi(call, vpSetOfMask(call.u64(8))) },
  { code: 0x0015, handle: (call) => sendIpi(call, vpSetAt(call, 8)) },
  { code: 0x0055, handle: assertInterrupt },
  { code: 0x0056, handle: clearInterrupt },
  { code: 0x0094, handle: assertVtl },
  { code: 0x009a, handle: vpIndexFromApicId },
];
