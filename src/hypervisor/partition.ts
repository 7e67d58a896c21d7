/**
 * A partition: the unit of isolation. It owns its memory pool, GPA map, overlays, virtual processors and
 * whatever other concepts keep in its parts.
 *
 *   HvCreatePartition          HvInitializePartition       HvFinalizePartition
 *   ────────────────▶ uninitialized ──────────▶ active ──────────▶ finalizing ──▶ finalized
 *                          │                                                         │
 *                          └──────────────── HvDeletePartition ◀─────────────────────┘
 *
 * Only the partition hypercalls (hypercalls/partition.ts) move the state. TLFS 2.0a §5.2.5.
 */
import type { Processor } from '../cpu/processor.ts';
import { defaultProperty, PartitionProperty } from '../hvdef/partition-property.ts';
import type { Privilege } from '../hvdef/privileges.ts';
import type { PartitionState } from '../hvdef/types.ts';
import { GPA_UNMAPPED, type GpaMap, SPN_MASK } from './gpa-map.ts';
import type { Machine } from './machine.ts';
import { MemoryPool } from './memory-pool.ts';
import { OverlayMap, PARTITION_WIDE } from './overlay-map.ts';
import { Parts } from './parts.ts';
import { rightsText } from './trace.ts';

/** What a partition and its other parts need of a virtual processor. */
export interface VirtualProcessorCore {
  readonly index: number;
  readonly partition: Partition;
  /** Undefined for the root's VP, which is the virtualization stack itself. */
  readonly processor: Processor | undefined;
  /** State that other concepts keep per VP: SynIC, timers, local APIC. */
  readonly parts: Parts<VirtualProcessorCore>;
  /** Forgets cached translations before it executes again, or before its next instruction if it executes. */
  flushTlb(): void;
  /** The same for guest virtual addresses only. */
  flushVirtual(): void;
  /** On an instruction boundary when this returns. */
  stand?(): void;
  /** Deletes the VP: stops it, releases its parts and pages. */
  release(): void;
  /** Plain data for `partita inspect`. */
  inspect?(): unknown;
}

export interface PartitionOptions {
  machine: Machine;
  id: number;
  parent: Partition | undefined;
  privileges: bigint;
  makeGpaMap: (partition: Partition) => GpaMap;
}

export class Partition {
  readonly machine: Machine;
  readonly id: number;
  /** Undefined for the root. */
  readonly parent: Partition | undefined;
  /** 0 for the root. */
  readonly depth: number;
  state: PartitionState = 'uninitialized';
  /** Page of the parent's pool that holds this object; the root has none. */
  objectPage = 0;
  readonly pool: MemoryPool;
  readonly gpaMap: GpaMap;
  readonly overlays: OverlayMap;
  /** By VP index. */
  readonly virtualProcessors = new Map<number, VirtualProcessorCore>();
  /** In the order of their creation. */
  readonly children: Partition[] = [];
  /** Values of the properties that were set; `property` knows the defaults. */
  readonly #properties = new Map<number, bigint>();
  /** State that other concepts keep per partition: intercepts, ports, connections, reference time. */
  readonly parts: Parts<Partition>;
  #privileges: bigint;
  #privilegesLow = 0;
  #privilegesHigh = 0;

  constructor(options: PartitionOptions) {
    this.machine = options.machine;
    this.id = options.id;
    this.parent = options.parent;
    this.depth = options.parent === undefined ? 0 : options.parent.depth + 1;
    this.#privileges = 0n;
    this.privileges = options.privileges;
    this.pool = new MemoryPool(options.machine, options.id);
    this.parts = new Parts<Partition>(this);
    this.overlays = new OverlayMap((overlay, enabled) => {
      this.flushTlbs();
      this.machine.trace.sink?.({
        kind: 'overlay',
        partition: this.id,
        overlay: overlay.kind,
        vp: overlay.vp,
        gpn: overlay.gpn,
        enabled,
      });
    });
    this.gpaMap = options.makeGpaMap(this);
  }

  get isRoot(): boolean {
    return this.parent === undefined;
  }

  get privileges(): bigint {
    return this.#privileges;
  }

  set privileges(mask: bigint) {
    this.#privileges = mask;
    this.#privilegesLow = Number(mask & 0xffff_ffffn);
    this.#privilegesHigh = Number((mask >> 32n) & 0xffff_ffffn);
  }

  hasPrivilege(privilege: Privilege): boolean {
    return privilege < 32
      ? ((this.#privilegesLow >>> privilege) & 1) === 1
      : ((this.#privilegesHigh >>> (privilege - 32)) & 1) === 1;
  }

  /** Value of an HV_PARTITION_PROPERTY_CODE that is known. */
  property(code: number): bigint {
    if (code === PartitionProperty.PrivilegeFlags) return this.#privileges;
    return this.#properties.get(code) ?? defaultProperty(code, this.machine.platform);
  }

  /** Stores a value that `checkProperty` has accepted. */
  setProperty(code: number, value: bigint): void {
    if (code === PartitionProperty.PrivilegeFlags) this.privileges = value;
    else if (code !== PartitionProperty.VirtualTlbPageCount) this.#properties.set(code, value);
  }

  /**
   * What VP `vp` reaches at guest page `gpn`: `spn | rights << 24`; GPA_UNMAPPED; or GPA_EMULATED (the local
   * APIC's page). Overlays cover the map, and the map's rights don't count beneath them. The page's contents are there
   * then; where they can't be had (absent-pages.ts), it answers as if nothing were mapped.
   */
  translate(gpn: number, vp: number = PARTITION_WIDE): number {
    const overlay = this.overlays.lookup(gpn, vp);
    if (overlay !== GPA_UNMAPPED) return overlay;
    const mapping = this.gpaMap.lookup(gpn);
    if (mapping < 0) return mapping;
    return this.machine.absentPages.makePresent(mapping & SPN_MASK) ? mapping : GPA_UNMAPPED;
  }

  /** Every VP forgets its cached translations. */
  flushTlbs(): void {
    for (const vp of this.virtualProcessors.values()) vp.flushTlb();
  }

  /** Runs after a batch of GPA map changes: VPs drop what went stale. */
  settleMappings(): void {
    if (!this.gpaMap.stale) return;
    this.gpaMap.stale = false;
    this.flushTlbs();
  }

  /** Plain data for `partita inspect`: addresses in pages, rights as text. */
  inspect(): unknown {
    const ranges = Array.from(this.gpaMap.ranges(), ({ gpn, pages, spn, rights }) => {
      return { gpn, pages, spn, rights: rightsText(rights) };
    });
    return {
      id: this.id,
      parent: this.parent?.id,
      state: this.state,
      privileges: `0x${this.#privileges.toString(16).padStart(16, '0')}`,
      pool: this.pool.inspect(),
      gpaMap: { pagesMapped: this.gpaMap.pagesMapped, ranges },
      overlays: this.overlays.list().map((each) => ({ ...each, rights: rightsText(each.rights) })),
      virtualProcessors: Array.from(
        this.virtualProcessors.values(),
        (vp) => vp.inspect?.() ?? { index: vp.index },
      ),
      parts: this.parts.inspect(),
    };
  }
}
