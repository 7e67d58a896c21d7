/**
 * What the microcode works with: the state page, guest memory by linear address, and faults. Accessors return
 * undefined or false with a fault pending; microcode then returns `Status.Leave` with nothing done.
 */
import { NO_ADDRESS } from '../paging.ts';
import type { PhysicalMemory } from '../processor.ts';
import { Access } from '../processor.ts';
import { Status } from '../stage.ts';
import type { ProcessorState } from '../state.ts';
import * as S from '../state-layout.ts';

/** The interpreter module's exports that microcode calls. */
export interface InterpreterExports {
  run(state: number): number;
  prepare(state: number, va: bigint, size: number, access: number, user: number): number;
  commit(state: number, host: number, size: number): void;
  flushVirtual(state: number): void;
  deliverLong(state: number, vector: number, error: number, addedFlags: number): number;
  walk(state: number, va: bigint, access: number, user: number): number;
}

export type Bytes = 1 | 2 | 4 | 8;

export class Core {
  readonly state: ProcessorState;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  private readonly exports: () => InterpreterExports;

  constructor(memory: PhysicalMemory, state: ProcessorState, exports: () => InterpreterExports) {
    this.state = state;
    this.view = memory.view;
    this.bytes = memory.bytes;
    this.exports = exports;
  }

  /** Sets a pending exception; returns `Status.Leave` for the caller to return. */
  fault(vector: number, error = -1): number {
    this.state.set32(S.FAULT_VECTOR, vector + 1);
    this.state.set32(S.FAULT_ERROR, error);
    return Status.Leave;
  }

  /** Host address of `size` bytes (within SCRATCH_SIZE) at a linear address, or undefined with a fault pending. */
  host(va: bigint, size: number, access: number, user: boolean): number | undefined {
    const host = this.exports().prepare(this.state.address, va, size, access, user ? 1 : 0);
    return host === NO_ADDRESS ? undefined : host >>> 0;
  }

  /** The common case of long mode (cpu/long-mode-delivery.ts); false with nothing done if this is another. */
  deliverLong(vector: number, error: number | undefined, addedFlags: number): boolean {
    return this.exports().deliverLong(this.state.address, vector, error ?? -1, addedFlags) !== 0;
  }

  commit(host: number, size: number): void {
    this.exports().commit(this.state.address, host, size);
  }

  /** Reads as the current privilege. */
  read(va: bigint, size: Bytes): bigint | undefined {
    return this.readAs(va, size, this.state.cpl === 3);
  }
  /** Reads as supervisor: descriptor tables, task state. */
  readSystem(va: bigint, size: Bytes): bigint | undefined {
    return this.readAs(va, size, false);
  }

  private readAs(va: bigint, size: Bytes, user: boolean): bigint | undefined {
    const host = this.host(va, size, Access.Read, user);
    if (host === undefined) return undefined;
    if (size === 8) return this.view.getBigUint64(host, true);
    if (size === 4) return BigInt(this.view.getUint32(host, true));
    return BigInt(size === 2 ? this.view.getUint16(host, true) : this.view.getUint8(host));
  }

  write(va: bigint, size: Bytes, value: bigint): boolean {
    return this.writeAs(va, size, value, this.state.cpl === 3);
  }
  writeSystem(va: bigint, size: Bytes, value: bigint): boolean {
    return this.writeAs(va, size, value, false);
  }

  private writeAs(va: bigint, size: Bytes, value: bigint, user: boolean): boolean {
    const host = this.host(va, size, Access.Write, user);
    if (host === undefined) return false;
    this.put(host, size, value);
    this.commit(host, size);
    return true;
  }

  /** Stores at a host address. */
  put(host: number, size: Bytes, value: bigint): void {
    if (size === 8) this.view.setBigUint64(host, BigInt.asUintN(64, value), true);
    else if (size === 4) this.view.setUint32(host, Number(BigInt.asUintN(32, value)), true);
    else if (size === 2) this.view.setUint16(host, Number(value & 0xffffn), true);
    else this.view.setUint8(host, Number(value & 0xffn));
  }

  /** Writes values of `size` bytes as pushes would: the first value highest, below `top`; all or nothing. */
  pushAll(top: bigint, size: Bytes, values: readonly bigint[], user: boolean): boolean {
    const total = size * values.length;
    const host = this.host(top - BigInt(total), total, Access.Write, user);
    if (host === undefined) return false;
    values.forEach((value, k) => {
      this.put(host + total - (k + 1) * size, size, value);
    });
    this.commit(host, total);
    return true;
  }

  /** Reads `count` values of `size` bytes from `from` upwards. */
  readAll(from: bigint, size: Bytes, count: number, user: boolean): bigint[] | undefined {
    const host = this.host(from, size * count, Access.Read, user);
    if (host === undefined) return undefined;
    const at = (k: number): bigint => {
      if (size === 8) return this.view.getBigUint64(host + 8 * k, true);
      return BigInt(
        size === 4 ? this.view.getUint32(host + 4 * k, true) : this.view.getUint16(host + 2 * k, true),
      );
    };
    return Array.from({ length: count }, (_, k) => at(k));
  }

  get nextRip(): bigint {
    return this.state.get64(S.NEXT_RIP);
  }
}

export const isCanonical = (va: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, va)) === va;
/** Cuts to a stack or operand width in bits. */
export const cut = (value: bigint, bits: number): bigint => BigInt.asUintN(bits, value);
