import { describe, expect, test } from 'vitest';
import { SyntheticTimers } from './synthetic-timer.ts';

const CONFIG = 0x4000_00b0;
const COUNT = 0x4000_00b1;
const ENABLE = 1;
const PERIODIC = 2;
const LAZY = 4;
const AUTO = 8;
const SINT2 = 2 << 16;
const DIRECT_ED = (1 << 12) | (0xed << 4);

function setup() {
  const state = { reference: 0, busy: false };
  const events: string[] = [];
  const timers = new SyntheticTimers({
    referenceCount: () => state.reference,
    postTimer: (index, sint, expiration) => {
      if (!state.busy) events.push(`message ${index} sint ${sint} at ${expiration}`);
      return !state.busy;
    },
    requestInterrupt: (vector) => events.push(`vector ${vector}`),
    deadlineChanged: () => {},
  });
  const at = (reference: number) => {
    state.reference = reference;
    timers.expire(reference * 100);
  };
  const config = () => {
    timers.readMsr(CONFIG);
    return timers.low;
  };
  return { state, events, timers, at, config };
}

describe('one-shot', () => {
  test('as Linux uses it: direct mode, auto-enable, absolute count', () => {
    const { events, timers, at, config } = setup();
    timers.writeMsr(CONFIG, ENABLE | AUTO | DIRECT_ED, 0);
    expect(timers.nextDeadline()).toBe(Infinity);
    timers.writeMsr(COUNT, 5000, 0);
    expect(timers.nextDeadline()).toBe(500_000);
    at(4999);
    expect(events).toEqual([]);
    at(5000);
    expect(events).toEqual(['vector 237']);
    expect(config() & ENABLE).toBe(0);
    timers.writeMsr(COUNT, 6000, 0);
    expect(config() & ENABLE).toBe(1);
    at(7000);
    expect(events.length).toBe(2);
  });

  test('a count in the past is due at once', () => {
    const { state, timers, events, at } = setup();
    state.reference = 9000;
    timers.writeMsr(COUNT, 10, 0);
    timers.writeMsr(CONFIG, ENABLE | SINT2, 0);
    expect(timers.nextDeadline()).toBeLessThanOrEqual(900_000);
    at(9000);
    expect(events).toEqual(['message 0 sint 2 at 10']);
  });

  test('count zero stops the timer, whatever auto-enable says', () => {
    const { timers, config } = setup();
    timers.writeMsr(CONFIG, AUTO | DIRECT_ED, 0);
    timers.writeMsr(COUNT, 100, 0);
    timers.writeMsr(COUNT, 0, 0);
    expect(config() & ENABLE).toBe(0);
    expect(timers.nextDeadline()).toBe(Infinity);
  });

  test('without a target it is marked disabled', () => {
    const { timers, config } = setup();
    timers.writeMsr(CONFIG, ENABLE, 0);
    expect(config()).toBe(0);
    timers.writeMsr(CONFIG, ENABLE | (1 << 12) | (5 << 4), 0);
    expect(config() & ENABLE).toBe(0);
  });

  test('reserved bits fault', () => {
    const { timers } = setup();
    expect(timers.writeMsr(CONFIG, 1 << 13, 0)).toBe(false);
    expect(timers.writeMsr(CONFIG, 1 << 20, 0)).toBe(false);
    expect(timers.writeMsr(CONFIG, 0, 1)).toBe(false);
  });
});

describe('periodic', () => {
  test('signals every period, counted from when it was enabled', () => {
    const { state, timers, events, at } = setup();
    state.reference = 500;
    timers.writeMsr(COUNT, 10_000, 0);
    timers.writeMsr(CONFIG, ENABLE | PERIODIC | SINT2, 0);
    at(10_499);
    at(10_500);
    at(20_500);
    expect(events).toEqual(['message 0 sint 2 at 10500', 'message 0 sint 2 at 20500']);
  });

  test('a late timer catches up at half its period', () => {
    const { timers, at, events } = setup();
    timers.writeMsr(COUNT, 10_000, 0);
    timers.writeMsr(CONFIG, ENABLE | PERIODIC | DIRECT_ED, 0);
    at(35_000);
    expect(timers.nextDeadline()).toBe(4_000_000);
    at(40_000);
    at(45_000);
    at(50_000);
    expect(events.length).toBe(4);
    expect(timers.nextDeadline()).toBe(5_500_000);
  });

  test('a lazy one signals once for all it missed, and not shortly before the next', () => {
    const { timers, at, events } = setup();
    timers.writeMsr(COUNT, 10_000, 0);
    timers.writeMsr(CONFIG, ENABLE | PERIODIC | LAZY | DIRECT_ED, 0);
    at(35_000);
    expect(events.length).toBe(1);
    expect(timers.nextDeadline()).toBe(4_000_000);
    at(49_000);
    expect(events.length).toBe(1);
  });

  test('a period of 100 ns does not keep the host busy', () => {
    const { timers, at } = setup();
    timers.writeMsr(COUNT, 1, 0);
    timers.writeMsr(CONFIG, ENABLE | PERIODIC | DIRECT_ED, 0);
    at(10);
    expect(timers.nextDeadline()).toBe(101_000);
  });
});

test('an expiration waits while the last message has not been delivered', () => {
  const { state, timers, events, at } = setup();
  state.busy = true;
  timers.writeMsr(COUNT, 100, 0);
  timers.writeMsr(CONFIG, ENABLE | SINT2, 0);
  at(100);
  state.busy = false;
  timers.messageDelivered(0);
  timers.messageDelivered(0);
  expect(events).toEqual(['message 0 sint 2 at 100']);
});
