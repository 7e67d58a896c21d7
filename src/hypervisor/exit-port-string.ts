/**
 * INS and OUTS on a port of a child that nobody intercepts: what is read is all ones, what is written is
 * discarded (TLFS 2.0a §11.9). One element per exit: a repeated instruction runs again until its count is used
 * up, which also keeps it interruptible (SDM vol. 2B, INS, OUTS, REP).
 */
import { Access, type Processor, Segment } from '../cpu/processor.ts';
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
  const { addressBits, segment } = addressing(processor);
  const mask = (1n << BigInt(addressBits)) - 1n;
  if (exit.rep && (processor.getGpr(RCX) & mask) === 0n) {
    processor.completeInstruction();
    return;
  }
  const pointer = exit.write ? RSI : RDI;
  const offset = processor.getGpr(pointer) & mask;
  const base = processor.getSegment(exit.write ? segment : Segment.ES).base;
  for (let byte = 0; byte < exit.size; byte++) {
    if (!touchByte(vp, BigInt.asUintN(64, base + ((offset + BigInt(byte)) & mask)), !exit.write)) return;
  }
  const step = (processor.getRflags() & DIRECTION) === 0n ? BigInt(exit.size) : -BigInt(exit.size);
  advance(processor, pointer, step, addressBits);
  if (exit.rep) {
    advance(processor, RCX, -1n, addressBits);
    if ((processor.getGpr(RCX) & mask) !== 0n) return;
  }
  processor.completeInstruction();
}

function addressing(processor: Processor): { addressBits: 16 | 32 | 64; segment: number } {
  let segment: number = Segment.DS;
  let override = false;
  for (const byte of processor.instructionBytes()) {
    if (byte === 0x67) override = true;
    else if (OVERRIDES[byte] !== undefined) segment = OVERRIDES[byte];
    else if (byte !== 0x66 && byte !== 0xf2 && byte !== 0xf3 && byte !== 0xf0) break;
  }
  const { attributes } = processor.getSegment(Segment.CS);
  const long = ((processor.getMsr(EFER) ?? 0n) & EFER_LMA) !== 0n && (attributes & CS_LONG) !== 0;
  if (long) return { addressBits: override ? 32 : 64, segment };
  return { addressBits: ((attributes & CS_DEFAULT) !== 0) !== override ? 32 : 16, segment };
}

/** Adds to a register within the address size: 32-bit results clear the upper half, 16-bit ones keep it. */
function advance(processor: Processor, index: number, step: bigint, bits: 16 | 32 | 64): void {
  const old = processor.getGpr(index);
  const sum = BigInt.asUintN(bits, old + step);
  processor.setGpr(index, bits === 16 ? (old & ~0xffffn) | sum : sum);
}

/** Checks one byte of the operand and, for INS, writes ones to it. False: a fault was injected, or the page is intercepted. */
function touchByte(vp: MemoryExitContext, gva: bigint, write: boolean): boolean {
  const { processor, partition } = vp;
  const privilege = currentPrivilegeLevel(processor);
  const access = write ? Access.Write : Access.Read;
  const translation = processor.translateGva({ gva, access, privilege, setTableBits: true });
  if (translation.kind !== 'ok') {
    let code = (write ? PageFault.Write : 0) | (privilege === 3 ? PageFault.User : 0);
    if (translation.kind === 'privilege-violation') code |= PageFault.Present;
    if (translation.kind === 'invalid-page-table-flags') code |= PageFault.Present | PageFault.Reserved;
    raiseException(vp, Vector.PageFault, code, gva);
    return false;
  }
  const gpn = Math.floor(translation.gpa / 4096);
  const target = partition.translate(gpn, vp.index);
  if (target < 0 || ((target >>> RIGHTS_SHIFT) & access) === 0) {
    // The hypervisor's own pages swallow the data; all else is the parent's to answer.
    if (partition.overlays.at(gpn, vp.index) !== undefined) return true;
    refuseMemoryAccess(vp, translation.gpa, gva, access);
    return false;
  }
  if (write) {
    const { memory } = partition.machine;
    const spn = target & SPN_MASK;
    memory.bytes[spn * 4096 + (translation.gpa % 4096)] = 0xff;
    memory.noteWritten(spn);
  }
  return true;
}
