/** Repeatable randomness for the fuzzers: a xorshift generator, and the kinds of numbers that find mistakes. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 0x9e37_79b1) ^ 0x5bd1_e995) >>> 0 || 1;
  }

  bits(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }
  below(limit: number): number {
    return Math.floor((this.bits() / 2 ** 32) * limit);
  }
  oneIn(count: number): boolean {
    return this.below(count) === 0;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
  /** Small numbers, page numbers, limits and their neighbours, and anything. */
  word(): bigint {
    const kind = this.below(10);
    if (kind < 4) return BigInt(this.below(9));
    if (kind === 4) return BigInt(this.below(400));
    if (kind === 5) return BigInt(this.below(2 ** 31)) * 4096n;
    if (kind === 6) return 0xffff_ffff_ffff_ffffn - BigInt(this.below(4));
    if (kind === 7) return (1n << BigInt(this.below(64))) - BigInt(this.below(2));
    if (kind === 8) return BigInt(this.below(0x3000)) << 32n;
    return (BigInt(this.bits()) << 32n) | BigInt(this.bits());
  }
}
