/**
 * What the suite is made of. A row claim says that a hypercall answers a status, and why; it is shown by guest
 * code that gets just that answer. A row that can't occur is listed with the reason instead.
 */
import type { HypercallName } from '../../../src/hvdef/hypercalls.ts';
import type { HvStatusName } from '../../../src/hvdef/status.ts';
import type { Answer } from './fed-guest.ts';
import type { Scene } from './scene.ts';

export interface RowClaim {
  readonly call: HypercallName;
  readonly status: HvStatusName;
  /** Reads as a sentence about the caller's mistake. */
  readonly claim: string;
  /** The answer that must have the status. */
  readonly show: (scene: Scene) => Answer;
}

export interface ImpossibleRow {
  readonly call: HypercallName;
  readonly status: HvStatusName;
  readonly reason: string;
}

/** Claims about one call, written `row('ACCESS_DENIED', 'the caller ...', (s) => ...)`. */
export type RowWriter = (status: HvStatusName, claim: string, show: RowClaim['show']) => RowClaim;

export function rowsOf(call: HypercallName, write: (row: RowWriter) => RowClaim[]): RowClaim[] {
  return write((status, claim, show) => ({ call, status, claim, show }));
}
