import { describe, expect, test } from 'vitest';
import { HvStatus } from '../hvdef/status.ts';
import { HV_ANY_VP, MonitorPageLayout, PortType } from '../hvdef/synic.ts';
import { ConnectionTable } from './connection.ts';
import { PortTable } from './port.ts';
import { FakePool, portOwner, readySynic } from './synic-fixture.ts';

const NOTHING = new Uint8Array(240);
const MESSAGE = { type: PortType.Message, sint: 2, vp: HV_ANY_VP } as const;
const EVENT = { type: PortType.Event, sint: 2, vp: HV_ANY_VP, baseFlag: 100, flagCount: 8 } as const;

function setup(pages?: number) {
  const pool = new FakePool(pages);
  const first = readySynic(pool, 0);
  const second = readySynic(pool, 1);
  const owner = portOwner(pool, [first.synic, second.synic]);
  return { pool, first, second, owner, ports: new PortTable(owner), connections: new ConnectionTable(owner) };
}

describe('message ports', () => {
  test('hold sixteen messages, then say INSUFFICIENT_BUFFERS', () => {
    const { ports, first, pool } = setup();
    ports.create(7, MESSAGE, 1);
    const port = ports.get(7)!;
    const post = () => port.postMessage(1, NOTHING, 8);
    // One goes to the slot at once; sixteen wait.
    for (let count = 0; count < 17; count++) expect(post()).toBe(HvStatus.SUCCESS);
    expect(post()).toBe(HvStatus.INSUFFICIENT_BUFFERS);
    expect(port.postCount).toBe(17);
    const slot = first.synic.messagePageAddress + 512;
    expect(pool.memory.view.getBigUint64(slot + 8, true)).toBe(7n);
    pool.memory.view.setUint32(slot, 0, true);
    first.synic.scan();
    expect(post()).toBe(HvStatus.SUCCESS);
  });

  test('HV_ANY_VP goes to a VP that accepts, the preferred one first', () => {
    const { ports, first, second } = setup();
    ports.create(1, MESSAGE, 1);
    ports.get(1)!.preferredVp = 1;
    ports.get(1)!.postMessage(1, NOTHING, 0);
    expect(second.interrupts.length).toBe(1);
    second.synic.writeMsr(0x4000_0080, 0, 0);
    ports.get(1)!.postMessage(1, NOTHING, 0);
    expect(first.interrupts.length).toBe(1);
    first.synic.writeMsr(0x4000_0080, 0, 0);
    expect(ports.get(1)!.postMessage(1, NOTHING, 0)).toBe(HvStatus.INVALID_SYNIC_STATE);
  });

  test('a VP that does not exist is INVALID_VP_INDEX', () => {
    const { ports } = setup();
    ports.create(1, { ...MESSAGE, vp: 5 }, 1);
    expect(ports.get(1)!.postMessage(1, NOTHING, 0)).toBe(HvStatus.INVALID_VP_INDEX);
  });

  test('deleting a port loses its queued messages and gives its memory back', () => {
    const { ports, pool, first } = setup();
    const before = pool.free;
    ports.create(1, MESSAGE, 1);
    expect(pool.free).toBe(before - 2);
    const port = ports.get(1)!;
    port.postMessage(1, NOTHING, 0);
    port.postMessage(2, NOTHING, 0);
    ports.delete(1);
    expect(pool.free).toBe(before);
    pool.memory.view.setUint32(first.synic.messagePageAddress + 512, 0, true);
    first.synic.scan();
    expect(first.interrupts.length).toBe(1);
    expect(port.postMessage(1, NOTHING, 0)).toBe(HvStatus.INVALID_PORT_ID);
  });

  test('an empty pool refuses and nothing stays allocated', () => {
    const { ports, pool } = setup(7);
    expect(pool.free).toBe(1);
    expect(ports.create(1, MESSAGE, 1)).toBe(HvStatus.INSUFFICIENT_MEMORY);
    expect(pool.free).toBe(1);
    expect(ports.create(1, EVENT, 1)).toBe(HvStatus.SUCCESS);
  });
});

describe('event ports', () => {
  test('add their base flag and refuse flags beyond their count', () => {
    const { ports, first } = setup();
    ports.create(1, EVENT, 1);
    expect(ports.get(1)!.signalEvent(8)).toBe(HvStatus.INVALID_PARAMETER);
    expect(ports.get(1)!.signalEvent(7)).toBe(HvStatus.SUCCESS);
    expect(first.synic.eventFlag(2, 107)).toBe(true);
    expect(ports.get(1)!.postMessage(1, NOTHING, 0)).toBe(HvStatus.INVALID_PORT_ID);
  });

  test('of an inactive partition are no ports', () => {
    const { ports, owner } = setup();
    ports.create(1, EVENT, 1);
    owner.active = false;
    expect(ports.get(1)!.signalEvent(0)).toBe(HvStatus.INVALID_PORT_ID);
  });
});

describe('monitor ports', () => {
  test('signal the event of a pending trigger after its latency', () => {
    const { pool, ports, connections, first } = setup();
    ports.create(1, EVENT, 2);
    ports.create(2, { type: PortType.Monitor, gpn: 0x300 }, 2);
    connections.create(11, ports.get(1)!, 0);
    connections.create(12, ports.get(2)!, 0x400);
    expect([...pool.placed.values()]).toEqual(expect.arrayContaining([0x300, 0x400]));
    const base = ports.get(2)!.monitorPage!.spn * 4096;
    const { view } = pool.memory;
    view.setUint32(base + MonitorPageLayout.TriggerState, 2, true); // group 1
    view.setUint16(base + MonitorPageLayout.Latency + (32 + 4) * 2, 5000, true); // 500 us
    view.setUint32(base + MonitorPageLayout.Parameters + (32 + 4) * 8, 11, true);
    view.setUint16(base + MonitorPageLayout.Parameters + (32 + 4) * 8 + 4, 3, true);
    view.setUint32(base + MonitorPageLayout.TriggerGroups + 8, 1 << 4, true);
    ports.expire(1_000_000);
    expect(first.synic.eventFlag(2, 103)).toBe(false);
    ports.expire(1_400_000);
    expect(first.synic.eventFlag(2, 103)).toBe(false);
    ports.expire(1_500_000);
    expect(first.synic.eventFlag(2, 103)).toBe(true);
    expect(view.getUint32(base + MonitorPageLayout.TriggerGroups + 8, true)).toBe(0);
  });

  test('deleting the port takes the page out of both partitions', () => {
    const { pool, ports, connections } = setup();
    ports.create(2, { type: PortType.Monitor, gpn: 0x300 }, 2);
    connections.create(12, ports.get(2)!, 0x400);
    ports.delete(2);
    expect([...pool.placed.keys()].filter((key) => key.startsWith('monitor-page'))).toEqual([]);
    expect(connections.delete(12)).toBe(true);
  });
});

test('disconnecting frees the port for another connection', () => {
  const { ports, connections, pool } = setup();
  ports.create(1, EVENT, 2);
  const before = pool.free;
  connections.create(5, ports.get(1)!, 0);
  expect(ports.get(1)!.connected).toBe(true);
  connections.delete(5);
  expect(ports.get(1)!.connected).toBe(false);
  expect(pool.free).toBe(before);
});
