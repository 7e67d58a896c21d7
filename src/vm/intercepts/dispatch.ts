/**
 * Which message of the hypervisor is answered by whom. A message about a state that no guest of ours can leave
 * again (a triple fault, say) ends the machine with a text; everything else resumes the VP.
 */
import type { Chipset } from '../../devices/chipset/chipset.ts';
import { InterceptAccessMask } from '../../hvdef/intercepts.ts';
import {
  ApicEoiMessage,
  InterceptHeader,
  MESSAGE_SIZE,
  MessageHeader,
  MessageType,
  MsrMessage,
  UnsupportedFeatureMessage,
} from '../../hvdef/messages.ts';
import { SyntheticMsr } from '../../hvdef/msr.ts';
import type { GuestMemory } from '../guest-memory.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import type { MessagePump } from '../parent/message-pump.ts';
import { crashText } from './crash-report.ts';
import { InstructionCompletion } from './instruction-completion.ts';
import { raise, Vector, vpIndexOf } from './intercepted-instruction.ts';
import { handlePortIntercept } from './port.ts';

const CRASH_NOTIFY = 1 << 31;
const RESET = 1n;

export interface InterceptContext {
  partition: ChildPartition;
  chipset: Chipset;
  memory: GuestMemory;
  /** The machine cannot go on; the VP stays suspended. */
  crash(text: string): void;
  reset(): void;
}

export function handleIntercepts(pump: MessagePump, context: InterceptContext): void {
  const { partition, chipset } = context;
  const completion = new InstructionCompletion(partition, chipset.mmio, chipset.ports);
  const memoryAccess = (message: DataView) => {
    const problem = completion.memoryIntercept(message);
    if (problem !== undefined) context.crash(`${problem} (${place(message)})`);
  };
  pump.handle(MessageType.X64IoPortIntercept, (message) =>
    handlePortIntercept(message, partition, chipset.ports, completion),
  );
  pump.handle(MessageType.UnmappedGpa, memoryAccess);
  pump.handle(MessageType.GpaIntercept, memoryAccess);
  pump.handle(MessageType.X64MsrIntercept, (message) => handleMsr(message, context));
  pump.handle(MessageType.ApicEoi, (message) => {
    chipset.ioapic.endOfInterrupt(message.getUint32(ApicEoiMessage.InterruptVector, true));
    partition.registers.begin(vpIndexOf(message)).resume().commit();
  });
  pump.handle(MessageType.UnrecoverableException, (message) => {
    context.crash(`triple fault: an exception while delivering a double fault (${place(message)})`);
  });
  pump.handle(MessageType.InvalidVpRegisterValue, (message) => {
    context.crash(`virtual processor ${vpIndexOf(message)} has registers that no processor can have`);
  });
  pump.handle(MessageType.UnsupportedFeature, (message) => {
    const code = message.getUint32(UnsupportedFeatureMessage.FeatureCode, true);
    context.crash(`the guest used a processor feature that is not supported (${code})`);
  });
}

/** A message of a type that this machine never asked for. */
export function unexpectedMessage(message: DataView): string {
  const type = message.getUint32(MessageHeader.Type, true).toString(16);
  return `the hypervisor sent a message of type 0x${type} (${MESSAGE_SIZE} bytes)`;
}

/** Reports through synthetic MSRs; an MSR that nobody virtualizes does not exist: #GP. */
function handleMsr(message: DataView, context: InterceptContext): void {
  const { partition, memory } = context;
  const vp = vpIndexOf(message);
  const msr = message.getUint32(MsrMessage.MsrNumber, true);
  const high = message.getUint32(MsrMessage.Rdx, true);
  const write = message.getUint8(InterceptHeader.AccessType) === InterceptAccessMask.Write;
  if (write && msr === SyntheticMsr.CrashCtl && (high & CRASH_NOTIFY) !== 0) {
    context.crash(crashText(partition, vp, memory, high));
    return;
  }
  if (write && msr === SyntheticMsr.Reset && (message.getBigUint64(MsrMessage.Rax, true) & RESET) !== 0n) {
    context.reset();
    return;
  }
  raise(partition.registers.begin(vp), Vector.GeneralProtection, 0);
}

function place(message: DataView): string {
  const rip = message.getBigUint64(InterceptHeader.Rip, true);
  return `VP ${vpIndexOf(message)}, RIP 0x${rip.toString(16)}`;
}
