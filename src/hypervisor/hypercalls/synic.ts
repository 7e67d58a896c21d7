/**
 * Hypercalls of inter-partition communication (TLFS 2.0a §14.9; HvCallSignalEventDirect: current TLFS). Each decodes
 * and refuses first; ports and connections then change in port.ts and connection.ts.
 *
 * Chosen: §14.9.1 calls base plus count "greater than or equal to" 2048 an error, yet allows 2048 flags; a port may
 * end at flag 2047. A property that can't be set is UNKNOWN_PROPERTY.
 */

import { MESSAGE_MAX_PAYLOAD, MESSAGE_TYPE_HYPERVISOR_MASK, MessageType } from '../../hvdef/messages.ts';
import { Privilege } from '../../hvdef/privileges.ts';
import { HvStatus } from '../../hvdef/status.ts';
import {
  EVENT_FLAGS_COUNT,
  HV_ANY_VP,
  ID_RESERVED_MASK,
  PortProperty,
  PortType,
  SINT_COUNT,
} from '../../hvdef/synic.ts';
import { GPA_PAGE_LIMIT } from '../../hvdef/types.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOf, childOrSelf, isStatus } from '../hypercall-target.ts';
import type { Partition } from '../partition.ts';
import { CONNECTIONS, PORTS, SYNICS } from '../partition-interrupts.ts';
import type { Port, PortInfo } from '../port.ts';

function isReservedId(id: number): boolean {
  return (id & ID_RESERVED_MASK) !== 0;
}

/** The partition named at offset 0, if the caller is its parent, or is it and has the privilege. */
function actedOn(call: HypercallCall, privilege: Privilege): Partition | HvStatus {
  const target = childOrSelf(call);
  if (isStatus(target) || target !== call.caller) return target;
  return target.hasPrivilege(privilege) ? target : HvStatus.ACCESS_DENIED;
}

/** HV_PORT_INFO at offset 24, or a status. */
function decodePortInfo(call: HypercallCall, partition: Partition): PortInfo | number {
  const type = call.u32(24);
  if (call.u32(28) !== 0) return HvStatus.INVALID_PARAMETER;
  if (type === PortType.Monitor) {
    if (call.u64(40) !== 0n) return HvStatus.INVALID_PARAMETER;
    return monitorPage(call.number(32), (gpn) => ({ type: PortType.Monitor, gpn }));
  }
  if (type !== PortType.Message && type !== PortType.Event) return HvStatus.INVALID_PARAMETER;
  const sint = call.u32(32);
  const vp = call.u32(36);
  if (sint < 1 || sint >= SINT_COUNT) return HvStatus.INVALID_PARAMETER;
  if (type === PortType.Message) {
    if (call.u64(40) !== 0n) return HvStatus.INVALID_PARAMETER;
    return existingVp(partition, vp) ? { type, sint, vp } : HvStatus.INVALID_VP_INDEX;
  }
  const baseFlag = call.u16(40);
  const flagCount = call.u16(42);
  const legal = flagCount !== 0 && baseFlag + flagCount <= EVENT_FLAGS_COUNT && call.u32(44) === 0;
  if (!legal) return HvStatus.INVALID_PARAMETER;
  return existingVp(partition, vp) ? { type, sint, vp, baseFlag, flagCount } : HvStatus.INVALID_VP_INDEX;
}

function existingVp(partition: Partition, vp: number): boolean {
  return vp === HV_ANY_VP || partition.virtualProcessors.has(vp);
}

function monitorPage<T>(gpa: number, make: (gpn: number) => T): T | number {
  if (gpa % 4096 !== 0) return HvStatus.INVALID_ALIGNMENT;
  const gpn = gpa / 4096;
  return gpn < GPA_PAGE_LIMIT ? make(gpn) : HvStatus.INVALID_PARAMETER;
}

function createPort(call: HypercallCall): number {
  const partition = actedOn(call, Privilege.CreatePort);
  if (isStatus(partition)) return partition;
  const portId = call.u32(8);
  const sender = call.partition(call.u64(16));
  if (sender === undefined || sender === partition) return HvStatus.INVALID_PARTITION_ID;
  if (partition.state !== 'active' || sender.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const ports = partition.parts.get(PORTS);
  if (isReservedId(portId) || ports.get(portId) !== undefined) return HvStatus.INVALID_PORT_ID;
  const info = decodePortInfo(call, partition);
  return typeof info === 'number' ? info : ports.create(portId, info, sender.id);
}

function deletePort(call: HypercallCall): number {
  const partition = actedOn(call, Privilege.CreatePort);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  return partition.parts.get(PORTS).delete(call.u32(8)) ? HvStatus.SUCCESS : HvStatus.INVALID_PORT_ID;
}

function connectPort(call: HypercallCall): number {
  const partition = actedOn(call, Privilege.ConnectPort);
  if (isStatus(partition)) return partition;
  const receiver = call.partition(call.u64(16));
  if (receiver === undefined) return HvStatus.INVALID_PARTITION_ID;
  if (partition.state !== 'active' || receiver.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const connectionId = call.u32(8);
  const connections = partition.parts.get(CONNECTIONS);
  if (isReservedId(connectionId) || connections.get(connectionId) !== undefined) {
    return HvStatus.INVALID_CONNECTION_ID;
  }
  const port = receiver.parts.get(PORTS).get(call.u32(24));
  if (port === undefined || port.connected) return HvStatus.INVALID_PORT_ID;
  if (port.connectionPartition !== partition.id) return HvStatus.INVALID_PARTITION_ID;
  if (port.info.type !== PortType.Monitor) {
    // ConnectionInfo is reserved for message and event ports.
    return call.u64(32) === 0n ? connections.create(connectionId, port, 0) : HvStatus.INVALID_PARAMETER;
  }
  return monitorPage(call.number(32), (gpn) => connections.create(connectionId, port, gpn));
}

function disconnectPort(call: HypercallCall): number {
  const partition = actedOn(call, Privilege.ConnectPort);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const deleted = partition.parts.get(CONNECTIONS).delete(call.u32(8));
  return deleted ? HvStatus.SUCCESS : HvStatus.INVALID_CONNECTION_ID;
}

/** The port that property calls name, or a status. */
function portForProperty(call: HypercallCall): { partition: Partition; port: Port } | number {
  if (!call.caller.hasPrivilege(Privilege.CreatePort)) return HvStatus.ACCESS_DENIED;
  const partition = childOrSelf(call);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const port = partition.parts.get(PORTS).get(call.u32(8));
  return port === undefined ? HvStatus.INVALID_PORT_ID : { partition, port };
}

function getPortProperty(call: HypercallCall): number {
  const found = portForProperty(call);
  if (typeof found === 'number') return found;
  const property = call.u32(16);
  if (property === PortProperty.PostCount) call.putU64(0, found.port.postCount);
  else if (property === PortProperty.PreferredTargetVp) call.putU64(0, found.port.preferredVp);
  else return HvStatus.UNKNOWN_PROPERTY;
  return HvStatus.SUCCESS;
}

function setPortProperty(call: HypercallCall): number {
  const found = portForProperty(call);
  if (typeof found === 'number') return found;
  if (call.u32(16) !== PortProperty.PreferredTargetVp) return HvStatus.UNKNOWN_PROPERTY;
  const vp = call.number(24);
  if (!existingVp(found.partition, vp)) return HvStatus.INVALID_VP_INDEX;
  found.port.preferredVp = vp;
  call.putU64(0, vp);
  return HvStatus.SUCCESS;
}

function postMessage(call: HypercallCall): number {
  const connection = call.caller.parts.get(CONNECTIONS).get(call.u32(0));
  if (connection === undefined) return HvStatus.INVALID_CONNECTION_ID;
  const type = call.u32(8);
  const size = call.u32(12);
  const reservedType = type === MessageType.None || (type & MESSAGE_TYPE_HYPERVISOR_MASK) !== 0;
  if (reservedType || size > MESSAGE_MAX_PAYLOAD) return HvStatus.INVALID_PARAMETER;
  return connection.port.postMessage(type, call.inputBytes(16, MESSAGE_MAX_PAYLOAD), size);
}

function signalEvent(call: HypercallCall): number {
  const connection = call.caller.parts.get(CONNECTIONS).get(call.u32(0));
  if (connection === undefined) return HvStatus.INVALID_CONNECTION_ID;
  return connection.port.signalEvent(call.u16(4));
}

/** A parent signals a flag of its child without port and connection. */
function signalEventDirect(call: HypercallCall): number {
  const target = childOf(call);
  if (isStatus(target)) return target;
  if (target.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  const sint = call.u8(13);
  const flag = call.u16(14);
  if (call.u8(12) !== 0 || sint >= SINT_COUNT || flag >= EVENT_FLAGS_COUNT) return HvStatus.INVALID_PARAMETER;
  const synic = target.parts.get(SYNICS).of(call.u32(8));
  if (synic === undefined) return HvStatus.INVALID_VP_INDEX;
  const wasSet = synic.eventFlag(sint, flag);
  const status = synic.signalEvent(sint, flag);
  if (status === HvStatus.SUCCESS && !wasSet) call.putU8(0, 1);
  return status;
}

export const synicHypercalls: readonly HypercallImplementation[] = [
  { code: 0x0057, handle: createPort },
  { code: 0x0058, handle: deletePort },
  { code: 0x0059, handle: connectPort },
  { code: 0x005a, handle: getPortProperty },
  { code: 0x005b, handle: disconnectPort },
  { code: 0x005c, handle: postMessage },
  { code: 0x005d, handle: signalEvent },
  { code: 0x0070, handle: setPortProperty },
  { code: 0x00c0, handle: signalEventDirect },
];
