/** Virtual processors that a partition may have (TLFS 2.0a §10.2.1, CPUID leaf 0x40000005): one flat mask's worth. */
export const MAXIMUM_VIRTUAL_PROCESSORS = 64;
