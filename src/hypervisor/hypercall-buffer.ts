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
/** The clock is read once in so many reps, or in a run that was done at once. */
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
  /** In memory that only the hypervisor uses. */
  readonly input: Uint8Array;
  readonly output = new Uint8Array(PAGE_SIZE);
  readonly #in: DataView;
  readonly #inWords: Int32Array;
  readonly #out = new DataView(this.output.buffer);
  #deadline = 0;
  /** Reps done since the clock was read. */
  #sinceClock = 0;

  constructor(hypervisor: Hypervisor) {
    this.hypervisor = hypervisor;
    this.caller = hypervisor.root;
    const { buffer } = hypervisor.memory.bytes;
    const address = hypervisor.allocateReserved(PAGE_SIZE);
    if (address < 0) throw new RangeError('the reserved memory has no page for hypercall parameters');
    this.input = new Uint8Array(buffer, address, PAGE_SIZE);
    this.#in = new DataView(buffer, address, PAGE_SIZE);
    this.#inWords = new Int32Array(buffer, address, PAGE_SIZE / 4);
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
    if (this.#sinceClock < REPS_PER_CLOCK_READING && this.rep !== this.repStart) return true;
    this.#sinceClock = 0;
    return !this.timeIsUp() || this.rep === this.repStart;
  }

  repDone(count = 1): void {
    this.rep += count;
    this.#sinceClock += count;
  }

  get elementAddress(): number {
    return this.input.byteOffset + this.#element(0);
  }

  risingElements(): number {
    const words = this.#inWords;
    const step = this.definition.inputElement.size / 4;
    const first = this.#element(0) / 4;
    const high = words[first + 1];
    const left = this.repCount - this.rep;
    let expected = (words[first] + 1) | 0;
    let run = 1;
    // The low word never wraps within a run: 0 does not follow -1.
    for (let each = first + step; run < left && expected !== 0; each += step) {
      if (words[each] !== expected || words[each + 1] !== high) break;
      expected = (expected + 1) | 0;
      run++;
    }
    return run;
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
