/**
 * The vector files: what a real processor did with an instruction, as differences from the background state of
 * cpu-state.ts. Gzip over this, all little-endian:
 *
 *   'PVEC', u32 version, u32 code size (32 or 64), u32 number of forms; then for each form
 *     u8 length, key of the form (ASCII) · u16 number of cases; then for each case
 *       u8 length, instruction bytes
 *       differences of the state before from the background
 *       u16 RFLAGS bits that the instruction leaves undefined
 *       u8  0 = done, otherwise vector + 1; after a vector: u32 error code, and for a page fault u64 CR2
 *       i64 RIP after, relative to the instruction
 *       differences of the state after from the state before
 *
 * Differences: u8 count, each u8 what, then the new value: 0..15 general register (8 bytes), 16 RFLAGS (4),
 * 17 MXCSR (4), 18 x87 control (2), 19 x87 status (2), 20 abridged tag (1), 32..47 XMM (16),
 * 48..55 ST(i) (10), 64 memory (u16 offset, u16 length, bytes).
 */
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  backgroundMemory,
  backgroundState,
  CODE_ADDRESS,
  type CpuFault,
  type CpuState,
  cloneState,
  Fxsave,
} from './cpu-state.ts';

const MAGIC = 0x43455650;
const VERSION = 2;
const PAGE_FAULT = 14;

export interface MemoryPatch {
  offset: number;
  bytes: Uint8Array;
}
export interface VectorState {
  cpu: CpuState;
  memory: MemoryPatch[];
}
export interface Vector {
  /** Key of the instruction's form. */
  form: string;
  bytes: Uint8Array;
  /** Memory as patches on the background. */
  before: VectorState;
  /** Memory as patches on the memory before. A fault leaves a state, too: MXCSR's flags after #XM. */
  after: VectorState;
  fault: CpuFault | undefined;
  undefinedFlags: number;
}

/** Parts of the FXSAVE image that differences name: what, offset, length. */
const FLOATING_PARTS: readonly (readonly [number, number, number])[] = [
  [17, Fxsave.Mxcsr, 4],
  [18, Fxsave.Control, 2],
  [19, Fxsave.Status, 2],
  [20, Fxsave.Tag, 1],
  ...Array.from({ length: 16 }, (_, i) => [32 + i, Fxsave.Xmm + i * 16, 16] as const),
  ...Array.from({ length: 8 }, (_, i) => [48 + i, Fxsave.Stack + i * 16, 10] as const),
];
const PART_OF = new Map(FLOATING_PARTS.map(([what, offset, length]) => [what, { offset, length }]));
const RFLAGS = 16;
const MEMORY = 64;

class Writer {
  #bytes = new Uint8Array(1 << 20);
  #view = new DataView(this.#bytes.buffer);
  length = 0;
  #reserve(count: number): number {
    if (this.length + count > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    const at = this.length;
    this.length += count;
    return at;
  }
  u8(value: number): void {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
  }
  u16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, true);
  }
  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }
  u64(value: bigint): void {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }
  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }
  result(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

function writeDifferences(writer: Writer, state: VectorState, base: CpuState): void {
  const parts: (() => void)[] = [];
  state.cpu.gpr.forEach((value, i) => {
    if (value !== base.gpr[i]) {
      parts.push(() => {
        writer.u8(i);
        writer.u64(value);
      });
    }
  });
  if (state.cpu.rflags !== base.rflags) {
    parts.push(() => {
      writer.u8(RFLAGS);
      writer.u32(state.cpu.rflags);
    });
  }
  for (const [what, offset, length] of FLOATING_PARTS) {
    const value = state.cpu.floating.subarray(offset, offset + length);
    if (sameBytes(value, base.floating.subarray(offset, offset + length))) continue;
    parts.push(() => {
      writer.u8(what);
      writer.raw(value);
    });
  }
  for (const { offset, bytes } of state.memory) {
    parts.push(() => {
      writer.u8(MEMORY);
      writer.u16(offset);
      writer.u16(bytes.length);
      writer.raw(bytes);
    });
  }
  writer.u8(parts.length);
  for (const write of parts) write();
}

/** The file of these vectors, all of one code size; vectors of one form must be neighbours. */
export function encodeVectors(vectors: readonly Vector[]): Uint8Array {
  const groups: Vector[][] = [];
  for (const vector of vectors) {
    const last = groups.at(-1);
    if (last !== undefined && last[0]!.form === vector.form) last.push(vector);
    else groups.push([vector]);
  }
  const code = vectors[0]!.before.cpu.code;
  const background = backgroundState(code);
  const writer = new Writer();
  writer.u32(MAGIC);
  writer.u32(VERSION);
  writer.u32(code);
  writer.u32(groups.length);
  for (const group of groups) {
    const key = Buffer.from(group[0]!.form, 'latin1');
    writer.u8(key.length);
    writer.raw(key);
    writer.u16(group.length);
    for (const { bytes, before, after, fault, undefinedFlags } of group) {
      writer.u8(bytes.length);
      writer.raw(bytes);
      writeDifferences(writer, before, background);
      writer.u16(undefinedFlags);
      writer.u8(fault === undefined ? 0 : fault.vector + 1);
      if (fault !== undefined) writer.u32(fault.errorCode);
      if (fault?.vector === PAGE_FAULT) writer.u64(fault.address);
      writer.u64(after.cpu.rip - BigInt(CODE_ADDRESS));
      writeDifferences(writer, after, before.cpu);
    }
  }
  return gzipSync(writer.result(), { level: 9 });
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  #advance(count: number): number {
    const at = this.#at;
    this.#at += count;
    return at;
  }
  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }
  raw(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }
}

function readDifferences(reader: Reader, base: CpuState): VectorState {
  const cpu = cloneState(base);
  const memory: MemoryPatch[] = [];
  for (let count = reader.u8(); count > 0; count--) {
    const what = reader.u8();
    if (what < 16) cpu.gpr[what] = reader.u64();
    else if (what === RFLAGS) cpu.rflags = reader.u32();
    else if (what === MEMORY) {
      const offset = reader.u16();
      memory.push({ offset, bytes: reader.raw(reader.u16()) });
    } else {
      const part = PART_OF.get(what);
      if (part === undefined) throw new Error(`vector file: unknown part ${what}`);
      cpu.floating.set(reader.raw(part.length), part.offset);
    }
  }
  return { cpu, memory };
}

/** The vectors of a file, one at a time. */
export function* readVectors(file: Uint8Array): Generator<Vector> {
  const reader = new Reader(gunzipSync(file));
  if (reader.u32() !== MAGIC || reader.u32() !== VERSION)
    throw new Error('not a vector file of this version');
  const codeSize = reader.u32() === 32 ? 32 : 64;
  const background = backgroundState(codeSize);
  for (let forms = reader.u32(); forms > 0; forms--) {
    const form = Buffer.from(reader.raw(reader.u8())).toString('latin1');
    for (let count = reader.u16(); count > 0; count--) {
      const bytes = reader.raw(reader.u8());
      const before = readDifferences(reader, background);
      const undefinedFlags = reader.u16();
      const code = reader.u8();
      let fault: CpuFault | undefined;
      if (code !== 0) {
        const vector = code - 1;
        const errorCode = reader.u32();
        fault = { vector, errorCode, address: vector === PAGE_FAULT ? reader.u64() : 0n };
      }
      const rip = BigInt.asUintN(64, reader.u64() + BigInt(CODE_ADDRESS));
      const after = readDifferences(reader, before.cpu);
      after.cpu.rip = rip;
      yield { form, bytes, before, after, fault, undefinedFlags };
    }
  }
}

/** Memory of a vector state, from the memory it patches (by default the background). */
export function applyPatches(
  patches: readonly MemoryPatch[],
  base: Uint8Array = backgroundMemory(),
): Uint8Array {
  for (const { offset, bytes } of patches) base.set(bytes, offset);
  return base;
}
