/** For unit tests: a little memory with a pool of pages, overlays that are only noted, and a clock that is set by hand. */
import type { PhysicalMemory } from '../cpu/processor.ts';
import type { LocalApicHost } from './local-apic.ts';
import type { OverlayKind } from './overlay-map.ts';
import type { OverlayHost } from './overlay-register.ts';
import type { PortOwner } from './port.ts';
import { Synic } from './synic.ts';

const PAGES = 64;

export function fakeMemory(): PhysicalMemory {
  const memory = new WebAssembly.Memory({ initial: PAGES / 16, maximum: PAGES / 16, shared: true });
  return {
    memory,
    bytes: new Uint8Array(memory.buffer),
    words: new Uint32Array(memory.buffer),
    view: new DataView(memory.buffer),
    pageCount: PAGES,
    codeMapAddress: 0,
    codeHolders: [],
    noteWritten: () => {},
  };
}

/** A pool of `pages` pages; `placed` notes overlays as kind -> gpn. */
export class FakePool implements OverlayHost {
  readonly memory = fakeMemory();
  readonly placed = new Map<string, number>();
  readonly #free: number[];
  now = 0;

  constructor(pages = 32) {
    this.#free = Array.from({ length: pages }, (_, index) => pages - index);
  }
  get free(): number {
    return this.#free.length;
  }
  allocatePage = (): number => this.#free.pop() ?? -1;
  freePage = (spn: number): void => void this.#free.push(spn);
  placeOverlay = (kind: OverlayKind, gpn: number): boolean => {
    if (gpn >= 2 ** 20) return false;
    this.placed.set(kind, gpn);
    return true;
  };
  removeOverlay = (kind: OverlayKind): void => void this.placed.delete(kind);
}

export interface FakeSynic {
  synic: Synic;
  /** [vector, autoEoi] in the order of arrival. */
  interrupts: [number, boolean][];
}

/** A SynIC that takes messages and events: enabled, pages placed, SINT2 on vector 0x52. */
export function readySynic(pool: FakePool, vpIndex = 0): FakeSynic {
  const interrupts: [number, boolean][] = [];
  const synic = Synic.create({
    memory: pool.memory,
    allocatePage: pool.allocatePage,
    freePage: pool.freePage,
    placeOverlay: pool.placeOverlay,
    removeOverlay: pool.removeOverlay,
    vpIndex,
    readTsc: () => pool.now,
    referenceCount: () => Math.floor(pool.now / 100),
    requestInterrupt: (vector, autoEoi) => interrupts.push([vector, autoEoi]),
  });
  if (synic === undefined) throw new Error('the pool is too small');
  synic.writeMsr(0x4000_0080, 1, 0);
  synic.writeMsr(0x4000_0083, 0x10_0001, 0);
  synic.writeMsr(0x4000_0082, 0x10_1001, 0);
  synic.writeMsr(0x4000_0092, 0x52, 0);
  return { synic, interrupts };
}

export function portOwner(pool: FakePool, synics: Synic[], id = 2): PortOwner & { active: boolean } {
  return {
    memory: pool.memory,
    allocatePage: pool.allocatePage,
    freePage: pool.freePage,
    id,
    active: true,
    synicOf: (vpIndex) => synics.find((synic) => synic.vpIndex === vpIndex),
    synics: () => synics,
    placeSharedPage: (kind, owner, gpn) => {
      pool.placed.set(`${kind}/${owner}`, gpn);
      return true;
    },
    removeSharedPage: (kind, owner) => void pool.placed.delete(`${kind}/${owner}`),
  };
}

/** A host that notes what its local APIC asks for. */
export function apicHost(events: string[] = []): LocalApicHost & { now: number; cr8: number } {
  return {
    now: 0,
    cr8: 0,
    readTsc() {
      return this.now;
    },
    guestTscOffset: () => 0,
    getCr8() {
      return this.cr8;
    },
    setCr8(value) {
      this.cr8 = value;
    },
    eoiAssist: undefined,
    levelEoi: (vector) => events.push(`eoi ${vector}`),
    afterEoi: () => events.push('after-eoi'),
    deliverabilityChanged: () => {},
    sendIpi: (request) => events.push(`ipi ${request.mode} ${request.vector} ${request.destination}`),
    nmi: () => events.push('nmi'),
    init: () => events.push('init'),
    startup: (vector) => events.push(`startup ${vector}`),
  };
}
