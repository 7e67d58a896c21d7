/** A set of 256 interrupt vectors, as IRR, ISR and TMR are: the eight 32-bit words that registers show. */
export class VectorSet {
  readonly words = new Uint32Array(8);

  has(vector: number): boolean {
    return (this.words[vector >>> 5] & (1 << (vector & 31))) !== 0;
  }
  add(vector: number): void {
    this.words[vector >>> 5] |= 1 << (vector & 31);
  }
  delete(vector: number): void {
    this.words[vector >>> 5] &= ~(1 << (vector & 31));
  }
  /** The highest vector in the set, or -1. */
  highest(): number {
    for (let word = 7; word >= 0; word--) {
      const bits = this.words[word];
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
    }
    return -1;
  }
  clear(): void {
    this.words.fill(0);
  }
}
