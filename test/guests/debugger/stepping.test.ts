/** A guest that looks for a debugger does not find one: neither in single steps nor behind breakpoints. */
import { describe, expect, test } from 'vitest';
import { BreakpointKind } from '../../../src/vm/debugger/debug-target.ts';
import { guestProgram } from '../guest-program.ts';
import { DebuggedMachine, type Ended } from './debugged-machine.ts';
import { observantGuest } from './observant-guest.ts';

const image = guestProgram(observantGuest);
/** The guest prints its notes by a loop that need not be stepped: there it is let go. */
const MOST_STEPS = 2500;

async function undisturbed(): Promise<Ended> {
  const machine = new DebuggedMachine(image, false);
  return machine.end;
}

describe('a guest that looks for traces of a debugger', () => {
  test('finds its own exceptions, single steps and breakpoints when nobody debugs it', async () => {
    const { outcome, output } = await undisturbed();
    expect(outcome).toMatchObject({ kind: 'exit-port', value: 0 });
    expect(output.split('\n').length).toBeGreaterThan(35);
  });

  test('finds the same when it is stepped through, an instruction at a time', async () => {
    const machine = new DebuggedMachine(image);
    await machine.attach();
    const places = new Set<bigint>();
    for (let steps = 0; steps < MOST_STEPS; steps++) {
      const stop = await machine.go('step');
      if (stop === undefined) break;
      expect(stop).toMatchObject({ signal: 5, cause: { kind: 'none' } });
      places.add(await machine.register('rip'));
    }
    await machine.with((target) => target.detach(true));
    expect(await machine.end).toEqual(await undisturbed());
    for (const label of ['system call', 'watched instruction', 'divides', 'common interrupt']) {
      expect(places.has(BigInt(image.labels(label))), label).toBe(true);
    }
  });

  test('finds the same while the debugger uses the debug registers, stepped or not', async () => {
    for (const stepped of [0, 1200]) {
      const machine = new DebuggedMachine(image);
      await machine.attach();
      const there = BigInt(image.labels('print hexadecimal'));
      await machine.with((target) => {
        expect(target.insertBreakpoint(BreakpointKind.Hardware, 0, there, 1)).toBe(true);
        expect(target.insertBreakpoint(BreakpointKind.Write, 0, BigInt(image.labels('copy') + 32), 8)).toBe(
          true,
        );
      });
      for (let steps = 0; steps < stepped; steps++) {
        const stop = await machine.go('step');
        if (stop?.cause.kind === 'watchpoint') break;
      }
      const seen: string[] = [];
      for (let stops = 0; stops < (stepped > 0 ? 2 : 3); stops++)
        seen.push((await machine.go('continue'))?.cause.kind ?? 'none');
      expect(seen).toEqual([
        ...(stepped > 0 ? [] : ['watchpoint']),
        'hardware-breakpoint',
        'hardware-breakpoint',
      ]);
      expect(await machine.register('rip')).toBe(there);
      await machine.with((target) => target.detach(true));
      expect(await machine.end).toEqual(await undisturbed());
    }
  });
});
