/** The soft TLB from outside the generated code: forgetting, and looking without filling. */
import {
  AREA_GPA_CACHE,
  AREA_SECOND_GENERATION,
  AREA_SECOND_TLB,
  AREA_TLB,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_SHIFT,
  TLB_EXECUTE,
  TLB_WRITE,
} from './logical-processor-area.ts';
import type { PhysicalMemory } from './processor.ts';

export class SoftTlb {
  private readonly memory: PhysicalMemory;
  private readonly area: number;

  /** `area` is the byte address of the logical processor's area. */
  constructor(memory: PhysicalMemory, area: number) {
    this.memory = memory;
    this.area = area;
  }

  private entry(linear: bigint, user: boolean): number {
    const page = Number(BigInt.asUintN(32, linear >> 12n));
    const index = ((page + (page >>> 10)) & (TLB_ENTRIES - 1)) + (user ? TLB_ENTRIES : 0);
    return this.area + AREA_TLB + (index << TLB_ENTRY_SHIFT);
  }

  /** Host address of a byte whose page is held for execution; negative otherwise. */
  executable(linear: bigint, user: boolean): number {
    const { view } = this.memory;
    const entry = this.entry(linear, user);
    if (view.getBigUint64(entry + TLB_EXECUTE, true) !== (linear & ~0xfffn)) return -1;
    return (Number(linear & 0xffffffffn) + view.getUint32(entry + TLB_ADDEND, true)) >>> 0;
  }

  /** Forgets all guest virtual and guest physical translations. */
  flush(): void {
    this.memory.bytes.fill(0xff, this.area + AREA_TLB, this.area + AREA_SECOND_TLB);
    this.forgetSecondLevel();
  }

  /** Forgets all guest virtual translations. */
  flushVirtual(): void {
    this.memory.bytes.fill(0xff, this.area + AREA_TLB, this.area + AREA_GPA_CACHE);
    this.forgetSecondLevel();
  }

  /** Stores to system physical page `spn` no longer go through a translation that is held. */
  guardPage(spn: number): void {
    const { words } = this.memory;
    this.forgetSecondLevel();
    const first = (this.area + AREA_TLB) >>> 2;
    const stride = 1 << (TLB_ENTRY_SHIFT - 2);
    const end = first + 2 * TLB_ENTRIES * stride;
    for (let entry = first; entry < end; entry += stride) {
      const tag = words[entry + TLB_WRITE / 4];
      if (((tag + words[entry + TLB_ADDEND / 4]) >>> 0) >>> 12 !== spn) continue;
      words[entry + TLB_WRITE / 4] = 0xffffffff;
      words[entry + TLB_WRITE / 4 + 1] = 0xffffffff;
    }
  }

  /** Forgets one guest virtual page, of both privileges. */
  flushPage(gva: bigint): void {
    for (const user of [false, true]) {
      const entry = this.entry(gva, user);
      this.memory.bytes.fill(0xff, entry, entry + TLB_ADDEND);
    }
    this.forgetSecondLevel();
  }

  /** Another generation empties the second level. */
  private forgetSecondLevel(): void {
    const { view } = this.memory;
    const at = this.area + AREA_SECOND_GENERATION;
    view.setUint32(at, view.getUint32(at, true) + 1, true);
  }
}
