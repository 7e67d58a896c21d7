/** Page table entry bits (SDM vol. 3 §4.5). */
export const PTE = {
  P: 1n << 0n,
  W: 1n << 1n,
  U: 1n << 2n,
  A: 1n << 5n,
  D: 1n << 6n,
  PS: 1n << 7n,
  NX: 1n << 63n,
} as const;

/** Physical address width that CPUID 0x80000008 reports; entry bits above it are reserved. */
export const PHYSICAL_ADDRESS_BITS = 39;
