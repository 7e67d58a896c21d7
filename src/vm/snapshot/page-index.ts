/**
 * Which guest pages a snapshot holds, as runs of consecutive pages in rising order, and which of the stored pages each
 * one is. A run takes 8 bytes: first guest page (4), pages (4); its pages are stored behind those of the run before.
 */

export const RUN_BYTES = 8;

export interface StoredRun {
  readonly gpn: number;
  readonly pages: number;
  /** Number of its first page among the stored ones. */
  readonly stored: number;
}

export class PageIndex {
  readonly runs: readonly StoredRun[];
  /** The run that was found last: pages are asked for in neighbourhoods. */
  #last: StoredRun | undefined;

  constructor(runs: readonly StoredRun[]) {
    this.runs = runs;
  }

  /** Of the pages below `pages` those for which `isStored`. */
  static *scan(pages: number, isStored: (gpn: number) => boolean, pause: number): Generator<void, PageIndex> {
    const runs: StoredRun[] = [];
    let stored = 0;
    let start = -1;
    for (let gpn = 0; gpn <= pages; gpn++) {
      const here = gpn < pages && isStored(gpn);
      if (here && start < 0) start = gpn;
      if (!here && start >= 0) {
        runs.push({ gpn: start, pages: gpn - start, stored });
        stored += gpn - start;
        start = -1;
      }
      if (gpn % pause === pause - 1) yield;
    }
    return new PageIndex(runs);
  }

  get storedPages(): number {
    const last = this.runs.at(-1);
    return last === undefined ? 0 : last.stored + last.pages;
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(this.runs.length * RUN_BYTES);
    const view = new DataView(bytes.buffer);
    this.runs.forEach(({ gpn, pages }, index) => {
      view.setUint32(index * RUN_BYTES, gpn, true);
      view.setUint32(index * RUN_BYTES + 4, pages, true);
    });
    return bytes;
  }

  /** Undefined where the runs don't rise, or are not `storedPages` pages below `pageLimit`. */
  static decode(bytes: Uint8Array, pageLimit: number, storedPages: number): PageIndex | undefined {
    if (bytes.length % RUN_BYTES !== 0) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const runs: StoredRun[] = [];
    let end = 0;
    let stored = 0;
    for (let at = 0; at < bytes.length; at += RUN_BYTES) {
      const gpn = view.getUint32(at, true);
      const pages = view.getUint32(at + 4, true);
      if (gpn < end || pages === 0 || gpn + pages > pageLimit) return undefined;
      runs.push({ gpn, pages, stored });
      end = gpn + pages;
      stored += pages;
    }
    return stored === storedPages ? new PageIndex(runs) : undefined;
  }

  /** The run that has guest page `gpn`; undefined: the page is zero. */
  find(gpn: number): StoredRun | undefined {
    const last = this.#last;
    if (last !== undefined && gpn >= last.gpn && gpn < last.gpn + last.pages) return last;
    let low = 0;
    let high = this.runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.runs[middle].gpn <= gpn) low = middle + 1;
      else high = middle;
    }
    const run = this.runs[low - 1];
    if (run === undefined || gpn >= run.gpn + run.pages) return undefined;
    this.#last = run;
    return run;
  }
}
