/** NUMA nodes of the machine, and of the system memory under it. */
export interface NumaConfig {
  /** Guest RAM of each node, in the order of guest physical addresses. */
  nodeBytes: readonly number[];
  /** Distances for the SLIT; the default is 10 to itself and 20 to others. */
  distances?: readonly (readonly number[])[];
}
