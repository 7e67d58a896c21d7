/**
 * INS and OUTS, repeated or not, on a chipset port. A limited number of elements is moved per intercept; then
 * the instruction runs again with what is left, so that interrupts get through as on the real processor. A fault
 * leaves the registers as after the last element that was done.
 */
import { decode } from '../../cpu/instructions/decode.ts';
import type { PortMap } from '../../devices/chipset/port-map.ts';
import { InterceptAccessMask } from '../../hvdef/intercepts.ts';
import { InterceptHeader, IoPortAccessInfo, IoPortMessage } from '../../hvdef/messages.ts';
import { RegisterName, SegmentLayout } from '../../hvdef/registers.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import { readGuest, writeGuest } from './guest-virtual.ts';
import {
  codeSizeOf,
  nextRip,
  privilegeLevelOf,
  raise,
  Vector,
  vpIndexOf,
} from './intercepted-instruction.ts';

const ELEMENTS_PER_INTERCEPT = 256;
const DIRECTION_FLAG = 1n << 10n;
const ES = 0;
const DS = 3;
const INSTRUCTION_BYTES = 16;

interface StringPort {
  port: number;
  size: number;
  write: boolean;
  vp: number;
  privilegeLevel: number;
  addressBits: number;
  /** Linear address of offset 0 of the memory operand's segment. */
  segmentBase: bigint;
  /** Highest offset of the segment; undefined in 64-bit mode. */
  segmentLimit: bigint | undefined;
  step: bigint;
}

export function handleStringPort(message: DataView, partition: ChildPartition, ports: PortMap): void {
  const access = describe(message, partition);
  const rep = (message.getUint8(IoPortMessage.AccessInfo) & IoPortAccessInfo.RepPrefix) !== 0;
  const indexAt = access.write ? IoPortMessage.Rsi : IoPortMessage.Rdi;
  const oldIndex = message.getBigUint64(indexAt, true);
  const oldCount = message.getBigUint64(IoPortMessage.Rcx, true);
  let index = BigInt.asUintN(access.addressBits, oldIndex);
  let left = rep ? BigInt.asUintN(access.addressBits, oldCount) : 1n;
  let fault: { vector: number; errorCode: number; gva?: bigint } | undefined;
  for (let done = 0; done < ELEMENTS_PER_INTERCEPT && left > 0n; done++) {
    fault = moveElement(access, partition, ports, index);
    if (fault !== undefined) break;
    index = BigInt.asUintN(access.addressBits, index + access.step);
    left--;
  }

  const batch = partition.registers.begin(access.vp);
  batch.put(access.write ? RegisterName.Rsi : RegisterName.Rdi, register(access, oldIndex, index));
  if (rep) batch.put(RegisterName.Rcx, register(access, oldCount, left));
  if (fault !== undefined) {
    if (fault.gva !== undefined) batch.put(RegisterName.Cr2, fault.gva);
    raise(batch, fault.vector, fault.errorCode);
    return;
  }
  const length = message.getUint8(InterceptHeader.InstructionLength);
  if (left === 0n) batch.put(RegisterName.Rip, nextRip(message, length));
  batch.resume().commit();
}

/** A register of which the instruction changes the low `addressBits` bits. */
function register(access: StringPort, old: bigint, value: bigint): bigint {
  if (access.addressBits !== 16) return value;
  return (old & ~0xffffn) | value;
}

function moveElement(
  access: StringPort,
  partition: ChildPartition,
  ports: PortMap,
  offset: bigint,
): { vector: number; errorCode: number; gva?: bigint } | undefined {
  const { size, segmentLimit } = access;
  if (segmentLimit !== undefined && offset + BigInt(size) - 1n > segmentLimit) {
    return { vector: Vector.GeneralProtection, errorCode: 0 };
  }
  const linear = access.segmentBase + offset;
  const gva = segmentLimit === undefined ? BigInt.asUintN(64, linear) : BigInt.asUintN(32, linear);
  const memory = { vp: access.vp, privilegeLevel: access.privilegeLevel, gva, bytes: size };
  const data = new Uint8Array(4);
  const view = new DataView(data.buffer);
  if (access.write) {
    const read = readGuest(partition, memory);
    if (!(read instanceof Uint8Array)) return { vector: Vector.PageFault, ...read };
    data.set(read);
    ports.write(access.port, size, view.getUint32(0, true));
    return undefined;
  }
  // A device read can't be taken back: find out first whether its value has somewhere to go.
  const probe = readGuest(partition, memory);
  if (!(probe instanceof Uint8Array)) return { vector: Vector.PageFault, ...probe };
  const refused = writeGuest(partition, memory, probe);
  if (refused !== undefined) return { vector: Vector.PageFault, ...refused };
  view.setUint32(0, ports.read(access.port, size), true);
  writeGuest(partition, memory, data.subarray(0, size));
  return undefined;
}

function describe(message: DataView, partition: ChildPartition): StringPort {
  const vp = vpIndexOf(message);
  const codeSize = codeSizeOf(message);
  const write = message.getUint8(InterceptHeader.AccessType) === InterceptAccessMask.Write;
  const size = message.getUint8(IoPortMessage.AccessInfo) & IoPortAccessInfo.SizeMask;
  const bytes = new Uint8Array(
    message.buffer,
    message.byteOffset + IoPortMessage.InstructionBytes,
    INSTRUCTION_BYTES,
  );
  const decoded = decode(bytes, 0, message.getUint8(IoPortMessage.InstructionByteCount), codeSize);
  let addressBits: number = codeSize;
  let segment = write ? DS : ES;
  if (decoded.kind === 'ok') {
    addressBits = decoded.instruction.addressSize;
    for (const operand of decoded.instruction.operands)
      if (operand.kind === 'memory') segment = operand.segment;
  }
  const backward = (message.getBigUint64(InterceptHeader.Rflags, true) & DIRECTION_FLAG) !== 0n;
  const { base, limit } = segmentOf(message, partition, vp, segment);
  const flat = codeSize === 64 && segment <= DS;
  return {
    port: message.getUint16(IoPortMessage.PortNumber, true),
    size,
    write,
    vp,
    privilegeLevel: privilegeLevelOf(message),
    addressBits,
    segmentBase: flat ? 0n : base,
    segmentLimit: codeSize === 64 ? undefined : limit,
    step: BigInt(backward ? -size : size),
  };
}

/** The message has DS and ES; others are asked for. */
function segmentOf(
  message: DataView,
  partition: ChildPartition,
  vp: number,
  segment: number,
): { base: bigint; limit: bigint } {
  if (segment !== DS && segment !== ES) {
    const [base, high] = partition.registers.readWide(vp, RegisterName.Es + segment);
    return { base, limit: high & 0xffff_ffffn };
  }
  const at = segment === DS ? IoPortMessage.DsSegment : IoPortMessage.EsSegment;
  return {
    base: message.getBigUint64(at + SegmentLayout.Base, true),
    limit: BigInt(message.getUint32(at + SegmentLayout.Limit, true)),
  };
}
