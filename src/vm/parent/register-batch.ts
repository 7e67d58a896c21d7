/**
 * Register values on their way to or from a virtual processor: one HvSetVpRegisters or HvGetVpRegisters with
 * all of them (TLFS 2.0a §10.4.3, §10.4.4). The page is filled in place; nothing is allocated per register.
 */
import { HypercallCode } from '../../hvdef/hypercalls.ts';
import { RegisterName, SegmentLayout, TableLayout } from '../../hvdef/registers.ts';
import { HvStatus } from '../../hvdef/status.ts';
import { HypercallFailure, type HypercallPage } from './hypercall-page.ts';

const HEADER_BYTES = 16;
const SET_ELEMENT_BYTES = 32;
const NAME_BYTES = 4;
const VALUE_BYTES = 16;
const ELEMENT_VALUE = 16;

export interface SegmentValue {
  selector: number;
  base: number;
  limit: number;
  attributes: number;
}

/** One batch at a time: `begin`, any number of puts, `commit`. No other hypercall may come between. */
export class RegisterBatch {
  readonly #page: HypercallPage;
  readonly #partitionId: bigint;
  #count = 0;

  constructor(page: HypercallPage, partitionId: bigint) {
    this.#page = page;
    this.#partitionId = partitionId;
  }

  begin(vpIndex: number): this {
    this.#header(vpIndex);
    this.#count = 0;
    return this;
  }

  put(name: number, value: bigint): this {
    this.#next(name);
    this.#page.input.setBigUint64(this.#valueAt, value, true);
    return this;
  }

  /** Both halves. */
  putWide(name: number, low: bigint, high: bigint): this {
    this.put(name, low);
    this.#page.input.setBigUint64(this.#valueAt + 8, high, true);
    return this;
  }

  /** A value below 2^53. */
  putNumber(name: number, value: number): this {
    this.#next(name);
    this.#page.input.setUint32(this.#valueAt, value >>> 0, true);
    this.#page.input.setUint32(this.#valueAt + 4, Math.floor(value / 0x1_0000_0000), true);
    return this;
  }

  putSegment(name: number, segment: SegmentValue): this {
    this.putNumber(name, segment.base);
    this.#page.input.setUint32(this.#valueAt + SegmentLayout.Limit, segment.limit, true);
    this.#page.input.setUint16(this.#valueAt + SegmentLayout.Attributes, segment.attributes, true);
    this.#page.input.setUint16(this.#valueAt + SegmentLayout.Selector, segment.selector, true);
    return this;
  }

  putTable(name: number, table: { base: number; limit: number }): this {
    this.#next(name);
    this.#page.input.setUint16(this.#valueAt + TableLayout.Limit, table.limit, true);
    this.#page.input.setBigUint64(this.#valueAt + TableLayout.Base, BigInt(table.base), true);
    return this;
  }

  /** Clears the intercept suspend register with the rest: the VP goes on when the batch is done. */
  resume(): this {
    return this.putNumber(RegisterName.InterceptSuspend, 0);
  }

  commit(): void {
    const { status } = this.#page.invoke(HypercallCode.SetVpRegisters, this.#count, 0);
    if (status !== HvStatus.SUCCESS) throw new HypercallFailure('SetVpRegisters', status);
  }

  /** Low halves of registers, in the order of `names`. */
  read(vpIndex: number, names: readonly number[]): bigint[] {
    this.#header(vpIndex);
    names.forEach((name, index) => {
      this.#page.input.setUint32(HEADER_BYTES + index * NAME_BYTES, name, true);
    });
    const { status } = this.#page.invoke(HypercallCode.GetVpRegisters, names.length, 0);
    if (status !== HvStatus.SUCCESS) throw new HypercallFailure('GetVpRegisters', status);
    return names.map((_, index) => this.#page.output.getBigUint64(index * VALUE_BYTES, true));
  }

  /** Both halves of registers, low before high, in the order of `names`. */
  readAllWide(vpIndex: number, names: readonly number[]): BigUint64Array {
    this.read(vpIndex, names);
    const { output } = this.#page;
    return BigUint64Array.from({ length: 2 * names.length }, (_, half) =>
      output.getBigUint64(half * 8, true),
    );
  }

  /** Whole values of registers, by name. */
  readAll(vpIndex: number, names: readonly number[]): Map<number, bigint> {
    const { output } = this.#page;
    const low = this.read(vpIndex, names);
    return new Map(
      names.map((name, index) => [
        name,
        low[index] | (output.getBigUint64(index * VALUE_BYTES + 8, true) << 64n),
      ]),
    );
  }

  /** Both halves of one register. */
  readWide(vpIndex: number, name: number): [low: bigint, high: bigint] {
    const [low] = this.read(vpIndex, [name]);
    return [low, this.#page.output.getBigUint64(8, true)];
  }

  #header(vpIndex: number): void {
    const { input } = this.#page;
    input.setBigUint64(0, this.#partitionId, true);
    input.setUint32(8, vpIndex, true);
    input.setUint32(12, 0, true);
  }

  get #valueAt(): number {
    return HEADER_BYTES + (this.#count - 1) * SET_ELEMENT_BYTES + ELEMENT_VALUE;
  }

  #next(name: number): void {
    const at = HEADER_BYTES + this.#count * SET_ELEMENT_BYTES;
    const { input } = this.#page;
    input.setUint32(at, name, true);
    for (let offset = 4; offset < SET_ELEMENT_BYTES; offset += 4) input.setUint32(at + offset, 0, true);
    this.#count++;
  }
}
