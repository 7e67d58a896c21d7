/**
 * `--numa SPEC`: a number of nodes that share the memory evenly, the size of each (`256M,256M`), or `host`: as many
 * as the machine under us has, in the proportions and with the distances that it has.
 */
import type { NumaConfig } from '../vm/numa-config.ts';
import { MEMORY_GRANULE_BYTES } from '../vm/vm-config.ts';
import { type HostNodes, hostNodes } from './host-topology.ts';
import { UsageError } from './usage-error.ts';

export type NumaOption =
  | { kind: 'count'; nodes: number }
  | { kind: 'sizes'; nodeBytes: readonly number[] }
  | { kind: 'host' };

/** `sizeOf` reads one size, or throws. */
export function parseNuma(text: string, sizeOf: (text: string) => number): NumaOption {
  if (text === 'host') return { kind: 'host' };
  if (/^[1-9]\d?$/.test(text)) return { kind: 'count', nodes: Number(text) };
  const parts = text.split(',');
  if (!parts.every((part) => /^\d+[KMG]B?$/i.test(part))) {
    throw new UsageError(`--numa ${text}: not a number of nodes, their sizes such as 256M,256M, or host`);
  }
  return { kind: 'sizes', nodeBytes: parts.map(sizeOf) };
}

/** Memory of the machine where the sizes of its nodes alone are given. */
export function memoryOfNuma(option: NumaOption | undefined): number | undefined {
  return option?.kind === 'sizes' ? option.nodeBytes.reduce((sum, bytes) => sum + bytes, 0) : undefined;
}

export function numaConfig(
  option: NumaOption | undefined,
  memoryBytes: number,
  host: () => HostNodes | undefined = hostNodes,
): NumaConfig | undefined {
  if (option === undefined) return undefined;
  if (option.kind === 'sizes') return { nodeBytes: option.nodeBytes };
  if (option.kind === 'count')
    return { nodeBytes: share(memoryBytes, new Array<number>(option.nodes).fill(1)) };
  const found = host();
  if (found === undefined) throw new UsageError('--numa host: this system does not tell its NUMA nodes');
  return { nodeBytes: share(memoryBytes, found.memory), distances: found.distances };
}

/** `bytes` in granules by weight: each part ends on the nearest granule, so that nothing is lost. */
function share(bytes: number, weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let weight = 0;
  let done = 0;
  return weights.map((each) => {
    weight += each;
    const end = Math.round(((bytes / MEMORY_GRANULE_BYTES) * weight) / total) * MEMORY_GRANULE_BYTES;
    const part = end - done;
    done = end;
    return part;
  });
}
