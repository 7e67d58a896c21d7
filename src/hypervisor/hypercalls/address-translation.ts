/**
 * HvTranslateVirtualAddress, HvReadGpa, HvWriteGpa (TLFS 2.0a §12.4.4 to §12.4.6): a parent sees and touches a
 * child's memory as one of its virtual processors would, overlays and the local APIC's page included.
 *
 * Chosen: a GPA that lies on the local APIC's page is reached with the register's side effects; HvTranslate...
 * reports it as an overlay page. §12.4.5 names the result of an overlay that forbids the access both
 * HvAccessGpaWriteIntercept (text) and has HvAccessGpaIllegalOverlayAccess (table); the latter is answered.
 */
import { Access, type GvaTranslation } from '../../cpu/processor.ts';
import {
  AccessGpaResult,
  TRANSLATE_GVA_FLAGS_ALL,
  TRANSLATE_GVA_OVERLAY_PAGE,
  TranslateGvaFlag,
  TranslateGvaResult,
} from '../../hvdef/intercepts.ts';
import { CacheType } from '../../hvdef/messages.ts';
import { SuspendBit } from '../../hvdef/registers.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { GPA_PAGE_LIMIT, PAGE_SIZE } from '../../hvdef/types.ts';
import { RIGHTS_SHIFT, SPN_MASK } from '../gpa-map.ts';
import type { HypercallCall, HypercallImplementation } from '../hypercall-call.ts';
import { childOf, isStatus } from '../hypercall-target.ts';
import { currentPrivilegeLevel } from '../intercept-message.ts';
import { GPA_EMULATED } from '../overlay-map.ts';
import type { VirtualProcessor } from '../virtual-processor.ts';
import { namedProcessor } from './virtual-processor.ts';

const VALIDATE =
  TranslateGvaFlag.ValidateRead | TranslateGvaFlag.ValidateWrite | TranslateGvaFlag.ValidateExecute;
const MAXIMUM_BYTES = 16;
const CACHE_TYPES: readonly number[] = Object.values(CacheType);

/** The child's VP that the header names, or a status. */
function target(call: HypercallCall): VirtualProcessor | HvStatus {
  const partition = childOf(call);
  if (isStatus(partition)) return partition;
  if (partition.state !== 'active') return HvStatus.INVALID_PARTITION_STATE;
  return namedProcessor(call, partition, call.u32(8)) ?? HvStatus.INVALID_VP_INDEX;
}

function translateVirtualAddress(call: HypercallCall): number {
  const vp = target(call);
  if (typeof vp === 'number') return vp;
  const flags = call.u32(16);
  if (call.u32(20) !== 0 || (flags & ~TRANSLATE_GVA_FLAGS_ALL) !== 0) return HvStatus.INVALID_PARAMETER;
  if ((flags & VALIDATE) === 0) return HvStatus.INVALID_PARAMETER;

  // The validate flags are the bits of `Access`.
  const access = flags & VALIDATE;
  const translation = vp.processor.translateGva({
    gva: BigInt.asUintN(64, call.u64(24) << 12n),
    access,
    privilege: (flags & TranslateGvaFlag.PrivilegeExempt) !== 0 ? 0 : currentPrivilegeLevel(vp.processor),
    setTableBits: (flags & TranslateGvaFlag.SetPageTableBits) !== 0,
  });
  let result = resultCode(vp, translation);
  let attributes: number = CacheType.WriteBack;
  const gpn = 'gpa' in translation ? Math.floor(translation.gpa / PAGE_SIZE) : 0;
  if (translation.kind === 'ok') {
    const overlay = vp.partition.overlays.at(gpn, vp.index);
    if (overlay !== undefined) attributes |= TRANSLATE_GVA_OVERLAY_PAGE;
    else result = accessResult(vp, gpn, access);
    if (result === TranslateGvaResult.Success && (flags & TranslateGvaFlag.TlbFlushInhibit) !== 0) {
      vp.interceptSuspend |= SuspendBit.TlbFlushInhibit;
    }
  }
  call.putU32(0, result);
  call.putU32(4, result === TranslateGvaResult.Success ? attributes : 0);
  call.putU64(8, gpn);
  return HvStatus.SUCCESS;
}

function resultCode(vp: VirtualProcessor, translation: GvaTranslation): number {
  switch (translation.kind) {
    case 'ok':
      return TranslateGvaResult.Success;
    case 'not-present':
      return TranslateGvaResult.PageNotPresent;
    case 'privilege-violation':
      return TranslateGvaResult.PrivilegeViolation;
    case 'invalid-page-table-flags':
      return TranslateGvaResult.InvalidPageTableFlags;
  }
  // A page table could not be reached: say whether an overlay forbade it.
  const gpn = Math.floor(translation.gpa / PAGE_SIZE);
  if (vp.partition.overlays.at(gpn, vp.index) !== undefined)
    return TranslateGvaResult.GpaIllegalOverlayAccess;
  return translation.kind === 'gpa-unmapped'
    ? accessResult(vp, gpn, Access.Read)
    : REFUSALS[translation.kind];
}

const REFUSALS = {
  'gpa-no-read': TranslateGvaResult.GpaNoReadAccess,
  'gpa-no-write': TranslateGvaResult.GpaNoWriteAccess,
} as const;

/** Whether the mapping at `gpn` allows `access`. A right to execute that is missing counts as "no read". */
function accessResult(vp: VirtualProcessor, gpn: number, access: number): number {
  const mapping = vp.partition.gpaMap.lookup(gpn);
  if (mapping < 0) return TranslateGvaResult.GpaUnmapped;
  const missing = access & ~(mapping >>> RIGHTS_SHIFT);
  if ((missing & (Access.Read | Access.Execute)) !== 0) return TranslateGvaResult.GpaNoReadAccess;
  return missing !== 0 ? TranslateGvaResult.GpaNoWriteAccess : TranslateGvaResult.Success;
}

function accessGpa(call: HypercallCall, write: boolean): number {
  const vp = target(call);
  if (typeof vp === 'number') return vp;
  const byteCount = call.u32(12);
  const gpa = call.number(16);
  if (byteCount === 0 || byteCount > MAXIMUM_BYTES) return HvStatus.INVALID_PARAMETER;
  if (gpa / PAGE_SIZE >= GPA_PAGE_LIMIT) return HvStatus.INVALID_PARAMETER;
  if ((gpa % PAGE_SIZE) + byteCount > PAGE_SIZE) return HvStatus.INVALID_PARAMETER;
  if (!CACHE_TYPES.includes(call.u8(24))) return HvStatus.INVALID_PARAMETER;
  if (call.u32(24) > 0xff || call.u32(28) !== 0) return HvStatus.INVALID_PARAMETER;

  const gpn = Math.floor(gpa / PAGE_SIZE);
  const offset = gpa % PAGE_SIZE;
  const access = write ? Access.Write : Access.Read;
  const where = vp.partition.translate(gpn, vp.index);
  if (where === GPA_EMULATED) {
    if (write) writeApicPage(vp, offset, call.inputBytes(32, byteCount));
    else call.putBytes(8, readApicPage(vp, offset, byteCount));
  } else if (where < 0 || ((where >>> RIGHTS_SHIFT) & access) === 0) {
    const overlay = vp.partition.overlays.at(gpn, vp.index) !== undefined;
    const denied = write ? AccessGpaResult.WriteIntercept : AccessGpaResult.ReadIntercept;
    const mapped = overlay ? AccessGpaResult.IllegalOverlayAccess : denied;
    call.putU32(0, where < 0 ? AccessGpaResult.Unmapped : mapped);
    return HvStatus.SUCCESS;
  } else {
    const { memory } = call.hypervisor;
    const spn = where & SPN_MASK;
    const address = spn * PAGE_SIZE + offset;
    if (write) {
      memory.bytes.set(call.inputBytes(32, byteCount), address);
      memory.noteWritten(spn);
    } else call.putBytes(8, memory.bytes.subarray(address, address + byteCount));
  }
  call.putU32(0, AccessGpaResult.Success);
  return HvStatus.SUCCESS;
}

/** Calls `each` for aligned pieces of 4, 2 or 1 bytes, in ascending order (§12.4.5). */
function forEachPiece(offset: number, length: number, each: (at: number, size: number) => void): void {
  for (let done = 0; done < length; ) {
    const at = offset + done;
    const left = length - done;
    const size = at % 4 === 0 && left >= 4 ? 4 : at % 2 === 0 && left >= 2 ? 2 : 1;
    each(at, size);
    done += size;
  }
}

function readApicPage(vp: VirtualProcessor, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  forEachPiece(offset, length, (at, size) => {
    const value = vp.apicRegisters.readPage(at, size);
    for (let byte = 0; byte < size; byte++) bytes[at - offset + byte] = value >>> (8 * byte);
  });
  return bytes;
}

function writeApicPage(vp: VirtualProcessor, offset: number, bytes: Uint8Array): void {
  forEachPiece(offset, bytes.length, (at, size) => {
    let value = 0;
    for (let byte = size - 1; byte >= 0; byte--) value = (value << 8) | bytes[at - offset + byte];
    vp.apicRegisters.writePage(at, size, value >>> 0);
  });
}

export const addressTranslationHypercalls: readonly HypercallImplementation[] = [
  { code: 0x0052, handle: translateVirtualAddress },
  { code: 0x0053, handle: (call) => accessGpa(call, false) },
  { code: 0x0054, handle: (call) => accessGpa(call, true) },
];
