/**
 * What a partition holds for interrupts, messages and time, as parts under one key each; and how these concepts
 * reach the partition's pool and overlays. Whoever creates a VP adds its SynIC and local APIC here.
 */
import { GPA_PAGE_LIMIT } from '../hvdef/types.ts';
import { ConnectionTable } from './connection.ts';
import { CrashRegisters, type GuestCrash } from './crash-registers.ts';
import { type HypercallFlavour, HypercallPage } from './hypercall-page.ts';
import { LocalApicBus } from './local-apic-bus.ts';
import { type OverlayKind, PARTITION_WIDE } from './overlay-map.ts';
import type { OverlayHost } from './overlay-register.ts';
import type { Partition } from './partition.ts';
import { type Part, partKey } from './parts.ts';
import { type PortOwner, PortTable } from './port.ts';
import { ReferenceTime } from './reference-time.ts';
import { ReferenceTscPage } from './reference-tsc-page.ts';
import type { Synic } from './synic.ts';

/** The pool and the overlays of `partition`, for pages that belong to `vp`. */
export function overlayHost(partition: Partition, vp: number = PARTITION_WIDE): OverlayHost {
  return {
    memory: partition.machine.memory,
    allocatePage: (cause) => partition.pool.draw(cause),
    freePage: (spn) => partition.pool.release(spn),
    placeOverlay: (kind, gpn, spn, rights) => placeOverlay(partition, kind, vp, gpn, spn, rights),
    removeOverlay: (kind) => partition.overlays.remove(kind, vp),
  };
}

function placeOverlay(
  partition: Partition,
  kind: OverlayKind,
  vp: number,
  gpn: number,
  spn: number,
  rights: number,
): boolean {
  if (gpn >= GPA_PAGE_LIMIT) return false;
  partition.overlays.place({ kind, vp, gpn, spn, rights, isPrivate: false });
  return true;
}

/** The SynICs of a partition, by VP index. */
export class SynicDirectory implements Part {
  readonly #synics = new Map<number, Synic>();

  add(synic: Synic): void {
    this.#synics.set(synic.vpIndex, synic);
  }
  remove(synic: Synic): void {
    this.#synics.delete(synic.vpIndex);
  }
  of(vpIndex: number): Synic | undefined {
    return this.#synics.get(vpIndex);
  }
  all(): Synic[] {
    return [...this.#synics.values()].sort((a, b) => a.vpIndex - b.vpIndex);
  }
  inspect(): unknown {
    return this.all().map((synic) => ({ vp: synic.vpIndex, enabled: synic.enabled }));
  }
}

/** The pages that a partition has once, drawn when its first VP is created. */
export class SyntheticPages implements Part {
  readonly #partition: Partition;
  flavour: HypercallFlavour = 'intel';
  hypercallPage: HypercallPage | undefined;
  referenceTscPage: ReferenceTscPage | undefined;

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** Draws the pages if that has not been done; false when the pool has too few. */
  ensure(): boolean {
    const host = overlayHost(this.#partition);
    this.hypercallPage ??= HypercallPage.create(host, this.flavour);
    this.referenceTscPage ??= ReferenceTscPage.create(host);
    return this.hypercallPage !== undefined && this.referenceTscPage !== undefined;
  }

  /** Partition reset. */
  reset(): void {
    this.hypercallPage?.reset();
    this.referenceTscPage?.reset();
  }

  release(): void {
    this.hypercallPage?.release();
    this.referenceTscPage?.release();
    this.hypercallPage = undefined;
    this.referenceTscPage = undefined;
  }

  inspect(): unknown {
    return { hypercall: this.hypercallPage?.inspect(), referenceTsc: this.referenceTscPage?.inspect() };
  }
}

/** The crash registers and who wants to know of a crash. */
export class PartitionCrash implements Part {
  readonly registers: CrashRegisters;
  onCrash: ((crash: GuestCrash) => void) | undefined;

  constructor() {
    this.registers = new CrashRegisters((crash) => this.onCrash?.(crash));
  }
  inspect(): unknown {
    return this.registers.inspect();
  }
}

function portOwner(partition: Partition): PortOwner {
  const directory = () => partition.parts.get(SYNICS);
  return {
    ...overlayHost(partition),
    id: partition.id,
    get active() {
      return partition.state === 'active';
    },
    synicOf: (vpIndex) => directory().of(vpIndex),
    synics: () => directory().all(),
    placeSharedPage: (kind, owner, gpn, spn, rights) =>
      placeOverlay(partition, kind, owner, gpn, spn, rights),
    removeSharedPage: (kind, owner) => partition.overlays.remove(kind, owner),
  };
}

export const REFERENCE_TIME = partKey<Partition, ReferenceTime>(
  'reference-time',
  (partition) => new ReferenceTime(partition.machine.clock),
);
export const SYNICS = partKey<Partition, SynicDirectory>('synics', () => new SynicDirectory());
export const APIC_BUS = partKey<Partition, LocalApicBus>('local-apics', () => new LocalApicBus());
export const SYNTHETIC_PAGES = partKey<Partition, SyntheticPages>(
  'synthetic-pages',
  (partition) => new SyntheticPages(partition),
);
export const CRASH = partKey<Partition, PartitionCrash>('crash', () => new PartitionCrash());
export const PORTS = partKey<Partition, PortTable>(
  'ports',
  (partition) => new PortTable(portOwner(partition)),
);
export const CONNECTIONS = partKey<Partition, ConnectionTable>(
  'connections',
  (partition) => new ConnectionTable(portOwner(partition)),
);
