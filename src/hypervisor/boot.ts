/**
 * Boots the hypervisor: memory, the root partition, its virtual processor with SynIC and timers, the hypercall
 * entry, and the surface that is handed to the virtualization stack. TLFS 2.0a §22.3, §22.4.
 *
 * The root's pool starts with a few pages from the top of its RAM, as if the root had deposited them: its own
 * SynIC needs memory before it can make a hypercall. They can be found in `ramPages` no more.
 */
import { HypercallDispatcher } from './hypercall-dispatcher.ts';
import { hypercallTable } from './hypercall-table.ts';
import { Hypervisor, type HypervisorOptions } from './hypervisor.ts';
import { traceMessage } from './message-trace.ts';
import { overlayHost, REFERENCE_TIME, SYNICS } from './partition-interrupts.ts';
import { RootMsrs } from './root-msr.ts';
import { RootProcessor } from './root-processor.ts';
import { type PageRange, type ParentSurface, RootSurface } from './root-surface.ts';
import { Synic } from './synic.ts';
import { SyntheticTimers } from './synthetic-timer.ts';

const BOOT_POOL_PAGES = 8;

export interface Booted {
  readonly hypervisor: Hypervisor;
  readonly dispatcher: HypercallDispatcher;
  /** The root's VP: whoever runs the other VPs calls `serve` between slices. */
  readonly rootProcessor: RootProcessor;
  /** All that the virtualization stack gets. */
  readonly surface: ParentSurface;
}

/** Throws a RangeError where the memory sizes don't fit, or what the host answers when it has no memory. */
export function bootHypervisor(options: HypervisorOptions): Booted {
  const hypervisor = new Hypervisor(options);
  const dispatcher = new HypercallDispatcher(hypervisor, hypercallTable);
  hypervisor.hypercalls = dispatcher;
  const ramPages = fillRootPool(hypervisor);
  const rootProcessor = makeRootProcessor(hypervisor);
  const surface = new RootSurface(rootProcessor, dispatcher, ramPages);
  return { hypervisor, dispatcher, rootProcessor, surface };
}

/** Answers the RAM that is left to the root. */
function fillRootPool(hypervisor: Hypervisor): PageRange[] {
  const ranges = hypervisor.ramPages;
  const last = ranges[ranges.length - 1];
  last.pages -= BOOT_POOL_PAGES;
  const gpn = last.gpn + last.pages;
  hypervisor.root.gpaMap.setRights(gpn, BOOT_POOL_PAGES, 0);
  hypervisor.root.pool.deposit(gpn, gpn, BOOT_POOL_PAGES);
  return ranges;
}

function makeRootProcessor(hypervisor: Hypervisor): RootProcessor {
  const { root } = hypervisor;
  const processor = new RootProcessor(root);
  const time = root.parts.get(REFERENCE_TIME);
  const synic = Synic.create({
    ...overlayHost(root, processor.index),
    vpIndex: processor.index,
    readTsc: () => time.readTsc(),
    referenceCount: () => time.count(),
    requestInterrupt: (vector) => processor.requestInterrupt(vector),
    messageDelivered: (sint, slot) => traceMessage(root, processor.index, sint, slot),
  });
  if (synic === undefined) throw new Error("the root's pool is too small for its SynIC");
  const timers: SyntheticTimers = new SyntheticTimers({
    referenceCount: () => time.count(),
    postTimer: (index, sint, expiration) => synic.postTimer(index, sint, expiration),
    requestInterrupt: (vector) => processor.requestInterrupt(vector),
    deadlineChanged: () => processor.onPending?.(),
  });
  synic.timerBuffers.forEach((buffer, index) => {
    buffer.onDelivered = () => timers.messageDelivered(index);
  });
  processor.msrs = new RootMsrs(synic, timers, time);
  processor.timed = [synic, timers];
  processor.readTime = () => time.readTsc();
  root.virtualProcessors.set(processor.index, processor);
  root.parts.get(SYNICS).add(synic);
  return processor;
}
