/**
 * IN and OUT on a chipset port (TLFS 2.0a §16.5.3): the message says all about the plain ones, so the device answers
 * and RIP moves on; INS and OUTS are executed (instruction-completion.ts).
 */
import { InterceptAccessMask } from '../../hvdef/intercepts.ts';
import { InterceptHeader, IoPortAccessInfo, IoPortMessage } from '../../hvdef/messages.ts';
import { RegisterName } from '../../hvdef/registers.ts';
import type { ChildPartition } from '../parent/child-partition.ts';
import type { InstructionCompletion, PortBus } from './instruction-completion.ts';
import { complete, merged, vpIndexOf } from './intercepted-instruction.ts';

export function handlePortIntercept(
  message: DataView,
  partition: ChildPartition,
  ports: PortBus,
  completion: InstructionCompletion,
): void {
  const info = message.getUint8(IoPortMessage.AccessInfo);
  if ((info & IoPortAccessInfo.StringOp) !== 0) {
    completion.stringPortIntercept(message);
    return;
  }
  const port = message.getUint16(IoPortMessage.PortNumber, true);
  const size = info & IoPortAccessInfo.SizeMask;
  const vp = vpIndexOf(message);
  const length = message.getUint8(InterceptHeader.InstructionLength);
  if (message.getUint8(InterceptHeader.AccessType) === InterceptAccessMask.Write) {
    ports.write(port, size, message.getUint32(IoPortMessage.Rax, true));
    complete(partition.registers.begin(vp), message, length);
    return;
  }
  const value = ports.read(port, size);
  const rax = merged(message.getBigUint64(IoPortMessage.Rax, true), size, BigInt(value));
  complete(partition.registers.begin(vp).put(RegisterName.Rax, rax), message, length);
}
