/**
 * An intercept's way to the parent (TLFS 2.0a §14.2.6): the child VP's one intercept message buffer is queued at
 * SINT0 of a virtual processor of the parent. "Selected non-deterministically" by the text; chosen here: VP 0 if
 * its SynIC takes messages, else the lowest VP whose SynIC does, else VP 0, where the message waits.
 */
import type { InterceptMessage } from './intercept-message.ts';
import type { Partition } from './partition.ts';
import { SYNICS } from './partition-interrupts.ts';
import type { Synic } from './synic.ts';
import type { TraceFields } from './trace.ts';

export interface InterceptSender {
  readonly index: number;
  readonly partition: Partition;
  readonly synic: Synic;
  readonly message: InterceptMessage;
}

/** False when the parent has no SynIC at all; the VP then stays suspended until somebody clears it. */
export function deliverIntercept(sender: InterceptSender): boolean {
  traceIntercept(sender);
  const target = receivingSynic(sender.partition.parent);
  if (target === undefined) return false;
  sender.synic.postIntercept(target, sender.message.bytes);
  return true;
}

function receivingSynic(parent: Partition | undefined): Synic | undefined {
  const directory = parent?.parts.get(SYNICS);
  if (directory === undefined) return undefined;
  const first = directory.of(0);
  if (first?.acceptsMessages) return first;
  return directory.all().find((synic) => synic.acceptsMessages) ?? first;
}

function traceIntercept(sender: InterceptSender): void {
  const { trace } = sender.partition.machine;
  if (trace.sink === undefined) return;
  const { type, rip, details } = sender.message.describe();
  trace.sink({
    kind: 'intercept',
    partition: sender.partition.id,
    vp: sender.index,
    type,
    rip,
    details: details satisfies TraceFields,
  });
}
