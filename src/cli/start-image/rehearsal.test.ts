import { expect, test } from 'vitest';
import { rehearse } from './rehearsal.ts';

test('the rehearsal walks the way of a snapshot into a machine, and puts WebAssembly back', async () => {
  const real = WebAssembly;
  await rehearse();
  expect(WebAssembly).toBe(real);
});
