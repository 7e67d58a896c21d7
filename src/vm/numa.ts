/**
 * A machine's NUMA nodes: how guest RAM and processors are divided, and the proximity domains of system physical
 * memory that back them, one for each node. TLFS 2.0a §7.1.2; ACPI 6.4 §5.2.16, §5.2.17.
 *
 * Guest RAM of node 0 comes first, node 1 follows, and so on. Processors are dealt out in blocks, as even as it
 * goes; a node may have none. The host's memory is not bound to its nodes: the division is the machine's own.
 */
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { NumaConfig } from './numa-config.ts';
import { ConfigurationError, MEMORY_GRANULE_BYTES, type VmConfig } from './vm-config.ts';

export interface NumaNode {
  /** ACPI proximity domain. */
  id: number;
  gpa: number;
  bytes: number;
  vps: readonly number[];
}

export interface NumaLayout {
  nodes: readonly NumaNode[];
  /** Relative distances as the SLIT has them: 10 is a node's own. */
  distances: readonly (readonly number[])[];
}

/** More than this and a node's share of the root's own memory gets silly. */
export const MOST_NODES = 16;
const LOCAL_DISTANCE = 10;
const REMOTE_DISTANCE = 20;

/** Throws a ConfigurationError for nodes that are no division of the memory. */
export function checkNuma({ nodeBytes, distances }: NumaConfig, memoryBytes: number): void {
  const refuse = (problem: string): never => {
    throw new ConfigurationError('numa', problem);
  };
  if (nodeBytes.length < 1 || nodeBytes.length > MOST_NODES) {
    refuse(`${nodeBytes.length} nodes; possible are 1 to ${MOST_NODES}`);
  }
  for (const bytes of nodeBytes) {
    if (!Number.isInteger(bytes) || bytes <= 0 || bytes % MEMORY_GRANULE_BYTES !== 0) {
      refuse(`a node of ${bytes} bytes; each has a multiple of 2 MiB`);
    }
  }
  const sum = nodeBytes.reduce((total, bytes) => total + bytes, 0);
  if (sum !== memoryBytes) {
    refuse(`the nodes have ${sum / 0x10_0000} MiB together, the machine ${memoryBytes / 0x10_0000}`);
  }
  if (distances !== undefined && !distancesAreSound(distances, nodeBytes.length)) {
    refuse(`the distances are no ${nodeBytes.length} × ${nodeBytes.length} table of 10 to 254`);
  }
}

function distancesAreSound(rows: readonly (readonly number[])[], nodes: number): boolean {
  return (
    rows.length === nodes &&
    rows.every((row, from) => {
      if (row.length !== nodes) return false;
      return row.every((value, to) =>
        from === to ? value === LOCAL_DISTANCE : value > LOCAL_DISTANCE && value < 255,
      );
    })
  );
}

/** What the guest is told; undefined for a machine without nodes. */
export function numaLayout({ numa, vpCount }: Pick<VmConfig, 'numa' | 'vpCount'>): NumaLayout | undefined {
  if (numa === undefined) return undefined;
  const count = numa.nodeBytes.length;
  const vps = Array.from({ length: vpCount }, (_, vp) => vp);
  let gpa = 0;
  const nodes = numa.nodeBytes.map((bytes, id) => {
    const node = { id, gpa, bytes, vps: vps.filter((vp) => nodeOfVp(vp, vpCount, count) === id) };
    gpa += bytes;
    return node;
  });
  const plain = nodes.map(({ id }) =>
    nodes.map((other) => (other.id === id ? LOCAL_DISTANCE : REMOTE_DISTANCE)),
  );
  return { nodes, distances: numa.distances ?? plain };
}

export function nodeOfVp(vp: number, vpCount: number, nodes: number): number {
  return Math.floor((vp * nodes) / vpCount);
}

export interface DomainPlan {
  memoryBytes: number;
  domains: { id: number; firstPage: number; pages: number }[];
}

/**
 * System physical memory for guest RAM in `nodeBytes`, with `overheadBytes` for the root shared out over the
 * domains, and `reservedBytes` at the top of the last one.
 */
export function planDomains(
  nodeBytes: readonly number[],
  overheadBytes: number,
  reservedBytes: number,
): DomainPlan {
  const granules = (bytes: number) => Math.ceil(bytes / MEMORY_GRANULE_BYTES) * MEMORY_GRANULE_BYTES;
  // Room to align guest RAM, and a granule for deposits.
  const share = Math.max(granules(overheadBytes / nodeBytes.length), 2 * MEMORY_GRANULE_BYTES);
  let at = 0;
  const domains = nodeBytes.map((bytes, id) => {
    const isLast = id === nodeBytes.length - 1;
    const size = granules(bytes + share + (isLast ? reservedBytes : 0));
    const domain = { id, firstPage: at / PAGE_SIZE, pages: size / PAGE_SIZE };
    at += size;
    return domain;
  });
  return { memoryBytes: at, domains };
}
