/**
 * What can be wrong with a saved state: bytes cut off, turned or exchanged, and, with a checksum that is right again,
 * fields with other values and of other types, missing, doubled, or taken from another state.
 */
import { encodeStream } from '../../src/support/saved-state/state-stream.ts';
import type { StateRecord, StateValue } from '../../src/support/saved-state/state-value.ts';
import type { Random } from './random.ts';

type Node = Record<string, StateValue> | StateValue[];
interface Place {
  node: Node;
  key: string | number;
}

const NUMBERS = [-1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, Number.NaN, Infinity, -Infinity, -0];
const MOST_ELEMENTS = 300;

/** Damage below the names: what a disk or a line does to bytes. */
export function damageBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const kind = random.below(4);
  if (kind === 0) return bytes.slice(0, random.below(bytes.length));
  const damaged = bytes.slice();
  if (kind === 1) {
    for (let count = random.below(4); count >= 0; count--) {
      damaged[random.below(damaged.length)] ^= 1 << random.below(8);
    }
  } else if (kind === 2) {
    const from = random.below(damaged.length);
    damaged.copyWithin(random.below(damaged.length), from, from + 1 + random.below(64));
  } else {
    // The header, where each byte counts.
    damaged[random.below(16)] = random.below(256);
  }
  return damaged;
}

/** A stream that is whole and says other things than `record`; `other` is what parts are taken from. */
export function mutateState(
  contents: number,
  record: StateRecord,
  other: StateRecord,
  random: Random,
): Uint8Array {
  const copy = structuredClone(record) as Record<string, StateValue>;
  const donors = places(structuredClone(other) as Record<string, StateValue>);
  for (let count = random.below(3); count >= 0; count--) {
    const { node, key } = random.pick(places(copy));
    const donor = random.pick(donors);
    mutatePlace(node, key, read(donor), random);
  }
  return encodeStream(contents, copy);
}

function mutatePlace(node: Node, key: string | number, donor: StateValue, random: Random): void {
  const kind = random.below(8);
  if (kind === 0 && !Array.isArray(node)) delete node[key];
  else if (kind === 0) (node as StateValue[]).splice(Number(key), 1);
  else if (kind === 1) write(node, key, donor);
  else if (kind === 2 && Array.isArray(node)) {
    for (let count = random.below(MOST_ELEMENTS); count >= 0; count--) node.push(donor);
  } else if (kind === 2) write(node, `x${random.below(9)}`, donor);
  else write(node, key, otherValue(read({ node, key }), random));
}

/** Mostly of the same type. */
function otherValue(value: StateValue, random: Random): StateValue {
  if (random.oneIn(10)) return random.pick<StateValue>([0, 1n, true, 'text', new Uint8Array(3), [], {}]);
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'bigint')
    return random.oneIn(2) ? BigInt.asUintN(64, random.word()) : value ^ (1n << BigInt(random.below(64)));
  if (typeof value === 'number') {
    const kind = random.below(3);
    if (kind === 0) return random.pick(NUMBERS);
    return kind === 1 ? random.bits() : value + random.below(9) - 4;
  }
  if (value instanceof Uint8Array) return damageBytes(value.length > 0 ? value : new Uint8Array(16), random);
  return random.bits();
}

function read({ node, key }: Place): StateValue {
  return (node as Record<string | number, StateValue>)[key];
}

function write(node: Node, key: string | number, value: StateValue): void {
  (node as Record<string | number, StateValue>)[key] = value;
}

/** Every field and every element, however deep. */
function places(node: Node, found: Place[] = []): Place[] {
  const keys = Array.isArray(node) ? node.keys() : Object.keys(node);
  for (const key of keys) {
    found.push({ node, key });
    const value = read({ node, key });
    if (typeof value === 'object' && !(value instanceof Uint8Array)) places(value as Node, found);
  }
  return found;
}
