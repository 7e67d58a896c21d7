/**
 * The guest's MOV to or from a debug register, told by general detect while the debugger uses the real ones: it is
 * carried out on the guest's own values (SDM vol. 2 "MOV - Move to/from Debug Registers").
 */
import { decode } from '../../cpu/instructions/decode.ts';
import { CR4 } from '../../x86/control-registers.ts';
import { DR6, DR7 } from './hardware-breakpoints.ts';
import { codeSizeOf, type ProcessorView } from './processor-view.ts';

export interface DebugMove {
  write: boolean;
  /** Encoding number of the general register. */
  gpr: number;
  /** In `DebugRegisters`. */
  slot: number;
  length: number;
}

const DR6_WRITABLE = 0x1e00fn;
const DR6_FIXED = 0xffff0ff0n;
const DR7_WRITABLE = 0xffff2fffn;
const DR7_FIXED = 0x400n;

/** Undefined when the bytes are no such instruction; 'invalid' for DR4 and DR5 under CR4.DE. */
export function debugMoveAt(view: ProcessorView, bytes: Uint8Array): DebugMove | 'invalid' | undefined {
  const decoded = decode(bytes, 0, Math.min(bytes.length, 15), codeSizeOf(view));
  if (decoded.kind !== 'ok') return undefined;
  const [destination, source] = decoded.instruction.operands;
  const write = destination?.kind === 'debug';
  const special = write ? destination : source;
  const general = write ? source : destination;
  if (special?.kind !== 'debug' || general?.kind !== 'gpr') return undefined;
  let { index } = special;
  if (index === 4 || index === 5) {
    if ((view.cr4 & BigInt(CR4.DE)) !== 0n) return 'invalid';
    index += 2;
  }
  const slot = index === 6 ? DR6 : index === 7 ? DR7 : index;
  return { write, gpr: general.index, slot, length: decoded.instruction.length };
}

/** What the register holds after `value` was written; undefined: #GP. */
export function debugValue(slot: number, value: bigint): bigint | undefined {
  if (slot < DR6) return value;
  if (value >> 32n !== 0n) return undefined;
  return slot === DR6 ? (value & DR6_WRITABLE) | DR6_FIXED : (value & DR7_WRITABLE) | DR7_FIXED;
}
