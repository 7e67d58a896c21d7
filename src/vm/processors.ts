/**
 * Makes src/cpu's processors on a hypervisor's memory. Part of the composition root: each gets an area of the
 * reserved region for its soft TLBs and decoded code.
 */
import { AREA_SIZE, createProcessor } from '../cpu/create-processor.ts';
import { interpreterBytes } from '../cpu/interpreter-module.ts';
import { GRANULE_BYTES_A_PAGE } from '../cpu/threads/code-sharing.ts';
import { DIRECTORY_SIZE, hostNanoseconds } from '../cpu/threads/mailbox.ts';
import { ProcessorThreads } from '../cpu/threads/processor-threads.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Clock, CreateProcessor } from '../hypervisor/machine.ts';

export type { CreateProcessor };

/** SPA page table and code map of 4 GiB: 15 bytes a page. */
const HYPERVISOR_BYTES = 16 * 2 ** 20;
const PAGE = 4096;
/** A guest's own children need processors too. */
const LEAST_PROCESSORS = 5;

/** Where areas come from: byte address of so many reserved bytes, or -1 when none are left. */
export interface ReservedMemory {
  allocateReserved(bytes: number): number;
  releaseReserved(address: number, bytes: number): void;
}

/** `reserved` is asked at each creation, so the hypervisor that owns the region may be made later. */
export function processorFactory(reserved: () => ReservedMemory): CreateProcessor {
  return (memory, stateAddress, host) => {
    const area = reserved().allocateReserved(AREA_SIZE);
    if (area < 0) return undefined;
    const released = () => reserved().releaseReserved(area, AREA_SIZE);
    return createProcessor(memory, stateAddress, host, area, { released });
  };
}

/** Builds what all processors of the process share and what needs no memory yet: some 100 ms, once. */
export function prepareProcessors(): void {
  interpreterBytes();
}

/** Tells once, when a processor has completed its first instruction; its first run is of one instruction then. */
export function tellingFirst(create: CreateProcessor, first: () => void): CreateProcessor {
  return (memory, stateAddress, host) => {
    const processor = create(memory, stateAddress, host);
    if (processor === undefined) return undefined;
    const { run } = processor;
    processor.run = () => {
      const exit = run.call(processor, 1);
      first();
      processor.run = run;
      return exit;
    };
    return processor;
  };
}

/** Reserved bytes that so many processors need, and room for the hypervisor's own tables. */
export function reservedBytesFor(processors: number): number {
  return HYPERVISOR_BYTES + Math.max(processors, LEAST_PROCESSORS) * AREA_SIZE;
}

/** The clock of a machine whose processors have threads: every thread can read it. */
export function threadedClock(): { clock: Clock; origin: number } {
  const origin = hostNanoseconds();
  return { clock: () => (hostNanoseconds() - origin) / 100, origin };
}

/** Reserved bytes that threads share, for memory of so many bytes. */
export function sharedBytesFor(memoryBytes: number): number {
  return Math.ceil(((memoryBytes / PAGE) * GRANULE_BYTES_A_PAGE + DIRECTORY_SIZE) / PAGE) * PAGE;
}

/** Gives every processor of the hypervisor a thread of its own. */
export function processorThreads(hypervisor: Hypervisor, clockOrigin: number): ProcessorThreads {
  const { memory } = hypervisor;
  const granules = hypervisor.allocateReserved(memory.pageCount * GRANULE_BYTES_A_PAGE);
  const directory = hypervisor.allocateReserved(DIRECTORY_SIZE);
  if (granules < 0 || directory < 0) throw new RangeError('the reserved memory is too small for threads');
  const addresses = { codeMap: memory.codeMapAddress, granules, directory };
  const threads = new ProcessorThreads({ memory, addresses, clockOrigin });
  memory.sharedCode = threads.codeMap;
  return threads;
}

/** As `processorFactory`, on threads. */
export function threadedProcessorFactory(
  reserved: () => ReservedMemory,
  threads: () => ProcessorThreads,
): CreateProcessor {
  return (_memory, stateAddress, host) => {
    const area = reserved().allocateReserved(AREA_SIZE);
    if (area < 0) return undefined;
    const released = () => reserved().releaseReserved(area, AREA_SIZE);
    const processor = threads().create(stateAddress, host, area, { released });
    if (processor === undefined) released();
    return processor;
  };
}
