import { describe, expect, test } from 'vitest';
import { HvStatus } from '../hvdef/status.ts';
import { MessageBuffer } from './message-buffer.ts';
import { Synic } from './synic.ts';
import { FakePool, readySynic } from './synic-fixture.ts';

const SCONTROL = 0x4000_0080;
const SIMP = 0x4000_0083;
const EOM = 0x4000_0084;
const SINT2 = 0x4000_0092;
const SLOT2 = 2 * 256;

function setup() {
  const pool = new FakePool();
  const { synic, interrupts } = readySynic(pool);
  const page = pool.allocatePage();
  let next = 0;
  const buffer = (type: number, ...payload: number[]) => {
    const made = new MessageBuffer(pool.memory, page * 4096 + 256 * next++);
    made.fill(type, 0x77n, new Uint8Array(payload), payload.length);
    return made;
  };
  const slot = synic.messagePageAddress + SLOT2;
  const { view, bytes } = pool.memory;
  const empty = () => view.setUint32(slot, 0, true);
  return { pool, synic, interrupts, buffer, slot, view, bytes, empty };
}

describe('messages', () => {
  test('a message lands in the empty slot and interrupts', () => {
    const { synic, interrupts, buffer, slot, view, bytes } = setup();
    const sent = buffer(5, 1, 2, 3);
    synic.post(2, sent);
    expect(view.getUint32(slot, true)).toBe(5);
    expect(bytes[slot + 4]).toBe(3);
    expect(bytes[slot + 5]).toBe(0);
    expect(view.getBigUint64(slot + 8, true)).toBe(0x77n);
    expect([...bytes.subarray(slot + 16, slot + 19)]).toEqual([1, 2, 3]);
    expect(interrupts).toEqual([[0x52, false]]);
    expect(sent.queued).toBe(false);
  });

  test('the next one waits, is announced in the flags, and follows at EOM', () => {
    const { synic, interrupts, buffer, slot, view, bytes, empty } = setup();
    synic.post(2, buffer(5));
    synic.post(2, buffer(6));
    expect(view.getUint32(slot, true)).toBe(5);
    expect(bytes[slot + 5]).toBe(1);
    synic.writeMsr(EOM, 0, 0);
    expect(view.getUint32(slot, true)).toBe(5);
    empty();
    synic.writeMsr(EOM, 0, 0);
    expect(view.getUint32(slot, true)).toBe(6);
    expect(interrupts.length).toBe(2);
  });

  test('messages arrive in the order of posting, though the slot was emptied without EOM', () => {
    const { synic, buffer, slot, view, empty } = setup();
    synic.post(2, buffer(5));
    synic.post(2, buffer(6));
    empty();
    synic.post(2, buffer(7));
    expect(view.getUint32(slot, true)).toBe(6);
    empty();
    synic.scan();
    expect(view.getUint32(slot, true)).toBe(7);
  });

  test('a guest that forgets EOM gets the next message after a while', () => {
    const { pool, synic, buffer, slot, view, empty } = setup();
    synic.post(2, buffer(5));
    expect(synic.nextDeadline()).toBe(Infinity);
    synic.post(2, buffer(6));
    expect(synic.nextDeadline()).toBe(1_000_000);
    empty();
    pool.now = 1_000_000;
    synic.expire(pool.now);
    expect(view.getUint32(slot, true)).toBe(6);
    expect(synic.nextDeadline()).toBe(Infinity);
  });

  test('a masked or polling SINT gets the message without an interrupt', () => {
    for (const bits of [1 << 16, 1 << 18]) {
      const { synic, interrupts, buffer, slot, view } = setup();
      synic.writeMsr(SINT2, 0x52 | bits, 0);
      synic.post(2, buffer(5));
      expect(view.getUint32(slot, true)).toBe(5);
      expect(interrupts).toEqual([]);
    }
  });

  test('auto-EOI is passed on', () => {
    const { synic, interrupts, buffer } = setup();
    synic.writeMsr(SINT2, 0x52 | (1 << 17), 0);
    synic.post(2, buffer(5));
    expect(interrupts).toEqual([[0x52, true]]);
  });

  test('messages stay queued while the SIM page is disabled', () => {
    const { synic, buffer, slot, view } = setup();
    synic.writeMsr(SIMP, 0x10_0000, 0);
    const sent = buffer(5);
    synic.post(2, sent);
    expect(sent.queued).toBe(true);
    synic.writeMsr(SIMP, 0x20_0001, 0);
    expect(view.getUint32(slot, true)).toBe(5);
  });

  test('an intercept message that was not received is overwritten, not doubled', () => {
    const { pool, synic, view } = setup();
    const child = readySynic(pool, 1).synic;
    const slot0 = synic.messagePageAddress;
    view.setUint32(slot0, 0xffff, true); // in use
    const message = (type: number) => {
      const bytes = new Uint8Array(256);
      new DataView(bytes.buffer).setUint32(0, type, true);
      return bytes;
    };
    child.postIntercept(synic, message(0x8001_0000));
    child.postIntercept(synic, message(0x8001_0001));
    view.setUint32(slot0, 0, true);
    synic.scan();
    expect(view.getUint32(slot0, true)).toBe(0x8001_0001);
    view.setUint32(slot0, 0, true);
    synic.scan();
    expect(view.getUint32(slot0, true)).toBe(0);
  });

  test('a timer message carries expiration and delivery time, and has one buffer', () => {
    const { pool, synic, slot, view, empty } = setup();
    expect(synic.postTimer(3, 2, 1000)).toBe(true);
    expect(view.getUint32(slot, true)).toBe(0x8000_0010);
    empty();
    pool.now = 250_000;
    view.setUint32(slot, 1, true);
    expect(synic.postTimer(3, 2, 2000)).toBe(true);
    expect(synic.postTimer(3, 2, 3000)).toBe(false);
    pool.now = 300_000;
    empty();
    synic.scan();
    expect(view.getUint32(slot + 16, true)).toBe(3);
    expect(view.getBigUint64(slot + 24, true)).toBe(2000n);
    expect(view.getBigUint64(slot + 32, true)).toBe(3000n);
  });
});

describe('event flags', () => {
  test('set a bit and interrupt once until the guest clears it', () => {
    const { synic, interrupts, bytes } = setup();
    expect(synic.signalEvent(2, 2047)).toBe(HvStatus.SUCCESS);
    expect(synic.signalEvent(2, 2047)).toBe(HvStatus.SUCCESS);
    const at = synic.eventFlagsPageAddress + SLOT2 + 255;
    expect(bytes[at]).toBe(0x80);
    expect(interrupts.length).toBe(1);
    bytes[at] = 0;
    synic.signalEvent(2, 2047);
    expect(interrupts.length).toBe(2);
  });

  test('are refused by a masked SINT, a disabled page and a disabled SynIC', () => {
    const { synic } = setup();
    expect(synic.signalEvent(3, 0)).toBe(HvStatus.INVALID_SYNIC_STATE);
    synic.writeMsr(0x4000_0082, 0, 0);
    expect(synic.signalEvent(2, 0)).toBe(HvStatus.INVALID_SYNIC_STATE);
    synic.writeMsr(0x4000_0082, 0x1001, 0);
    expect(synic.signalEvent(2, 0)).toBe(HvStatus.SUCCESS);
    synic.writeMsr(SCONTROL, 0, 0);
    expect(synic.signalEvent(2, 1)).toBe(HvStatus.INVALID_SYNIC_STATE);
  });
});

describe('registers and life', () => {
  test('reset values and reserved bits', () => {
    const { synic } = setup();
    synic.readMsr(0x4000_0095);
    expect(synic.low).toBe(0x1_0000);
    expect(synic.writeMsr(SINT2, 0xf, 0)).toBe(false);
    expect(synic.writeMsr(SINT2, 0x1_0000, 0)).toBe(true);
    synic.writeMsr(SINT2, 0xab52, 0x1234_5678);
    synic.readMsr(SINT2);
    expect([synic.low, synic.high]).toEqual([0xab52, 0x1234_5678]);
    synic.readMsr(0x4000_0081);
    expect(synic.low).toBe(1);
    expect(synic.writeMsr(0x4000_0081, 1, 0)).toBe(false);
  });

  test('reset empties queues, clears pages and disables everything', () => {
    const { pool, synic, buffer, slot, view } = setup();
    const waiting = buffer(6);
    synic.post(2, buffer(5));
    synic.post(2, waiting);
    synic.reset();
    expect(waiting.queued).toBe(false);
    expect(view.getUint32(slot, true)).toBe(0);
    expect(pool.placed.size).toBe(0);
    expect(synic.enabled).toBe(false);
  });

  test('takes three pages or none, and gives them back', () => {
    const small = new FakePool(2);
    expect(
      Synic.create({
        ...small,
        memory: small.memory,
        vpIndex: 0,
        readTsc: () => 0,
        referenceCount: () => 0,
        requestInterrupt: () => {},
      }),
    ).toBeUndefined();
    expect(small.free).toBe(2);
    const pool = new FakePool(3);
    const { synic } = readySynic(pool);
    expect(pool.free).toBe(0);
    synic.release();
    expect(pool.free).toBe(3);
  });
});
