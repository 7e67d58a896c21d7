/**
 * The hypervisor: it owns system physical memory, the SPA page table and every partition. What guests and the
 * parent ask of it arrives as hypercalls (hypercall-dispatcher.ts); this file is the state they act on.
 *
 *   SPA space   0 ───────────────── RAM of the root partition ───────────── reserved ─── top
 *                                (less the local APIC's page)             off limits to all
 *
 * TLFS 2.0a §6.1.1, §8.1.1, §22.3.
 */
import { DEFAULT_PLATFORM, type PlatformProcessor } from '../hvdef/partition-property.ts';
import { ALL_PRIVILEGES, DEFAULT_CHILD_PRIVILEGES } from '../hvdef/privileges.ts';
import { ProfileSource } from '../hvdef/system-property.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import { AbsentPages } from './absent-pages.ts';
import { ChildGpaMap } from './child-gpa-map.ts';
import type { DebugTransport } from './debug-session.ts';
import { EventLog } from './event-log.ts';
import { logPartition } from './event-log-sources.ts';
import type { HypercallEntry } from './hypercall-request.ts';
import { LogicalProcessors } from './logical-processors.ts';
import type { Clock, CreateProcessor, Machine } from './machine.ts';
import { Partition } from './partition.ts';
import { type ProximityDomain, ProximityDomains } from './proximity-domain.ts';
import { RootGpaMap } from './root-gpa-map.ts';
import { SpaPageTable } from './spa-page-table.ts';
import { Statistics } from './statistics.ts';
import { SystemMemory } from './system-memory.ts';
import { Trace, type TraceSink } from './trace.ts';

/** Partition ID of the root. */
export const ROOT_PARTITION_ID = 1;
/** Deepest partition below the root (depth 0); §5.6.1 asks for at least one level. */
export const MAXIMUM_DEPTH = 4;
const LOCAL_APIC_PAGE = 0xfee00;
const DEFAULT_RESERVED_BYTES = 96 * 2 ** 20;

export interface HypervisorOptions {
  /** All of system physical memory: a multiple of 64 KiB, at most 4 GiB. */
  memoryBytes: number;
  /** Of these, the bytes at the top that only the hypervisor uses. */
  reservedBytes?: number;
  /** NUMA nodes from page 0 to the end of the memory; the default is one, with ID 0. */
  proximity?: readonly ProximityDomain[];
  createProcessor: CreateProcessor;
  /** 100 ns units since the start; the default is the host's monotonic clock. */
  clock?: Clock;
  trace?: TraceSink;
  /** How many of them virtual processors are scheduled on; the default is 1. */
  logicalProcessors?: number;
  /** Makes guest debugging available. */
  debugTransport?: DebugTransport;
  /** What its processors are, for the partition properties; the default is what src/cpu has. */
  platform?: PlatformProcessor;
}

export class Hypervisor implements Machine {
  readonly memory: SystemMemory;
  readonly spaPages: SpaPageTable;
  readonly absentPages: AbsentPages;
  readonly proximity: ProximityDomains;
  readonly trace: Trace;
  readonly clock: Clock;
  readonly createProcessor: CreateProcessor;
  readonly platform: PlatformProcessor;
  readonly logicalProcessors: LogicalProcessors;
  readonly eventLog: EventLog;
  readonly statistics: Statistics;
  /** The connection to a debugger; none: guest debugging is not available. */
  readonly debugTransport: DebugTransport | undefined;
  /** The system property HvSystemProperyPerfCounterConfiguration. */
  readonly profile: { source: number; period: bigint } = { source: ProfileSource.Invalid, period: 0n };
  readonly root: Partition;
  readonly partitions = new Map<number, Partition>();
  /** First page of the reserved region: the end of the root's RAM. */
  readonly reservedStart: number;
  /** Where hypercalls enter; set once at boot (boot.ts). */
  hypercalls: HypercallEntry | undefined;
  #nextReserved: number;
  /** Released areas of the reserved region, by size. */
  readonly #freeReserved = new Map<number, number[]>();
  #nextPartitionId = ROOT_PARTITION_ID + 1;

  constructor(options: HypervisorOptions) {
    this.memory = new SystemMemory(options.memoryBytes);
    const { pageCount } = this.memory;
    this.proximity = options.proximity
      ? new ProximityDomains(options.proximity, pageCount)
      : ProximityDomains.single(pageCount);
    this.trace = new Trace(options.trace);
    this.clock = options.clock ?? hostClock();
    this.createProcessor = options.createProcessor;
    this.platform = options.platform ?? DEFAULT_PLATFORM;
    this.logicalProcessors = new LogicalProcessors(options.logicalProcessors ?? 1);
    this.eventLog = new EventLog(this.clock, () => this.logicalProcessors.current.index);
    this.statistics = new Statistics(this);
    this.debugTransport = options.debugTransport;

    const reservedBytes = pageAligned(options.reservedBytes ?? DEFAULT_RESERVED_BYTES);
    const tableBytes = pageAligned(SpaPageTable.bytesNeeded(this.memory.pageCount));
    const codeMapBytes = pageAligned(this.memory.pageCount);
    const absentBytes = pageAligned(AbsentPages.bytesNeeded(this.memory.pageCount));
    if (
      tableBytes + codeMapBytes + absentBytes > reservedBytes ||
      reservedBytes + PAGE_SIZE > options.memoryBytes
    ) {
      throw new RangeError(
        `${reservedBytes} reserved bytes do not fit ${options.memoryBytes} bytes of memory`,
      );
    }
    this.reservedStart = this.memory.pageCount - reservedBytes / PAGE_SIZE;
    this.#nextReserved = this.reservedStart * PAGE_SIZE;
    this.spaPages = new SpaPageTable(this.memory, this.allocateReserved(tableBytes));
    this.memory.codeMapAddress = this.allocateReserved(codeMapBytes);
    this.absentPages = new AbsentPages(this.memory, this.allocateReserved(absentBytes));
    this.spaPages.setOffLimits(this.reservedStart, this.memory.pageCount - this.reservedStart);
    if (LOCAL_APIC_PAGE < this.reservedStart) this.spaPages.setOffLimits(LOCAL_APIC_PAGE, 1);

    this.root = new Partition({
      machine: this,
      id: ROOT_PARTITION_ID,
      parent: undefined,
      privileges: ALL_PRIVILEGES,
      makeGpaMap: () => new RootGpaMap(this.spaPages),
    });
    this.root.state = 'active';
    this.partitions.set(this.root.id, this.root);
  }

  allocateReserved(bytes: number): number {
    const size = pageAligned(bytes);
    const free = this.#freeReserved.get(size)?.pop();
    if (free !== undefined) {
      this.memory.bytes.fill(0, free, free + size);
      return free;
    }
    const address = this.#nextReserved;
    if (address + size > this.memory.pageCount * PAGE_SIZE) return -1;
    this.#nextReserved = address + size;
    return address;
  }

  releaseReserved(address: number, bytes: number): void {
    const size = pageAligned(bytes);
    const free = this.#freeReserved.get(size) ?? [];
    free.push(address);
    this.#freeReserved.set(size, free);
  }

  /** Runs of RAM pages that the root partition has at boot. */
  get ramPages(): { gpn: number; pages: number }[] {
    if (LOCAL_APIC_PAGE >= this.reservedStart) return [{ gpn: 0, pages: this.reservedStart }];
    return [
      { gpn: 0, pages: LOCAL_APIC_PAGE },
      { gpn: LOCAL_APIC_PAGE + 1, pages: this.reservedStart - LOCAL_APIC_PAGE - 1 },
    ];
  }

  /** The new child in state "uninitialized"; its object's page was drawn from the parent's pool by the caller. */
  addPartition(parent: Partition): Partition {
    const child: Partition = new Partition({
      machine: this,
      id: this.#nextPartitionId++,
      parent,
      privileges: DEFAULT_CHILD_PRIVILEGES,
      makeGpaMap: (partition) => new ChildGpaMap(this, partition.pool),
    });
    parent.children.push(child);
    this.partitions.set(child.id, child);
    this.tracePartition(child);
    return child;
  }

  /** Forgets a partition whose pool is empty. Its ID is never used again. */
  removePartition(partition: Partition): void {
    partition.state = 'deleted';
    this.partitions.delete(partition.id);
    const siblings = partition.parent!.children;
    siblings.splice(siblings.indexOf(partition), 1);
    this.tracePartition(partition);
  }

  /** Plain data for `partita inspect`. */
  inspect(): unknown {
    return {
      pages: this.memory.pageCount,
      proximity: this.proximity.list,
      reserved: {
        firstPage: this.reservedStart,
        pages: this.memory.pageCount - this.reservedStart,
        pagesUsed: this.#nextReserved / PAGE_SIZE - this.reservedStart,
      },
      partitions: Array.from(this.partitions.values(), (partition) => partition.inspect()),
    };
  }

  tracePartition(partition: Partition): void {
    if (this.eventLog.active) logPartition(this.eventLog, partition);
    this.trace.sink?.({
      kind: 'partition',
      partition: partition.id,
      parent: partition.parent?.id ?? 0,
      state: partition.state,
    });
  }
}

function pageAligned(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}

function hostClock(): Clock {
  const start = performance.now();
  return () => (performance.now() - start) * 10_000;
}
