/** Counts of hypercalls as people read them. */
import { hypercallDefinition } from '../hvdef/hypercalls.ts';
import { statusName } from '../hvdef/status.ts';

/** By hypercall name, then by status name. */
export type HypercallCounts = Record<string, Record<string, number>>;

/** Adds counts that are kept under call code * 65536 + status. */
export function addHypercalls(total: HypercallCounts, counts: ReadonlyMap<number, number>): void {
  for (const [key, count] of counts) {
    const code = Math.floor(key / 0x1_0000);
    const name = hypercallDefinition(code)?.name ?? `0x${code.toString(16)}`;
    const status = statusName(key % 0x1_0000);
    total[name] ??= {};
    total[name][status] = (total[name][status] ?? 0) + count;
  }
}
