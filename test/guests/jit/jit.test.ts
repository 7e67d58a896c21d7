import { describe, expect, test } from 'vitest';
import type { ProcessorProfile } from '../../../src/cpu/processor-profile.ts';
import { HypercallCode } from '../../../src/hvdef/hypercalls.ts';
import { IoPortMessage, MessageType } from '../../../src/hvdef/messages.ts';
import type { VirtualProcessor } from '../../../src/hypervisor/virtual-processor.ts';
import type { GuestImage } from '../guest-image.ts';
import { type MachineOptions, type TestGuest, TestMachine } from '../test-machine.ts';
import { randomFunctions } from './bytecode.ts';
import { expectedOutput } from './expected-output.ts';
import {
  ALIAS_PAGES,
  COMPILED,
  END_PORT,
  jitGuest,
  MARK_PORT,
  PHYSICAL_ALIAS,
  profiledGuest,
  REWRITE_PORT,
} from './jit-guest.ts';

const PAGE = 4096;
const PORT_INTERCEPT = 3;
/** Turns for which the guest waits in a loop that nothing in it ends. */
const TURNS_BEFORE_END = 8;

const CALLS = 300_000;

/** The guest's parent: rewrites its code when asked, and later than asked. */
class Parent {
  readonly machine: TestMachine;
  readonly guest: TestGuest;
  readonly profiles: ProcessorProfile[] = [];
  private readonly image: GuestImage;
  private waiting = 0;

  constructor(image: GuestImage, options: MachineOptions) {
    this.image = image;
    this.machine = new TestMachine(options);
    const { machine } = this;
    this.guest = machine.createGuest(image, { pages: (COMPILED + ALIAS_PAGES * PAGE) / PAGE });
    machine.map(this.guest.id, PHYSICAL_ALIAS / PAGE, this.guest.firstPage + COMPILED / PAGE, ALIAS_PAGES);
    for (const port of [REWRITE_PORT, END_PORT, MARK_PORT])
      machine.must(HypercallCode.InstallIntercept, [this.guest.id, PORT_INTERCEPT, port]);
    machine.onMessage = (message) => this.serve(message);
  }

  /** To its end, or for a minute. */
  run(): TestGuest {
    const { machine, guest, image } = this;
    machine.start(guest);
    machine.run(() => {
      if (this.waiting > 0 && --this.waiting === 0) this.write(image.labels('awaited') - 4, 1);
      return guest.exit !== undefined;
    }, 55_000);
    machine.close();
    return guest;
  }

  /** HvWriteGpa of 32 bits. */
  private write(gpa: number, value: number): void {
    const { output } = this.machine.must(HypercallCode.WriteGpa, [
      this.guest.id,
      4n << 32n,
      gpa,
      0,
      value,
      0,
    ]);
    expect(output.getUint32(0, true)).toBe(0);
  }

  private serve(message: DataView): boolean {
    if (message.getUint32(0, true) !== MessageType.X64IoPortIntercept) return false;
    const port = message.getUint16(IoPortMessage.PortNumber, true);
    if (port === REWRITE_PORT) this.write(COMPILED + 2, message.getUint32(IoPortMessage.Rax, true));
    else if (port === END_PORT) this.waiting = TURNS_BEFORE_END;
    else if (port === MARK_PORT) this.profiles.push(this.profile());
    else return false;
    this.machine.complete(this.guest, message);
    return true;
  }

  private profile(): ProcessorProfile {
    const partition = this.machine.booted.hypervisor.partitions.get(Number(this.guest.id))!;
    return (partition.virtualProcessors.get(0) as VirtualProcessor).processor.profile!();
  }
}

/** Name, options, and how much. */
const EXECUTIONS: [string, MachineOptions, number][] = [
  ['interpreted', { translation: { translate: 'never' } }, 5],
  ['an instruction at a time on the static stage', { staticBlockLength: 1 }, 0.25],
  ['translated at once', { translation: { translate: 'always' } }, 0.25],
  ['translated when hot', {}, 5],
  ['translated when hot, on a thread of its own', { threads: true, processors: 1 }, 5],
  [
    'translated when warm',
    {
      translation: {
        hotAfter: { stretch: 500, samples: 1, entries: 20, doublings: 3, batch: 1, longestWait: 1 },
      },
    },
    5,
  ],
];

test.each(EXECUTIONS)(
  'code that a guest makes and rewrites computes what it should, %s',
  (_, options, scale) => {
    const functions = randomFunctions(7, 24);
    const parent = new Parent(jitGuest(functions, scale), options);
    const { serial, exit } = parent.run();
    expect(serial).toBe(expectedOutput(functions, scale));
    expect(exit).toBe(0);
  },
);

describe('after a while most instructions run translated', () => {
  test.each([
    ['on a page that holds data that its code writes', 'mixed'],
    ['of a function that was rewritten again and again, and is no more', 'rewritten'],
    ['of a function on a page where others were rewritten after a while', 'neighbours rewritten'],
  ] as const)('%s', (_, kind) => {
    const parent = new Parent(profiledGuest(kind, CALLS), {});
    expect(parent.run().exit).toBe(0);
    const [before, after] = parent.profiles;
    const count = (tier: 'interpreter' | 'regions'): number =>
      after!.instructions[tier] - before!.instructions[tier];
    const share = count('regions') / (count('regions') + count('interpreter'));
    expect(share).toBeGreaterThan(0.9);
    // Nor is each store to the code's page a walk of the page tables.
    expect(after!.tlb.walks - before!.tlb.walks).toBeLessThan(100);
  });
});
