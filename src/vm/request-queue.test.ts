import { expect, test } from 'vitest';
import { RequestQueue } from './request-queue.ts';

test('requests come out in order, once', () => {
  const queue = new RequestQueue();
  let arrivals = 0;
  queue.onArrival = () => arrivals++;
  queue.enqueue({ kind: 'serial-input', bytes: Uint8Array.of(1) });
  queue.enqueue({ kind: 'power-button' });
  expect(queue.takeAll().map(({ kind }) => kind)).toEqual(['serial-input', 'power-button']);
  expect([queue.isEmpty, arrivals]).toEqual([true, 2]);
});

test('a stop overtakes what is waiting and ends the queue', () => {
  const queue = new RequestQueue();
  queue.enqueue({ kind: 'power-button' });
  queue.enqueue({ kind: 'stop' });
  queue.enqueue({ kind: 'power-button' });
  expect(queue.takeAll()).toEqual([{ kind: 'stop' }]);
});
