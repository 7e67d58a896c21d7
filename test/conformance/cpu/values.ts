/** Random and edge values for operands. Everything is drawn from a seeded generator, so a run can be repeated. */

export class Draw {
  #state: number;
  constructor(seed: string) {
    this.#state = [...seed].reduce(
      (hash, letter) => Math.imul(hash ^ letter.charCodeAt(0), 16777619),
      2166136261,
    );
  }
  /** Uniform 32 bits (mulberry32). */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
  below(limit: number): number {
    return this.u32() % limit;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
}

/** An integer of this width: edges, small numbers, powers of two and their neighbours, or anything. */
export function integer(draw: Draw, bits: number): bigint {
  const wide = BigInt(bits);
  const value = ((): bigint => {
    switch (draw.below(8)) {
      case 0:
        return draw.pick([0n, 0n, 1n, -1n, 2n, -2n]);
      case 1:
        return draw.pick([1n << (wide - 1n), (1n << (wide - 1n)) - 1n, (1n << (wide - 1n)) + 1n]);
      case 2:
        return BigInt(draw.below(256)) - 128n;
      case 3:
        return (1n << BigInt(draw.below(bits))) + BigInt(draw.below(3)) - 1n;
      case 4:
        return draw.u64() >> BigInt(draw.below(64));
      default:
        return draw.u64();
    }
  })();
  return BigInt.asUintN(bits, value);
}

const FLOAT32_EDGES = [
  0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001,
  0xffa00000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x3f000000, 0xbf000000,
  0x3fc00000, 0x40200000, 0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 0x4b800000, 0x33800000, 0x3f7fffff,
]; // biome-ignore format: a list of numbers

export function float32(draw: Draw): number {
  const choice = draw.below(8);
  if (choice < 2) return draw.pick(FLOAT32_EDGES);
  if (choice === 2) return draw.u32();
  // A magnitude near 1, so that sums and products interact.
  const exponent = 127 + draw.below(choice === 3 ? 60 : 8) - (choice === 3 ? 30 : 4);
  const fraction = draw.chance(30) ? (draw.u32() & 0x7f0000) >>> 0 : draw.u32() & 0x7fffff;
  return (((draw.u32() & 0x80000000) | (exponent << 23) | fraction) >>> 0) as number;
}

const FLOAT64_EDGES = [
  0x0000000000000000n, 0x8000000000000000n, 0x3ff0000000000000n, 0xbff0000000000000n, 0x7ff0000000000000n,
  0xfff0000000000000n, 0x7ff8000000000000n, 0xfff8000000000001n, 0x7ff0000000000001n, 0xfff4000000000000n,
  0x0000000000000001n, 0x8000000000000001n, 0x000fffffffffffffn, 0x0010000000000000n, 0x7fefffffffffffffn,
  0xffefffffffffffffn, 0x3fe0000000000000n, 0x3ff8000000000000n, 0x4004000000000000n, 0x41e0000000000000n,
  0xc1e0000000000000n, 0x41dfffffffc00000n, 0x43e0000000000000n, 0xc3e0000000000000n, 0x47efffffe0000000n,
  0x47effffff0000000n, 0x36a0000000000000n, 0x3810000000000000n, 0x3fefffffffffffffn,
]; // biome-ignore format: a list of numbers

export function float64(draw: Draw): bigint {
  const choice = draw.below(8);
  if (choice < 2) return draw.pick(FLOAT64_EDGES);
  if (choice === 2) return draw.u64();
  const exponent = BigInt(1023 + draw.below(choice === 3 ? 200 : 8) - (choice === 3 ? 100 : 4));
  const fraction = draw.u64() & (draw.chance(30) ? 0xffff000000000n : 0xfffffffffffffn);
  return (draw.u64() & (1n << 63n)) | (exponent << 52n) | fraction;
}

/** Sign and exponent, significand: zeros, infinities, NaNs, denormals, unnormals, pseudo-values, limits, pi. */
const EXTENDED_EDGES: readonly (readonly [number, bigint])[] = [
  [0x0000, 0n],
  [0x8000, 0n],
  [0x3fff, 1n << 63n],
  [0xbfff, 1n << 63n],
  [0x7fff, 1n << 63n],
  [0xffff, 1n << 63n],
  [0x7fff, 0xc000000000000000n],
  [0xffff, 0xc000000000000123n],
  [0x7fff, 0x8000000000000001n],
  [0xffff, 0xa000000000000000n],
  [0x0000, 1n],
  [0x8000, 0x7fffffffffffffffn],
  [0x0000, 0x8000000000000000n],
  [0x0001, 0x8000000000000000n],
  [0x7ffe, 0xffffffffffffffffn],
  [0xfffe, 0xffffffffffffffffn],
  [0x4000, 0x0000000000000001n],
  [0x7fff, 0x0000000000000000n],
  [0x7fff, 0x4000000000000000n],
  [0x4000, 0xc90fdaa22168c235n],
  [0x3fff, 0xc90fdaa22168c235n],
  [0x3ffe, 0x8000000000000000n],
  [0xbffe, 0x8000000000000000n],
  [0x3ffd, 0xffffffffffffffffn],
  [0x401e, 0x8000000000000000n],
  [0xc01e, 0x8000000000000000n],
  [0x403e, 0x8000000000000000n],
  [0xc03e, 0x8000000000000000n],
  [0x403d, 0xffffffffffffffffn],
  [0x4002, 0xa000000000000000n],
  [0x403a, 0xde0b6b3a763fffffn],
];

/** Ten bytes of an 80-bit float. */
export function extended(draw: Draw): Uint8Array {
  const choice = draw.below(8);
  let [signExponent, significand] = draw.pick(EXTENDED_EDGES);
  if (choice === 2) {
    signExponent = draw.below(0x10000);
    significand = draw.u64();
  } else if (choice > 2) {
    const spread = choice === 3 ? 80 : choice === 4 ? 2000 : 8;
    signExponent = 0x3fff + draw.below(spread) - spread / 2 + (draw.chance(50) ? 0x8000 : 0);
    significand = draw.u64() | (1n << 63n);
    if (draw.chance(30)) significand &= 0xfff0000000000000n;
  }
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, significand, true);
  view.setUint16(8, signExponent, true);
  return bytes;
}

/** How the bytes of a vector register or of memory are to be filled. */
export type Kind = 'integer' | 'float32' | 'float64' | 'extended' | 'bcd' | 'text';

/** `length` bytes of a kind. */
export function bytesOf(draw: Draw, kind: Kind, length: number): Uint8Array {
  const bytes = new Uint8Array(length + 16);
  const view = new DataView(bytes.buffer);
  switch (kind) {
    case 'float32':
      for (let i = 0; i < length; i += 4) view.setUint32(i, float32(draw), true);
      break;
    case 'float64':
      for (let i = 0; i < length; i += 8) view.setBigUint64(i, float64(draw), true);
      break;
    case 'extended':
      for (let i = 0; i < length; i += 10)
        bytes.set(extended(draw).subarray(0, Math.min(10, length + 16 - i)), i);
      break;
    case 'bcd':
      for (let i = 0; i < 9; i++) bytes[i] = draw.below(10) | (draw.below(10) << 4);
      bytes[9] = draw.chance(50) ? 0x80 : 0;
      break;
    case 'text':
      for (let i = 0; i < length; i++) bytes[i] = draw.chance(8) ? 0 : 0x61 + draw.below(6);
      break;
    case 'integer': {
      const lane = draw.pick([8, 16, 32, 64]);
      for (let i = 0; i < length; i += lane / 8) {
        const value = integer(draw, lane);
        for (let k = 0; k < lane / 8; k++) bytes[i + k] = Number((value >> BigInt(k * 8)) & 0xffn);
      }
    }
  }
  return bytes.slice(0, length);
}
