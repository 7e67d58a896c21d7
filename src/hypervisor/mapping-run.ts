/** Gathers the mapping changes of one hypercall into runs, so that the trace shows ranges and not pages. */
import type { PageList } from './gpa-map.ts';
import type { Partition } from './partition.ts';
import { rightsText } from './trace.ts';

export class MappingRun {
  readonly #partition: Partition;
  #gpn = 0;
  #pages = 0;
  #spn = 0;
  #text = '';

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** The first `count` pages of `list` were mapped at `gpn` and behind it. */
  add(gpn: number, list: PageList, count: number, rights: number): void {
    if (!this.isWanted) return;
    const text = rightsText(rights);
    const { words } = this.#partition.machine.memory;
    for (let index = 0; index < count; index++) {
      this.#extend(gpn + index, words[(list.address + index * list.step) / 4], text);
    }
  }

  /** Page `gpn` is about to be unmapped, if it is mapped. */
  remove(gpn: number): void {
    if (this.isWanted && this.#partition.gpaMap.lookup(gpn) >= 0) this.#extend(gpn, -1, 'unmapped');
  }

  /** Somebody looks: unmapping goes page by page then. */
  get isWanted(): boolean {
    return this.#partition.machine.trace.sink !== undefined;
  }

  /** Emits what is gathered. */
  end(): void {
    if (this.#pages === 0) return;
    this.#partition.machine.trace.sink?.({
      kind: 'mapping',
      partition: this.#partition.id,
      gpn: this.#gpn,
      pages: this.#pages,
      spn: this.#spn,
      rights: this.#text,
    });
    this.#pages = 0;
  }

  #extend(gpn: number, spn: number, text: string): void {
    const nextSpn = spn < 0 ? -1 : this.#spn + this.#pages;
    if (this.#pages > 0 && gpn === this.#gpn + this.#pages && spn === nextSpn && text === this.#text) {
      this.#pages++;
      return;
    }
    this.end();
    this.#gpn = gpn;
    this.#spn = spn;
    this.#pages = 1;
    this.#text = text;
  }
}
