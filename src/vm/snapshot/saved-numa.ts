/**
 * A machine's NUMA nodes in the state of its snapshot: `nodes`, in the order of guest physical addresses, each with its
 * `bytes` and, if they were given, its `distances` to all nodes (a byte each). A machine without nodes has none of it.
 */
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import { checkNuma, MOST_NODES } from '../numa.ts';
import type { NumaConfig } from '../numa-config.ts';
import { ConfigurationError } from '../vm-config.ts';

export function savedNuma({ nodeBytes, distances }: NumaConfig): StateRecord {
  const nodes = nodeBytes.map(
    (bytes, node): StateRecord =>
      distances === undefined ? { bytes } : { bytes, distances: Uint8Array.from(distances[node]) },
  );
  return { nodes };
}

/** Marks the reader as failed where the nodes are no division of the memory. */
export function restoredNuma(from: StateReader, memoryBytes: number): NumaConfig {
  const nodes = from.records('nodes', MOST_NODES);
  const nodeBytes = nodes.map((node) => node.integer('bytes', memoryBytes));
  const hasDistances = nodes.some((node) => node.has('distances'));
  const distances = hasDistances
    ? nodes.map((node) => [...node.bytes('distances', nodes.length)])
    : undefined;
  const numa = { nodeBytes, distances };
  try {
    checkNuma(numa, memoryBytes);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    from.fail('nodes');
  }
  return numa;
}
