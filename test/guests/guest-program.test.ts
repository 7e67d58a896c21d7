import { describe, expect, test } from 'vitest';
import { HypercallCode } from '../../src/hvdef/hypercalls.ts';
import { Privilege } from '../../src/hvdef/privileges.ts';
import { HvStatus } from '../../src/hvdef/status.ts';
import { EXCEPTION_EXIT, type GuestProgram, guestProgram } from './guest-program.ts';
import { rax } from './operand.ts';
import { type MachineOptions, TestMachine } from './test-machine.ts';

function runGuest(body: (guest: GuestProgram) => void, options: MachineOptions = {}) {
  const machine = new TestMachine(options);
  const guest = machine.createGuest(guestProgram(body), { privileges: childPrivileges() });
  machine.start(guest);
  machine.run(() => guest.exit !== undefined);
  return guest;
}

const childPrivileges = (): bigint =>
  Object.values(Privilege)
    .filter((bit) => bit < 43 || bit > 45)
    .reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);

describe.each([
  ['the interpreter', {}],
  ['the static stage', { staticBlockLength: 16 }],
] as const)('a test guest on %s', (_, options) => {
  test('prints and leaves by the exit port', () => {
    const guest = runGuest((g) => {
      g.print('hello ');
      g.asm.mov(rax, 0x123n);
      g.printHex(rax);
      g.exit(5);
    }, options);
    expect(guest).toMatchObject({ serial: 'hello 0000000000000123', exit: 5 });
  });
  test('makes hypercalls in memory and in registers through its hypercall page', () => {
    const guest = runGuest((g) => {
      g.enableHypercalls();
      g.hypercall(HypercallCode.GetPartitionId);
      g.expectStatus('partition id');
      g.output(rax);
      g.expect(2, 'its id');
      g.fastHypercall(HypercallCode.DeletePartition, 99, 0);
      g.expectStatus('no such partition', HvStatus.INVALID_PARTITION_ID);
      g.exit(0);
    }, options);
    expect(guest).toMatchObject({ serial: '', exit: 0 });
  });
  test('reports an exception that it does not handle', () => {
    const guest = runGuest((g) => g.asm.ud2(), options);
    expect(guest.exit).toBe(EXCEPTION_EXIT + 6);
    expect(guest.serial).toMatch(/^exception 0000000000000006 at/);
  });
});
