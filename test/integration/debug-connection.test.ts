/** A guest talks to a debugger over its debug connection (TLFS 2.0a ch. 20) and a real socket. */
import { connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { serveDebugConnection } from '../../src/cli/debug-connection.ts';
import { HypercallCode as Call } from '../../src/hvdef/hypercalls.ts';
import { PartitionProperty } from '../../src/hvdef/partition-property.ts';
import { DEFAULT_CHILD_PRIVILEGES, Privilege } from '../../src/hvdef/privileges.ts';
import { HvStatus } from '../../src/hvdef/status.ts';
import { DebugTransport } from '../../src/hypervisor/debug-session.ts';
import { DEBUG_CHANNEL } from '../../src/vm/assembly.ts';
import { guestProgram } from '../guests/guest-program.ts';
import { rax, rcx } from '../guests/operand.ts';
import { TestMachine } from '../guests/test-machine.ts';
import { workFolder } from './partita-command.ts';

const folder = workFolder();
afterAll(() => folder.remove());

/** Posts "ping", waits for eight bytes, posts those back and ends. */
const echo = guestProgram((guest) => {
  const { asm } = guest;
  guest.enableHypercalls();
  guest.inputWords([4n, 0x676e_6970n]);
  guest.hypercall(Call.PostDebugData);
  guest.expectStatus('HvPostDebugData');
  asm.label('wait');
  guest.inputWords([8n, 0n, 0n]);
  guest.hypercall(Call.RetrieveDebugData);
  asm.and(rax, 0xffff).cmp(rax, HvStatus.NO_DATA).je('wait');
  guest.output(rcx, 8);
  guest.inputWords([8n]);
  guest.input(8, rcx);
  guest.hypercall(Call.PostDebugData);
  guest.expectStatus('HvPostDebugData, the echo');
  guest.exit(0);
});

test('what a guest posts comes out of the socket, and what is sent there reaches the guest', async () => {
  const transport = new DebugTransport();
  const machine = new TestMachine({ debugTransport: transport });
  const privileges = DEFAULT_CHILD_PRIVILEGES | (1n << BigInt(Privilege.Debugging));
  const guest = machine.createGuest(echo, { privileges });
  const channel = BigInt(DEBUG_CHANNEL);
  machine.must(Call.SetPartitionProperty, [guest.id, PartitionProperty.DebugChannelId, channel]);
  const path = folder.path('debug-socket');
  const server = await serveDebugConnection(path, transport);
  const socket = connect(path);
  let received = '';
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
    if (received === 'ping') socket.write('debugger');
  });
  machine.start(guest);
  const end = performance.now() + 10_000;
  while ((guest.exit === undefined || received.length < 12) && performance.now() < end) {
    machine.run(() => guest.exit !== undefined, 2);
    await turn();
  }
  socket.destroy();
  server.close();
  expect({ exit: guest.exit, serial: guest.serial, received }).toEqual({
    exit: 0,
    serial: '',
    received: 'pingdebugger',
  });
});

test('a path where something is already is refused by name', async () => {
  const path = folder.path('taken');
  const server = await serveDebugConnection(path, new DebugTransport());
  await expect(serveDebugConnection(path, new DebugTransport())).rejects.toThrow(
    `--debug-connection ${path}`,
  );
  server.close();
});
