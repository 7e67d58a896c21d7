/**
 * Statistics pages (TLFS 2.0a ch. 21, Appendix J): counters of an object in a read-only overlay of whoever mapped it.
 * The page comes from the mapper's pool (§21.3.1 names that pool) and goes back when it is unmapped, when the object
 * goes, or when the mapper is finalized. The scheduler brings mapped pages up to date after each round. Counters that
 * the appendix calls rates are counts; their reader divides by time. What is not kept here reads as zero.
 */
import { Access, Exit } from '../cpu/processor.ts';
import { MessageType } from '../hvdef/messages.ts';
import {
  LOGICAL_PROCESSOR_COUNTERS,
  PARTITION_COUNTERS,
  STATS_VERSION,
  StatsGroup,
  StatsGroupHeader,
  VP_COUNTERS,
  VpCounter,
} from '../hvdef/statistics.ts';
import { GPA_PAGE_LIMIT, PAGE_SIZE } from '../hvdef/types.ts';
import type { LogicalProcessor, LogicalProcessors } from './logical-processors.ts';
import type { Machine } from './machine.ts';
import type { Partition, VirtualProcessorCore } from './partition.ts';
import { type Part, partKey } from './parts.ts';
import { VirtualProcessor } from './virtual-processor.ts';

/** What the counters of the whole machine are read from. */
export interface CountedMachine extends Machine {
  readonly partitions: ReadonlyMap<number, Partition>;
  readonly logicalProcessors: LogicalProcessors;
}

/** Groups of counters: type, then the values by index from 1. */
type Groups = readonly [type: number, values: readonly number[]][];

export type StatsTarget =
  | { kind: 'hypervisor' }
  | { kind: 'logical-processor'; processor: LogicalProcessor }
  | { kind: 'partition'; partition: Partition }
  | { kind: 'vp'; vp: VirtualProcessorCore };

function keyOf(target: StatsTarget): string {
  switch (target.kind) {
    case 'hypervisor':
      return 'hypervisor';
    case 'logical-processor':
      return `lp/${target.processor.index}`;
    case 'partition':
      return `partition/${target.partition.id}`;
    case 'vp':
      return `vp/${target.vp.partition.id}/${target.vp.index}`;
  }
}

function countersOf(target: StatsTarget, hypervisor: CountedMachine): Groups {
  switch (target.kind) {
    case 'hypervisor':
      return [[StatsGroup.Architected, hypervisorCounters(hypervisor)]];
    case 'logical-processor':
      return [[StatsGroup.Architected, processorCounters(target.processor, hypervisor)]];
    case 'partition':
      return [
        [StatsGroup.Architected, [target.partition.virtualProcessors.size]],
        [StatsGroup.ReleaseSpecific, partitionCounters(target.partition)],
      ];
    case 'vp':
      return [
        [StatsGroup.Architected, [target.vp instanceof VirtualProcessor ? target.vp.runTime : 0, 0]],
        [StatsGroup.ReleaseSpecific, vpCounters(target.vp)],
      ];
  }
}

function hypervisorCounters(hypervisor: CountedMachine): number[] {
  const partitions = [...hypervisor.partitions.values()];
  const pages = partitions.reduce((sum, { pool }) => sum + pool.free + pool.inUse, 0);
  const processors = partitions.reduce((sum, each) => sum + each.virtualProcessors.size, 0);
  return [hypervisor.logicalProcessors.all.length, partitions.length, pages, processors, 0];
}

function processorCounters(processor: LogicalProcessor, hypervisor: CountedMachine): number[] {
  const counters = new Array<number>(LOGICAL_PROCESSOR_COUNTERS).fill(0);
  counters[0] = hypervisor.clock();
  counters[1] = processor.runTime;
  counters[2] = processor.hypervisorTime;
  counters[4] = processor.contextSwitches;
  return counters;
}

function partitionCounters({ pool, gpaMap, isRoot }: Partition): number[] {
  const counters = new Array<number>(PARTITION_COUNTERS).fill(0);
  counters[2] = pool.free + pool.inUse;
  counters[3] = isRoot ? 0 : gpaMap.pagesMapped;
  return counters;
}

function vpCounters(vp: VirtualProcessorCore): number[] {
  const values = new Array<number>(VP_COUNTERS).fill(0);
  if (!(vp instanceof VirtualProcessor)) return values;
  const { exits, interceptMessages, interruptsDelivered } = vp.counters;
  const messages = (type: number) => interceptMessages.get(type) ?? 0;
  const all = [...interceptMessages.values()].reduce((sum, each) => sum + each, 0);
  const io = messages(MessageType.X64IoPortIntercept);
  const memory = messages(MessageType.UnmappedGpa) + messages(MessageType.GpaIntercept);
  const put = (index: number, value: number) => {
    values[index - 1] = value;
  };
  put(VpCounter.Hypercalls, exits[Exit.Hypercall]);
  put(VpCounter.IoInstructions, exits[Exit.Port]);
  put(VpCounter.HltInstructions, exits[Exit.Halt]);
  put(VpCounter.CpuidInstructions, exits[Exit.Cpuid]);
  put(VpCounter.MsrAccesses, exits[Exit.MsrRead] + exits[Exit.MsrWrite]);
  put(VpCounter.OtherIntercepts, exits[Exit.Memory] + exits[Exit.Exception]);
  put(VpCounter.PendingInterrupts, exits[Exit.InterruptWindow]);
  put(VpCounter.IoInterceptMessages, io);
  put(VpCounter.MemoryInterceptMessages, memory);
  put(VpCounter.OtherInterceptMessages, all - io - memory);
  put(VpCounter.VirtualInterrupts, interruptsDelivered);
  put(VpCounter.LongSpinWaitHypercalls, vp.longSpinWaits);
  return values;
}

interface Mapping {
  readonly mapper: Partition;
  readonly target: StatsTarget;
  readonly spn: number;
  readonly owner: number;
}

/** The registers of §21.3.3: two pages of the partition, then two of the VP. */
const FIRST_VP_REGISTER = 2;
const ownKey = (partition: number, vp: number, register: number): string =>
  `${partition}:own/${vp}/${register}`;

/** All statistics pages that are mapped; one per hypervisor. */
export class Statistics {
  readonly #hypervisor: CountedMachine;
  readonly #mappings = new Map<string, Mapping>();
  /** Overlay owners: below every VP index. */
  #nextOwner = -2;

  constructor(hypervisor: CountedMachine) {
    this.#hypervisor = hypervisor;
  }

  isMapped(mapper: Partition, target: StatsTarget): boolean {
    return this.#mappings.has(`${mapper.id}:${keyOf(target)}`);
  }

  /** False: the mapper's pool is empty. */
  map(mapper: Partition, target: StatsTarget, gpn: number): boolean {
    return this.#map(`${mapper.id}:${keyOf(target)}`, mapper, target, gpn);
  }

  /** §21.3.3: shows a VP, or its partition, to the partition itself. An empty pool shows nothing. */
  show(partitionId: number, vpIndex: number, register: number, gpn: number): void {
    const partition = this.#hypervisor.partitions.get(partitionId);
    const vp = partition?.virtualProcessors.get(vpIndex);
    if (partition === undefined || vp === undefined) return;
    const target: StatsTarget =
      register < FIRST_VP_REGISTER ? { kind: 'partition', partition } : { kind: 'vp', vp };
    this.#map(ownKey(partitionId, vpIndex, register), partition, target, gpn);
  }
  hide(partitionId: number, vpIndex: number, register: number): void {
    this.#drop(ownKey(partitionId, vpIndex, register));
  }

  #map(key: string, mapper: Partition, target: StatsTarget, gpn: number): boolean {
    const spn = mapper.pool.draw('statistics');
    if (spn < 0) return false;
    const owner = this.#nextOwner--;
    const mapping = { mapper, target, spn, owner };
    this.#mappings.set(key, mapping);
    mapper.parts.get(STATS_WATCH).watch(this);
    if (target.kind === 'partition') target.partition.parts.get(STATS_WATCH).watch(this);
    if (target.kind === 'vp') target.vp.parts.get(STATS_VP_WATCH).watch(this);
    this.#write(mapping);
    if (gpn < GPA_PAGE_LIMIT) {
      const place = {
        kind: 'stats-page',
        vp: owner,
        gpn,
        spn,
        rights: Access.Read,
        isPrivate: false,
      } as const;
      mapper.overlays.place(place);
    }
    return true;
  }

  unmap(mapper: Partition, target: StatsTarget): void {
    this.#drop(`${mapper.id}:${keyOf(target)}`);
  }

  /** A partition or a VP goes: so do the mappings that it made and those that show it. */
  forget(gone: Partition | VirtualProcessorCore): void {
    for (const [key, { mapper, target }] of [...this.#mappings]) {
      const shown =
        target.kind === 'partition' ? target.partition : target.kind === 'vp' ? target.vp : undefined;
      if (mapper === gone || shown === gone) this.#drop(key);
    }
  }

  #drop(key: string): void {
    const mapping = this.#mappings.get(key);
    if (mapping === undefined) return;
    this.#mappings.delete(key);
    mapping.mapper.overlays.remove('stats-page', mapping.owner);
    mapping.mapper.pool.release(mapping.spn);
  }

  /** Writes the counters of every mapped page. */
  refresh(): void {
    for (const mapping of this.#mappings.values()) this.#write(mapping);
  }

  #write({ target, spn }: Mapping): void {
    const { view } = this.#hypervisor.memory;
    let at = spn * PAGE_SIZE;
    const header = (type: number, version: number, length: number) => {
      view.setUint16(at + StatsGroupHeader.Type, type, true);
      view.setUint32(at + StatsGroupHeader.Version, version, true);
      view.setUint16(at + StatsGroupHeader.Length, length, true);
      at += StatsGroupHeader.End;
    };
    for (const [type, values] of countersOf(target, this.#hypervisor)) {
      header(type, STATS_VERSION, values.length * 8);
      for (const value of values) {
        view.setBigUint64(at, BigInt(Math.floor(value)), true);
        at += 8;
      }
    }
    header(StatsGroup.EndOfList, 0, 0);
  }

  inspect(): unknown {
    return [...this.#mappings.keys()];
  }
}

/** In the parts of partitions and VPs that statistics know of, so that they hear of their end. */
class StatsWatch<Owner extends Partition | VirtualProcessorCore> implements Part {
  readonly #owner: Owner;
  #statistics: Statistics | undefined;

  constructor(owner: Owner) {
    this.#owner = owner;
  }
  watch(statistics: Statistics): void {
    this.#statistics = statistics;
  }
  release(): void {
    this.#statistics?.forget(this.#owner);
  }
}

const STATS_WATCH = partKey<Partition, StatsWatch<Partition>>('statistics', (owner) => new StatsWatch(owner));
const STATS_VP_WATCH = partKey<VirtualProcessorCore, StatsWatch<VirtualProcessorCore>>(
  'statistics',
  (owner) => new StatsWatch(owner),
);
