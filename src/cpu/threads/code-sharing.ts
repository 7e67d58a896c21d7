/**
 * Decoded code in several threads: which bytes of system physical memory somebody has decoded, and how the others
 * learn that such bytes have changed. One map for all, in memory that only the hypervisor uses:
 *
 *   code map    one byte a page: 0 no code; 1 about to be; 2 code, and no processor stores to the page unnoticed
 *   granules    16 bytes a page, one bit for 32 bytes: where in the page code was decoded from
 *
 * A decoder marks the page, waits until the others' write permissions are gone (GuardPage), reads the bytes, marks the
 * granules and looks whether the bytes are still those. A store that meets a mark is made first and then reported
 * here; if it touches a granule, all marks of the page go and every processor is told to drop the page's code. It is
 * not waited for: a processor drops the code before its next block, which is before any instruction that serializes.
 */
import type { CodeSharing } from '../processor.ts';
import { Request, type Requester } from './requests.ts';

const Mark = { None: 0, Pending: 1, Guarded: 2 } as const;
const GRANULE_SHIFT = 5;
export const GRANULE_BYTES_A_PAGE = 16;

export interface CodeMapAddresses {
  /** Bytes from the memory's start. */
  codeMap: number;
  granules: number;
}

/** What a thread does to itself as it asks it of others. */
export interface OwnCode {
  guardPage(spn: number): void;
  dropCode(spn: number): void;
}

export class SharedCodeMap implements CodeSharing {
  private readonly marks: Uint8Array;
  private readonly granules: Int32Array;
  private readonly requester: Requester;
  /** This thread's own; the root has none. */
  private readonly own: OwnCode | undefined;
  epoch = 0;

  constructor(
    buffer: ArrayBufferLike,
    addresses: CodeMapAddresses,
    pageCount: number,
    requester: Requester,
    own: OwnCode | undefined,
  ) {
    this.marks = new Uint8Array(buffer, addresses.codeMap, pageCount);
    this.granules = new Int32Array(buffer, addresses.granules, (pageCount * GRANULE_BYTES_A_PAGE) / 4);
    this.requester = requester;
    this.own = own;
  }

  markCodePage(spn: number): void {
    const { marks } = this;
    // A store elsewhere may take the mark away meanwhile: then once more. Each round somebody has made progress.
    for (;;) {
      if (Atomics.compareExchange(marks, spn, Mark.None, Mark.Pending) === Mark.Guarded) return;
      this.own?.guardPage(spn);
      this.requester.demand(Request.GuardPage, spn);
      if (Atomics.compareExchange(marks, spn, Mark.Pending, Mark.Guarded) !== Mark.None) return;
    }
  }

  markCode(spn: number, from: number, to: number): void {
    const base = spn * 4;
    for (let g = from >> GRANULE_SHIFT; g <= (to - 1) >> GRANULE_SHIFT; g++)
      Atomics.or(this.granules, base + (g >> 5), 1 << (g & 31));
  }

  /** After a store of `size` bytes at `offset` of the page. */
  written(spn: number, offset: number, size: number): void {
    // An exchange, not a load: the store must be visible before the mark is read.
    if (Atomics.or(this.marks, spn, 0) === Mark.None || !this.touches(spn, offset, size)) return;
    for (let word = 0; word < 4; word++) Atomics.store(this.granules, spn * 4 + word, 0);
    Atomics.store(this.marks, spn, Mark.None);
    this.requester.postToOthers(Request.DropCode, spn);
    this.own?.dropCode(spn);
  }

  private touches(spn: number, offset: number, size: number): boolean {
    const last = Math.min(offset + size - 1, 4095) >> GRANULE_SHIFT;
    for (let g = offset >> GRANULE_SHIFT; g <= last; g++)
      if ((Atomics.load(this.granules, spn * 4 + (g >> 5)) >>> (g & 31)) & 1) return true;
    return false;
  }
}
