import { describe, expect, test } from 'vitest';
import { DEFAULT_CHILD_PRIVILEGES } from '../../hvdef/privileges.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { Fixture } from '../hypercall-fixture.ts';
import type { Partition, VirtualProcessorCore } from '../partition.ts';
import { CONNECTIONS, overlayHost, PORTS, SYNICS } from '../partition-interrupts.ts';
import { Parts } from '../parts.ts';
import { Synic } from '../synic.ts';
import { synicHypercalls } from './synic.ts';

const CreatePort = 0x57;
const DeletePort = 0x58;
const ConnectPort = 0x59;
const GetPortProperty = 0x5a;
const DisconnectPort = 0x5b;
const PostMessage = 0x5c;
const SignalEvent = 0x5d;
const SetPortProperty = 0x70;
const ANY_VP = 0xffff_ffffn << 32n;
const MESSAGE_PORT = [1n, 2n | ANY_VP, 0n];
const EVENT_PORT = [2n, 2n | ANY_VP, 100n | (8n << 16n)];

function core(partition: Partition): VirtualProcessorCore {
  const vp: VirtualProcessorCore = {
    index: 0,
    partition,
    processor: undefined,
    parts: undefined as unknown as Parts<VirtualProcessorCore>,
    flushTlb: () => {},
    flushVirtual: () => {},
    release: () => {},
  };
  return Object.assign(vp, { parts: new Parts(vp) });
}

function setup() {
  const fixture = new Fixture(synicHypercalls);
  const { hypervisor, root } = fixture;
  let page = 64;
  const give = (partition: Partition, pages: number) => {
    for (let count = 0; count < pages; count++, page++) partition.pool.deposit(page, page, 1);
  };
  const child = hypervisor.addPartition(root);
  child.state = 'active';
  give(child, 16);
  give(root, 16);
  child.virtualProcessors.set(0, core(child));
  const vectors: number[] = [];
  const synic = Synic.create({
    ...overlayHost(child, 0),
    vpIndex: 0,
    readTsc: () => 0,
    referenceCount: () => 0,
    requestInterrupt: (vector) => vectors.push(vector),
  })!;
  synic.writeMsr(0x4000_0080, 1, 0);
  synic.writeMsr(0x4000_0083, 0x10_0001, 0);
  synic.writeMsr(0x4000_0082, 0x10_1001, 0);
  synic.writeMsr(0x4000_0092, 0x52, 0);
  child.parts.get(SYNICS).add(synic);
  const id = BigInt(child.id);
  const rootId = BigInt(root.id);
  const status = (code: number, ...input: bigint[]) => fixture.call(code, input).status;
  const createPort = (port: bigint, info: bigint[]) => status(CreatePort, id, port, rootId, ...info);
  const connect = (connection: bigint, port: bigint) => status(ConnectPort, rootId, connection, id, port, 0n);
  return { fixture, root, child, synic, vectors, id, rootId, status, createPort, connect };
}

describe('HvCreatePort', () => {
  test('refuses each parameter by its own status', () => {
    const { id, rootId, status, createPort } = setup();
    expect(status(CreatePort, 99n, 1n, rootId, ...MESSAGE_PORT)).toBe(HvStatus.INVALID_PARTITION_ID);
    expect(status(CreatePort, id, 1n, 99n, ...MESSAGE_PORT)).toBe(HvStatus.INVALID_PARTITION_ID);
    expect(status(CreatePort, id, 1n, id, ...MESSAGE_PORT)).toBe(HvStatus.INVALID_PARTITION_ID);
    expect(createPort(0x0100_0000n, MESSAGE_PORT)).toBe(HvStatus.INVALID_PORT_ID);
    expect(createPort(1n, [4n, 2n | ANY_VP, 0n])).toBe(HvStatus.INVALID_PARAMETER);
    expect(createPort(1n, [1n, 0n | ANY_VP, 0n])).toBe(HvStatus.INVALID_PARAMETER);
    expect(createPort(1n, [1n, 16n | ANY_VP, 0n])).toBe(HvStatus.INVALID_PARAMETER);
    expect(createPort(1n, [1n, 2n | ANY_VP, 1n])).toBe(HvStatus.INVALID_PARAMETER);
    expect(createPort(1n, [1n | (1n << 32n), 2n | ANY_VP, 0n])).toBe(HvStatus.INVALID_PARAMETER);
    expect(createPort(1n, [1n, 2n | (5n << 32n), 0n])).toBe(HvStatus.INVALID_VP_INDEX);
    expect(createPort(1n, [2n, 2n | ANY_VP, 0n])).toBe(HvStatus.INVALID_PARAMETER);
    expect(createPort(1n, [2n, 2n | ANY_VP, 2047n | (2n << 16n)])).toBe(HvStatus.INVALID_PARAMETER);
    expect(createPort(1n, [3n, 0x123n, 0n])).toBe(HvStatus.INVALID_ALIGNMENT);
  });

  test('an id is used once', () => {
    const { createPort } = setup();
    expect(createPort(1n, MESSAGE_PORT)).toBe(HvStatus.SUCCESS);
    expect(createPort(1n, EVENT_PORT)).toBe(HvStatus.INVALID_PORT_ID);
  });

  test('draws on the port partition, and says so when its pool is empty', () => {
    const { child, createPort } = setup();
    const before = child.pool.free;
    createPort(1n, MESSAGE_PORT);
    expect(child.pool.free).toBe(before - 2);
    while (child.pool.free > 0) child.pool.withdraw();
    expect(createPort(2n, MESSAGE_PORT)).toBe(HvStatus.INSUFFICIENT_MEMORY);
  });

  test('needs the privilege and an active partition', () => {
    const { fixture, child, id, rootId, createPort } = setup();
    child.privileges = DEFAULT_CHILD_PRIVILEGES;
    const asChild = fixture.call(CreatePort, [id, 1n, rootId, ...MESSAGE_PORT], {
      caller: child,
      inputGpa: 0x10_0000,
    });
    expect(asChild.status).toBe(HvStatus.ACCESS_DENIED);
    child.state = 'uninitialized';
    expect(createPort(1n, MESSAGE_PORT)).toBe(HvStatus.INVALID_PARTITION_STATE);
  });
});

describe('HvConnectPort and HvDisconnectPort', () => {
  test('a port takes one connection, from the partition it was made for', () => {
    const { createPort, connect, status, rootId, id, fixture, root } = setup();
    expect(connect(1n, 1n)).toBe(HvStatus.INVALID_PORT_ID);
    createPort(1n, MESSAGE_PORT);
    expect(status(ConnectPort, rootId, 1n, id, 1n, 5n)).toBe(HvStatus.INVALID_PARAMETER);
    expect(connect(0x0100_0000n, 1n)).toBe(HvStatus.INVALID_CONNECTION_ID);
    expect(connect(1n, 1n)).toBe(HvStatus.SUCCESS);
    expect(connect(1n, 1n)).toBe(HvStatus.INVALID_CONNECTION_ID);
    expect(connect(2n, 1n)).toBe(HvStatus.INVALID_PORT_ID);
    const other = fixture.hypervisor.addPartition(root);
    other.state = 'active';
    createPort(2n, MESSAGE_PORT);
    expect(status(ConnectPort, BigInt(other.id), 1n, id, 2n, 0n)).toBe(HvStatus.INVALID_PARTITION_ID);
    expect(status(DisconnectPort, rootId, 9n)).toBe(HvStatus.INVALID_CONNECTION_ID);
    expect(status(DisconnectPort, rootId, 1n)).toBe(HvStatus.SUCCESS);
    expect(connect(2n, 1n)).toBe(HvStatus.SUCCESS);
  });
});

describe('HvPostMessage', () => {
  const payload = [0x1122n, ...Array.from({ length: 29 }, () => 0n)];

  test('a message reaches the child with its port id as origin', () => {
    const { fixture, synic, vectors, createPort, connect, status } = setup();
    createPort(7n, MESSAGE_PORT);
    connect(3n, 7n);
    expect(status(PostMessage, 3n, 5n | (8n << 32n), ...payload)).toBe(HvStatus.SUCCESS);
    const slot = synic.messagePageAddress + 512;
    const { view } = fixture.hypervisor.memory;
    expect(view.getUint32(slot, true)).toBe(5);
    expect(view.getBigUint64(slot + 8, true)).toBe(7n);
    expect(view.getBigUint64(slot + 16, true)).toBe(0x1122n);
    expect(vectors).toEqual([0x52]);
  });

  test('refuses unknown connections, hypervisor types, zero and long payloads', () => {
    const { createPort, connect, status } = setup();
    createPort(7n, MESSAGE_PORT);
    connect(3n, 7n);
    expect(status(PostMessage, 4n, 5n, ...payload)).toBe(HvStatus.INVALID_CONNECTION_ID);
    expect(status(PostMessage, 3n, 0n, ...payload)).toBe(HvStatus.INVALID_PARAMETER);
    expect(status(PostMessage, 3n, 0x8000_0000n, ...payload)).toBe(HvStatus.INVALID_PARAMETER);
    expect(status(PostMessage, 3n, 5n | (241n << 32n), ...payload)).toBe(HvStatus.INVALID_PARAMETER);
  });

  test('a deleted port leaves the connection useless', () => {
    const { createPort, connect, status, id } = setup();
    createPort(7n, MESSAGE_PORT);
    connect(3n, 7n);
    expect(status(DeletePort, id, 7n)).toBe(HvStatus.SUCCESS);
    expect(status(DeletePort, id, 7n)).toBe(HvStatus.INVALID_PORT_ID);
    expect(status(PostMessage, 3n, 5n, ...payload)).toBe(HvStatus.INVALID_PORT_ID);
  });
});

describe('HvSignalEvent', () => {
  test('sets the flag behind the base and answers for the kind of port', () => {
    const { synic, createPort, connect, status } = setup();
    createPort(1n, EVENT_PORT);
    createPort(2n, MESSAGE_PORT);
    connect(1n, 1n);
    connect(2n, 2n);
    expect(status(SignalEvent, 1n | (7n << 32n))).toBe(HvStatus.SUCCESS);
    expect(synic.eventFlag(2, 107)).toBe(true);
    expect(status(SignalEvent, 1n | (8n << 32n))).toBe(HvStatus.INVALID_PARAMETER);
    expect(status(SignalEvent, 2n)).toBe(HvStatus.INVALID_PORT_ID);
    expect(status(SignalEvent, 9n)).toBe(HvStatus.INVALID_CONNECTION_ID);
  });
});

describe('port properties', () => {
  test('post count and preferred VP', () => {
    const { fixture, createPort, id, child } = setup();
    createPort(1n, MESSAGE_PORT);
    child.parts.get(PORTS).get(1)!.postCount = 42;
    expect(fixture.call(GetPortProperty, [id, 1n, 0n]).output).toEqual([42n]);
    expect(fixture.call(GetPortProperty, [id, 1n, 1n]).output).toEqual([0xffff_ffffn]);
    expect(fixture.call(SetPortProperty, [id, 1n, 1n, 0n]).status).toBe(HvStatus.SUCCESS);
    expect(fixture.call(GetPortProperty, [id, 1n, 1n]).output).toEqual([0n]);
    expect(fixture.call(SetPortProperty, [id, 1n, 1n, 6n]).status).toBe(HvStatus.INVALID_VP_INDEX);
    expect(fixture.call(GetPortProperty, [id, 1n, 2n]).status).toBe(HvStatus.UNKNOWN_PROPERTY);
    expect(fixture.call(GetPortProperty, [id, 2n, 0n]).status).toBe(HvStatus.INVALID_PORT_ID);
  });
});

test('finalization gives back what ports and connections took', () => {
  const { child, root, createPort, connect, synic } = setup();
  const taken = child.pool.inUse;
  createPort(1n, MESSAGE_PORT);
  createPort(2n, [3n, 0x20_0000n, 0n]);
  connect(1n, 1n);
  connect(2n, 2n);
  root.parts.get(CONNECTIONS).release();
  child.parts.get(PORTS).release();
  expect(child.pool.inUse).toBe(taken);
  expect(root.pool.inUse).toBe(0);
  synic.release();
  expect(child.pool.inUse).toBe(0);
});
