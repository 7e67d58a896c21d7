/** Names of addresses: the symbol at or below an address, within its size where that is known. */

export interface NamedAddress {
  address: bigint;
  name: string;
  /** In bytes; 0 where the source does not say. */
  size: number;
  kind: SymbolKind;
  /** Known beyond its file. */
  isGlobal: boolean;
}
export type SymbolKind = 'code' | 'data' | 'absolute';

/** A symbol without a size names what follows it up to here. */
const LONGEST_REACH = 0x10_0000n;

export class SymbolTable {
  /** Code and data by rising address. */
  readonly #sorted: readonly NamedAddress[];

  /** `offset` is added to every address. */
  constructor(symbols: readonly NamedAddress[], offset = 0n) {
    this.#sorted = symbols
      .filter(({ kind }) => kind !== 'absolute')
      .map((each) => ({ ...each, address: BigInt.asUintN(64, each.address + offset) }))
      .sort((a, b) =>
        a.address < b.address ? -1 : a.address > b.address ? 1 : Number(b.isGlobal) - Number(a.isGlobal),
      );
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** `name+0x12`, or undefined where no symbol reaches. */
  nameOf(address: bigint): string | undefined {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sorted[middle].address <= address) low = middle + 1;
      else high = middle;
    }
    let index = low - 1;
    if (index < 0) return undefined;
    // Of several at one address the first stands for all.
    while (index > 0 && this.#sorted[index - 1].address === this.#sorted[index].address) index--;
    const { address: start, size, name } = this.#sorted[index];
    const distance = address - start;
    if (distance >= (size > 0 ? BigInt(size) : LONGEST_REACH)) return undefined;
    return distance === 0n ? name : `${name}+0x${distance.toString(16)}`;
  }
}
