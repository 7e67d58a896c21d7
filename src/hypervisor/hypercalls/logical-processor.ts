/**
 * HvGetLogicalProcessorRunTime, HvParkLogicalProcessors (TLFS 2.0a §6.4), HvNotifyLongSpinWait (§18.5.1), and the
 * system properties (§23).
 *
 * Chosen: of the profile sources there is HvProfileCyclesNotHalted; the processors count neither cache misses nor
 * branch mispredictions, so those are INVALID_PARAMETER, as is a period of zero for it.
 */
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { ProfileSource, SYSTEM_PROPERTY_PERF_COUNTER } from '../../hvdef/system-property.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { VirtualProcessor } from '../virtual-processor.ts';

function getLogicalProcessorRunTime(call: HypercallCall): number {
  const { logicalProcessors, clock } = call.hypervisor;
  const caller = call.caller.isRoot ? logicalProcessors.all[call.callerVp] : logicalProcessors.current;
  const own = caller ?? logicalProcessors.current;
  call.putU64(0, Math.floor(clock()));
  call.putU64(8, Math.floor(own.runTime));
  call.putU64(24, Math.floor(own.hypervisorTime));
  return HvStatus.SUCCESS;
}

function parkLogicalProcessors(call: HypercallCall): number {
  call.hypervisor.logicalProcessors.park(call.u64(0));
  return HvStatus.SUCCESS;
}

/** The spinning VP gives its turn away, so that whoever holds the lock gets on. */
function notifyLongSpinWait(call: HypercallCall): number {
  const vp = call.caller.virtualProcessors.get(call.callerVp);
  if (vp instanceof VirtualProcessor) vp.yieldTurn();
  return HvStatus.SUCCESS;
}

function setSystemProperty(call: HypercallCall): number {
  if (call.u32(0) !== SYSTEM_PROPERTY_PERF_COUNTER) return HvStatus.UNKNOWN_PROPERTY;
  const source = call.u32(8);
  const period = call.u64(16);
  const known =
    source === ProfileSource.Invalid || (source === ProfileSource.CyclesNotHalted && period !== 0n);
  if (!known || call.u32(12) !== 0) return HvStatus.INVALID_PARAMETER;
  if (call.hypervisor.eventLog.profiling) return HvStatus.OPERATION_DENIED;
  call.hypervisor.profile.source = source;
  call.hypervisor.profile.period = period;
  return HvStatus.SUCCESS;
}

function getSystemProperty(call: HypercallCall): number {
  if (call.u32(0) !== SYSTEM_PROPERTY_PERF_COUNTER) return HvStatus.UNKNOWN_PROPERTY;
  const { source, period } = call.hypervisor.profile;
  call.putU32(0, source);
  call.putU64(8, period);
  return HvStatus.SUCCESS;
}

export const logicalProcessorHypercalls: readonly HypercallImplementation[] = [
  { code: HypercallCode.GetLogicalProcessorRunTime, handle: getLogicalProcessorRunTime },
  { code: HypercallCode.ParkLogicalProcessors, handle: parkLogicalProcessors },
  { code: HypercallCode.NotifyLongSpinWait, handle: notifyLongSpinWait },
  { code: HypercallCode.SetSystemProperty, handle: setSystemProperty },
  { code: HypercallCode.GetSystemProperty, handle: getSystemProperty },
];
