/** The protocol against a target that is only memory and registers in this process. */
import { describe, expect, test } from 'vitest';
import type { DebugTarget, StopEvent, VpAction } from './debug-target.ts';
import { GdbSession } from './gdb-session.ts';
import { hexOfText } from './hex-text.ts';
import { framed, PACKET_SIZE } from './packet-codec.ts';
import { REGISTERS, registerIndex } from './register-table.ts';

const MEMORY_BYTES = 0x8000;
const FIXED = registerIndex('cr0');

class FakeTarget implements DebugTarget {
  readonly vpCount = 2;
  stopped = false;
  readonly memory = new Uint8Array(MEMORY_BYTES);
  readonly registers = [0, 1].map(() => REGISTERS.map((_, index) => BigInt(index)));
  readonly log: string[] = [];
  onStop: ((event: StopEvent) => void) | undefined;

  attach(onStop: (event: StopEvent) => void): void {
    this.onStop = onStop;
    this.stopped = true;
  }
  detach(goOn: boolean): void {
    this.log.push(`detach ${goOn}`);
  }
  readRegisters(vp: number): bigint[] {
    return [...this.registers[vp]];
  }
  writeRegister(vp: number, index: number, value: bigint): boolean {
    if (index === FIXED) return false;
    this.registers[vp][index] = value;
    return true;
  }
  readMemory(_: number, address: bigint, length: number): Uint8Array {
    return address >= BigInt(MEMORY_BYTES)
      ? new Uint8Array(0)
      : this.memory.subarray(Number(address), Number(address) + length);
  }
  writeMemory(_: number, address: bigint, bytes: Uint8Array): boolean {
    if (address + BigInt(bytes.length) > BigInt(MEMORY_BYTES)) return false;
    this.memory.set(bytes, Number(address));
    return true;
  }
  insertBreakpoint(kind: number, _: number, address: bigint, length: number): boolean {
    this.log.push(`insert ${kind} ${address.toString(16)} ${length}`);
    return address < 0x1_0000n;
  }
  removeBreakpoint(kind: number, _: number, address: bigint): boolean {
    this.log.push(`remove ${kind} ${address.toString(16)}`);
    return true;
  }
  resume(actions: readonly VpAction[]): void {
    this.stopped = false;
    this.log.push(actions.join(' '));
  }
  interrupt(): void {
    this.stop({ vp: 0, signal: 2, cause: { kind: 'none' } });
  }
  stop(event: StopEvent): void {
    this.stopped = true;
    this.onStop?.(event);
  }
  kill(): void {
    this.log.push('kill');
  }
  reset(): void {
    this.log.push('reset');
  }
  translate(): number | undefined {
    return 0x1000;
  }
}

/** A session that has left acknowledgements behind; `ask` gives the payloads of what comes back. */
function open() {
  const target = new FakeTarget();
  let sent = '';
  let closed: string | undefined | false = false;
  const session = new GdbSession(target, {
    send: (bytes) => {
      sent += Buffer.from(bytes).toString('latin1');
    },
    close: (reason) => {
      closed = reason;
    },
  });
  const raw = (bytes: Uint8Array): string => {
    sent = '';
    session.receive(bytes);
    for (let rounds = 0; rounds < 100_000 && session.serve(16); rounds++);
    return sent;
  };
  const payloads = (text: string): string[] =>
    [...text.matchAll(/\$([^#]*)#[0-9a-f]{2}/gs)].map(([, body]) => body);
  const ask = (packet: string | Uint8Array): string => payloads(raw(framed(packet))).join('|');
  raw(framed('QStartNoAckMode'));
  raw(Buffer.from('+'));
  return { target, session, raw, ask, closed: () => closed };
}

describe('a session', () => {
  test('stops the machine at its first packet and says what it can do', () => {
    const { target, ask } = open();
    expect(target.stopped).toBe(true);
    const features = ask('qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386');
    expect(features).toContain(`PacketSize=${PACKET_SIZE.toString(16)}`);
    expect(features).toContain('qXfer:features:read+');
    expect(ask('vMustReplyEmpty')).toBe('');
    expect(ask('vCont?')).toBe('vCont;c;C;s;S');
    expect(ask('qAttached')).toBe('1');
    expect(ask('?')).toMatch(/^T05.*thread:1;$/);
  });

  test('acknowledges until it is told not to, and sends again what got lost', () => {
    const target = new FakeTarget();
    const sent: string[] = [];
    const session = new GdbSession(target, {
      send: (bytes) => sent.push(Buffer.from(bytes).toString('latin1')),
      close: (reason) => sent.push(`closed: ${reason}`),
    });
    session.receive(Buffer.from('$qC#b4$qC#00-'));
    while (session.serve(1));
    expect(sent).toEqual(['+', '$QC1#c5', '-', '$QC1#c5']);
    session.receive(Buffer.from('-'.repeat(20)));
    while (session.serve(1));
    expect(sent.at(-1)).toBe('closed: it refuses every answer');
    expect(sent.length).toBeLessThan(20);
    expect(target.log).toEqual(['detach false']);
  });

  test('gives the target description and the threads in parts', () => {
    const { ask } = open();
    let text = '';
    for (let rounds = 0; rounds < 1000; rounds++) {
      const part = ask(`qXfer:features:read:target.xml:${text.length.toString(16)},100`);
      text += part.slice(1);
      if (part[0] === 'l') break;
      expect(part).toHaveLength(257);
    }
    expect(text).toContain('<architecture>i386:x86-64</architecture>');
    for (const { name } of REGISTERS) expect(text).toContain(`<reg name="${name}"`);
    expect(ask('qXfer:threads:read::0,fff')).toMatch(/^l.*<thread id="2" core="1"/);
    expect(ask('qfThreadInfo')).toBe('m1,2');
    expect(ask('qXfer:features:read:other.xml:0,100')).toBe('E00');
  });

  test('reads and writes registers of the thread that was chosen', () => {
    const { ask, target } = open();
    expect(ask('Hg2')).toBe('OK');
    expect(ask('P10=efcdab8967452301')).toBe('OK');
    expect(target.registers[1][16]).toBe(0x0123456789abcdefn);
    expect(ask('p10')).toBe('efcdab8967452301');
    const all = ask('g');
    expect(all).toHaveLength(REGISTERS.reduce((sum, { bits }) => sum + bits / 4, 0));
    expect(ask(`G${all}`)).toBe('OK');
    expect(ask(`G${all}00`)).toBe('E16');
    expect(ask(`P${FIXED.toString(16)}=0000000000000000`)).toBe('E16');
    for (const bad of ['pff', 'Pff=00', 'P1=zz', 'Hg3', 'Hg0x1', 'T99']) expect(ask(bad)).toBe('E01');
  });

  test('moves memory in hexadecimal and in binary, and says how much there was', () => {
    const { ask, target } = open();
    expect(ask('M10,3:010203')).toBe('OK');
    expect(ask('m10,4')).toBe('01020300');
    expect(ask(Buffer.from('X20,3:}\x03}\x04\x7e', 'latin1'))).toBe('OK');
    expect([...target.memory.subarray(0x20, 0x23)]).toEqual([0x23, 0x24, 0x7e]);
    expect(ask('x20,3')).toBe('b}\x03}\x04\x7e');
    expect(ask('X20,0:')).toBe('OK');
    expect(ask('m7fff,10')).toBe('00');
    expect(ask('m8000,1')).toBe('E14');
    expect(ask('m0,7fffffff').length).toBeLessThanOrEqual(PACKET_SIZE);
    for (const bad of ['m', 'm0', 'm,', 'mx,1', 'm0,80000000', 'M0,1', 'm11111111111111111,1'])
      expect(ask(bad)).toBe('E01');
    expect(ask('M0,2:01')).toBe('E16');
    expect(ask('X0,4:ab')).toBe('E16');
  });

  test('sets breakpoints of every kind, and none that it does not understand', () => {
    const { ask, target } = open();
    expect(['Z0,10,1', 'Z1,20,1', 'Z2,30,8', 'Z4,40,4', 'z2,30,8'].map(ask)).toEqual(Array(5).fill('OK'));
    expect(target.log).toEqual([
      'insert 0 10 1',
      'insert 1 20 1',
      'insert 2 30 8',
      'insert 4 40 4',
      'remove 2 30',
    ]);
    expect(ask('Z2,20000,8')).toBe('E14');
    expect(['Z5,0,1', 'Z', 'Z0', 'Z0,,'].map(ask)).toEqual(['', '', '', '']);
  });

  test('runs by thread, answers the stop, and the interrupt stops', () => {
    const { ask, raw, target } = open();
    ask('qSupported:swbreak+;hwbreak+');
    expect(ask('vCont;s:2;c')).toBe('');
    expect(target.log.pop()).toBe('continue step');
    // While it runs there is nothing to ask.
    expect(ask('g')).toBe('E01');
    expect(raw(Buffer.from('\x03'))).toMatch(/^\$T02.*thread:1;#/);
    ask('vCont;s:1');
    expect(target.log.pop()).toBe('step hold');
    target.stop({ vp: 1, signal: 5, cause: { kind: 'watchpoint', access: 'awatch', address: 0x40n } });
    expect(ask('?')).toMatch(/thread:2;awatch:40;$/);
    ask('c');
    target.stop({ vp: 0, signal: 5, cause: { kind: 'software-breakpoint' } });
    expect(ask('?')).toMatch(/swbreak:;$/);
    ask('s1234');
    expect(target.registers[0][16]).toBe(0x1234n);
    target.stop({ vp: 0, signal: 5, cause: { kind: 'none' } });
    for (const bad of ['vCont;', 'vCont;x', 'vCont;s:9', 'vCont;s:0x', 'vCont;s:1;;c'])
      expect(ask(bad)).toBe('E01');
  });

  test('has monitor commands', () => {
    const { ask, target } = open();
    const monitor = (text: string): string => Buffer.from(ask(`qRcmd,${hexOfText(text)}`), 'hex').toString();
    expect(monitor('help')).toContain('monitor translate');
    expect(monitor('info')).toMatch(/virtual processor 1 .*rip 0x10/);
    expect(monitor('translate 0xffff')).toContain('0x1000');
    expect(monitor('translate me')).toContain('hexadecimal');
    expect(monitor('dance')).toContain("no command 'dance'");
    monitor('reset');
    expect(target.log).toContain('reset');
    expect(ask('qRcmd,zz')).toBe('E01');
  });

  test('detaches, is killed, and goes with its connection or its machine', () => {
    const detached = open();
    expect(detached.ask('D')).toBe('OK');
    expect(detached.target.log).toEqual(['detach true']);
    expect(detached.closed()).toBeUndefined();
    const killed = open();
    killed.ask('vKill;1');
    expect(killed.target.log).toEqual(['kill']);
    const gone = open();
    gone.session.lost();
    expect(gone.target.log).toEqual(['detach false']);
    const hostile = open();
    hostile.raw(Buffer.from('x'.repeat(100)));
    expect(hostile.closed()).toBe('it sends bytes outside packets');
    expect(hostile.target.log).toEqual(['detach false']);
  });

  test('survives packets of random bytes and damaged commands, with bounded answers', () => {
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const commands = [
      'qSupported:a', 'g', 'G00', 'p1', 'P1=00', 'm0,10', 'x0,10', 'M0,1:00', 'X0,1:a', 'Z0,1,1', 'z1,1,1', 'Hg1', 'T1',
      'vCont;s:1;c', 'vCont?', 'c', 's', 'C05;10', 'qXfer:features:read:target.xml:0,ff', 'qXfer:threads:read::0,f',
      'qRcmd,68', 'qC', '?', 'qThreadExtraInfo,1', 'QStartNoAckMode', 'qfThreadInfo', 'vKillx', 'R00', 'bc', 'A1', 'qCRC:0,1',
    ]; // biome-ignore format: a list
    const { target, raw } = open();
    let session = open();
    for (let round = 0; round < 20_000; round++) {
      const command = Buffer.from(commands[random(commands.length)], 'latin1');
      for (let changes = random(4); changes > 0; changes--) command[random(command.length)] = random(256);
      const answer = session.raw(framed(random(3) === 0 ? escapeOdd(command) : command));
      expect(answer.length).toBeLessThan(2 * PACKET_SIZE + 16);
      session.target.stopped = true;
      if (session.closed() !== false || random(500) === 0) session = open();
    }
    expect(raw(framed('g')).length).toBeGreaterThan(100);
    expect(target.stopped).toBe(true);
  });
});

const escapeOdd = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from([...bytes].flatMap((byte) => (byte & 1 ? [0x7d, byte ^ 0x20] : [byte])));
