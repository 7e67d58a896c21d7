/** The trace's record of a message that has reached a slot of somebody's message page. */
import { MessageHeader } from '../hvdef/messages.ts';
import type { Partition } from './partition.ts';

/** `slot` is the byte address of the message slot in system physical memory. */
export function traceMessage(partition: Partition, vp: number, sint: number, slot: number): void {
  const { trace, memory } = partition.machine;
  if (trace.sink === undefined) return;
  const type = memory.view.getUint32(slot + MessageHeader.Type, true);
  const bytes = memory.bytes[slot + MessageHeader.PayloadSize];
  const from = memory.view.getUint32(slot + MessageHeader.Origination, true);
  trace.sink({ kind: 'message', from, to: partition.id, vp, sint, type, bytes, details: {} });
}
