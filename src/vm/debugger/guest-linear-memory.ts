/**
 * Guest memory by linear address as the debugger sees it: pages are translated by HvTranslateVirtualAddress without
 * regard to privilege and without setting accessed bits, bytes move by HvReadGpa and HvWriteGpa (TLFS 2.0a §12.4.4 to
 * §12.4.6), sixteen at a time. Pages that the guest has made read-only can be written.
 */
import { TranslateGvaFlag, TranslateGvaResult } from '../../hvdef/intercepts.ts';
import { type ChildPartition, GPA_ACCESS_BYTES } from '../parent/child-partition.ts';

const PAGE_BYTES = 0x1000;
const LOOK = TranslateGvaFlag.ValidateRead | TranslateGvaFlag.PrivilegeExempt;

export class GuestLinearMemory {
  readonly #partition: ChildPartition;

  constructor(partition: ChildPartition) {
    this.#partition = partition;
  }

  /** Byte address; undefined where nothing is mapped, or an address is not canonical. */
  translate(vp: number, address: bigint): number | undefined {
    if (BigInt.asUintN(64, BigInt.asIntN(48, address)) !== address) return undefined;
    const { result, gpa } = this.#partition.translate(vp, address, LOOK);
    return result === TranslateGvaResult.Success ? gpa : undefined;
  }

  /**
   * As many bytes as can be read. `hide` is given each piece that was read with its GPA and may change it.
   */
  read(
    vp: number,
    address: bigint,
    length: number,
    hide: (gpa: number, bytes: Uint8Array) => void = () => {},
  ): Uint8Array {
    const bytes = new Uint8Array(length);
    const done = this.#walk(vp, address, length, (gpa, at, count) => {
      const piece = this.#partition.readGpa(vp, gpa, count);
      if (piece === undefined) return false;
      hide(gpa, piece);
      bytes.set(piece, at);
      return true;
    });
    return bytes.subarray(0, done);
  }

  /** Bytes that were written: fewer where a page is missing. `keep` may change each piece before. */
  write(
    vp: number,
    address: bigint,
    bytes: Uint8Array,
    keep: (gpa: number, bytes: Uint8Array) => void = () => {},
  ): number {
    return this.#walk(vp, address, bytes.length, (gpa, at, count) => {
      const piece = bytes.slice(at, at + count);
      keep(gpa, piece);
      return this.#partition.writeGpa(vp, gpa, piece);
    });
  }

  /** Pieces of at most 16 bytes within a page, until one fails; answers the bytes done. */
  #walk(
    vp: number,
    address: bigint,
    length: number,
    each: (gpa: number, at: number, count: number) => boolean,
  ): number {
    let page: number | undefined;
    let done = 0;
    while (done < length) {
      const here = BigInt.asUintN(64, address + BigInt(done));
      const offset = Number(here & BigInt(PAGE_BYTES - 1));
      if (page === undefined || offset === 0) {
        const gpa = this.translate(vp, here);
        if (gpa === undefined) return done;
        page = gpa - offset;
      }
      const count = Math.min(GPA_ACCESS_BYTES, PAGE_BYTES - offset, length - done);
      if (!each(page + offset, done, count)) return done;
      done += count;
    }
    return done;
  }
}
