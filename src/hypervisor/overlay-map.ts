/**
 * GPA overlay pages of a partition: pages of the hypervisor that cover whatever the GPA map says. Owned by
 * the partition; changed by the synthetic MSRs and the local APIC base. TLFS 2.0a §8.1.3.
 *
 * Open in the specification, chosen here: where several overlays lie on one page, the kind that comes first
 * in STACKING wins, and among equals the lowest VP index. Disabling or moving it uncovers the next, at last
 * the GPA mapping. A private overlay (the local APIC) is seen by its own virtual processor only.
 */
import { GPA_UNMAPPED, RIGHTS_SHIFT } from './gpa-map.ts';

/** Kinds, the one that covers all others first. */
export const STACKING = [
  'local-apic',
  'hypercall-page',
  'reference-tsc',
  'vp-assist',
  'message-page',
  'event-flags-page',
  'monitor-page',
  'stats-page',
  'event-log',
] as const;
export type OverlayKind = (typeof STACKING)[number];

/** `translate` answers this for a page whose accesses the hypervisor emulates (the local APIC). */
export const GPA_EMULATED = -2;

/** The owner of an overlay that belongs to the partition as a whole. */
export const PARTITION_WIDE = -1;

export interface Overlay {
  readonly kind: OverlayKind;
  /** Owning VP, or PARTITION_WIDE. */
  readonly vp: number;
  readonly gpn: number;
  /** Backing page, or GPA_EMULATED. */
  readonly spn: number;
  /** `Access` bits that the guest has. */
  readonly rights: number;
  /** Only the owning VP sees it. */
  readonly isPrivate: boolean;
}

export class OverlayMap {
  /** Per GPA page, the overlays on it, the visible one first. */
  readonly #byPage = new Map<number, Overlay[]>();
  readonly #byOwner = new Map<string, Overlay>();
  readonly #changed: (overlay: Overlay, enabled: boolean) => void;

  /** `changed` runs after each change: cached translations are stale. */
  constructor(changed: (overlay: Overlay, enabled: boolean) => void) {
    this.#changed = changed;
  }

  /** Places (or moves) the overlay of this kind and owner. */
  place(overlay: Overlay): void {
    this.remove(overlay.kind, overlay.vp);
    this.#byOwner.set(ownerKey(overlay.kind, overlay.vp), overlay);
    const stack = this.#byPage.get(overlay.gpn) ?? [];
    stack.push(overlay);
    stack.sort((a, b) => STACKING.indexOf(a.kind) - STACKING.indexOf(b.kind) || a.vp - b.vp);
    this.#byPage.set(overlay.gpn, stack);
    this.#changed(overlay, true);
  }

  /** Takes the overlay away; what it covered shows again. */
  remove(kind: OverlayKind, vp: number): void {
    const overlay = this.#byOwner.get(ownerKey(kind, vp));
    if (overlay === undefined) return;
    this.#byOwner.delete(ownerKey(kind, vp));
    const left = this.#byPage.get(overlay.gpn)!.filter((other) => other !== overlay);
    if (left.length === 0) this.#byPage.delete(overlay.gpn);
    else this.#byPage.set(overlay.gpn, left);
    this.#changed(overlay, false);
  }

  /** The overlay that VP `vp` sees at `gpn`. */
  at(gpn: number, vp: number): Overlay | undefined {
    if (this.#byPage.size === 0) return undefined;
    const stack = this.#byPage.get(gpn);
    if (stack === undefined) return undefined;
    for (const overlay of stack) if (!overlay.isPrivate || overlay.vp === vp) return overlay;
    return undefined;
  }

  /** `spn | rights << 24` of the overlay at `gpn`, GPA_EMULATED, or GPA_UNMAPPED where there is none. */
  lookup(gpn: number, vp: number): number {
    const overlay = this.at(gpn, vp);
    if (overlay === undefined) return GPA_UNMAPPED;
    return overlay.spn < 0 ? overlay.spn : overlay.spn | (overlay.rights << RIGHTS_SHIFT);
  }

  list(): Overlay[] {
    return [...this.#byOwner.values()].sort((a, b) => a.gpn - b.gpn);
  }

  /** Removes every overlay of VP `vp`. */
  removeOwner(vp: number): void {
    for (const overlay of this.list()) if (overlay.vp === vp) this.remove(overlay.kind, overlay.vp);
  }

  clear(): void {
    for (const overlay of this.list()) this.remove(overlay.kind, overlay.vp);
  }
}

function ownerKey(kind: OverlayKind, vp: number): string {
  return `${kind}/${vp}`;
}
