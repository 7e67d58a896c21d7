/**
 * The root partition's GPA map: the identity over all RAM that is not off limits. The hypervisor defines it at
 * boot; the root can change its rights to a page, nothing else. TLFS 2.0a §8.1.1. The rights lie in the SPA
 * page table, so this map needs no memory.
 */
import { HvStatus } from '../hvdef/status.ts';
import { GPA_UNMAPPED, type GpaMap, type GpaRange, RIGHTS_SHIFT } from './gpa-map.ts';
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

  map(gpn: number, spn: number, rights: number): number {
    if (gpn !== spn || !this.#pages.isRam(gpn)) return HvStatus.ACCESS_DENIED;
    this.setRights(gpn, rights);
    return HvStatus.SUCCESS;
  }

  unmap(_gpn: number): number {
    return HvStatus.ACCESS_DENIED;
  }

  setRights(gpn: number, rights: number): void {
    this.#pages.setRootRights(gpn, rights);
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
