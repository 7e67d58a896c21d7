/**
 * The memory of a guest's instruction that the parent completes: each page is translated with the instruction's
 * rights (HvTranslateVirtualAddress), RAM moves by HvReadGpa and HvWriteGpa, and where no RAM answers the device
 * does (TLFS 2.0a §12.4.4 to §12.4.6). All of an access is translated before a byte moves (§8.1.2).
 *
 * Stores are held back until the instruction is known to end well, then carried out in order, each once. Reads of a
 * device can't be taken back, so an instruction is rehearsed first: devices are not asked then, and answer a filler.
 *
 *   rehearse(filler) ──► the instruction runs ──► no device was read: flush()
 *                                │ one was
 *                                ▼
 *                            perform() ──► the instruction runs again ──► flush()
 *
 * Chosen: a device sees an operand of 1, 2, 4 or 8 bytes as one access, others in the largest such parts from the
 * lowest address up; an operand that crosses a page, as one access for each side. GPAs that refuse the access and
 * are no device read as ones, as a bus does.
 */
import type { AccessRefusal, DetachedMemory } from '../../cpu/detached-processor.ts';
import { Access } from '../../cpu/processor.ts';
import { TranslateGvaFlag, TranslateGvaResult } from '../../hvdef/intercepts.ts';
import { GPA_PAGE_LIMIT, PAGE_SIZE } from '../../hvdef/types.ts';
import { PF_ERROR } from '../../x86/exceptions.ts';
import { type ChildPartition, GPA_ACCESS_BYTES } from '../parent/child-partition.ts';

/** The devices by guest physical address; `size` is 1, 2, 4 or 8. Where none is, reads are all ones. */
export interface DeviceBus {
  read(gpa: number, size: number): bigint;
  write(gpa: number, size: number, value: bigint): void;
}

const PAGE = BigInt(PAGE_SIZE);
const DEVICE_BYTES = 8;
/** HvReadGpa and HvWriteGpa reach no further. */
const GPA_END = GPA_PAGE_LIMIT * PAGE_SIZE;

interface TranslatedPage {
  page: bigint;
  access: number;
  user: boolean;
  /** Guest physical byte address of the page. */
  gpa: number;
  /** The GPA map allows the access: RAM answers. */
  isRam: boolean;
  /** RAM may answer a read at least. */
  isReadable: boolean;
}
interface Piece {
  gpa: number;
  isRam: boolean;
  isReadable: boolean;
  bytes: number;
}
interface HeldStore {
  pieces: readonly Piece[];
  data: Uint8Array;
}

export class OperandMemory implements DetachedMemory {
  readonly #partition: ChildPartition;
  readonly #devices: DeviceBus;
  #vp = 0;
  #pages: TranslatedPage[] = [];
  #held: HeldStore[] = [];
  /** What devices answer while rehearsing; -1 when performing. */
  #filler = -1;
  /** Some access was asked for. */
  isTouched = false;
  /** A device was read, or would have been. */
  readsDevice = false;
  /** Why the last access was refused. */
  refusal: AccessRefusal | undefined;

  constructor(partition: ChildPartition, devices: DeviceBus) {
    this.#partition = partition;
    this.#devices = devices;
  }

  /** A new instruction of `vp`. */
  begin(vp: number): void {
    this.#vp = vp;
    this.#pages = [];
    this.perform();
  }

  /** The intercept message has told where a page is; it need not be translated. */
  know(gva: bigint, gpa: number, access: number, user: boolean, isReadable: boolean): void {
    const offset = Number(gva % PAGE);
    const page = gva - BigInt(offset);
    this.#pages.push({ page, access, user, gpa: gpa - offset, isRam: false, isReadable });
  }

  rehearse(filler: number): void {
    this.perform();
    this.#filler = filler;
  }
  perform(): void {
    this.#held = [];
    this.#filler = -1;
    this.isTouched = false;
    this.readsDevice = false;
    this.refusal = undefined;
  }

  open(
    va: bigint,
    bytes: Uint8Array,
    access: number,
    user: boolean,
    fill: boolean,
  ): AccessRefusal | undefined {
    this.isTouched = true;
    const pieces = this.#pieces(va, bytes.length, access, user);
    if (!Array.isArray(pieces)) {
      this.refusal = pieces;
      return pieces;
    }
    if (!fill) return undefined;
    let at = 0;
    for (const piece of pieces) {
      this.#read(piece, bytes.subarray(at, at + piece.bytes));
      at += piece.bytes;
    }
    return undefined;
  }

  store(va: bigint, data: Uint8Array, user: boolean): void {
    const pieces = this.#pieces(va, data.length, Access.Write, user);
    // It was opened before, so that all pages are known.
    if (Array.isArray(pieces)) this.#held.push({ pieces, data });
  }

  /** Carries out what was stored. */
  flush(): void {
    for (const { pieces, data } of this.#held) {
      let at = 0;
      for (const piece of pieces) {
        this.#write(piece, data.subarray(at, at + piece.bytes));
        at += piece.bytes;
      }
    }
    this.#held = [];
  }

  #pieces(va: bigint, length: number, access: number, user: boolean): Piece[] | AccessRefusal {
    const pieces: Piece[] = [];
    for (let done = 0; done < length; ) {
      const gva = BigInt.asUintN(64, va + BigInt(done));
      const offset = Number(gva % PAGE);
      const found = this.#translate(gva - BigInt(offset), gva, access, user);
      if ('errorCode' in found) return found;
      const bytes = Math.min(length - done, PAGE_SIZE - offset);
      const { gpa, isRam, isReadable } = found;
      pieces.push({ gpa: gpa + offset, isRam, isReadable, bytes });
      done += bytes;
    }
    return pieces;
  }

  #translate(page: bigint, gva: bigint, access: number, user: boolean): TranslatedPage | AccessRefusal {
    for (const known of this.#pages)
      if (known.page === page && known.access === access && known.user === user) return known;
    // The validate flags are the bits of `Access`.
    const privilege = user ? 0 : TranslateGvaFlag.PrivilegeExempt;
    const flags = access | privilege | TranslateGvaFlag.SetPageTableBits;
    const { result, gpa } = this.#partition.translate(this.#vp, page, flags);
    const refused = this.#errorCode(result);
    if (refused >= 0) {
      const kind = access === Access.Write ? PF_ERROR.W : 0;
      return { address: gva, errorCode: refused | kind | (user ? PF_ERROR.U : 0) };
    }
    const isRam = result === TranslateGvaResult.Success && gpa < GPA_END;
    const isReadable = isRam || (result === TranslateGvaResult.GpaNoWriteAccess && gpa < GPA_END);
    const known = { page, access, user, gpa, isRam, isReadable };
    this.#pages.push(known);
    return known;
  }

  /** -1 where the guest's tables allow the access, whatever lies there. */
  #errorCode(result: number): number {
    if (result === TranslateGvaResult.PageNotPresent) return 0;
    if (result === TranslateGvaResult.PrivilegeViolation) return PF_ERROR.P;
    return result === TranslateGvaResult.InvalidPageTableFlags ? PF_ERROR.P | PF_ERROR.RSVD : -1;
  }

  #read(piece: Piece, into: Uint8Array): void {
    if (!this.#readRam(piece, into)) this.#readDevice(piece.gpa, into);
    for (const { pieces, data } of this.#held) {
      let at = 0;
      for (const stored of pieces) {
        overlay(into, piece.gpa, data.subarray(at, at + stored.bytes), stored.gpa);
        at += stored.bytes;
      }
    }
  }

  /** A page that refuses to be written may still be read. */
  #readRam({ gpa, isReadable }: Piece, into: Uint8Array): boolean {
    if (!isReadable) return false;
    for (let at = 0; at < into.length; at += GPA_ACCESS_BYTES) {
      const part = into.subarray(at, at + GPA_ACCESS_BYTES);
      const data = this.#partition.readGpa(this.#vp, gpa + at, part.length);
      if (data === undefined) return false;
      part.set(data);
    }
    return true;
  }

  #readDevice(gpa: number, into: Uint8Array): void {
    this.readsDevice = true;
    if (this.#filler >= 0) {
      into.fill(this.#filler);
      return;
    }
    for (let at = 0; at < into.length; ) {
      const size = deviceBytes(into.length - at);
      let value = this.#devices.read(gpa + at, size);
      for (let k = 0; k < size; k++, value >>= 8n) into[at + k] = Number(value & 0xffn);
      at += size;
    }
  }

  #write({ gpa, isRam }: Piece, data: Uint8Array): void {
    for (let at = 0; at < data.length; ) {
      const part = data.subarray(at, at + GPA_ACCESS_BYTES);
      if (isRam && this.#partition.writeGpa(this.#vp, gpa + at, part)) {
        at += part.length;
        continue;
      }
      const size = deviceBytes(data.length - at);
      let value = 0n;
      for (let k = size - 1; k >= 0; k--) value = (value << 8n) | BigInt(data[at + k]);
      this.#devices.write(gpa + at, size, value);
      at += size;
    }
  }
}

/** The widest access of a device within `left` bytes. */
function deviceBytes(left: number): number {
  return left >= DEVICE_BYTES ? DEVICE_BYTES : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/** What of `data` at `from` lies within `into` at `to` shows there. */
function overlay(into: Uint8Array, to: number, data: Uint8Array, from: number): void {
  const first = Math.max(to, from);
  const end = Math.min(to + into.length, from + data.length);
  if (first < end) into.set(data.subarray(first - from, end - from), first - to);
}
