/** Where a processor's work went. All figures are since it was made. */
export interface ProcessorProfile {
  /** Instructions completed, by the tier that executed them. */
  instructions: { interpreter: number; regions: number };
  /** Translations of guest virtual addresses that the first level of the soft TLB did not answer. */
  tlb: { misses: number; secondLevelHits: number; walks: number };
  /** Code made ready for the interpreter. Pages: those that lost code to a store. */
  decoder: {
    blocks: number;
    instructions: number;
    milliseconds: number;
    pagesWritten: number;
    flushes: number;
  };
  /** Code translated to WebAssembly. */
  translator: {
    regions: number;
    instructions: number;
    milliseconds: number;
    regionsDropped: number;
  };
  /** Calls of microcode by operation, those that never happened left out. */
  microcode: Record<string, number>;
}
