/**
 * The dispatcher's own copy of one hypercall's input and output, and the view of it that handlers get
 * (`HypercallCall`). Copying keeps a guest's other processors from changing what was checked. Owned by the
 * dispatcher, filled anew for each call.
 */
import { type HypercallDefinition, layout } from '../hvdef/hypercall-definition.ts';
import { HV_PARTITION_ID_SELF, PAGE_SIZE } from '../hvdef/types.ts';
import type { HypercallCall } from './hypercall-call.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { Partition } from './partition.ts';

/** A rep loop returns to the guest after this long (§4.3: 50 µs), in 100 ns units. */
export const TIME_LIMIT = 500;
/** The clock is read once in so many reps. */
const REPS_PER_CLOCK_READING = 16;
const CLOCK_STOPPED = -1;

export const NO_HYPERCALL: HypercallDefinition = {
  code: 0,
  name: 'none',
  rep: false,
  fast: false,
  extendedFast: false,
  caller: 'any',
  input: layout(''),
  inputElement: layout(''),
  output: layout(''),
  outputElement: layout(''),
  variableHeader: false,
  source: '',
};

export class HypercallBuffer implements HypercallCall {
  readonly hypervisor: Hypervisor;
  definition: HypercallDefinition = NO_HYPERCALL;
  caller: Partition;
  callerVp = 0;
  repStart = 0;
  repCount = 0;
  rep = 0;
  /** Bytes from the start of the input to its first element. */
  headerBytes = 0;
  /** Bytes from the start of the output to its first element. */
  outputHeaderBytes = 0;
  inputTail = 0;
  outputRoom = 0;
  /** Bytes that the handler wrote behind the fixed output. */
  outputTail = 0;
  readonly input = new Uint8Array(PAGE_SIZE);
  readonly output = new Uint8Array(PAGE_SIZE);
  readonly #in = new DataView(this.input.buffer);
  readonly #out = new DataView(this.output.buffer);
  #deadline = 0;

  constructor(hypervisor: Hypervisor) {
    this.hypervisor = hypervisor;
    this.caller = hypervisor.root;
  }

  /** The time of this invocation is counted from its first look at the clock; most calls never look. */
  stopClock(): void {
    this.#deadline = CLOCK_STOPPED;
  }

  u8(offset: number): number {
    return this.#in.getUint8(offset);
  }
  u16(offset: number): number {
    return this.#in.getUint16(offset, true);
  }
  u32(offset: number): number {
    return this.#in.getUint32(offset, true);
  }
  u64(offset: number): bigint {
    return this.#in.getBigUint64(offset, true);
  }
  number(offset: number): number {
    return this.#in.getUint32(offset, true) + this.#in.getUint32(offset + 4, true) * 2 ** 32;
  }
  inputBytes(offset: number, length: number): Uint8Array {
    return this.input.subarray(offset, offset + length);
  }

  elementU8(offset: number): number {
    return this.u8(this.#element(offset));
  }
  elementU32(offset: number): number {
    return this.u32(this.#element(offset));
  }
  elementU64(offset: number): bigint {
    return this.u64(this.#element(offset));
  }
  elementNumber(offset: number): number {
    return this.number(this.#element(offset));
  }
  elementBytes(offset: number, length: number): Uint8Array {
    return this.inputBytes(this.#element(offset), length);
  }

  putU8(offset: number, value: number): void {
    this.#out.setUint8(offset, value);
  }
  putU32(offset: number, value: number): void {
    this.#out.setUint32(offset, value, true);
  }
  putU64(offset: number, value: bigint | number): void {
    if (typeof value === 'bigint') {
      this.#out.setBigUint64(offset, value, true);
    } else {
      this.#out.setUint32(offset, value % 2 ** 32, true);
      this.#out.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
    }
  }
  putBytes(offset: number, bytes: Uint8Array): void {
    this.output.set(bytes, offset);
  }
  putTail(bytes: Uint8Array): void {
    this.output.set(bytes, this.outputHeaderBytes);
    this.outputTail = bytes.length;
  }
  putElementU32(offset: number, value: number): void {
    this.putU32(this.#outputElement(offset), value);
  }
  putElementU64(offset: number, value: bigint | number): void {
    this.putU64(this.#outputElement(offset), value);
  }
  putElementBytes(offset: number, bytes: Uint8Array): void {
    this.putBytes(this.#outputElement(offset), bytes);
  }

  hasRep(): boolean {
    if (this.rep >= this.repCount) return false;
    const done = this.rep - this.repStart;
    if (done % REPS_PER_CLOCK_READING !== 0) return true;
    return !this.timeIsUp() || done === 0;
  }

  repDone(): void {
    this.rep++;
  }

  timeIsUp(): boolean {
    const now = this.hypervisor.clock();
    if (this.#deadline === CLOCK_STOPPED) this.#deadline = now + TIME_LIMIT;
    return now >= this.#deadline;
  }

  partition(id: bigint): Partition | undefined {
    if (id === HV_PARTITION_ID_SELF) return this.caller;
    return id < 2n ** 53n ? this.hypervisor.partitions.get(Number(id)) : undefined;
  }

  #element(offset: number): number {
    return this.headerBytes + this.rep * this.definition.inputElement.size + offset;
  }

  #outputElement(offset: number): number {
    return this.outputHeaderBytes + this.rep * this.definition.outputElement.size + offset;
  }
}
