/**
 * The root partition's own RAM, given out by page: for hypercall parameters, for what is deposited, for the RAM
 * of children. The stack is its only user; everything it frees may be given out again.
 */
import type { ParentSurface } from '../../hypervisor/root-surface.ts';

interface Run {
  first: number;
  end: number;
}

/** Pages that an allocation is confined to: a proximity domain. */
export interface PageSpan {
  readonly firstPage: number;
  readonly pages: number;
}

const ALL_PAGES: PageSpan = { firstPage: 0, pages: 2 ** 52 };

export class RootMemory {
  /** Free runs by rising page number; never two that touch. */
  #free: Run[];

  constructor(surface: ParentSurface) {
    // Page zero stays out: no address of ours may be a null pointer.
    this.#free = surface.ramPages.map(({ gpn, pages }) => ({ first: Math.max(gpn, 1), end: gpn + pages }));
  }

  get freePages(): number {
    return this.#free.reduce((sum, run) => sum + run.end - run.first, 0);
  }

  /** First page of a run of `pages`, the lowest that fits (and lies in `within`); -1 when there is none. */
  allocate(pages: number, alignment = 1, within: PageSpan = ALL_PAGES): number {
    for (let index = 0; index < this.#free.length; index++) {
      const { first, end } = this.#free[index];
      const start = Math.ceil(Math.max(first, within.firstPage) / alignment) * alignment;
      if (start + pages > Math.min(end, within.firstPage + within.pages)) continue;
      const rest = [
        { first, end: start },
        { first: start + pages, end },
      ];
      this.#free.splice(index, 1, ...rest.filter((run) => run.first < run.end));
      return start;
    }
    return -1;
  }

  free(first: number, pages: number): void {
    const end = first + pages;
    const at = this.#free.findIndex((run) => run.first >= end);
    const index = at < 0 ? this.#free.length : at;
    this.#free.splice(index, 0, { first, end });
    this.#join(index);
    this.#join(index - 1);
  }

  /** Joins the runs at `index` and behind it where they touch. */
  #join(index: number): void {
    const run = this.#free[index];
    const next = this.#free[index + 1];
    if (run === undefined || next === undefined || run.end !== next.first) return;
    run.end = next.end;
    this.#free.splice(index + 1, 1);
  }
}
