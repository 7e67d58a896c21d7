import { afterEach, describe, expect, test } from 'vitest';
import type { GuestImage } from '../guest-image.ts';
import { type TestGuest, TestMachine } from '../test-machine.ts';
import { crossModifiedCode, interprocessorInterrupts, LITMUS, litmus, lockedCounters } from './programs.ts';

let machine: TestMachine | undefined;
afterEach(() => machine?.close());

/** Runs `image` on so many processors with a thread each, until number 0 leaves. */
function run(image: GuestImage, processors: number): TestGuest {
  machine = new TestMachine({ threads: true, processors });
  const guest = machine.createGuest(image);
  for (let vp = 1; vp < processors; vp++)
    machine.addProcessor(guest, image, vp, image.labels('other entry'), BigInt(vp));
  for (let vp = 0; vp < processors; vp++) machine.start(guest, vp);
  machine.run(() => guest.exit !== undefined, 50_000);
  return guest;
}

describe('processors on threads of their own', () => {
  test.each([2, 4])('%i of them lose no locked update, aligned or not', (processors) => {
    const guest = run(lockedCounters(processors), processors);
    expect([guest.exit, guest.serial]).toEqual([0, '']);
  });

  test('see stores in the order in which another made them, and MFENCE holds loads back', () => {
    const image = litmus(1000);
    const guest = run(image, 2);
    expect(guest.exit).toBe(0);
    const { view } = machine!.booted.surface.memory;
    const result = (at: number) =>
      Number(view.getBigUint64(machine!.address(guest, image.labels('results') + at), true));
    expect(result(LITMUS.Rounds)).toBe(1000);
    expect([LITMUS.Reordered, LITMUS.BothOld, LITMUS.BothNew].map(result)).toEqual([0, 0, 0]);
  });

  test('execute what another has written into their code', () => {
    const guest = run(crossModifiedCode(500), 2);
    expect([guest.exit, guest.serial]).toEqual([0, '']);
  });

  test('interrupt one another through the APIC page, x2APIC and both hypercalls; INIT and SIPI start one anew', () => {
    const guest = run(interprocessorInterrupts(20), 2);
    expect([guest.exit, guest.serial]).toEqual([0, '']);
  });
});
