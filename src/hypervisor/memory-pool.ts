/**
 * A partition's memory pool: pages that its parent deposited and that only the hypervisor may touch. What the
 * TLFS says takes memory draws its pages here, each draw with its cause. Owned by its partition.
 *
 * A page is free or in use. Free pages form a list for each proximity domain, which runs through a column of the
 * SPA page table (0 ends it; page 0 therefore can't be deposited). TLFS 2.0a §7.1.1.
 *
 * A page comes from the domain that the running hypercall asks for (`within`), else preferably from the
 * partition's home domain (the one named at its creation, §5.6.2), else from any, the first domain first.
 *
 * Whether a page may be deposited, and what happens to the depositor's mapping, is the deposit hypercall's
 * business (hypercalls/memory-pool.ts); this file keeps the account.
 */
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { Machine } from './machine.ts';
import { ANYWHERE, type Placement } from './proximity-domain.ts';
import type { PoolAction } from './trace.ts';

/** Answer of `draw` when no free page is left. */
export const POOL_EMPTY = -1;

const PAGE_WORDS = PAGE_SIZE / 4;

/** The free and the used pages of one domain. */
interface DomainPages {
  firstFree: number;
  free: number;
  inUse: number;
}

/** What went in and out since the pool was made, in pages. */
export interface PoolTotal {
  action: PoolAction;
  cause: string;
  pages: number;
}

export class MemoryPool {
  readonly #machine: Machine;
  /** The partition that owns this pool. */
  readonly #owner: number;
  /** By index of the domain. */
  readonly #domains: readonly DomainPages[];
  #free = 0;
  #inUse = 0;
  readonly #inUseByCause = new Map<string, number>();
  readonly #causes = new Map<number, string>();
  readonly #totals: Record<PoolAction, Map<string, PoolTotal>> = {
    deposit: new Map(),
    draw: new Map(),
    release: new Map(),
    withdraw: new Map(),
  };
  #placement: Placement | undefined;
  /** Where pages come from when no hypercall says it. */
  home: Placement = ANYWHERE;

  constructor(machine: Machine, owner: number) {
    this.#machine = machine;
    this.#owner = owner;
    this.#domains = machine.proximity.list.map(() => ({ firstFree: 0, free: 0, inUse: 0 }));
  }

  /** Pages that can be drawn or withdrawn (HvGetMemoryBalance: PagesAvailable). */
  get free(): number {
    return this.#free;
  }

  /** Pages drawn and not released (PagesInUse). */
  get inUse(): number {
    return this.#inUse;
  }

  get isEmpty(): boolean {
    return this.#free === 0 && this.#inUse === 0;
  }

  /** Free pages that the placement in force lets be drawn. */
  get available(): number {
    const { domain, required } = this.#placement ?? this.home;
    return required ? this.#domains[domain].free : this.#free;
  }

  /** Free and used pages, of the placement's domain if it names one. */
  balance({ domain }: Placement): { free: number; inUse: number } {
    return domain < 0 ? { free: this.#free, inUse: this.#inUse } : this.#domains[domain];
  }

  /** Runs `action`; pages that it draws come from where `placement` says, if it says anything. */
  within<T>(placement: Placement, action: () => T): T {
    const before = this.#placement;
    this.#placement = placement.domain < 0 ? before : placement;
    try {
      return action();
    } finally {
      this.#placement = before;
    }
  }

  /** Adds pages from `spn` on, deposited through the depositor's from `gpn` on. */
  deposit(spn: number, gpn: number, pages: number): void {
    this.#machine.absentPages.forget(spn, pages);
    this.#machine.spaPages.setDeposited(spn, this.#owner, gpn, pages);
    const { proximity } = this.#machine;
    for (let done = 0; done < pages; ) {
      const index = proximity.indexOfPage(spn + done);
      const count = Math.min(pages - done, proximity.endOf(index) - spn - done);
      this.#push(this.#domains[index], spn + done, count);
      done += count;
    }
    this.#note('deposit', 'deposit', pages);
  }

  /** Takes a free page out of the pool, zeroed. Answers the GPN it was deposited through, or -1: none is free. */
  withdraw(placement: Placement = ANYWHERE): number {
    const spn = this.#pop(placement);
    if (spn === POOL_EMPTY) return POOL_EMPTY;
    const gpn = this.#machine.spaPages.depositGpn(spn);
    this.#machine.spaPages.setWithdrawn(spn);
    this.#note('withdraw', 'withdraw');
    return gpn;
  }

  /** A zeroed page for `cause`, or -1: HV_STATUS_INSUFFICIENT_MEMORY is due. */
  draw(cause: string): number {
    const spn = this.#pop(this.#placement ?? this.home);
    if (spn === POOL_EMPTY) return POOL_EMPTY;
    this.#inUse++;
    this.#domainOf(spn).inUse++;
    this.#causes.set(spn, cause);
    this.#inUseByCause.set(cause, (this.#inUseByCause.get(cause) ?? 0) + 1);
    this.#note('draw', cause);
    return spn;
  }

  /** Returns a drawn page to the pool. */
  release(spn: number): void {
    const cause = this.#causes.get(spn);
    if (cause === undefined)
      throw new Error(`page ${spn} was not drawn from the pool of partition ${this.#owner}`);
    this.#causes.delete(spn);
    const left = this.#inUseByCause.get(cause)! - 1;
    if (left === 0) this.#inUseByCause.delete(cause);
    else this.#inUseByCause.set(cause, left);
    this.#inUse--;
    this.#domainOf(spn).inUse--;
    this.#push(this.#domainOf(spn), spn, 1);
    this.#note('release', cause);
  }

  inspect(): { free: number; inUse: number; causes: Record<string, number> } {
    return { free: this.#free, inUse: this.#inUse, causes: Object.fromEntries(this.#inUseByCause) };
  }

  /** Everything that went in and out so far, and how it lies in the proximity domains. */
  account(): { totals: PoolTotal[]; domains: { id: number; free: number; inUse: number }[] } {
    const domains = this.#domains.map(({ free, inUse }, index) => {
      return { id: this.#machine.proximity.list[index].id, free, inUse };
    });
    const totals = Object.values(this.#totals).flatMap((byCause) => [...byCause.values()]);
    return { totals: totals.map((total) => ({ ...total })), domains };
  }

  #domainOf(spn: number): DomainPages {
    return this.#domains[this.#machine.proximity.indexOfPage(spn)];
  }

  /** Pages from `spn` on, all of `domain`, are free. */
  #push(domain: DomainPages, spn: number, pages: number): void {
    domain.firstFree = this.#machine.spaPages.chainFree(spn, pages, domain.firstFree);
    domain.free += pages;
    this.#free += pages;
  }

  #pop({ domain, required }: Placement): number {
    let from = domain < 0 ? undefined : this.#domains[domain];
    if ((from === undefined || from.free === 0) && !required)
      from = this.#domains.find(({ free }) => free > 0);
    if (from === undefined || from.free === 0) return POOL_EMPTY;
    const spn = from.firstFree;
    from.firstFree = this.#machine.spaPages.unchainFree(spn);
    from.free--;
    this.#free--;
    this.#machine.memory.words.fill(0, spn * PAGE_WORDS, (spn + 1) * PAGE_WORDS);
    this.#machine.memory.noteWritten(spn);
    return spn;
  }

  #note(action: PoolAction, cause: string, pages = 1): void {
    const total = this.#totals[action].get(cause);
    if (total === undefined) this.#totals[action].set(cause, { action, cause, pages });
    else total.pages += pages;
    this.#machine.trace.sink?.({
      kind: 'pool',
      partition: this.#owner,
      action,
      pages,
      cause,
      free: this.#free,
      inUse: this.#inUse,
    });
  }
}
