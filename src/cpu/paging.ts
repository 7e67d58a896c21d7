/**
 * Guest virtual to host addresses: the page walk (SDM vol. 3 §4), the soft TLB's refill, and accesses that
 * cross a page. One walk serves 4-level, PAE and 32-bit paging; table entries are read and their accessed and
 * dirty bits written through the guest-physical translation, so the GPA map's rights hold for them too
 * (TLFS 2.0a §8.1.1).
 *
 * An access is in three steps: `prepare` yields the host address of all its bytes (a copy in SCRATCH when it
 * crosses a page) after validating the whole of it, the caller loads or stores there, and `commit` finishes a
 * store. `prepare` returns NO_ADDRESS with FAULT_VECTOR set when it must not happen.
 */
import { atomics } from '../support/wasm/atomics.ts';
import type { FunctionBuilder, FunctionRef, Label, Local } from '../support/wasm/function-builder.ts';
import type { ModuleBuilder } from '../support/wasm/module-builder.ts';
import { i32, i64, loads, select, type Value } from '../support/wasm/values.ts';
import { CR0, CR4, EFER } from '../x86/control-registers.ts';
import { PF_ERROR, VECTOR } from '../x86/exceptions.ts';
import { PHYSICAL_ADDRESS_BITS, PTE } from '../x86/page-table.ts';
import type { Imports } from './host-imports.ts';
import {
  AREA_GPA_CACHE,
  AREA_SECOND_GENERATION,
  AREA_SECOND_TLB,
  AREA_TLB,
  GPA_CACHE_ENTRIES,
  GPA_CACHE_ENTRY_SHIFT,
  SECOND_TLB_ENTRIES,
  SECOND_TLB_SIZE,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY_SHIFT,
  TLB_EXECUTE,
  TLB_GENERATION,
  TLB_READ,
  TLB_SIZE,
  TLB_WRITE,
} from './logical-processor-area.ts';
import { Operation } from './microcode/operations.ts';
import { Access, Exit } from './processor.ts';
import { Counter, count } from './profile.ts';
import * as S from './state-layout.ts';

/** FAULT_VECTOR values from here on ask run() to return with reason (value - EXIT_MARK). */
export const EXIT_MARK = 0x100;
export const NO_ADDRESS = -1;
/** Pseudo vector of a non-canonical access: #SS where the instruction uses the stack segment, else #GP. */
export const NON_CANONICAL = 32;

const LINE_MASK = -4096n;
/** In a write tag of the soft TLB: it matches no address, and says that the store is allowed where code is looked after. */
const CODE_HERE = 1n;
const FRAME_MASK = ((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n) & LINE_MASK;
const RESERVED_HIGH = ((1n << 52n) - 1n) & ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n);

export interface Paging {
  /** (state, vector, error code) : sets the pending fault. */
  raise: FunctionRef;
  /** (state, va, size, access, user) → host address or NO_ADDRESS. */
  prepare: FunctionRef;
  /** (state, host address, size): after a store to an address from `prepare`. */
  commit: FunctionRef;
  /** (state, gpn, access) → spn | rights << 24, or -1 with an exit pending. */
  guestPhysical: FunctionRef;
  /** (state, va, access, user) → host address of the page, or NO_ADDRESS. */
  walk: FunctionRef;
  /** (state): forgets all guest virtual translations. */
  flushVirtual: FunctionRef;
}

/** Address of the TLB entry for `va` in the TLB at `tlb`. Neighbouring pages never share an entry. */
export function tlbEntry(f: FunctionBuilder, tlb: Value, va: Value): Value {
  const page = f.let(i32.wrap(i64.shrU(va, i64.const(12))));
  const index = i32.and(i32.add(page, i32.shrU(page, i32.const(10))), i32.const(TLB_ENTRIES - 1));
  return i32.add(tlb, i32.shl(index, i32.const(TLB_ENTRY_SHIFT)));
}

/** Address of the second level's entry for `va`. Pages that collide in the first level are apart here. */
function secondEntry(f: FunctionBuilder, area: Value, user: Value, va: Value): Value {
  const page = f.let(i32.wrap(i64.shrU(va, i64.const(12))));
  const mixed = i32.xor(i32.xor(page, i32.shrU(page, i32.const(11))), i32.shrU(page, i32.const(19)));
  const index = i32.and(mixed, i32.const(SECOND_TLB_ENTRIES - 1));
  const tlb = i32.add(area, i32.mul(user, i32.const(SECOND_TLB_SIZE)));
  const entry = i32.add(tlb, i32.shl(index, i32.const(TLB_ENTRY_SHIFT)));
  return f.let(i32.add(entry, i32.const(AREA_SECOND_TLB - AREA_TLB)));
}

const generationOf = (area: Value): Value => loads.i32(area, AREA_SECOND_GENERATION - AREA_TLB);

function copyEntry(f: FunctionBuilder, to: Value, from: Value): void {
  for (const offset of [0, 16]) f.store('v128', to, offset, loads.v128(from, offset));
}

/** Returns what the second level of the soft TLB holds for the access, and makes the first level hold it. */
function trySecondLevel(f: FunctionBuilder, state: Value, va: Value, access: Value, user: Value): void {
  const area = f.let(loads.i32(state, S.TLB_BASE));
  const second = secondEntry(f, area, user, va);
  // Access bits 1, 2, 4 to the tags at 0, 8, 16.
  const tag = i32.add(second, i32.shl(i32.shrU(access, i32.const(1)), i32.const(3)));
  const page = f.let(i64.and(va, i64.const(LINE_MASK)));
  const known = i32.and(
    i64.eq(loads.i64(tag), page),
    i32.eq(loads.i32(second, TLB_GENERATION), generationOf(area)),
  );
  f.if(known, () => {
    count(f, state, Counter.SecondLevelHits, i64.const(1));
    copyEntry(f, tlbEntry(f, i32.add(area, i32.mul(user, i32.const(TLB_SIZE))), va), second);
    f.return(i32.add(i32.wrap(page), loads.i32(second, TLB_ADDEND)));
  });
}

/**
 * A store that only the page's code keeps from the fast path: its translation is in the first level, with CODE_HERE in
 * the tag. Code and data on one page cost a call for each store, but no walk.
 */
function tryCodePage(f: FunctionBuilder, state: Value, va: Value, access: Value, user: Value): void {
  f.if(i32.eq(access, i32.const(Access.Write)), () => {
    const tlb = i32.add(loads.i32(state, S.TLB_BASE), i32.mul(user, i32.const(TLB_SIZE)));
    const entry = f.let(tlbEntry(f, tlb, va));
    const page = f.let(i64.and(va, i64.const(LINE_MASK)));
    f.if(i64.eq(loads.i64(entry, TLB_WRITE), i64.or(page, i64.const(CODE_HERE))), () => {
      const host = f.let(i32.add(i32.wrap(page), loads.i32(entry, TLB_ADDEND)));
      // Where the code is gone, the walk opens the page to plain stores.
      f.if(hasCode(state, i32.shrU(host, i32.const(12))), () => f.return(host));
    });
  });
}

/** Not zero: somebody has code from the page. */
const hasCode = (state: Value, spn: Value): Value =>
  loads.i32_8u(i32.add(loads.i32(state, S.CODE_MAP_BASE), spn));

export function definePaging(m: ModuleBuilder, imports: Imports, isShared: boolean): Paging {
  const raise = m.function('raise', { params: ['i32', 'i32', 'i32'], results: [] }, (f) => {
    const [state, vector, error] = f.params.map((p) => p.get) as [Value, Value, Value];
    f.store('i32', state, S.FAULT_VECTOR, i32.add(vector, i32.const(1)));
    f.store('i32', state, S.FAULT_ERROR, error);
  });
  const guestPhysical = defineGuestPhysical(m, imports);
  const walk = defineWalk(m, imports, raise, guestPhysical, isShared);
  const prepare = definePrepare(m, imports, walk);
  const commit = defineCommit(m, imports, isShared);
  const flushVirtual = m.function('flushVirtual', { params: ['i32'], results: [] }, (f) => {
    const area = f.let(loads.i32(f.params[0]!.get, S.TLB_BASE));
    f.memoryFill(area, i32.const(0xff), i32.const(2 * TLB_SIZE));
    const at = AREA_SECOND_GENERATION - AREA_TLB;
    f.store('i32', area, at, i32.add(loads.i32(area, at), i32.const(1)));
  });
  return { raise, guestPhysical, walk, prepare, commit, flushVirtual };
}

function defineGuestPhysical(m: ModuleBuilder, imports: Imports): FunctionRef {
  return m.function('guestPhysical', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f) => {
    const [state, gpn, access] = f.params.map((p) => p.get) as [Value, Value, Value];
    const slot = i32.shl(i32.and(gpn, i32.const(GPA_CACHE_ENTRIES - 1)), i32.const(GPA_CACHE_ENTRY_SHIFT));
    const entry = f.let(
      i32.add(loads.i32(state, S.TLB_BASE), i32.add(slot, i32.const(AREA_GPA_CACHE - AREA_TLB))),
    );
    const answer = f.variable(loads.i32(entry, 4));
    const allowed = () => i32.and(i32.shrU(answer.get, i32.const(24)), access);
    f.if(
      i32.and(i32.eq(loads.i32(entry), gpn), i32.ne(allowed(), i32.const(0))),
      () => f.return(answer.get),
      undefined,
      'likely',
    );
    f.set(answer, f.call(imports.translateGpa, gpn, access));
    f.if(i32.ltS(answer.get, i32.const(0)), () => {
      f.store('i32', state, S.FAULT_VECTOR, i32.const(EXIT_MARK + Exit.Memory));
      f.store('i64', state, S.EXIT_A, i64.shl(i64.extendU(gpn), i64.const(12)));
      f.store('i32', state, S.EXIT_C, access);
      f.return(i32.const(-1));
    });
    f.store('i32', entry, 0, gpn);
    f.store('i32', entry, 4, answer.get);
    f.emit(answer.get);
  });
}

function defineWalk(
  m: ModuleBuilder,
  imports: Imports,
  raise: FunctionRef,
  guestPhysical: FunctionRef,
  isShared: boolean,
): FunctionRef {
  return m.function('walk', { params: ['i32', 'i64', 'i32', 'i32'], results: ['i32'] }, (f) => {
    const [state, linear, access, user] = f.params.map((p) => p.get) as [Value, Value, Value, Value];
    f.scope(() => tryCodePage(f, state, linear, access, user));
    f.scope(() => trySecondLevel(f, state, linear, access, user));
    f.scope(() => count(f, state, Counter.Walks, i64.const(1)));
    const vaLocal = f.variable(linear);
    const va = vaLocal.get;
    const cr0 = f.let(loads.i32(state, S.CR0));
    const cr4 = f.let(loads.i32(state, S.CR4));
    const efer = f.let(loads.i32(state, S.EFER));
    const isWrite = f.let(i32.and(i32.shrU(access, i32.const(1)), i32.const(1)));
    const isFetch = f.let(i32.shrU(access, i32.const(2)));
    const nxe = f.let(i32.and(i32.shrU(efer, i32.const(11)), i32.const(1)));
    const faultAt = (bits: Value) => {
      f.store('i64', state, S.FAULT_ADDRESS, va);
      const kind = i32.or(i32.shl(isWrite, i32.const(1)), i32.shl(user, i32.const(2)));
      const fetch = i32.shl(i32.and(isFetch, nxe), i32.const(4));
      f.run(raise, state, i32.const(VECTOR.PF), i32.or(bits, i32.or(kind, fetch)));
      f.return(i32.const(NO_ADDRESS));
    };
    const physical = f.local('i64');
    /** Entry rights so far: bit 1 writable, bit 2 user, bit 0 executable. */
    const rights = f.variable(i32.const(7));
    const dirty = f.variable(i32.const(1));
    f.store('i64', state, S.EXIT_B, va);

    f.if(
      i32.eqz(i32.and(cr0, i32.const(CR0.PG))),
      () => {
        f.set(vaLocal, i64.and(va, i64.const(0xffffffffn)));
        f.set(physical, va);
      },
      () => {
        const level = f.local('i32');
        const bits = f.variable(i64.const(9));
        const width = f.variable(i64.const(3));
        const table = f.local('i64');
        const pae = f.variable(i32.const(0));
        f.if(
          i32.and(efer, i32.const(EFER.LMA)),
          () => {
            f.set(level, i32.const(3));
            f.set(table, i64.and(loads.i64(state, S.CR3), i64.const(FRAME_MASK)));
            const canonical = i64.shrS(i64.shl(va, i64.const(16)), i64.const(16));
            f.if(i64.ne(canonical, va), () => {
              f.run(raise, state, i32.const(NON_CANONICAL), i32.const(0));
              f.return(i32.const(NO_ADDRESS));
            });
          },
          () => {
            f.set(vaLocal, i64.and(va, i64.const(0xffffffffn)));
            f.if(
              i32.and(cr4, i32.const(CR4.PAE)),
              () => {
                f.set(pae, i32.const(1));
                f.set(level, i32.const(2));
                f.set(table, i64.and(loads.i64(state, S.CR3), i64.const(0xffffffe0n)));
              },
              () => {
                f.set(level, i32.const(1));
                f.set(bits, i64.const(10));
                f.set(width, i64.const(2));
                f.set(table, i64.and(loads.i64(state, S.CR3), i64.const(0xfffff000n)));
              },
            );
          },
        );
        f.block((found) => {
          f.loop((descend) => {
            f.scope(() => {
              walkLevel({
                f,
                state,
                va,
                access,
                guestPhysical,
                faultAt,
                level,
                bits,
                width,
                table,
                pae,
                rights,
                dirty,
                physical,
                isWrite,
                isFetch,
                nxe,
                user,
                cr0,
                cr4,
                found,
                imports,
                isShared,
              });
            });
            f.set(level, i32.sub(level.get, i32.const(1)));
            f.branch(descend);
          });
        });
      },
    );
    fillTlb({
      f,
      state,
      va,
      access,
      user,
      guestPhysical,
      physical: physical.get,
      rights: rights.get,
      dirty: dirty.get,
      cr0,
      imports,
    });
  });
}

interface LevelContext {
  f: FunctionBuilder;
  state: Value;
  va: Value;
  access: Value;
  user: Value;
  guestPhysical: FunctionRef;
  imports: Imports;
  faultAt: (bits: Value) => void;
  level: Local;
  bits: Local;
  width: Local;
  table: Local;
  pae: Local;
  rights: Local;
  dirty: Local;
  physical: Local;
  isWrite: Value;
  isFetch: Value;
  nxe: Value;
  cr0: Value;
  cr4: Value;
  found: Label;
  isShared: boolean;
}

/** One table: reads the entry, checks it, and goes on to the next table or branches to `found` with the frame. */
function walkLevel(c: LevelContext): void {
  const { f, state, va } = c;
  const shift = f.let(i64.add(i64.const(12), i64.mul(i64.extendU(c.level.get), c.bits.get)));
  const index = i64.and(i64.shrU(va, shift), i64.sub(i64.shl(i64.const(1), c.bits.get), i64.const(1)));
  const address = f.let(i64.add(c.table.get, i64.shl(index, c.width.get)));
  const gpn = f.let(i32.wrap(i64.shrU(address, i64.const(12))));
  const page = f.let(f.call(c.guestPhysical, state, gpn, i32.const(Access.Read)));
  f.if(i32.eq(page, i32.const(-1)), () => f.return(i32.const(NO_ADDRESS)));
  const host = f.let(i32.or(i32.shl(page, i32.const(12)), i32.and(i32.wrap(address), i32.const(0xfff))));
  const entry = f.local('i64');
  const isLeaf = f.local('i32');
  const rightsBefore = f.let(c.rights.get);
  // Another processor may change the entry before its bits are set: then it is read again.
  f.loop((again) => f.scope(() => checkEntry(c, { host, gpn, shift, entry, isLeaf, rightsBefore, again })));
  f.branchIf(c.found, isLeaf.get);
  f.set(c.table, i64.and(entry.get, i64.const(FRAME_MASK)));
}

interface EntryContext {
  host: Value;
  gpn: Value;
  shift: Value;
  entry: Local;
  isLeaf: Local;
  rightsBefore: Value;
  again: Label;
}

/** Reads an entry, faults where it does not allow the access, and sets its accessed and dirty bits. */
function checkEntry(c: LevelContext, e: EntryContext): void {
  const { f, state } = c;
  const { host, gpn, shift, entry, isLeaf } = e;
  f.set(c.rights, e.rightsBefore);
  f.if(
    i64.eq(c.width.get, i64.const(3)),
    () => f.set(entry, loads.i64(host)),
    () => f.set(entry, loads.i64_32u(host)),
  );
  const has = (bit: bigint): Value => i64.ne(i64.and(entry.get, i64.const(bit)), i64.const(0));
  f.if(i64.eqz(i64.and(entry.get, i64.const(PTE.P))), () => c.faultAt(i32.const(0)), undefined, 'unlikely');
  const isDirectoryPointer = f.let(i32.and(c.pae.get, i32.eq(c.level.get, i32.const(2))));
  const wide = i64.eq(c.width.get, i64.const(3));
  const reservedNx = i32.and(i32.and(wide, has(PTE.NX)), i32.eqz(c.nxe));
  const reservedHigh = i32.and(wide, has(RESERVED_HIGH));
  const reservedLarge = i32.and(has(PTE.PS), i32.or(i32.eq(c.level.get, i32.const(3)), isDirectoryPointer));
  f.if(
    i32.or(i32.or(reservedNx, reservedHigh), reservedLarge),
    () => c.faultAt(i32.const(PF_ERROR.P | PF_ERROR.RSVD)),
    undefined,
    'unlikely',
  );
  f.if(i32.eqz(isDirectoryPointer), () => {
    const writableUser = i32.and(i32.wrap(entry.get), i32.const(6));
    const executable = i32.eqz(i32.and(wide, has(PTE.NX)));
    f.set(c.rights, i32.and(c.rights.get, i32.or(writableUser, executable)));
  });
  const pse = i32.or(wide, i32.and(i32.shrU(c.cr4, i32.const(4)), i32.const(1)));
  const isLarge = i32.and(i32.and(has(PTE.PS), i32.ne(c.level.get, i32.const(0))), pse);
  f.set(isLeaf, i32.or(i32.eqz(c.level.get), isLarge));
  const setBits = f.variable(i64.const(PTE.A));
  f.if(
    isLeaf.get,
    () => {
      f.scope(() => checkLeaf(c, entry, shift));
      f.if(
        c.isWrite,
        () => f.set(setBits, i64.const(PTE.A | PTE.D)),
        () => f.set(c.dirty, i32.and(i32.wrap(i64.shrU(entry.get, i64.const(6))), i32.const(1))),
      );
    },
    () => f.if(isDirectoryPointer, () => f.set(setBits, i64.const(0))),
  );
  f.if(i64.ne(i64.and(entry.get, setBits.get), setBits.get), () => {
    const writable = f.let(f.call(c.guestPhysical, state, gpn, i32.const(Access.Write)));
    f.if(i32.eq(writable, i32.const(-1)), () => f.return(i32.const(NO_ADDRESS)));
    if (c.isShared) setAtomically(c, e, setBits.get);
    else f.store('i32', host, 0, i32.or(i32.wrap(entry.get), i32.wrap(setBits.get)));
    noteWritten(f, state, c.imports, host, i32.const(4));
  });
}

/** Sets bits of the entry if it still is what was read; else it is read again. */
function setAtomically({ f, width }: LevelContext, { host, entry, again }: EntryContext, bits: Value): void {
  const wanted = i64.or(entry.get, bits);
  const seen = f.local('i64');
  f.if(
    i64.eq(width.get, i64.const(3)),
    () => f.set(seen, atomics.compareExchange(64, host, entry.get, wanted)),
    () => f.set(seen, atomics.compareExchange(32, host, entry.get, wanted)),
  );
  f.branchIf(again, i64.ne(seen.get, entry.get), 'unlikely');
}

/** Permissions of the translation (SDM vol. 3 §4.6), reserved bits of a large frame, and the frame itself. */
function checkLeaf(c: LevelContext, entry: Local, shift: Value): void {
  const { f, va } = c;
  const offsetMask = f.let(i64.sub(i64.shl(i64.const(1), shift), i64.const(1)));
  const largeReserved = i64.and(entry.get, i64.and(offsetMask, i64.const(LINE_MASK & ~0x1000n)));
  const wide = i64.eq(c.width.get, i64.const(3));
  f.if(
    i32.and(i32.and(i32.ne(c.level.get, i32.const(0)), wide), i64.ne(largeReserved, i64.const(0))),
    () => c.faultAt(i32.const(PF_ERROR.P | PF_ERROR.RSVD)),
    undefined,
    'unlikely',
  );
  const bit = (n: number): Value => i32.and(i32.shrU(c.rights.get, i32.const(n)), i32.const(1));
  const wp = i32.and(i32.shrU(c.cr0, i32.const(16)), i32.const(1));
  const noUser = i32.and(c.user, i32.eqz(bit(2)));
  const noWrite = i32.and(i32.and(c.isWrite, i32.eqz(bit(1))), i32.or(c.user, wp));
  const noFetch = i32.and(c.isFetch, i32.eqz(bit(0)));
  f.if(
    i32.or(i32.or(noUser, noWrite), noFetch),
    () => c.faultAt(i32.const(PF_ERROR.P)),
    undefined,
    'unlikely',
  );
  const frame = i64.and(i64.and(entry.get, i64.const(FRAME_MASK)), i64.xor(offsetMask, i64.const(-1)));
  f.set(c.physical, i64.or(frame, i64.and(va, offsetMask)));
}

interface FillContext {
  f: FunctionBuilder;
  state: Value;
  va: Value;
  access: Value;
  user: Value;
  guestPhysical: FunctionRef;
  physical: Value;
  rights: Value;
  dirty: Value;
  cr0: Value;
  imports: Imports;
}

/** Translates the frame, enters it in the TLB with all rights that now hold, and leaves the page's host address. */
function fillTlb(c: FillContext): void {
  const { f, state, va } = c;
  const gpn = i32.wrap(i64.shrU(c.physical, i64.const(12)));
  const page = f.let(f.call(c.guestPhysical, state, gpn, c.access));
  f.if(i32.eq(page, i32.const(-1)), () => {
    f.store('i64', state, S.EXIT_A, c.physical);
    f.return(i32.const(NO_ADDRESS));
  });
  const host = f.let(i32.shl(page, i32.const(12)));
  const spn = i32.shrU(host, i32.const(12));
  const area = f.let(loads.i32(state, S.TLB_BASE));
  const tlb = i32.add(area, i32.mul(c.user, i32.const(TLB_SIZE)));
  const entry = f.let(tlbEntry(f, tlb, va));
  const tag = f.let(i64.and(va, i64.const(LINE_MASK)));
  const allowed = (right: number): Value => i32.ne(i32.and(page, i32.const(right << 24)), i32.const(0));
  const code = i64.extendU(i32.ne(hasCode(state, spn), i32.const(0)));
  const wp = i32.and(i32.shrU(c.cr0, i32.const(16)), i32.const(1));
  const guestWritable = i32.or(
    i32.and(i32.shrU(c.rights, i32.const(1)), i32.const(1)),
    i32.eqz(i32.or(wp, c.user)),
  );
  const writable = i32.and(i32.and(guestWritable, c.dirty), allowed(Access.Write));
  const executable = i32.and(i32.and(c.rights, i32.const(1)), allowed(Access.Execute));
  const tagIf = (condition: Value): Value => select(condition, tag, i64.const(-1));
  const watched = f.variable(i32.const(0));
  f.if(
    watching(state),
    () =>
      f.set(
        watched,
        f.call(c.imports.microcode, state, i32.const(Operation.WatchesPage), i32.const(0), i32.const(0)),
      ),
    undefined,
    'unlikely',
  );
  const unwatched = i32.eqz(watched.get);
  f.store('i64', entry, TLB_READ, tagIf(i32.and(unwatched, allowed(Access.Read))));
  f.store('i64', entry, TLB_WRITE, select(i32.and(unwatched, writable), i64.or(tag, code), i64.const(-1)));
  f.store('i64', entry, TLB_EXECUTE, tagIf(executable));
  f.store('i32', entry, TLB_ADDEND, i32.sub(host, i32.wrap(tag)));
  f.store('i32', entry, TLB_GENERATION, generationOf(area));
  copyEntry(f, secondEntry(f, area, c.user, va), entry);
  f.emit(host);
}

/** 1 while data breakpoints are enabled (microcode/debug-exceptions.ts). */
const watching = (state: Value): Value =>
  i32.ne(i32.and(loads.i32(state, S.BREAKPOINTS), i32.const(15)), i32.const(0));

function definePrepare(m: ModuleBuilder, imports: Imports, walk: FunctionRef): FunctionRef {
  return m.function('prepare', { params: ['i32', 'i64', 'i32', 'i32', 'i32'], results: ['i32'] }, (f) => {
    const [state, va, size, access, user] = f.params.map((p) => p.get) as [Value, Value, Value, Value, Value];
    const first = f.variable(f.call(walk, state, va, access, user));
    f.if(i32.eq(first.get, i32.const(NO_ADDRESS)), () => f.return(i32.const(NO_ADDRESS)));
    f.if(
      i32.and(watching(state), i32.ne(access, i32.const(Access.Execute))),
      () => f.do(f.call(imports.microcode, state, i32.const(Operation.NoteAccess), size, access)),
      undefined,
      'unlikely',
    );
    const offset = f.let(i32.and(i32.wrap(va), i32.const(0xfff)));
    f.set(first, i32.add(first.get, offset));
    f.if(i32.leU(i32.add(offset, size), i32.const(4096)), () => f.return(first.get), undefined, 'likely');
    const length = f.let(i32.sub(i32.const(4096), offset));
    const next = i64.add(va, i64.extendU(length));
    const second = f.let(f.call(walk, state, next, access, user));
    f.if(i32.eq(second, i32.const(NO_ADDRESS)), () => f.return(i32.const(NO_ADDRESS)));
    const scratch = f.let(i32.add(state, i32.const(S.SCRATCH)));
    f.memoryCopy(scratch, first.get, length);
    f.memoryCopy(i32.add(scratch, length), second, i32.sub(size, length));
    f.store('i32', state, S.SPLIT_FIRST, first.get);
    f.store('i32', state, S.SPLIT_LENGTH, length);
    f.store('i32', state, S.SPLIT_SECOND, second);
    f.emit(scratch);
  });
}

function defineCommit(m: ModuleBuilder, imports: Imports, isShared: boolean): FunctionRef {
  return m.function('commit', { params: ['i32', 'i32', 'i32'], results: [] }, (f) => {
    const [state, host, size] = f.params.map((p) => p.get) as [Value, Value, Value];
    const scratch = f.let(i32.add(state, i32.const(S.SCRATCH)));
    // The store is visible before the code map is read: a decoder marks the page before it reads the bytes.
    if (isShared) f.fence();
    f.if(
      i32.eq(host, scratch),
      () => {
        const first = f.let(loads.i32(state, S.SPLIT_FIRST));
        const second = f.let(loads.i32(state, S.SPLIT_SECOND));
        const length = f.let(loads.i32(state, S.SPLIT_LENGTH));
        const rest = f.let(i32.sub(size, length));
        f.memoryCopy(first, scratch, length);
        f.memoryCopy(second, i32.add(scratch, length), rest);
        if (isShared) f.fence();
        noteWritten(f, state, imports, first, length);
        noteWritten(f, state, imports, second, rest);
      },
      () => noteWritten(f, state, imports, host, size),
    );
  });
}

/** Drops decoded code that came from the bytes just written. */
function noteWritten(f: FunctionBuilder, state: Value, imports: Imports, host: Value, size: Value): void {
  const spn = f.let(i32.shrU(host, i32.const(12)));
  f.if(
    hasCode(state, spn),
    () => f.run(imports.codeWritten, spn, i32.and(host, i32.const(0xfff)), size),
    undefined,
    'unlikely',
  );
}
