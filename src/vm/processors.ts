/**
 * Makes src/cpu's processors on a hypervisor's memory. Part of the composition root: each gets an area of the
 * reserved region for its soft TLBs and decoded code.
 */
import { AREA_SIZE, createProcessor } from '../cpu/create-processor.ts';
import type { CreateProcessor } from '../hypervisor/machine.ts';

/** `allocate`: byte address of so many reserved bytes, or -1 when none are left. */
export function processorFactory(allocate: (bytes: number) => number): CreateProcessor {
  return (memory, stateAddress, host) => {
    const area = allocate(AREA_SIZE);
    if (area < 0) throw new Error('no reserved memory is left for another processor');
    return createProcessor(memory, stateAddress, host, area);
  };
}
