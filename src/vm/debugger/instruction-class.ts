/**
 * How an instruction is to be stepped so that the guest sees nothing of it. Most run under RFLAGS.TF and trap behind
 * themselves; those that copy, load or clear RFLAGS need more.
 */
import { decode } from '../../cpu/instructions/decode.ts';
import { EFER } from '../../x86/control-registers.ts';
import { codeSizeOf, type ProcessorView } from './processor-view.ts';

export type InstructionClass =
  /** TF is taken back after the trap. */
  | { kind: 'ordinary' }
  /** PUSHF: and out of the copy on the stack. */
  | { kind: 'pushes-flags' }
  /** POPF, IRET, SYSRET: RFLAGS after the trap are what the guest loaded. */
  | { kind: 'loads-flags' }
  /** SYSCALL and INT n clear TF after they have saved it: run to the handler instead. */
  | { kind: 'enters'; target: bigint }
  | { kind: 'interrupts'; vector: number };

const LOADS_FLAGS: ReadonlySet<string> = new Set(['popf', 'iret', 'sysret']);

export function classify(view: ProcessorView, bytes: Uint8Array): InstructionClass {
  const code = codeSizeOf(view);
  const decoded = decode(bytes, 0, Math.min(bytes.length, 15), code);
  if (decoded.kind !== 'ok') return { kind: 'ordinary' };
  const { row, operands } = decoded.instruction;
  const { mnemonic } = row;
  if (LOADS_FLAGS.has(mnemonic)) return { kind: 'loads-flags' };
  if (mnemonic === 'pushf') return { kind: 'pushes-flags' };
  // Where SYSCALL is not enabled it raises #UD like any bad instruction.
  if (mnemonic === 'syscall' && (view.efer & BigInt(EFER.SCE)) !== 0n)
    return { kind: 'enters', target: code === 64 ? view.lstar : view.cstar };
  if (mnemonic === 'sysenter') return { kind: 'enters', target: view.sysenterRip };
  if (mnemonic === 'int' && operands[0]?.kind === 'immediate')
    return { kind: 'interrupts', vector: Number(operands[0].value & 0xffn) };
  return { kind: 'ordinary' };
}
