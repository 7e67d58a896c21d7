/**
 * Who runs next: reserve, cap and weight of TLFS 2.0a §18.2 by measured run time. Pure policy over what the scheduler
 * reports; one record per virtual processor.
 *
 * Chosen: caps and reserves hold over windows of 20 ms; what a turn takes beyond its cap is owed in the next ones.
 * Within a window, who is below its reserve goes first; then the least weighted run time. One that slept starts at
 * the least of those that are ready, so that sleeping saves nothing up.
 */
import { PartitionProperty } from '../hvdef/partition-property.ts';
import type { Partition } from './partition.ts';

/** In 100 ns. */
export const WINDOW = 200_000;
const ONE = 0x1_0000;
const TYPICAL_WEIGHT = 100;
/** What a turn counts for at least: a clock may stand still. */
const SHORTEST_TURN = 1;

interface Account {
  /** Run time divided by the weight. */
  weighted: number;
  /** Run time in this window; more than the cap allows is carried on. */
  used: number;
  window: number;
}

export interface Scheduled {
  readonly partition: Partition;
}

export class SchedulingPolicy {
  readonly #accounts = new WeakMap<object, Account>();

  /** True when the cap allows it to run at `now`. */
  mayRun(vp: Scheduled, now: number): boolean {
    const account = this.#account(vp, now);
    const cap = Number(vp.partition.property(PartitionProperty.CpuCap));
    return cap >= ONE || account.used < (cap / ONE) * WINDOW;
  }

  isCapped(vp: Scheduled): boolean {
    return Number(vp.partition.property(PartitionProperty.CpuCap)) < ONE;
  }

  /** The one of `ready` that is to run at `now`; all of them may. */
  choose<T extends Scheduled>(ready: readonly T[], now: number): T {
    let least = Infinity;
    for (const vp of ready) least = Math.min(least, this.#account(vp, now).weighted);
    let best = ready[0];
    let bestRank = Infinity;
    for (const vp of ready) {
      const account = this.#account(vp, now);
      const reserve = (Number(vp.partition.property(PartitionProperty.CpuReserve)) / ONE) * WINDOW;
      const rank = account.weighted - least - (account.used < reserve ? RESERVED : 0);
      if (rank >= bestRank) continue;
      best = vp;
      bestRank = rank;
    }
    return best;
  }

  /** It was ready but not before: it does not come in ahead of those that waited. */
  woke(vp: Scheduled, others: readonly Scheduled[], now: number): void {
    let least = Infinity;
    for (const other of others) if (other !== vp) least = Math.min(least, this.#account(other, now).weighted);
    const account = this.#account(vp, now);
    if (least !== Infinity) account.weighted = Math.max(account.weighted, least);
  }

  /** It ran for `elapsed` up to `now`, all in 100 ns. */
  ran(vp: Scheduled, elapsed: number, now: number): void {
    const account = this.#account(vp, now);
    const weight = Number(vp.partition.property(PartitionProperty.CpuWeight));
    const time = Math.max(elapsed, SHORTEST_TURN);
    account.weighted += (time * TYPICAL_WEIGHT) / weight;
    account.used += time;
  }

  /** When the window that `now` lies in ends. */
  windowEnd(now: number): number {
    return (Math.floor(now / WINDOW) + 1) * WINDOW;
  }

  #account(vp: Scheduled, now: number): Account {
    let account = this.#accounts.get(vp);
    const window = Math.floor(now / WINDOW);
    if (account === undefined) {
      account = { weighted: 0, used: 0, window };
      this.#accounts.set(vp, account);
    }
    if (account.window !== window) {
      const cap = Number(vp.partition.property(PartitionProperty.CpuCap)) / ONE;
      account.used = cap >= 1 ? 0 : Math.max(0, account.used - (window - account.window) * cap * WINDOW);
      account.window = window;
    }
    return account;
  }
}

/** Outranks any difference of run times. */
const RESERVED = 2 ** 50;
