/** Claims about chapter 14: ports, connections, messages and events. */
import { HypercallCode as C } from '../../../../src/hvdef/hypercalls.ts';
import { RegisterName } from '../../../../src/hvdef/registers.ts';
import { HV_ANY_VP, PortType } from '../../../../src/hvdef/synic.ts';
import { type ImpossibleRow, type RowClaim, type RowWriter, rowsOf } from '../claims.ts';
import { type Answer, must, setRegisters, type Words } from '../fed-guest.ts';
import { NOBODY, type Scene } from '../scene.ts';
import { wrongPartition, wrongTarget } from './common-mistakes.ts';

const FAST = { fast: true };
const PORT = 1;
const RESERVED_ID = 0xff00_0001;
const MANY = 5000;

let lastId = 0x100;
const nextId = (): number => ++lastId;

interface PortFields {
  id?: number;
  sender?: bigint | number;
  type?: number;
  sint?: number;
  vp?: number;
  extra?: bigint;
}
function portWords(partition: bigint | number, fields: PortFields, caller: bigint): Words {
  const {
    id = PORT,
    sender = caller,
    type = PortType.Message,
    sint = 2,
    vp = HV_ANY_VP,
    extra = 0n,
  } = fields;
  return [partition, id, sender, type, BigInt(sint) | (BigInt(vp) << 32n), extra];
}
const createPort = (s: Scene, partition: bigint | number, fields: PortFields = {}): Answer =>
  s.parent.call(C.CreatePort, portWords(partition, fields, s.parent.id));
const connect = (
  s: Scene,
  connection: bigint | number,
  id: number,
  port: bigint | number,
  portId = PORT,
  info: bigint | number = 0,
): Answer => s.parent.call(C.ConnectPort, [connection, id, port, portId, info]);

function must0(answer: Answer): void {
  if (answer.status !== 0) throw new Error(`setting up the claim failed with status ${answer.status}`);
}

/** A connection of `parent` to a port of a fresh child with one processor. */
function connection(s: Scene, fields: PortFields = {}): { child: bigint; id: number } {
  const child = s.childWithVp();
  const id = nextId();
  must0(createPort(s, child, { vp: 0, ...fields }));
  must0(connect(s, s.parent.id, id, child));
  return { child, id };
}
const EVENT: PortFields = { type: PortType.Event, extra: 8n << 16n };
/** Makes the child's SynIC accept what arrives. */
function enableSynic(s: Scene, child: bigint): void {
  setRegisters(s.parent, child, 0, [
    { name: RegisterName.Scontrol, low: 1n, high: 0n },
    { name: RegisterName.Simp, low: 0x5001n, high: 0n },
    { name: RegisterName.Siefp, low: 0x6001n, high: 0n },
    { name: RegisterName.Sint0 + 2, low: 0x1_0040n, high: 0n },
  ]);
}

const post = (s: Scene, id: number, type: bigint | number = 1, size = 8): Answer =>
  s.parent.call(C.PostMessage, [id, BigInt(type) | (BigInt(size) << 32n), 0x1234]);
const signal = (s: Scene, id: number, flag = 0): Answer =>
  s.parent.call(C.SignalEvent, [BigInt(id) | (BigInt(flag) << 32n)], FAST);

/** What both sending calls answer for a connection, whose port has the fields. */
function sendRows(
  row: RowWriter,
  fields: PortFields,
  other: PortFields,
  send: (s: Scene, id: number) => Answer,
): RowClaim[] {
  return [
    row('INVALID_CONNECTION_ID', 'there is no such connection', (s) => send(s, 0xff_ffff)),
    row('INVALID_PORT_ID', 'the port was deleted', (s) => {
      const { child, id } = connection(s, fields);
      must(s.parent, C.DeletePort, [child, PORT], FAST);
      return send(s, id);
    }),
    row('INVALID_PORT_ID', 'the port is of another type', (s) => send(s, connection(s, other).id)),
    row('INVALID_VP_INDEX', 'the target processor was deleted', (s) => {
      const { child, id } = connection(s, fields);
      must(s.parent, C.DeleteVp, [child, 0], FAST);
      return send(s, id);
    }),
    row('INVALID_SYNIC_STATE', "the target's SynIC is disabled", (s) => send(s, connection(s, fields).id)),
  ]; // biome-ignore format: a table
}

export const communicationRows: RowClaim[] = [
  ...rowsOf('CreatePort', (row) => [
    ...wrongTarget(row, 'CreatePort', (id) => portWords(id, {}, 1n)),
    row('INVALID_PARTITION_ID', 'port and connection would be in one partition', (s) => {
      const child = s.child();
      return createPort(s, child, { sender: child });
    }),
    row('INVALID_PORT_ID', 'the high bits of the port ID are reserved', (s) => createPort(s, s.child(), { id: RESERVED_ID })),
    row('INVALID_PORT_ID', 'the port ID is in use', (s) => {
      const child = s.child();
      must0(createPort(s, child));
      return createPort(s, child);
    }),
    row('INVALID_VP_INDEX', 'the target processor does not exist', (s) => createPort(s, s.child(), { vp: 7 })),
    row('INVALID_PARAMETER', 'synthetic interrupt source 0 is not for ports', (s) => createPort(s, s.child(), { sint: 0 })),
    row('INVALID_PARAMETER', 'there is no such port type', (s) => createPort(s, s.child(), { type: 9 })),
    row('INVALID_PARAMETER', 'an event port has no flags', (s) => createPort(s, s.child(), { type: PortType.Event })),
    row('INVALID_PARAMETER', 'the flags of an event port end beyond 2048', (s) =>
      createPort(s, s.child(), { type: PortType.Event, extra: 2047n | (2n << 16n) })),
    row('INVALID_ALIGNMENT', 'the monitor page is not page-aligned', (s) =>
      createPort(s, s.child(), { type: PortType.Monitor, sint: 8, vp: 0 })),
    row('INSUFFICIENT_MEMORY', 'the pool has no page for the port', (s) => createPort(s, s.child(1))),
    row('NO_RESOURCES', 'the partition has as many ports as it can have', (s) => {
      const child = s.child(96);
      for (let id = 1; id < MANY; id++) {
        const answer = createPort(s, child, { ...EVENT, id });
        if (answer.status !== 0) return answer;
      }
      throw new Error(`${MANY} ports were created`);
    }),
  ]),
  ...rowsOf('DeletePort', (row) => [
    ...wrongTarget(row, 'DeletePort', (id) => [id, PORT], FAST),
    row('INVALID_PORT_ID', 'there is no such port', (s) => s.parent.call(C.DeletePort, [s.child(), PORT], FAST)),
  ]),
  ...rowsOf('ConnectPort', (row) => [
    ...wrongTarget(row, 'ConnectPort', (id) => [id, PORT, 1, PORT, 0]),
    row('INVALID_PARTITION_ID', 'nobody has the port partition ID', (s) => connect(s, s.child(), 1, NOBODY)),
    row('INVALID_CONNECTION_ID', 'the high bits of the connection ID are reserved', (s) =>
      connect(s, s.child(), RESERVED_ID, s.child())),
    row('INVALID_CONNECTION_ID', 'the connection ID is in use', (s) => {
      const { id, child } = connection(s);
      return connect(s, s.parent.id, id, child);
    }),
    row('INVALID_PORT_ID', 'there is no such port', (s) => connect(s, s.parent.id, nextId(), s.child())),
    row('INVALID_PORT_ID', 'the port is connected already', (s) => {
      const { child } = connection(s);
      return connect(s, s.parent.id, nextId(), child);
    }),
    row('INVALID_ALIGNMENT', 'the monitor page is not page-aligned', (s) => {
      const child = s.child();
      must0(createPort(s, child, { type: PortType.Monitor, sint: 0x8000, vp: 0 }));
      return connect(s, s.parent.id, nextId(), child, PORT, 8);
    }),
    row('INVALID_PARAMETER', 'the connection information of a message port is not zero', (s) => {
      const child = s.child();
      must0(createPort(s, child));
      return connect(s, s.parent.id, nextId(), child, PORT, 1);
    }),
    row('INSUFFICIENT_MEMORY', 'the pool has no page for the connection', (s) => {
      const [child, sender] = [s.child(), s.child(1)];
      must0(createPort(s, child, { sender }));
      return connect(s, sender, 1, child);
    }),
    row('NO_RESOURCES', 'the partition has as many connections as it can have', (s) => {
      const [first, second, sender] = [s.child(96), s.child(96), s.child(96)];
      for (let id = 1; id < MANY; id++) {
        const child = id <= 4096 ? first : second;
        must0(createPort(s, child, { ...EVENT, id, sender }));
        const answer = connect(s, sender, id, child, id);
        if (answer.status !== 0) return answer;
      }
      throw new Error(`${MANY} connections were made`);
    }),
  ]),
  ...rowsOf('GetPortProperty', (row) => [
    ...wrongPartition(row, 'GetPortProperty', (id) => [id, PORT, 0]),
    row('INVALID_PORT_ID', 'there is no such port', (s) => s.parent.call(C.GetPortProperty, [s.child(), PORT, 0])),
    row('UNKNOWN_PROPERTY', 'there is no such property', (s) => {
      const child = s.child();
      must0(createPort(s, child));
      return s.parent.call(C.GetPortProperty, [child, PORT, 99]);
    }),
  ]),
  ...rowsOf('SetPortProperty', (row) => [
    ...wrongPartition(row, 'SetPortProperty', (id) => [id, PORT, 1, HV_ANY_VP]),
    row('INVALID_PORT_ID', 'there is no such port', (s) => s.parent.call(C.SetPortProperty, [s.child(), PORT, 1, 0])),
    row('UNKNOWN_PROPERTY', 'there is no such property', (s) => {
      const child = s.child();
      must0(createPort(s, child));
      return s.parent.call(C.SetPortProperty, [child, PORT, 99, 0]);
    }),
  ]),
  ...rowsOf('DisconnectPort', (row) => [
    ...wrongTarget(row, 'DisconnectPort', (id) => [id, PORT], FAST),
    row('INVALID_CONNECTION_ID', 'there is no such connection', (s) =>
      s.parent.call(C.DisconnectPort, [s.child(), PORT], FAST)),
  ]),
  ...rowsOf('PostMessage', (row) => [
    row('ACCESS_DENIED', 'the caller lacks PostMessages', (s) => s.powerless.call(C.PostMessage, [1, 1, 0])),
    ...sendRows(row, {}, EVENT, post),
    row('INVALID_PARAMETER', 'the message type is one of the hypervisor', (s) => post(s, connection(s).id, 0x8000_0001n)),
    row('INVALID_PARAMETER', 'the message type is 0', (s) => post(s, connection(s).id, 0)),
    row('INVALID_PARAMETER', 'the payload has 241 bytes', (s) => post(s, connection(s).id, 1, 241)),
    row('INSUFFICIENT_BUFFERS', 'every buffer of the port holds a message that the target has not taken', (s) => {
      const { child, id } = connection(s);
      enableSynic(s, child);
      for (let count = 0; count < 40; count++) {
        const answer = post(s, id);
        if (answer.status !== 0) return answer;
      }
      throw new Error('40 messages were accepted');
    }),
  ]),
  ...rowsOf('SignalEvent', (row) => [
    row('ACCESS_DENIED', 'the caller lacks SignalEvents', (s) => s.powerless.call(C.SignalEvent, [1], FAST)),
    ...sendRows(row, EVENT, {}, signal),
    row('INVALID_PARAMETER', "the flag is beyond the port's", (s) => {
      const { child, id } = connection(s, EVENT);
      enableSynic(s, child);
      return signal(s, id, 8);
    }),
  ]),
]; // biome-ignore format: a table

export const impossibleCommunicationRows: ImpossibleRow[] = [];
