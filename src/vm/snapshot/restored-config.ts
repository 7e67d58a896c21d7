/**
 * What a machine that goes on from a snapshot is like: as the one that was saved. Memory, processors and NUMA nodes are
 * the snapshot's; who asks for others besides is refused, since the guest has built on what it found.
 */
import { numaLayout } from '../numa.ts';
import type { NumaConfig } from '../numa-config.ts';
import { ConfigurationError, type VmConfig } from '../vm-config.ts';

/** `config` with what the snapshot says; without a snapshot as it is. Throws a ConfigurationError where they disagree. */
export function restoredConfig(config: VmConfig): VmConfig {
  if (config.restore === undefined) return config;
  const { name, memoryBytes, vpCount, numa } = config.restore.snapshot;
  if (config.memoryBytes !== memoryBytes) {
    const [theirs, ours] = [memoryBytes, config.memoryBytes].map(mebibytes);
    throw new ConfigurationError('memory', `the machine in ${name} has ${theirs} MiB, not ${ours}`);
  }
  if (config.vpCount !== vpCount) {
    const problem = `the machine in ${name} has ${vpCount} virtual processors, not ${config.vpCount}`;
    throw new ConfigurationError('vps', problem);
  }
  if (config.numa !== undefined && !isSame(config.numa, numa, vpCount)) {
    const problem = `the machine in ${name} has ${described(numa)}, not ${described(config.numa)}`;
    throw new ConfigurationError('numa', problem);
  }
  return { ...config, numa };
}

/** Distances that nobody gave are compared with those that the guest was told. */
function isSame(asked: NumaConfig, saved: NumaConfig | undefined, vpCount: number): boolean {
  if (saved === undefined) return false;
  const [ours, theirs] = [asked, saved].map((numa) => JSON.stringify(numaLayout({ numa, vpCount })));
  return ours === theirs;
}

function described(numa: NumaConfig | undefined): string {
  if (numa === undefined) return 'no NUMA nodes';
  const sizes = `NUMA nodes of ${numa.nodeBytes.map(mebibytes).join(' and ')} MiB`;
  const { distances } = numa;
  return distances === undefined
    ? sizes
    : `${sizes} with distances ${distances.map((row) => row.join(' ')).join(' / ')}`;
}

function mebibytes(bytes: number): number {
  return bytes / 0x10_0000;
}
