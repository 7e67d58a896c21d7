/** All claims, and what of the hypervisor's tables they cover. */
import { HypercallCode } from '../../../src/hvdef/hypercalls.ts';
import { HvStatus, statusName } from '../../../src/hvdef/status.ts';
import type { ImpossibleRow, RowClaim } from './claims.ts';
import { communicationRows, impossibleCommunicationRows } from './rows/communication.ts';
import { impossibleMemoryRows, memoryRows } from './rows/memory.ts';
import { impossiblePartitionRows, partitionRows } from './rows/partitions.ts';
import { impossibleProcessorRows, processorRows } from './rows/processors.ts';
import { Scene, type SceneOptions } from './scene.ts';

export const ROW_CLAIMS: readonly RowClaim[] = [
  ...partitionRows,
  ...memoryRows,
  ...processorRows,
  ...communicationRows,
];
export const IMPOSSIBLE_ROWS: readonly ImpossibleRow[] = [
  ...impossiblePartitionRows,
  ...impossibleMemoryRows,
  ...impossibleProcessorRows,
  ...impossibleCommunicationRows,
];

export interface ClaimResult {
  claim: RowClaim;
  /** Undefined when the claim holds. */
  failure: string | undefined;
}

/** Tries a claim; what guest code saw goes into the scene's `observed`. */
export function tryClaim(scene: Scene, claim: RowClaim): ClaimResult {
  try {
    const { status } = claim.show(scene);
    const wanted = HvStatus[claim.status];
    const seen = scene.observed.has(`${HypercallCode[claim.call]}:${wanted}`);
    if (status !== wanted) return { claim, failure: `answered ${statusName(status)}` };
    return { claim, failure: seen ? undefined : 'no guest code was answered so' };
  } catch (error) {
    return { claim, failure: error instanceof Error ? error.message : String(error) };
  }
}

/** Scenes by call: claims about one call share one, so that nothing that a chapter leaves behind runs a machine dry. */
export function tryAll(
  claims: readonly RowClaim[],
  observed: Set<string>,
  options: SceneOptions = {},
): ClaimResult[] {
  const results: ClaimResult[] = [];
  let scene: Scene | undefined;
  let call = '';
  for (const claim of claims) {
    if (scene === undefined || claim.call !== call) scene = new Scene(observed, options);
    call = claim.call;
    results.push(tryClaim(scene, claim));
  }
  return results;
}
