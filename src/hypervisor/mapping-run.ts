/** Gathers the mapping changes of one hypercall into runs, so that the trace shows ranges and not pages. */
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

  /** Page `gpn` was mapped. */
  add(gpn: number, spn: number, rights: number): void {
    if (this.#partition.machine.trace.sink !== undefined) this.#extend(gpn, spn, rightsText(rights));
  }

  /** Page `gpn` was unmapped. */
  remove(gpn: number): void {
    if (this.#partition.machine.trace.sink !== undefined) this.#extend(gpn, -1, 'unmapped');
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
