/**
 * Guest crash registers (current TLFS, partition crash enlightenment): five parameters and a control register
 * per partition. Reading control says what is supported; writing it with CrashNotify set reports the crash.
 * With CrashMessage set too, P3 is the guest physical address of a text and P4 its length in bytes.
 */
import { type StateReader, type StateRecord, wordBytes } from '../support/saved-state/state-value.ts';

/** Bits of the control register's high word. */
const CRASH_MESSAGE = 1 << 30;
const CRASH_NOTIFY = 1 << 31;
/** A longer text is cut: guests offer a page at most. */
const MAX_MESSAGE_BYTES = 4096;
const PARAMETERS = 5;

export interface GuestCrash {
  /** P0 .. P4 as written. */
  parameters: readonly bigint[];
  /** Where the text lies, if the guest says that there is one. */
  message: { gpa: number; length: number } | undefined;
}

export class CrashRegisters {
  readonly #words = new Uint32Array(PARAMETERS * 2);
  readonly #onCrash: (crash: GuestCrash) => void;
  /** The last crash that was reported. */
  lastCrash: GuestCrash | undefined;

  constructor(onCrash: (crash: GuestCrash) => void) {
    this.#onCrash = onCrash;
  }

  parameterLow(index: number): number {
    return this.#words[index * 2];
  }
  parameterHigh(index: number): number {
    return this.#words[index * 2 + 1];
  }
  writeParameter(index: number, low: number, high: number): void {
    this.#words[index * 2] = low;
    this.#words[index * 2 + 1] = high;
  }

  readonly controlLow = 0;
  readonly controlHigh = (CRASH_NOTIFY | CRASH_MESSAGE) >>> 0;

  writeControl(_low: number, high: number): void {
    if ((high & CRASH_NOTIFY) === 0) return;
    const parameters = Array.from(
      { length: PARAMETERS },
      (_, index) => (BigInt(this.parameterHigh(index)) << 32n) | BigInt(this.parameterLow(index)),
    );
    const length = Math.min(this.parameterLow(4), MAX_MESSAGE_BYTES);
    const message =
      (high & CRASH_MESSAGE) !== 0 && length > 0
        ? { gpa: this.parameterHigh(3) * 0x1_0000_0000 + this.parameterLow(3), length }
        : undefined;
    this.lastCrash = { parameters, message };
    this.#onCrash(this.lastCrash);
  }

  reset(): void {
    this.#words.fill(0);
  }

  save(): StateRecord {
    return { parameters: wordBytes(this.#words) };
  }
  restore(from: StateReader): void {
    this.#words.set(from.words('parameters', PARAMETERS * 2));
  }

  inspect(): unknown {
    return { reported: this.lastCrash !== undefined };
  }
}
