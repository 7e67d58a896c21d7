/**
 * The composition root: the one file of this room that knows the hypervisor's insides. It builds the machine
 * under a VM (system physical memory, hypervisor, processors, scheduler) and hands the virtualization stack
 * nothing but the parent surface and turns to run. What it shows for inspection is for people, not for the stack.
 */
import { availableParallelism } from 'node:os';
import type { ProcessorProfile } from '../cpu/processor-profile.ts';
import { addProfile, emptyProfile } from '../cpu/profile.ts';
import { type Booted, bootHypervisor } from '../hypervisor/boot.ts';
import { DebugTransport } from '../hypervisor/debug-session.ts';
import type { CreateProcessor } from '../hypervisor/machine.ts';
import type { ParentSurface } from '../hypervisor/root-surface.ts';
import { Scheduler } from '../hypervisor/scheduler.ts';
import type { TraceSink } from '../hypervisor/trace.ts';
import { VirtualProcessor } from '../hypervisor/virtual-processor.ts';
import { addHypercalls, type HypercallCounts } from './hypercall-counts.ts';
import { inspectHypervisor } from './inspection.ts';
import { planDomains } from './numa.ts';
import {
  processorFactory,
  processorThreads,
  reservedBytesFor,
  sharedBytesFor,
  tellingFirst,
  threadedClock,
  threadedProcessorFactory,
} from './processors.ts';

export type { ProcessorProfile };

/** A guest's debug connection: the user's end of it. */
export { DebugTransport as DebugConnection };

const MIB = 0x10_0000;
/** System physical memory has at most 4 GiB. */
const MOST_MEMORY_BYTES = 2 ** 32;
/** For the root's own pages and what it deposits: a fixed part, and GPA map entries of 8 bytes a page. */
const ROOT_BYTES = 24 * MIB;
const ROOT_SHARE = 256;

export interface HostStatistics {
  instructions: number;
  /** When a guest had completed its first one, in milliseconds since this process started. */
  firstInstruction?: number;
  exits: Record<string, number>;
  /** What guests called. */
  hypercalls: HypercallCounts;
  profile: ProcessorProfile;
}

export interface Host {
  readonly surface: ParentSurface;
  /** Lets virtual processors run for about so long; `nextDeadline` is a reading of `clock`. */
  runSlice(milliseconds: number): { ran: boolean; nextDeadline: number | undefined };
  /** Units of 100 ns since the start. */
  clock(): number;
  statistics(): HostStatistics;
  inspect(): unknown;
  /** Ends threads; nothing can run afterwards. */
  close(): void;
}

export interface HostOptions {
  /** RAM that guests will be given. */
  guestBytes: number;
  /** The same by NUMA node; the default is one node. */
  nodeBytes?: readonly number[];
  /** Virtual processors that they will have; the default is 1. */
  vpCount?: number;
  /** Instead of src/cpu's processors. */
  createProcessor?: CreateProcessor;
  trace?: TraceSink;
  /** Makes guest debugging available (TLFS 2.0a ch. 20). */
  debugConnection?: DebugTransport;
}

export function createHost(options: HostOptions): Host {
  const { vpCount = 1 } = options;
  const isThreaded = vpCount > 1 && options.createProcessor === undefined;
  const shared = isThreaded ? sharedBytesFor(MOST_MEMORY_BYTES) : 0;
  const reservedBytes = reservedBytesFor(vpCount) + shared;
  const overhead = ROOT_BYTES + Math.ceil(options.guestBytes / ROOT_SHARE);
  const { memoryBytes, domains } = planDomains(
    options.nodeBytes ?? [options.guestBytes],
    overhead,
    reservedBytes,
  );
  const time = isThreaded ? threadedClock() : undefined;
  let firstInstruction: number | undefined;
  const { hypervisor, rootProcessor, surface }: Booted = bootHypervisor({
    memoryBytes,
    reservedBytes,
    proximity: domains,
    createProcessor: isThreaded
      ? threadedProcessorFactory(
          () => hypervisor,
          () => threads!,
        )
      : tellingFirst(
          options.createProcessor ?? processorFactory(() => hypervisor),
          () => (firstInstruction ??= performance.now()),
        ),
    trace: options.trace,
    clock: time?.clock,
    logicalProcessors: isThreaded ? availableParallelism() : undefined,
    debugTransport: options.debugConnection,
  });
  const threads = time && processorThreads(hypervisor, time.origin);
  const scheduler = new Scheduler(hypervisor, rootProcessor, threads);
  const processors: VirtualProcessor[] = [];
  // A processor's counters outlive it: the summary is asked for after the partition is gone.
  const notice = () => {
    for (const partition of hypervisor.partitions.values()) {
      for (const vp of partition.virtualProcessors.values()) {
        if (vp instanceof VirtualProcessor && !processors.includes(vp)) processors.push(vp);
      }
    }
  };
  return {
    surface,
    runSlice: (milliseconds) => {
      if (processors.length === 0) notice();
      rootProcessor.serve();
      return scheduler.runSlice(milliseconds);
    },
    clock: () => hypervisor.clock(),
    statistics: () => {
      notice();
      return { ...statisticsOf(processors), firstInstruction };
    },
    inspect: () => {
      for (const vp of processors) vp.stand();
      return inspectHypervisor(hypervisor);
    },
    close: () => threads?.end(),
  };
}

function statisticsOf(processors: readonly VirtualProcessor[]): HostStatistics {
  const total: HostStatistics = {
    instructions: 0,
    exits: {},
    hypercalls: {},
    profile: emptyProfile(),
  };
  for (const { processor, counters } of processors) {
    total.instructions += processor.instructionsRetired;
    for (const [name, count] of Object.entries(counters.exitsByName())) {
      total.exits[name] = (total.exits[name] ?? 0) + count;
    }
    addHypercalls(total.hypercalls, counters.hypercalls);
    const profile = processor.profile?.();
    if (profile !== undefined) addProfile(total.profile, profile);
  }
  return total;
}
