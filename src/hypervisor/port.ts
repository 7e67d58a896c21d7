/**
 * Ports: where messages and events enter a partition (TLFS 2.0a §14.4, §14.8.6, §14.9.1, §14.9.2). A table of
 * them per partition, which owns their memory: a 64-byte cell each, a page of sixteen message buffers for a
 * message port, the shared page for a monitor port.
 *
 *   created --HvConnectPort--> connected --HvDisconnectPort--> created
 *      '------ HvDeletePort ------'--> deleted: its queued messages are lost, its connection is useless
 */
import { Access } from '../cpu/processor.ts';
import { HvStatus } from '../hvdef/status.ts';
import { HV_ANY_VP, PortType } from '../hvdef/synic.ts';
import { type MessageBuffer, messageBuffersOf } from './message-buffer.ts';
import type { OverlayKind } from './overlay-map.ts';
import { PoolSlab, type SlabHost } from './pool-slab.ts';
import { MonitorPage } from './port-monitor-page.ts';
import type { Synic } from './synic.ts';

/** Ports a partition can have; HV_STATUS_NO_RESOURCES beyond. */
const MAX_PORTS = 4096;

/** What ports and connections need of their partition. */
export interface PortOwner extends SlabHost {
  readonly id: number;
  readonly active: boolean;
  /** The SynIC of a VP, or undefined where there is no such VP. */
  synicOf(vpIndex: number): Synic | undefined;
  /** All SynICs, by ascending VP index. */
  synics(): Synic[];
  /** Places a shared page; `owner` is unique among the partition's overlays of this kind. */
  placeSharedPage(kind: OverlayKind, owner: number, gpn: number, spn: number, rights: number): boolean;
  removeSharedPage(kind: OverlayKind, owner: number): void;
}

/** HV_PORT_INFO, decoded and checked. */
export type PortInfo =
  | { type: typeof PortType.Message; sint: number; vp: number }
  | { type: typeof PortType.Event; sint: number; vp: number; baseFlag: number; flagCount: number }
  | { type: typeof PortType.Monitor; gpn: number };

export class Port {
  readonly owner: PortOwner;
  readonly id: number;
  readonly info: PortInfo;
  /** The partition whose connections are allowed. */
  readonly connectionPartition: number;
  readonly monitorPage: MonitorPage | undefined;
  readonly #buffers: readonly MessageBuffer[];
  readonly #pages: readonly number[];
  readonly #cell: number;
  deleted = false;
  connected = false;
  /** Set by the connection to a monitor port: takes its view of the shared page away. */
  unshare: (() => void) | undefined;
  postCount = 0;
  preferredVp = HV_ANY_VP;

  constructor(options: {
    owner: PortOwner;
    id: number;
    info: PortInfo;
    connectionPartition: number;
    cell: number;
    page: number;
  }) {
    this.owner = options.owner;
    this.id = options.id;
    this.info = options.info;
    this.connectionPartition = options.connectionPartition;
    this.#cell = options.cell;
    this.#pages = options.page < 0 ? [] : [options.page];
    const { memory } = options.owner;
    this.#buffers = options.info.type === PortType.Message ? messageBuffersOf(memory, options.page) : [];
    this.monitorPage =
      options.info.type === PortType.Monitor ? new MonitorPage(memory, options.page) : undefined;
  }

  get cell(): number {
    return this.#cell;
  }

  /** Sends a message through this port (§14.9.7); the caller has checked type and size. Answers an HV_STATUS. */
  postMessage(type: number, payload: Uint8Array, size: number): number {
    if (this.deleted || !this.owner.active || this.info.type !== PortType.Message)
      return HvStatus.INVALID_PORT_ID;
    const target = this.#target(this.info.vp, (synic) => synic.acceptsMessages);
    if (typeof target === 'number') return target;
    const buffer = this.freeBuffer();
    if (buffer === undefined) return HvStatus.INSUFFICIENT_BUFFERS;
    buffer.fill(type, BigInt(this.id), payload, size);
    this.postCount++;
    target.post(this.info.sint, buffer);
    return HvStatus.SUCCESS;
  }

  /** A message buffer that is not queued. */
  freeBuffer(): MessageBuffer | undefined {
    return this.deleted ? undefined : this.#buffers.find((candidate) => !candidate.queued);
  }

  /** Signals relative event flag `flag` (§14.9.8). Answers an HV_STATUS. */
  signalEvent(flag: number): number {
    if (this.deleted || !this.owner.active || this.info.type !== PortType.Event)
      return HvStatus.INVALID_PORT_ID;
    if (flag >= this.info.flagCount) return HvStatus.INVALID_PARAMETER;
    const target = this.#target(this.info.vp, (synic) => synic.acceptsEvents);
    if (typeof target === 'number') return target;
    return target.signalEvent(this.info.sint, this.info.baseFlag + flag);
  }

  /** The SynIC that a message or an event goes to, or the HV_STATUS that says why there is none. */
  #target(vp: number, accepts: (synic: Synic) => boolean): Synic | number {
    if (vp !== HV_ANY_VP) {
      const synic = this.owner.synicOf(vp);
      if (synic === undefined) return HvStatus.INVALID_VP_INDEX;
      return accepts(synic) ? synic : HvStatus.INVALID_SYNIC_STATE;
    }
    const preferred = this.owner.synicOf(this.preferredVp);
    if (preferred !== undefined && accepts(preferred)) return preferred;
    const all = this.owner.synics();
    if (all.length === 0) return HvStatus.INVALID_VP_INDEX;
    return all.find(accepts) ?? HvStatus.INVALID_SYNIC_STATE;
  }

  /** Gives everything back; queued messages are lost. */
  release(): void {
    this.deleted = true;
    for (const buffer of this.#buffers) buffer.withdraw();
    if (this.monitorPage !== undefined) {
      this.unshare?.();
      this.owner.removeSharedPage('monitor-page', monitorOverlayOfPort(this.id));
    }
    for (const page of this.#pages) this.owner.freePage(page);
  }
}

/** Owner numbers of monitor overlays: below every VP index, apart for ports and connections. */
export function monitorOverlayOfPort(portId: number): number {
  return -2 - portId;
}
export function monitorOverlayOfConnection(connectionId: number): number {
  return -2 - 2 ** 24 - connectionId;
}

export class PortTable {
  readonly owner: PortOwner;
  readonly #ports = new Map<number, Port>();
  readonly #slab: PoolSlab;

  constructor(owner: PortOwner) {
    this.owner = owner;
    this.#slab = new PoolSlab(owner, 'ports');
  }

  get(id: number): Port | undefined {
    return this.#ports.get(id);
  }

  /** Allocates a port under an id that the caller has found free. Answers an HV_STATUS. */
  create(id: number, info: PortInfo, connectionPartition: number): number {
    if (this.#ports.size >= MAX_PORTS) return HvStatus.NO_RESOURCES;
    const cell = this.#slab.allocate();
    if (cell < 0) return HvStatus.INSUFFICIENT_MEMORY;
    const needsPage = info.type !== PortType.Event;
    const cause = info.type === PortType.Message ? 'message-buffers' : 'monitor-page';
    const page = needsPage ? this.owner.allocatePage(cause) : -1;
    if (needsPage && page < 0) {
      this.#slab.free(cell);
      return HvStatus.INSUFFICIENT_MEMORY;
    }
    const port = new Port({ owner: this.owner, id, info, connectionPartition, cell, page });
    this.#ports.set(id, port);
    if (info.type === PortType.Monitor) {
      const owner = monitorOverlayOfPort(id);
      this.owner.placeSharedPage('monitor-page', owner, info.gpn, page, Access.Read | Access.Write);
    }
    return HvStatus.SUCCESS;
  }

  delete(id: number): boolean {
    const port = this.#ports.get(id);
    if (port === undefined) return false;
    port.release();
    this.#slab.free(port.cell);
    this.#ports.delete(id);
    return true;
  }

  /** The earliest time at which a monitor page is looked at. */
  nextDeadline(): number {
    let earliest = Infinity;
    for (const port of this.#ports.values()) {
      const deadline = port.monitorPage?.nextDeadline() ?? Infinity;
      if (deadline < earliest) earliest = deadline;
    }
    return earliest;
  }
  expire(now: number): void {
    for (const port of this.#ports.values()) port.monitorPage?.expire(now);
  }

  release(): void {
    for (const id of [...this.#ports.keys()]) this.delete(id);
  }

  inspect(): unknown {
    return [...this.#ports.values()].map((port) => ({
      id: port.id,
      ...port.info,
      connectionPartition: port.connectionPartition,
      connected: port.connected,
      postCount: port.postCount,
    }));
  }
}
