/**
 * The root partition's GPA map: the identity over all RAM that is not off limits. The hypervisor defines it at
 * boot; the root can change its rights to a page, nothing else. TLFS 2.0a §8.1.1. The rights lie in the SPA
 * page table, so this map needs no memory.
 */
import { GPA_UNMAPPED, type GpaMap, type GpaRange, type PageList, RIGHTS_SHIFT } from './gpa-map.ts';
import type { SpaPageTable } from './spa-page-table.ts';

export class RootGpaMap implements GpaMap {
  readonly #pages: SpaPageTable;
  stale = false;

  constructor(pages: SpaPageTable) {
    this.#pages = pages;
  }

  lookup(gpn: number): number {
    return this.#pages.isRam(gpn) ? gpn | (this.#pages.rootRights(gpn) << RIGHTS_SHIFT) : GPA_UNMAPPED;
  }

  runLength(gpn: number, limit: number): number {
    return this.#pages.alikeForRoot(gpn, limit);
  }

  resolve(_list: PageList): void {}

  map(gpn: number, list: PageList, rights: number): number {
    const run = this.#pages.listedInPlace(gpn, list);
    if (run > 0) this.setRights(gpn, run, rights);
    return run;
  }

  unmap(): number {
    return 0;
  }

  setRights(gpn: number, pages: number, rights: number): void {
    this.#pages.setRootRights(gpn, rights, pages);
    this.stale = true;
  }

  get pagesMapped(): number {
    let count = 0;
    for (let page = 0; page < this.#pages.pageCount; page++) if (this.#pages.isRam(page)) count++;
    return count;
  }

  *ranges(): IterableIterator<GpaRange> {
    let run: GpaRange | undefined;
    for (let page = 0; page < this.#pages.pageCount; page++) {
      const rights = this.#pages.rootRights(page);
      const extends_ = run !== undefined && page === run.gpn + run.pages && run.rights === rights;
      if (this.#pages.isRam(page) && extends_) {
        run!.pages++;
        continue;
      }
      if (run !== undefined) yield run;
      run = this.#pages.isRam(page) ? { gpn: page, pages: 1, spn: page, rights } : undefined;
    }
    if (run !== undefined) yield run;
  }

  allocate(): boolean {
    return true;
  }

  releaseNext(): boolean {
    return false;
  }
}
