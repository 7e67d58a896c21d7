/**
 * One debugger's connection: GDB's remote serial protocol over a `DebugTarget` (GDB manual, "Remote Protocol"). All-stop
 * mode; virtual processor n is thread n + 1. Bytes come in by `receive`, work is done by `serve`, bytes go out by the
 * connection's `send`. No I/O here.
 *
 *   greeting ──first packet──▶ stopped ──vCont, c, s──▶ running ──stop, Ctrl-C──▶ stopped
 *                                 └──D, k, hostile input, connection lost──▶ closed
 *
 * The machine is stopped by the first well-formed packet, not by the connection alone: who only scans ports does
 * nothing to it. A connection that ends without detaching leaves a stopped machine stopped for the next debugger, as
 * the manual says of `disconnect`; its breakpoints go.
 */
import { BreakpointKind, type DebugTarget, type StopEvent, type VpAction } from './debug-target.ts';
import {
  bytesOfHex,
  hexCount,
  hexNumber,
  hexOfBytes,
  hexOfText,
  littleEndianHex,
  littleEndianNumber,
} from './hex-text.ts';
import { monitorCommand } from './monitor-commands.ts';
import { escapeBinary, framed, PACKET_SIZE, type PacketEvent, PacketReader } from './packet-codec.ts';
import { REGISTERS, registerIndex } from './register-table.ts';
import { TARGET_DESCRIPTION } from './target-description.ts';

export interface Connection {
  send(bytes: Uint8Array): void;
  /** The session is over; what was sent before still goes out. */
  close(reason: string | undefined): void;
}

const SIGINT = 2;
const SIGTRAP = 5;
/** Answers that were asked for again so often are not getting through. */
const MOST_REPEATS = 8;
/** Largest answers in hexadecimal digits, with room for the framing. */
const LONGEST_HEX = PACKET_SIZE - 16;
const EFAULT = 'E14';
const EINVAL = 'E16';
const ERROR = 'E01';
const OK = 'OK';
const EXPEDITED = ['rip', 'rsp', 'rbp'].map(registerIndex);

/** An answer, or undefined when none is due (yet). An empty one says that the packet is not known. */
type Answer = string | Uint8Array | undefined;

export class GdbSession {
  readonly #target: DebugTarget;
  readonly #connection: Connection;
  readonly #reader = new PacketReader();
  #noAck = false;
  #attached = false;
  #closed = false;
  /** The debugger waits for a stop reply. */
  #awaiting = false;
  #lastStop: StopEvent = { vp: 0, signal: SIGTRAP, cause: { kind: 'none' } };
  #lastSent: Uint8Array | undefined;
  #repeats = 0;
  /** What `Hg` chose for register and memory packets. */
  #vp = 0;
  #reports = { software: false, hardware: false };

  constructor(target: DebugTarget, connection: Connection) {
    this.#target = target;
    this.#connection = connection;
  }

  get closed(): boolean {
    return this.#closed;
  }

  receive(bytes: Uint8Array): void {
    if (!this.#closed) this.#reader.push(bytes);
  }

  /** Handles up to `limit` packets; true when there may be more. Only between two slices of the machine. */
  serve(limit: number): boolean {
    for (let count = 0; count < limit; count++) {
      const event = this.#closed ? undefined : this.#reader.next();
      if (event === undefined) return false;
      this.#handle(event);
    }
    return !this.#closed;
  }

  /** The connection is gone. */
  lost(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#attached) this.#target.detach(false);
  }

  /** The machine is gone. */
  ended(status: number): void {
    if (this.#closed) return;
    this.#send(`W${(status & 0xff).toString(16).padStart(2, '0')}`);
    this.#close(undefined);
  }

  #handle(event: PacketEvent): void {
    switch (event.kind) {
      case 'packet':
        this.#repeats = 0;
        if (!this.#noAck) this.#connection.send(Buffer.from('+'));
        this.#packet(event.payload);
        return;
      case 'damaged':
        if (!this.#noAck) this.#connection.send(Buffer.from('-'));
        return;
      case 'interrupt':
        if (this.#attached && !this.#target.stopped) this.#target.interrupt();
        return;
      case 'nak':
        this.#repeat();
        return;
      case 'hostile':
        this.#fail(event.reason);
        return;
      case 'ack':
        return;
    }
  }

  #repeat(): void {
    if (this.#lastSent === undefined || this.#noAck) return;
    if (++this.#repeats > MOST_REPEATS) this.#fail('it refuses every answer');
    else this.#connection.send(this.#lastSent);
  }

  #fail(reason: string): void {
    if (this.#attached) this.#target.detach(false);
    this.#close(reason);
  }

  #close(reason: string | undefined): void {
    this.#closed = true;
    this.#connection.close(reason);
  }

  #send(answer: string | Uint8Array): void {
    this.#lastSent = framed(answer);
    this.#connection.send(this.#lastSent);
  }

  #packet(payload: Uint8Array): void {
    if (!this.#attached) {
      this.#attached = true;
      this.#target.attach((event) => this.#stopped(event));
    }
    const text = Buffer.from(payload).toString('latin1');
    // All-stop: a debugger that waits for a stop has nothing to ask.
    const mayRun = text === '?' || text[0] === 'D' || text[0] === 'k' || text.startsWith('vKill');
    const answer = this.#target.stopped || mayRun ? this.#command(text, payload) : ERROR;
    if (answer !== undefined && !this.#closed) this.#send(answer);
  }

  #stopped(event: StopEvent): void {
    this.#lastStop = event;
    this.#vp = event.vp;
    if (!this.#awaiting || this.#closed) return;
    this.#awaiting = false;
    if (event.text !== undefined) this.#send(`O${hexOfText(`${event.text}\n`).slice(0, LONGEST_HEX)}`);
    this.#send(this.#stopReply());
  }

  #stopReply(): string {
    const { vp, signal, cause } = this.#lastStop;
    const values = this.#target.readRegisters(vp);
    const registers = EXPEDITED.map(
      (index) =>
        `${index.toString(16).padStart(2, '0')}:${littleEndianHex(values[index], REGISTERS[index].bits)};`,
    );
    let reason = '';
    if (cause.kind === 'watchpoint') reason = `${cause.access}:${cause.address.toString(16)};`;
    else if (cause.kind === 'software-breakpoint' && this.#reports.software) reason = 'swbreak:;';
    else if (cause.kind === 'hardware-breakpoint' && this.#reports.hardware) reason = 'hwbreak:;';
    return `T${signal.toString(16).padStart(2, '0')}${registers.join('')}thread:${vp + 1};${reason}`;
  }

  #command(text: string, payload: Uint8Array): Answer {
    const rest = text.slice(1);
    switch (text[0]) {
      case '?':
        if (!this.#target.stopped) this.#target.interrupt();
        return this.#stopReply();
      case 'g':
        return this.#readAll();
      case 'G':
        return this.#writeAll(rest);
      case 'p':
        return this.#readOne(rest);
      case 'P':
        return this.#writeOne(rest);
      case 'm':
        return this.#readMemory(rest, false);
      case 'x':
        return this.#readMemory(rest, true);
      case 'M':
        return this.#writeMemory(rest, undefined);
      case 'X':
        return this.#writeMemory(rest, payload);
      case 'Z':
      case 'z':
        return this.#breakpoint(text);
      case 'H':
        return this.#chooseThread(rest);
      case 'T':
        return this.#thread(rest) === undefined ? ERROR : OK;
      case 'c':
      case 's':
      case 'C':
      case 'S':
        return this.#resumeOldStyle(text);
      case 'v':
        return this.#verbose(text);
      case 'q':
      case 'Q':
        return this.#query(text);
      case 'D':
        this.#target.detach(true);
        this.#send(OK);
        this.#close(undefined);
        return undefined;
      case 'k':
        this.#target.kill();
        this.#close(undefined);
        return undefined;
    }
    return '';
  }

  // Registers

  #readAll(): string {
    const values = this.#target.readRegisters(this.#vp);
    return REGISTERS.map(({ bits }, index) => littleEndianHex(values[index], bits)).join('');
  }

  #writeAll(text: string): string {
    const bytes = bytesOfHex(text);
    const total = REGISTERS.reduce((sum, { bits }) => sum + bits / 8, 0);
    if (bytes?.length !== total) return EINVAL;
    const current = this.#target.readRegisters(this.#vp);
    let at = 0;
    for (const [index, { bits }] of REGISTERS.entries()) {
      const value = littleEndianNumber(bytes.subarray(at, at + bits / 8));
      if (value !== current[index] && !this.#target.writeRegister(this.#vp, index, value)) return EINVAL;
      at += bits / 8;
    }
    return OK;
  }

  #readOne(text: string): string {
    const index = hexCount(text);
    if (index === undefined || index >= REGISTERS.length) return ERROR;
    return littleEndianHex(this.#target.readRegisters(this.#vp)[index], REGISTERS[index].bits);
  }

  #writeOne(text: string): string {
    const [name, digits = ''] = text.split('=', 2);
    const index = hexCount(name);
    const bytes = bytesOfHex(digits);
    if (index === undefined || bytes === undefined || index >= REGISTERS.length) return ERROR;
    if (bytes.length !== REGISTERS[index].bits / 8) return EINVAL;
    return this.#target.writeRegister(this.#vp, index, littleEndianNumber(bytes)) ? OK : EINVAL;
  }

  // Memory

  #readMemory(text: string, binary: boolean): Answer {
    const [address, length] = place(text);
    if (address === undefined || length === undefined) return ERROR;
    // A shorter answer than was asked for is allowed; escapes may double a binary one.
    const bytes = this.#target.readMemory(this.#vp, address, Math.min(length, LONGEST_HEX / 2));
    if (bytes.length === 0 && length > 0) return EFAULT;
    return binary ? Buffer.concat([Buffer.from('b'), escapeBinary(bytes)]) : hexOfBytes(bytes);
  }

  #writeMemory(text: string, binary: Uint8Array | undefined): string {
    const colon = text.indexOf(':');
    const [address, length] = place(text.slice(0, Math.max(colon, 0)));
    if (address === undefined || length === undefined) return ERROR;
    const bytes = binary?.subarray(colon + 2) ?? bytesOfHex(text.slice(colon + 1));
    if (bytes?.length !== length) return EINVAL;
    return this.#target.writeMemory(this.#vp, address, bytes) ? OK : EFAULT;
  }

  #breakpoint(text: string): string {
    const match = /^[Zz]([0-4]),([0-9a-fA-F]{1,16}),([0-9a-fA-F]{1,4})$/.exec(text);
    if (match === null) return /^[Zz][0-4],[0-9a-fA-F,]*;/.test(text) ? EINVAL : '';
    const kind = Number(match[1]) as BreakpointKind;
    const address = BigInt(`0x${match[2]}`);
    const length = kind <= BreakpointKind.Hardware ? 1 : Number.parseInt(match[3], 16);
    const done =
      text[0] === 'Z'
        ? this.#target.insertBreakpoint(kind, this.#vp, address, length)
        : this.#target.removeBreakpoint(kind, this.#vp, address, length);
    return done ? OK : EFAULT;
  }

  // Threads and running

  /** The virtual processor that a thread id names; 0 and -1 stand for any. */
  #thread(text: string): number | undefined {
    if (text === '0' || text === '-1') return this.#vp;
    const id = hexCount(text);
    return id !== undefined && id >= 1 && id <= this.#target.vpCount ? id - 1 : undefined;
  }

  #chooseThread(text: string): string {
    const vp = this.#thread(text.slice(1));
    if (vp === undefined) return ERROR;
    if (text[0] === 'g') this.#vp = vp;
    return text[0] === 'g' || text[0] === 'c' ? OK : '';
  }

  /** `c [address]`, `s [address]`, and the same with a signal, which no processor takes. */
  #resumeOldStyle(text: string): Answer {
    const step = text[0].toLowerCase() === 's';
    const address =
      /^[csCS]/.test(text) && text[0] === text[0].toLowerCase() ? text.slice(1) : text.split(';')[1];
    if (address) {
      const value = hexNumber(address);
      if (value === undefined) return ERROR;
      if (!this.#target.writeRegister(this.#vp, registerIndex('rip'), value)) return EINVAL;
    }
    return this.#resume((vp) => (step ? (vp === this.#vp ? 'step' : 'hold') : 'continue'));
  }

  #resume(actionOf: (vp: number) => VpAction): Answer {
    const actions = Array.from({ length: this.#target.vpCount }, (_, vp) => actionOf(vp));
    if (actions.every((action) => action === 'hold')) return ERROR;
    this.#awaiting = true;
    this.#target.resume(actions);
    return undefined;
  }

  #verbose(text: string): Answer {
    if (text === 'vCont?') return 'vCont;c;C;s;S';
    if (text.startsWith('vCont;')) return this.#continue(text.slice('vCont;'.length));
    if (text.startsWith('vKill')) {
      this.#target.kill();
      this.#send(OK);
      this.#close(undefined);
      return undefined;
    }
    // vMustReplyEmpty among them.
    return '';
  }

  /** Actions with threads behind a colon; the first that fits a thread counts. */
  #continue(text: string): Answer {
    const actions: { action: VpAction; vp: number | undefined }[] = [];
    for (const part of text.split(';')) {
      const match = /^(?:([cs])|([CS])[0-9a-fA-F]{2})(?::(-1|[0-9a-fA-F]{1,8}))?$/.exec(part);
      if (match === null) return ERROR;
      const letter = (match[1] ?? match[2]).toLowerCase();
      const all = match[3] === undefined || match[3] === '-1';
      const vp = all ? undefined : this.#thread(match[3]);
      if (!all && vp === undefined) return ERROR;
      actions.push({ action: letter === 's' ? 'step' : 'continue', vp });
    }
    return this.#resume(
      (index) => actions.find(({ vp }) => vp === undefined || vp === index)?.action ?? 'hold',
    );
  }

  // Queries

  #query(text: string): Answer {
    const name = /^[A-Za-z]*/.exec(text)?.[0] ?? '';
    switch (name) {
      case 'qSupported': {
        this.#reports = { software: text.includes('swbreak+'), hardware: text.includes('hwbreak+') };
        return (
          `PacketSize=${PACKET_SIZE.toString(16)};QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;` +
          'swbreak+;hwbreak+;vContSupported+;binary-upload+'
        );
      }
      case 'QStartNoAckMode':
        this.#send(OK);
        this.#noAck = true;
        return undefined;
      case 'qXfer':
        return this.#transfer(text);
      case 'qfThreadInfo':
        return `m${Array.from({ length: this.#target.vpCount }, (_, vp) => (vp + 1).toString(16)).join(',')}`;
      case 'qsThreadInfo':
        return 'l';
      case 'qThreadExtraInfo': {
        const vp = this.#thread(text.slice('qThreadExtraInfo,'.length));
        return vp === undefined ? ERROR : hexOfText(`virtual processor ${vp}`);
      }
      case 'qC':
        return `QC${(this.#vp + 1).toString(16)}`;
      case 'qAttached':
        return '1';
      case 'qSymbol':
        return OK;
      case 'qRcmd':
        return this.#monitor(text.slice('qRcmd,'.length));
    }
    return '';
  }

  #transfer(text: string): Answer {
    const match =
      /^qXfer:(features:read:target\.xml|threads:read:):([0-9a-fA-F]{1,8}),([0-9a-fA-F]{1,8})$/.exec(text);
    if (match === null) return text.startsWith('qXfer:features:read:') ? 'E00' : '';
    const document = Buffer.from(match[1].startsWith('features') ? TARGET_DESCRIPTION : this.#threadList());
    const offset = Number.parseInt(match[2], 16);
    const length = Math.min(Number.parseInt(match[3], 16), LONGEST_HEX / 2);
    const part = document.subarray(offset, offset + length);
    const mark = offset + length >= document.length ? 'l' : 'm';
    return Buffer.concat([Buffer.from(mark), escapeBinary(part)]);
  }

  #threadList(): string {
    const threads = Array.from(
      { length: this.#target.vpCount },
      (_, vp) =>
        `<thread id="${(vp + 1).toString(16)}" core="${vp}" name="VP ${vp}">virtual processor ${vp}</thread>`,
    );
    return `<?xml version="1.0"?><threads>${threads.join('')}</threads>`;
  }

  #monitor(digits: string): Answer {
    const bytes = bytesOfHex(digits);
    if (bytes === undefined) return ERROR;
    const text = monitorCommand(Buffer.from(bytes).toString('utf8'), this.#target, this.#vp);
    return hexOfText(text).slice(0, LONGEST_HEX);
  }
}

export { SIGINT, SIGTRAP };

/** `address,length`, both hexadecimal. */
function place(text: string): [bigint | undefined, number | undefined] {
  const [address = '', length = ''] = text.split(',', 2);
  return [hexNumber(address), hexCount(length)];
}
