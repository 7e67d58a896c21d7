import { expect, test } from 'vitest';
import { PartitionProperty } from '../../hvdef/partition-property.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { DebugTransport } from '../debug-session.ts';
import { Machine } from '../virtual-processor-fixture.ts';

const POST = 0x69;
const RETRIEVE = 0x6a;
const RESET = 0x6b;
const ROOT = 1n;
const CHANNEL = 7;

/** The root debugs itself: it has the privilege from the start. */
function session(): { machine: Machine; transport: DebugTransport } {
  const transport = new DebugTransport();
  const machine = new Machine({ debugTransport: transport });
  machine.call(0x45, [ROOT, BigInt(PartitionProperty.DebugChannelId), BigInt(CHANNEL)]);
  return { machine, transport };
}
const post = (machine: Machine, count: number, options = 0) =>
  machine.call(POST, [BigInt(count) | (BigInt(options) << 32n), 0x0807_0605_0403_0201n]);
const retrieve = (machine: Machine, count: number, options = 0) =>
  machine.call(RETRIEVE, [BigInt(count) | (BigInt(options) << 32n), 0n]);
const reset = (machine: Machine, options: number) => machine.call(RESET, [BigInt(options)]).status;

test('what a guest posts reaches the host end, in order', () => {
  const { machine, transport } = session();
  expect(post(machine, 8).output.getUint32(0, true)).toBe(8);
  expect(post(machine, 3).output.getUint32(0, true)).toBe(11);
  expect([...transport.take(CHANNEL)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3]);
  expect(post(machine, 0).output.getUint32(0, true)).toBe(0);
});

test('what the host end delivers is retrieved, and the rest is told', () => {
  const { machine, transport } = session();
  expect(retrieve(machine, 4).status).toBe(HvStatus.NO_DATA);
  expect(transport.deliver(CHANNEL, Uint8Array.of(9, 8, 7))).toBe(3);
  const { output } = retrieve(machine, 2);
  expect([output.getUint32(0, true), output.getUint32(4, true)]).toEqual([2, 1]);
  expect([output.getUint8(8), output.getUint8(9)]).toEqual([9, 8]);
});

test('a full outgoing buffer takes nothing; a full incoming one discards', () => {
  const { machine, transport } = session();
  expect(post(machine, 4088).status).toBe(HvStatus.SUCCESS);
  expect(post(machine, 9).status).toBe(HvStatus.INSUFFICIENT_BUFFERS);
  expect(post(machine, 8).status).toBe(HvStatus.SUCCESS);
  expect(transport.deliver(CHANNEL, new Uint8Array(5000))).toBe(4096);
});

test('activity anywhere on the connection counts once', () => {
  const { machine, transport } = session();
  expect(retrieve(machine, 1, 2).status).toBe(HvStatus.INACTIVE);
  transport.deliver(99, Uint8Array.of(1));
  expect(retrieve(machine, 1, 2).status).toBe(HvStatus.NO_DATA);
  expect(retrieve(machine, 1, 2).status).toBe(HvStatus.INACTIVE);
});

test('a reset purges what it names', () => {
  const { machine, transport } = session();
  expect(reset(machine, 3)).toBe(HvStatus.NO_DATA);
  post(machine, 5);
  transport.deliver(CHANNEL, Uint8Array.of(1));
  expect(reset(machine, 2)).toBe(HvStatus.SUCCESS);
  expect(transport.take(CHANNEL)).toHaveLength(0);
  expect(reset(machine, 1)).toBe(HvStatus.SUCCESS);
});

test('refusals: options, counts, no channel, no connection', () => {
  const { machine } = session();
  expect(post(machine, 1, 2).status).toBe(HvStatus.INVALID_PARAMETER);
  expect(post(machine, 4089).status).toBe(HvStatus.INVALID_PARAMETER);
  expect(retrieve(machine, 1, 4).status).toBe(HvStatus.INVALID_PARAMETER);
  expect(retrieve(machine, 4089).status).toBe(HvStatus.INVALID_PARAMETER);
  expect(reset(machine, 0)).toBe(HvStatus.INVALID_PARAMETER);
  expect(reset(machine, 4)).toBe(HvStatus.INVALID_PARAMETER);
  machine.call(0x45, [ROOT, BigInt(PartitionProperty.DebugChannelId), 0n]);
  expect(post(machine, 1).status).toBe(HvStatus.OPERATION_DENIED);
  expect(post(new Machine(), 1).status).toBe(HvStatus.FEATURE_UNAVAILABLE);
});
