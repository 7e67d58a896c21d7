/**
 * A 16550A serial port (National PC16550D data sheet). Chosen where the data sheet leaves time open: a byte
 * leaves the moment it is written, so the transmitter is always empty again at once; received bytes wait
 * outside the FIFO until there is room, so nothing overruns; the character time-out is immediate.
 */
import type { StateReader, StateRecord } from '../../support/saved-state/state-value.ts';
import type { InterruptLine, PortDevice } from './device.ts';
import type { PortRange } from './platform.ts';

const Ier = { Received: 1, TransmitterEmpty: 2, LineStatus: 4, ModemStatus: 8 } as const;
/** Interrupt identification, by falling priority. */
const Iir = {
  None: 1,
  ModemStatus: 0,
  TransmitterEmpty: 2,
  Received: 4,
  Timeout: 0xc,
  LineStatus: 6,
} as const;
const IIR_FIFOS = 0xc0;
const LCR_DIVISOR_LATCH = 0x80;
const LCR_BREAK = 0x40;
const Mcr = { Dtr: 1, Rts: 2, Out1: 4, Out2: 8, Loop: 0x10 } as const;
const Lsr = { DataReady: 1, Overrun: 2, Break: 0x10, HoldingEmpty: 0x20, TransmitterEmpty: 0x40 } as const;
const LSR_ERRORS = 0x1e;
const MSR_CONNECTED = 0xb0; // CTS, DSR and DCD: a terminal is there
const MSR_RING = 0x40;
const Fcr = { Enable: 1, ClearReceiver: 2 } as const;
const TRIGGER_LEVELS = [1, 4, 8, 14];
const FIFO_DEPTH = 16;
/** Received bytes in a saved state. */
const MOST_ON_THE_WIRE = 2 ** 20;

export class Serial16550 implements PortDevice {
  readonly name: string;
  readonly ports: readonly PortRange[];
  readonly width = 1;
  readonly #transmit: (byte: number) => void;
  readonly #line: InterruptLine;

  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scratch = 0;
  #divisor = 12;
  #lineErrors = 0;
  #modemLines = MSR_CONNECTED;
  #modemDeltas = 0;
  #transmitterEmptyPending = false;
  #fifo: number[] = [];
  /** Received but not yet in the FIFO: the wire. */
  #wire: number[] = [];
  #wireRead = 0;
  #lineAsserted = false;

  constructor(name: string, ports: PortRange, transmit: (byte: number) => void, line: InterruptLine) {
    this.name = name;
    this.ports = [ports];
    this.#transmit = transmit;
    this.#line = line;
  }

  reset(): void {
    this.#ier = this.#fcr = this.#lcr = this.#mcr = this.#scratch = 0;
    this.#divisor = 12;
    this.#lineErrors = this.#modemDeltas = 0;
    this.#modemLines = MSR_CONNECTED;
    this.#transmitterEmptyPending = false;
    this.#fifo = [];
    this.#wire = [];
    this.#wireRead = 0;
    this.#update();
  }

  inspect(): Record<string, unknown> {
    return {
      interruptEnable: this.#ier,
      lineControl: this.#lcr,
      modemControl: this.#mcr,
      divisor: this.#divisor,
      received: this.#fifo.length + this.#wire.length - this.#wireRead,
      interrupt: this.#lineAsserted,
    };
  }

  save(): StateRecord {
    return {
      ier: this.#ier,
      fcr: this.#fcr,
      lcr: this.#lcr,
      mcr: this.#mcr,
      scratch: this.#scratch,
      divisor: this.#divisor,
      lineErrors: this.#lineErrors,
      modemLines: this.#modemLines,
      modemDeltas: this.#modemDeltas,
      transmitterEmptyPending: this.#transmitterEmptyPending,
      fifo: Uint8Array.from(this.#fifo),
      wire: Uint8Array.from(this.#wire.slice(this.#wireRead)),
      lineAsserted: this.#lineAsserted,
    };
  }

  restore(from: StateReader): void {
    this.#ier = from.integer('ier', 0xf);
    this.#fcr = from.integer('fcr', 0xff);
    this.#lcr = from.integer('lcr', 0xff);
    this.#mcr = from.integer('mcr', 0x1f);
    this.#scratch = from.integer('scratch', 0xff);
    this.#divisor = from.integer('divisor', 0xffff);
    this.#lineErrors = from.integer('lineErrors', 0xff);
    this.#modemLines = from.integer('modemLines', 0xff);
    this.#modemDeltas = from.integer('modemDeltas', 0xff);
    this.#transmitterEmptyPending = from.flag('transmitterEmptyPending');
    this.#fifo = [...from.bytesUpTo('fifo', FIFO_DEPTH)];
    this.#wire = [...from.bytesUpTo('wire', MOST_ON_THE_WIRE)];
    this.#wireRead = 0;
    this.#lineAsserted = from.flag('lineAsserted');
  }

  /** Bytes that arrive from outside, in order. Lost while the port is in loopback, as on the real one. */
  receive(bytes: Uint8Array): void {
    if ((this.#mcr & Mcr.Loop) !== 0) return;
    for (const byte of bytes) this.#wire.push(byte);
    this.#refill();
    this.#update();
  }

  readPort(port: number): number {
    const latch = (this.#lcr & LCR_DIVISOR_LATCH) !== 0;
    switch (port - this.ports[0].first) {
      case 0:
        return latch ? this.#divisor & 0xff : this.#readReceiver();
      case 1:
        return latch ? this.#divisor >> 8 : this.#ier;
      case 2:
        return this.#readInterruptIdentification();
      case 3:
        return this.#lcr;
      case 4:
        return this.#mcr;
      case 5:
        return this.#readLineStatus();
      case 6:
        return this.#readModemStatus();
      default:
        return this.#scratch;
    }
  }

  writePort(port: number, _size: number, value: number): void {
    const latch = (this.#lcr & LCR_DIVISOR_LATCH) !== 0;
    switch (port - this.ports[0].first) {
      case 0:
        if (latch) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#writeTransmitter(value);
        break;
      case 1:
        if (latch) this.#divisor = (this.#divisor & 0xff) | (value << 8);
        else this.#writeInterruptEnable(value);
        break;
      case 2:
        this.#writeFifoControl(value);
        break;
      case 3:
        this.#writeLineControl(value);
        break;
      case 4:
        this.#writeModemControl(value);
        break;
      case 7:
        this.#scratch = value;
        break;
    }
    this.#update();
  }

  get #depth(): number {
    return (this.#fcr & Fcr.Enable) !== 0 ? FIFO_DEPTH : 1;
  }

  #refill(): void {
    while (this.#fifo.length < this.#depth && this.#wireRead < this.#wire.length) {
      this.#fifo.push(this.#wire[this.#wireRead++]);
    }
    if (this.#wireRead === this.#wire.length && this.#wireRead > 0) {
      this.#wire = [];
      this.#wireRead = 0;
    }
  }

  #readReceiver(): number {
    const byte = this.#fifo.shift() ?? 0;
    this.#refill();
    this.#update();
    return byte;
  }

  #writeTransmitter(byte: number): void {
    this.#transmitterEmptyPending = true;
    if ((this.#mcr & Mcr.Loop) === 0) this.#transmit(byte);
    else if (this.#fifo.length < this.#depth) this.#fifo.push(byte);
    else this.#lineErrors |= Lsr.Overrun;
  }

  #writeInterruptEnable(value: number): void {
    // Enabling the interrupt while the holding register is empty raises it again; Linux tests for that.
    const enabled = value & ~this.#ier & Ier.TransmitterEmpty;
    if (enabled !== 0) this.#transmitterEmptyPending = true;
    this.#ier = value & 0xf;
  }

  #writeFifoControl(value: number): void {
    const toggled = (value ^ this.#fcr) & Fcr.Enable;
    if (toggled !== 0 || (value & Fcr.ClearReceiver) !== 0) this.#fifo = [];
    this.#fcr = (value & Fcr.Enable) === 0 ? 0 : value & 0xc1;
    this.#refill();
  }

  #writeLineControl(value: number): void {
    const breaks = value & ~this.#lcr & LCR_BREAK;
    this.#lcr = value;
    if (breaks !== 0 && (this.#mcr & Mcr.Loop) !== 0) {
      this.#lineErrors |= Lsr.Break;
      if (this.#fifo.length < this.#depth) this.#fifo.push(0);
    }
  }

  #writeModemControl(value: number): void {
    this.#mcr = value & 0x1f;
    let lines: number = MSR_CONNECTED;
    if ((this.#mcr & Mcr.Loop) !== 0) {
      lines = ((value & Mcr.Rts) << 3) | ((value & Mcr.Dtr) << 5) | ((value & (Mcr.Out1 | Mcr.Out2)) << 4);
    }
    const changed = lines ^ this.#modemLines;
    this.#modemDeltas |= ((changed & ~MSR_RING) >> 4) | (((this.#modemLines & ~lines & MSR_RING) >> 4) & 4);
    this.#modemLines = lines;
  }

  #readLineStatus(): number {
    const ready = this.#fifo.length > 0 ? Lsr.DataReady : 0;
    const status = ready | this.#lineErrors | Lsr.HoldingEmpty | Lsr.TransmitterEmpty;
    this.#lineErrors = 0;
    this.#update();
    return status;
  }

  #readModemStatus(): number {
    const status = this.#modemLines | this.#modemDeltas;
    this.#modemDeltas = 0;
    this.#update();
    return status;
  }

  #identify(): number {
    if ((this.#ier & Ier.LineStatus) !== 0 && (this.#lineErrors & LSR_ERRORS) !== 0) return Iir.LineStatus;
    if ((this.#ier & Ier.Received) !== 0 && this.#fifo.length > 0) {
      const trigger = (this.#fcr & Fcr.Enable) !== 0 ? TRIGGER_LEVELS[this.#fcr >> 6] : 1;
      return this.#fifo.length >= trigger ? Iir.Received : Iir.Timeout;
    }
    if ((this.#ier & Ier.TransmitterEmpty) !== 0 && this.#transmitterEmptyPending)
      return Iir.TransmitterEmpty;
    if ((this.#ier & Ier.ModemStatus) !== 0 && this.#modemDeltas !== 0) return Iir.ModemStatus;
    return Iir.None;
  }

  #readInterruptIdentification(): number {
    const source = this.#identify();
    if (source === Iir.TransmitterEmpty) {
      this.#transmitterEmptyPending = false;
      this.#update();
    }
    return source | ((this.#fcr & Fcr.Enable) !== 0 ? IIR_FIFOS : 0);
  }

  /** OUT2 connects the port to the interrupt controller on a PC. In loopback it is disconnected. */
  #update(): void {
    const connected = (this.#mcr & (Mcr.Out2 | Mcr.Loop)) === Mcr.Out2;
    const asserted = connected && this.#identify() !== Iir.None;
    if (asserted === this.#lineAsserted) return;
    this.#lineAsserted = asserted;
    this.#line(asserted);
  }
}
