/**
 * Translation of a guest virtual address on somebody's behalf (HvTranslateVirtualAddress, debuggers): the walk
 * of paging.ts once more, but with an answer for each way it can end, and accessed and dirty bits only on demand.
 */
import { CR0, CR4, EFER } from '../x86/control-registers.ts';
import { PHYSICAL_ADDRESS_BITS, PTE } from '../x86/page-table.ts';
import { isCanonical } from './microcode/core.ts';
import {
  Access,
  type GvaTranslation,
  type GvaTranslationRequest,
  type PhysicalMemory,
  type ProcessorHost,
} from './processor.ts';
import type { ProcessorState } from './state.ts';
import * as S from './state-layout.ts';

const FRAME = ((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n) & ~0xfffn;
const RESERVED_HIGH = ((1n << 52n) - 1n) & ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n);

interface Shape {
  levels: number;
  bits: bigint;
  entryBytes: 4 | 8;
  table: bigint;
  pae: boolean;
}

function shapeOf(state: ProcessorState): Shape {
  const cr3 = state.get64(S.CR3);
  if (state.get32(S.EFER) & EFER.LMA)
    return { levels: 4, bits: 9n, entryBytes: 8, table: cr3 & FRAME, pae: false };
  if (state.get32(S.CR4) & CR4.PAE)
    return { levels: 3, bits: 9n, entryBytes: 8, table: cr3 & 0xffffffe0n, pae: true };
  return { levels: 2, bits: 10n, entryBytes: 4, table: cr3 & 0xfffff000n, pae: false };
}

/** Host address of guest physical bytes, or why not. `translateGpa` must not have effects of its own. */
type Lookup = (gpn: number, access: number) => number;

export function translateGva(
  memory: PhysicalMemory,
  state: ProcessorState,
  lookup: Lookup,
  request: GvaTranslationRequest,
): GvaTranslation {
  const { view } = memory;
  if ((state.get32(S.CR0) & CR0.PG) === 0) return { kind: 'ok', gpa: Number(request.gva & 0xffffffffn) };
  const shape = shapeOf(state);
  const gva = shape.levels === 4 ? request.gva : request.gva & 0xffffffffn;
  if (shape.levels === 4 && !isCanonical(BigInt.asUintN(64, gva))) return { kind: 'not-present' };
  const nxe = (state.get32(S.EFER) & EFER.NXE) !== 0;
  let table = shape.table;
  let rights = PTE.W | PTE.U;
  let executable = true;
  for (let level = shape.levels - 1; level >= 0; level--) {
    const shift = 12n + shape.bits * BigInt(level);
    const index = (gva >> shift) & ((1n << shape.bits) - 1n);
    const at = Number(table + index * BigInt(shape.entryBytes));
    const gpn = Math.floor(at / 4096);
    const found = lookup(gpn, Access.Read);
    if (found < 0) return { kind: found === -2 ? 'gpa-no-read' : 'gpa-unmapped', gpa: at };
    const host = (found & 0xffffff) * 4096 + (at % 4096);
    const entry = shape.entryBytes === 8 ? view.getBigUint64(host, true) : BigInt(view.getUint32(host, true));
    if ((entry & PTE.P) === 0n) return { kind: 'not-present' };
    const pointer = shape.pae && level === 2;
    const reserved =
      shape.entryBytes === 8 && ((entry & RESERVED_HIGH) !== 0n || (!nxe && (entry & PTE.NX) !== 0n));
    if (reserved || ((entry & PTE.PS) !== 0n && (level === 3 || pointer)))
      return { kind: 'invalid-page-table-flags' };
    if (!pointer) {
      rights &= entry;
      if (shape.entryBytes === 8 && entry & PTE.NX) executable = false;
    }
    const pse = shape.entryBytes === 8 || (state.get32(S.CR4) & CR4.PSE) !== 0;
    const leaf = level === 0 || ((entry & PTE.PS) !== 0n && pse);
    if (leaf && !permitted(request, rights, executable, state)) return { kind: 'privilege-violation' };
    if (request.setTableBits && !pointer) {
      const wanted = leaf && request.access & Access.Write ? PTE.A | PTE.D : PTE.A;
      if ((entry & wanted) !== wanted) {
        const writable = lookup(gpn, Access.Write);
        if (writable < 0) return { kind: writable === -2 ? 'gpa-no-write' : 'gpa-unmapped', gpa: at };
        view.setUint32(host, Number((entry | wanted) & 0xffffffffn), true);
        memory.noteWritten(Math.floor(host / 4096));
      }
    }
    if (leaf) {
      const offset = (1n << shift) - 1n;
      return { kind: 'ok', gpa: Number((entry & FRAME & ~offset) | (gva & offset)) };
    }
    table = entry & FRAME;
  }
  return { kind: 'not-present' };
}

function permitted(
  request: GvaTranslationRequest,
  rights: bigint,
  executable: boolean,
  state: ProcessorState,
): boolean {
  const user = request.privilege === 3;
  if (user && (rights & PTE.U) === 0n) return false;
  const wp = (state.get32(S.CR0) & CR0.WP) !== 0;
  if (request.access & Access.Write && (rights & PTE.W) === 0n && (user || wp)) return false;
  return !(request.access & Access.Execute) || executable;
}

/** The host's answer reduced to: value, -1 unmapped, -2 mapped without the right. */
export const lookupOf =
  (host: ProcessorHost): Lookup =>
  (gpn, access) => {
    const answer = host.translateGpa(gpn, access);
    if (answer < 0) return -1;
    return (answer >>> 24) & access ? answer : -2;
  };
