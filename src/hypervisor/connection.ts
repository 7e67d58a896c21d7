/**
 * Connections: the sender's end of a port (TLFS 2.0a §14.4, §14.8.8, §14.9.3, §14.9.6). A table of them per
 * partition, which owns their memory, a 64-byte cell each. A connection outlives its port, but is useless then.
 */
import { Access } from '../cpu/processor.ts';
import { HvStatus } from '../hvdef/status.ts';
import { PoolSlab } from './pool-slab.ts';
import { monitorOverlayOfConnection, type Port, type PortOwner } from './port.ts';

/** Connections a partition can have; HV_STATUS_NO_RESOURCES beyond. */
const MAX_CONNECTIONS = 4096;

export interface Connection {
  readonly id: number;
  readonly port: Port;
  readonly cell: number;
}

export class ConnectionTable {
  readonly owner: PortOwner;
  readonly #connections = new Map<number, Connection>();
  readonly #slab: PoolSlab;

  constructor(owner: PortOwner) {
    this.owner = owner;
    this.#slab = new PoolSlab(owner, 'connections');
  }

  get(id: number): Connection | undefined {
    return this.#connections.get(id);
  }

  /** Connects `port` under an id that the caller has found free; `monitorGpn` for monitor ports. An HV_STATUS. */
  create(id: number, port: Port, monitorGpn: number): number {
    if (this.#connections.size >= MAX_CONNECTIONS) return HvStatus.NO_RESOURCES;
    const cell = this.#slab.allocate();
    if (cell < 0) return HvStatus.INSUFFICIENT_MEMORY;
    this.#connections.set(id, { id, port, cell });
    port.connected = true;
    const page = port.monitorPage;
    if (page !== undefined) {
      const owner = monitorOverlayOfConnection(id);
      this.owner.placeSharedPage('monitor-page', owner, monitorGpn, page.spn, Access.Read | Access.Write);
      page.signal = (connectionId, flag) => void this.get(connectionId)?.port.signalEvent(flag);
      port.unshare = () => {
        page.signal = undefined;
        port.unshare = undefined;
        this.owner.removeSharedPage('monitor-page', owner);
      };
    }
    return HvStatus.SUCCESS;
  }

  /** False when there is no such connection. */
  delete(id: number): boolean {
    const connection = this.#connections.get(id);
    if (connection === undefined) return false;
    connection.port.unshare?.();
    connection.port.connected = false;
    this.#connections.delete(id);
    this.#slab.free(connection.cell);
    return true;
  }

  release(): void {
    for (const id of [...this.#connections.keys()]) this.delete(id);
  }

  inspect(): unknown {
    return [...this.#connections.values()].map(({ id, port }) => ({
      id,
      portPartition: port.owner.id,
      port: port.id,
      useless: port.deleted,
    }));
  }
}
