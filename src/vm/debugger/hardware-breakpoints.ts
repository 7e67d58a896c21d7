/**
 * The four debug registers, shared between debugger and guest (SDM vol. 3 §17.2). The debugger's breakpoints come
 * first; what the guest has enabled itself goes into what is left, and is not watched where nothing is. General detect
 * (DR7.GD) tells of every access that the guest makes to them, so it reads and writes its own values.
 */
import { BreakpointKind } from './debug-target.ts';

const SLOTS = 4;
const GENERAL_DETECT = 1n << 13n;
const FIXED = 1n << 10n;
/** LE and GE, which change nothing. */
const EXACT = 3n << 8n;

/** DR0..DR3, DR6, DR7. */
export type DebugRegisters = readonly bigint[];
export const DR6 = 4;
export const DR7 = 5;

export interface Breakpoint {
  kind: BreakpointKind;
  address: bigint;
  length: number;
}

/** An aligned part of a breakpoint that one register can hold. */
interface Piece {
  owner: Breakpoint;
  address: bigint;
  bytes: number;
}

export interface SlotPlan {
  registers: DebugRegisters;
  /** By physical slot: whose breakpoint is there. */
  debuggers: readonly (Breakpoint | undefined)[];
  /** By physical slot: the guest's slot, or -1. */
  guests: readonly number[];
}

const READ_WRITE: Readonly<Record<number, number>> = {
  [BreakpointKind.Software]: 0,
  [BreakpointKind.Hardware]: 0,
  [BreakpointKind.Write]: 1,
  [BreakpointKind.Read]: 3,
  [BreakpointKind.Access]: 3,
};
const LENGTH_CODE: Readonly<Record<number, number>> = { 1: 0, 2: 1, 4: 3, 8: 2 };

export class HardwareBreakpoints {
  readonly #list: Breakpoint[] = [];

  get size(): number {
    return this.#list.length;
  }

  /** False when the debug registers have no room for it. */
  insert(kind: BreakpointKind, address: bigint, length: number): boolean {
    if (this.#find(kind, address, length) >= 0) return true;
    const owner = { kind, address, length };
    const added = pieces(owner);
    if (added === undefined || this.#pieces().length + added.length > SLOTS) return false;
    this.#list.push(owner);
    return true;
  }

  remove(kind: BreakpointKind, address: bigint, length: number): boolean {
    const at = this.#find(kind, address, length);
    if (at < 0) return false;
    this.#list.splice(at, 1);
    return true;
  }

  removeAll(): void {
    this.#list.length = 0;
  }

  /** The debug registers with both parties' breakpoints in them. */
  plan(guest: DebugRegisters): SlotPlan {
    const registers = [0n, 0n, 0n, 0n, guest[DR6], FIXED | GENERAL_DETECT | (guest[DR7] & EXACT)];
    const debuggers: (Breakpoint | undefined)[] = [undefined, undefined, undefined, undefined];
    const guests = [-1, -1, -1, -1];
    let slot = 0;
    for (const { owner, address, bytes } of this.#pieces()) {
      registers[slot] = address;
      registers[DR7] |= control(slot, READ_WRITE[owner.kind] | (LENGTH_CODE[bytes] << 2));
      debuggers[slot++] = owner;
    }
    for (let own = 0; own < SLOTS && slot < SLOTS; own++) {
      if (!isEnabled(guest[DR7], own)) continue;
      registers[slot] = guest[own];
      registers[DR7] |= control(slot, Number((guest[DR7] >> BigInt(16 + 4 * own)) & 0xfn));
      guests[slot++] = own;
    }
    return { registers, debuggers, guests };
  }

  #pieces(): Piece[] {
    return this.#list.flatMap((owner) => pieces(owner) ?? []);
  }

  #find(kind: BreakpointKind, address: bigint, length: number): number {
    return this.#list.findIndex(
      (each) => each.kind === kind && each.address === address && each.length === length,
    );
  }
}

/** Debug registers that break on nothing but the execution of these addresses, at most four. */
export function executionAt(addresses: readonly bigint[], guest: DebugRegisters): DebugRegisters {
  const registers = [0n, 0n, 0n, 0n, guest[DR6], FIXED];
  addresses.slice(0, SLOTS).forEach((address, slot) => {
    registers[slot] = address;
    registers[DR7] |= control(slot, 0);
  });
  return registers;
}

/** Whether the debugger has an instruction breakpoint at the address. */
export function executesAt({ debuggers }: SlotPlan, address: bigint): boolean {
  return debuggers.some(
    (each) => each !== undefined && each.kind <= BreakpointKind.Hardware && each.address === address,
  );
}

/** Enabled, with these R/W and LEN bits. */
function control(slot: number, nibble: number): bigint {
  return (1n << BigInt(2 * slot + 1)) | (BigInt(nibble) << BigInt(16 + 4 * slot));
}

function isEnabled(dr7: bigint, slot: number): boolean {
  return ((dr7 >> BigInt(2 * slot)) & 3n) !== 0n;
}

/** Undefined when no four registers cover it. */
function pieces(owner: Breakpoint): Piece[] | undefined {
  const { kind, address, length } = owner;
  if (kind <= BreakpointKind.Hardware) return [{ owner, address, bytes: 1 }];
  if (length < 1 || length > SLOTS * 8) return undefined;
  const found: Piece[] = [];
  for (let done = 0; done < length; ) {
    const here = BigInt.asUintN(64, address + BigInt(done));
    let bytes = 8;
    while (bytes > length - done || here % BigInt(bytes) !== 0n) bytes /= 2;
    found.push({ owner, address: here, bytes });
    done += bytes;
  }
  return found.length <= SLOTS ? found : undefined;
}
