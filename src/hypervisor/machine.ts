/**
 * What every partition shares: the physical machine as the hypervisor holds it. Partitions see it through
 * this interface, so that they need not know the hypervisor that made them.
 */
import type { PhysicalMemory, Processor, ProcessorHost } from '../cpu/processor.ts';
import type { PlatformProcessor } from '../hvdef/partition-property.ts';
import type { AbsentPages } from './absent-pages.ts';
import type { EventSink } from './event-log-sink.ts';
import type { LogicalProcessors } from './logical-processors.ts';
import type { ProximityDomains } from './proximity-domain.ts';
import type { SpaPageTable } from './spa-page-table.ts';
import type { Trace } from './trace.ts';

/** Makes the processor whose state lies at `stateAddress` (a byte address of one 4 KiB page); undefined: no room for its caches. */
export type CreateProcessor = (
  memory: PhysicalMemory,
  stateAddress: number,
  host: ProcessorHost,
) => Processor | undefined;

/** Time since the hypervisor started, in units of 100 ns with fractions; never runs backwards. The only clock there is. */
export type Clock = () => number;

/** What the statistics registers of a VP ask for (stats-registers.ts). */
export interface OwnStatistics {
  /** `register`: 0 and 1 for the partition, 2 and 3 for the VP. */
  show(partition: number, vp: number, register: number, gpn: number): void;
  hide(partition: number, vp: number, register: number): void;
}

export interface Machine {
  readonly memory: PhysicalMemory;
  readonly spaPages: SpaPageTable;
  readonly absentPages: AbsentPages;
  readonly proximity: ProximityDomains;
  readonly trace: Trace;
  readonly clock: Clock;
  readonly createProcessor: CreateProcessor;
  readonly platform: PlatformProcessor;
  readonly logicalProcessors: LogicalProcessors;
  readonly eventLog: EventSink;
  readonly statistics: OwnStatistics;
  /**
   * Byte address of `bytes` (rounded up to pages, zeroed) of the region that only the hypervisor uses, or -1
   * when it is used up. For what the TLFS doesn't charge to a partition: soft TLBs, decode caches.
   */
  allocateReserved(bytes: number): number;
  /** Gives back what `allocateReserved(bytes)` answered. */
  releaseReserved(address: number, bytes: number): void;
}
