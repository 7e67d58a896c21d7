/**
 * A partition's memory pool: pages that its parent deposited and that only the hypervisor may touch. What the
 * TLFS says takes memory draws its pages here, each draw with its cause. Owned by its partition.
 *
 * A page is free or in use. Free pages form a list that runs through the pages themselves (first word: next
 * page number, 0 ends it; page 0 therefore can't be deposited). TLFS 2.0a §7.1.1.
 *
 * Whether a page may be deposited, and what happens to the depositor's mapping, is the deposit hypercall's
 * business (hypercalls/memory-pool.ts); this file keeps the account.
 */
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { Machine } from './machine.ts';

/** Answer of `draw` when no free page is left. */
export const POOL_EMPTY = -1;

export class MemoryPool {
  readonly #machine: Machine;
  /** The partition that owns this pool. */
  readonly #owner: number;
  #firstFree = 0;
  #free = 0;
  #inUse = 0;
  readonly #inUseByCause = new Map<string, number>();
  readonly #causes = new Map<number, string>();

  constructor(machine: Machine, owner: number) {
    this.#machine = machine;
    this.#owner = owner;
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

  /** Adds page `spn`, deposited through the depositor's `gpn`. */
  deposit(spn: number, gpn: number): void {
    this.#machine.spaPages.setDeposited(spn, this.#owner, gpn);
    this.#push(spn);
    this.#emit('deposit', 'deposit');
  }

  /** Takes a free page out of the pool, zeroed. Answers the GPN it was deposited through, or -1: none is free. */
  withdraw(): number {
    const spn = this.#pop();
    if (spn === POOL_EMPTY) return POOL_EMPTY;
    const gpn = this.#machine.spaPages.depositGpn(spn);
    this.#machine.spaPages.setWithdrawn(spn);
    this.#emit('withdraw', 'withdraw');
    return gpn;
  }

  /** A zeroed page for `cause`, or -1: HV_STATUS_INSUFFICIENT_MEMORY is due. */
  draw(cause: string): number {
    const spn = this.#pop();
    if (spn === POOL_EMPTY) return POOL_EMPTY;
    this.#inUse++;
    this.#causes.set(spn, cause);
    this.#inUseByCause.set(cause, (this.#inUseByCause.get(cause) ?? 0) + 1);
    this.#emit('draw', cause);
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
    this.#push(spn);
    this.#emit('release', cause);
  }

  inspect(): { free: number; inUse: number; causes: Record<string, number> } {
    return { free: this.#free, inUse: this.#inUse, causes: Object.fromEntries(this.#inUseByCause) };
  }

  #push(spn: number): void {
    this.#machine.memory.words[(spn * PAGE_SIZE) / 4] = this.#firstFree;
    this.#machine.memory.noteWritten(spn);
    this.#firstFree = spn;
    this.#free++;
  }

  #pop(): number {
    const spn = this.#firstFree;
    if (spn === 0) return POOL_EMPTY;
    const at = spn * PAGE_SIZE;
    this.#firstFree = this.#machine.memory.words[at / 4];
    this.#free--;
    this.#machine.memory.bytes.fill(0, at, at + PAGE_SIZE);
    this.#machine.memory.noteWritten(spn);
    return spn;
  }

  #emit(action: 'deposit' | 'draw' | 'release' | 'withdraw', cause: string): void {
    this.#machine.trace.sink?.({
      kind: 'pool',
      partition: this.#owner,
      action,
      pages: 1,
      cause,
      free: this.#free,
      inUse: this.#inUse,
    });
  }
}
