/** HvGetVpRegisters and HvSetVpRegisters (TLFS 2.0a §10.4.3, §10.4.4). */
import { RegisterName } from '../../hvdef/registers.ts';
import { HvStatus } from '../../hvdef/status.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOf, childOrSelf, isStatus } from '../hypercall-target.ts';
import { type RegisterValue, readRegister, writeRegister } from '../register-access.ts';
import { namedProcessor } from './virtual-processor.ts';

const value: RegisterValue = { low: 0n, high: 0n };

function getVpRegisters(call: HypercallCall): number {
  const partition = childOrSelf(call);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const vp = namedProcessor(call, partition, call.u32(8));
  if (vp === undefined) return HvStatus.INVALID_VP_INDEX;
  const self = partition === call.caller && vp.index === call.callerVp;
  while (call.hasRep()) {
    const name = call.elementU32(0);
    // §10.3.1: a VP can't see its own suspend registers.
    if (self && name <= RegisterName.InterceptSuspend) return HvStatus.INVALID_PARAMETER;
    if (!readRegister(vp, name, value)) return HvStatus.INVALID_PARAMETER;
    call.putElementU64(0, value.low);
    call.putElementU64(8, value.high);
    call.repDone();
  }
  return HvStatus.SUCCESS;
}

function setVpRegisters(call: HypercallCall): number {
  const partition = childOf(call);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const vp = namedProcessor(call, partition, call.u32(8));
  if (vp === undefined) return HvStatus.INVALID_VP_INDEX;
  while (call.hasRep()) {
    if (!writeRegister(vp, call.elementU32(0), call.elementU64(16), call.elementU64(24))) {
      return HvStatus.INVALID_PARAMETER;
    }
    call.repDone();
  }
  return HvStatus.SUCCESS;
}

export const registerHypercalls: readonly HypercallImplementation[] = [
  { code: 0x0050, handle: getVpRegisters },
  { code: 0x0051, handle: setVpRegisters },
];
