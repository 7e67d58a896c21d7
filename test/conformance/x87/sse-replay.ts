/** Replays records of native-sse.c on the precise SSE arithmetic. */
import { SseArithmetic, type SseBinary } from '../../../src/cpu/floating-point/sse/scalar.ts';

export const SSE_RECORD_BYTES = 48;

const sse = new SseArithmetic();
type Run = (a: bigint, b: bigint) => bigint;
const low = (value: bigint): number => Number(value & 0xffffffffn);
/** A scalar single result leaves the upper half of the first operand's quadword. */
const merge = (a: bigint, result: number): bigint => ((a >> 32n) << 32n) | BigInt(result);
const mask = (condition: boolean, bits: bigint): bigint => (condition ? (1n << bits) - 1n : 0n);
const FLAG_BITS = 0x8d5n;

/** In native-sse.c's order: name and what it computes. */
export const sseOperations: [string, Run][] = [];
for (const name of ['add', 'sub', 'mul', 'div', 'min', 'max'] satisfies SseBinary[]) {
  sseOperations.push([`${name}ss`, (a, b) => merge(a, sse.binary32(name, low(a), low(b)))]);
  sseOperations.push([`${name}sd`, (a, b) => sse.binary64(name, a, b)]);
}
sseOperations.push(['sqrtss', (a, b) => merge(a, sse.sqrt32(low(b)))]);
sseOperations.push(['sqrtsd', (_, b) => sse.sqrt64(b)]);
for (let predicate = 0; predicate < 8; predicate++) {
  sseOperations.push([
    `cmpss ${predicate}`,
    (a, b) => merge(a, Number(mask(sse.compare32(low(a), low(b), predicate), 32n))),
  ]);
  sseOperations.push([`cmpsd ${predicate}`, (a, b) => mask(sse.compare64(a, b, predicate), 64n)]);
}
for (const [name, signalQuiet] of [
  ['comis', true],
  ['ucomis', false],
] as const) {
  sseOperations.push([`${name}s`, (a, b) => BigInt(sse.compareFlags32(low(a), low(b), signalQuiet))]);
  sseOperations.push([`${name}d`, (a, b) => BigInt(sse.compareFlags64(a, b, signalQuiet))]);
}
for (const immediate of [0, 1, 2, 3, 4, 8, 12]) {
  sseOperations.push([`roundss ${immediate}`, (a, b) => merge(a, sse.round32(low(b), immediate))]);
  sseOperations.push([`roundsd ${immediate}`, (_, b) => sse.round64(b, immediate)]);
}
for (const bits of [32, 64] as const) {
  for (const truncate of [false, true]) {
    const name = `cvt${truncate ? 't' : ''}`;
    sseOperations.push([
      `${name}ss2si ${bits}`,
      (_, b) => BigInt.asUintN(bits, sse.toInteger32(low(b), bits, truncate)),
    ]);
    sseOperations.push([
      `${name}sd2si ${bits}`,
      (_, b) => BigInt.asUintN(bits, sse.toInteger64(b, bits, truncate)),
    ]);
  }
}
sseOperations.push(['cvtsi2ss', (a, b) => merge(a, sse.fromInteger32(BigInt.asIntN(64, b)))]);
sseOperations.push(['cvtsi2sd', (_, b) => sse.fromInteger64(BigInt.asIntN(64, b))]);
sseOperations.push(['cvtss2sd', (_, b) => sse.widen(low(b))]);
sseOperations.push(['cvtsd2ss', (a, b) => merge(a, sse.narrow(b))]);

/** What differs, as text; empty if nothing does. */
export function replaySse(record: DataView, at: number): string {
  const word = (index: number): bigint => record.getBigUint64(at + 8 * index, true);
  const [name, run] = sseOperations[low(word(0))]!;
  const mxcsr = Number(word(1));
  sse.begin(mxcsr);
  const result = run(word(2), word(3));
  const after = mxcsr | sse.end();
  const native = name.includes('comis') ? word(4) & FLAG_BITS : word(4);
  // A fault writes no result; only that it is one, and its flags, can be compared.
  const faulted = word(0) >> 32n === 1n;
  if ((faulted || result === native) && faulted === sse.isFault && after === Number(word(5))) return '';
  const hex = (value: bigint | number): string => value.toString(16);
  return `${name} mxcsr=${hex(mxcsr)} a=${hex(word(2))} b=${hex(word(3))}: ${hex(result)} ${hex(after)}, native ${hex(native)} ${hex(word(5))}`;
}
