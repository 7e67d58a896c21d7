/**
 * A guest's report of its own crash, made through the crash MSRs: five parameters and possibly a text in its
 * memory (current TLFS, partition crash enlightenment). Linux gives the panic's log as the text.
 */
import { RegisterName } from '../../hvdef/registers.ts';
import type { GuestMemory } from '../guest-memory.ts';
import type { ChildPartition } from '../parent/child-partition.ts';

const CRASH_MESSAGE = 1 << 30;
/** A longer text is cut: guests offer a page. */
const MAX_TEXT_BYTES = 4096;
const PARAMETERS = 5;

/** `controlHigh`: the upper half of what the guest wrote to the crash control MSR. */
export function crashText(
  partition: ChildPartition,
  vp: number,
  memory: GuestMemory,
  controlHigh: number,
): string {
  const names = Array.from({ length: PARAMETERS }, (_, index) => RegisterName.GuestCrashP0 + index);
  const parameters = partition.registers.read(vp, names);
  const shown = parameters.map((value) => `0x${value.toString(16)}`).join(' ');
  if ((controlHigh & CRASH_MESSAGE) === 0) return `the guest reported a crash: ${shown}`;
  const length = Math.min(Number(BigInt.asUintN(32, parameters[4])), MAX_TEXT_BYTES);
  const text = new TextDecoder().decode(memory.read(Number(BigInt.asUintN(52, parameters[3])), length));
  const trimmed = text.replaceAll('\0', '').trimEnd();
  return trimmed === '' ? `the guest reported a crash: ${shown}` : `the guest reported a crash:\n${trimmed}`;
}
