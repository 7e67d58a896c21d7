/**
 * INS and OUTS on a port of a child that nobody intercepts: what is read is all ones, what is written is
 * discarded (TLFS 2.0a §11.9). One element per exit: a repeated instruction runs again until its count is used
 * up, which also keeps it interruptible (SDM vol. 2B, INS, OUTS, REP).
 */
import { isCanonical } from '../cpu/microcode/core.ts';
import { Access, type Processor, Segment } from '../cpu/processor.ts';
import { segmentAllows } from '../cpu/segment-access.ts';
import { Vector } from './exit-context.ts';
import { raiseException } from './exit-exception.ts';
import { type MemoryExitContext, refuseMemoryAccess } from './exit-memory.ts';
import { RIGHTS_SHIFT, SPN_MASK } from './gpa-map.ts';
import { currentPrivilegeLevel } from './intercept-message.ts';

const RCX = 1;
const RSI = 6;
const RDI = 7;
const DIRECTION = 1n << 10n;
const CS_LONG = 1 << 13;
const CS_DEFAULT = 1 << 14;
const EFER = 0xc000_0080;
const EFER_LMA = 1n << 10n;
const TRAP_FLAG = 1n << 8n;
const DR6_HITS = 0xfn;
const DR6_SINGLE_STEP = 1n << 14n;
const CR0_PE = 1n;
const RFLAGS_VM = 1n << 17n;
const PAGE = 4096;
/** Instead of an address. */
const REFUSED = -1;
const SWALLOWED = -2;
const PageFault = { Present: 1, Write: 2, User: 4, Reserved: 8 } as const;

/** Data segment overrides by prefix byte. */
const OVERRIDES: Readonly<Record<number, number>> = {
  38: Segment.ES,
  46: Segment.CS,
  54: Segment.SS,
  62: Segment.DS,
  100: Segment.FS,
  101: Segment.GS,
};

export function completeEmptyStringPort(vp: MemoryExitContext): void {
  const { processor } = vp;
  const exit = processor.portExit;
  const { addressBits, codeBits, segment } = addressing(processor);
  const mask = (1n << BigInt(addressBits)) - 1n;
  if (exit.rep && (processor.getGpr(RCX) & mask) === 0n) {
    processor.completeInstruction();
    return;
  }
  const pointer = exit.write ? RSI : RDI;
  const offset = processor.getGpr(pointer) & mask;
  const place = linearPlace(vp, exit.write ? segment : Segment.ES, offset, codeBits);
  if (place === undefined || !touch(vp, exit.write ? segment : Segment.ES, place, codeBits)) return;
  const step = (processor.getRflags() & DIRECTION) === 0n ? BigInt(exit.size) : -BigInt(exit.size);
  advance(processor, pointer, step, addressBits);
  if (exit.rep) {
    advance(processor, RCX, -1n, addressBits);
    if ((processor.getGpr(RCX) & mask) !== 0n) {
      // A single step ends with each element.
      if ((processor.getRflags() & TRAP_FLAG) !== 0n) trap(vp);
      return;
    }
  }
  processor.completeInstruction();
}

function refuse(vp: MemoryExitContext, segment: number): void {
  raiseException(vp, segment === Segment.SS ? Vector.StackFault : Vector.GeneralProtection, 0);
}

function trap(vp: MemoryExitContext): void {
  const { processor } = vp;
  const status = (processor.getDebug(6) & ~DR6_HITS) | DR6_SINGLE_STEP;
  processor.setDebug(6, status);
  raiseException(vp, Vector.Debug, undefined, status);
}

/** Linear address of the operand; undefined: its segment, or a form that is no address, has raised its exception. */
function linearPlace(
  vp: MemoryExitContext,
  segment: number,
  offset: bigint,
  codeBits: 16 | 32 | 64,
): bigint | undefined {
  const { processor } = vp;
  const { size, write } = processor.portExit;
  const register = processor.getSegment(segment);
  if (codeBits === 64) {
    const base = segment === Segment.FS || segment === Segment.GS ? register.base : 0n;
    const linear = BigInt.asUintN(64, base + offset);
    if (isCanonical(linear)) return linear;
  } else {
    const access = write ? Access.Read : Access.Write;
    const isProtected =
      (processor.getControl(0) & CR0_PE) !== 0n && (processor.getRflags() & RFLAGS_VM) === 0n;
    if (segmentAllows(register, Number(offset), size, access, isProtected))
      return BigInt.asUintN(32, register.base + offset);
  }
  refuse(vp, segment);
  return undefined;
}

function addressing(processor: Processor): {
  addressBits: 16 | 32 | 64;
  codeBits: 16 | 32 | 64;
  segment: number;
} {
  let segment: number = Segment.DS;
  let override = false;
  for (const byte of processor.instructionBytes()) {
    if (byte === 0x67) override = true;
    else if (OVERRIDES[byte] !== undefined) segment = OVERRIDES[byte];
    else if (byte !== 0x66 && byte !== 0xf2 && byte !== 0xf3 && byte !== 0xf0) break;
  }
  const { attributes } = processor.getSegment(Segment.CS);
  const long = ((processor.getMsr(EFER) ?? 0n) & EFER_LMA) !== 0n && (attributes & CS_LONG) !== 0;
  if (long) return { addressBits: override ? 32 : 64, codeBits: 64, segment };
  const codeBits = (attributes & CS_DEFAULT) !== 0 ? 32 : 16;
  return { addressBits: (codeBits === 32) !== override ? 32 : 16, codeBits, segment };
}

/** Adds to a register within the address size: 32-bit results clear the upper half, 16-bit ones keep it. */
function advance(processor: Processor, index: number, step: bigint, bits: 16 | 32 | 64): void {
  const old = processor.getGpr(index);
  const sum = BigInt.asUintN(bits, old + step);
  processor.setGpr(index, bits === 16 ? (old & ~0xffffn) | sum : sum);
}

/**
 * Asks for all of the operand, then, for INS, writes ones to it (§8.1.2: nothing is done of an access that is refused).
 * False: a fault was raised, or a page is intercepted.
 */
function touch(vp: MemoryExitContext, segment: number, linear: bigint, codeBits: 16 | 32 | 64): boolean {
  const { size, write: reads } = vp.processor.portExit;
  const places: number[] = [];
  for (let byte = 0; byte < size; byte++) {
    const gva = BigInt.asUintN(codeBits === 64 ? 64 : 32, linear + BigInt(byte));
    if (!isCanonical(gva)) {
      refuse(vp, segment);
      return false;
    }
    const place = systemAddress(vp, gva, reads ? Access.Read : Access.Write);
    if (place === REFUSED) return false;
    places.push(place);
  }
  if (reads) return true;
  const { memory } = vp.partition.machine;
  for (const place of places) {
    if (place === SWALLOWED) continue;
    memory.bytes[place] = 0xff;
    memory.noteWritten(Math.floor(place / PAGE));
  }
  return true;
}

/** Where a byte lies in system memory; else REFUSED, and the guest or its parent knows, or SWALLOWED. */
function systemAddress(vp: MemoryExitContext, gva: bigint, access: number): number {
  const { processor, partition } = vp;
  const privilege = currentPrivilegeLevel(processor);
  const translation = processor.translateGva({ gva, access, privilege, setTableBits: true });
  if (
    translation.kind === 'gpa-unmapped' ||
    translation.kind === 'gpa-no-read' ||
    translation.kind === 'gpa-no-write'
  ) {
    // A page table; the parent is told as of any other access.
    refuseMemoryAccess(
      vp,
      translation.gpa,
      undefined,
      translation.kind === 'gpa-no-write' ? Access.Write : Access.Read,
    );
    return REFUSED;
  }
  if (translation.kind !== 'ok') {
    let code = (access === Access.Write ? PageFault.Write : 0) | (privilege === 3 ? PageFault.User : 0);
    if (translation.kind === 'privilege-violation') code |= PageFault.Present;
    if (translation.kind === 'invalid-page-table-flags') code |= PageFault.Present | PageFault.Reserved;
    raiseException(vp, Vector.PageFault, code, gva);
    return REFUSED;
  }
  const gpn = Math.floor(translation.gpa / PAGE);
  const target = partition.translate(gpn, vp.index);
  if (target < 0 || ((target >>> RIGHTS_SHIFT) & access) === 0) {
    // The hypervisor's own pages swallow the data; all else is the parent's to answer.
    if (partition.overlays.at(gpn, vp.index) !== undefined) return SWALLOWED;
    refuseMemoryAccess(vp, translation.gpa, gva, access);
    return REFUSED;
  }
  return (target & SPN_MASK) * PAGE + (translation.gpa % PAGE);
}
