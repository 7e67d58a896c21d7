/**
 * A processor thread's copy of the guest physical address space, filled by questions to the root, 512 pages at a time.
 * Only what is accessible is kept: a page that was refused is asked for again. The root says when to forget.
 */
import { type Mailbox, TRANSLATIONS, Word } from './mailbox.ts';

const BLOCK_SHIFT = 9;
/** Guest memory of 16 GiB; a guest that touches more starts anew. */
const MOST_BLOCKS = 8192;

export class GuestPages {
  private readonly blocks = new Map<number, Int32Array>();
  private readonly mailbox: Mailbox;
  /** Puts the question to the root and waits for the answer. */
  private readonly ask: () => void;

  constructor(mailbox: Mailbox, ask: () => void) {
    this.mailbox = mailbox;
    this.ask = ask;
  }

  /** As `ProcessorHost.translateGpa`. */
  translate(gpn: number, access: number): number {
    const held = this.blocks.get(gpn >>> BLOCK_SHIFT)?.[gpn & (TRANSLATIONS - 1)] ?? -1;
    if (held >= 0 && ((held >>> 24) & access) !== 0) return held;
    const { mailbox } = this;
    mailbox.set(Word.CallGpn, gpn | 0);
    mailbox.set(Word.CallAccess, access);
    this.ask();
    if (this.blocks.size >= MOST_BLOCKS) this.blocks.clear();
    const block = mailbox.words.slice(Word.Translations, Word.Translations + TRANSLATIONS);
    this.blocks.set(gpn >>> BLOCK_SHIFT, block);
    return mailbox.get(Word.CallAnswer);
  }

  forget(): void {
    this.blocks.clear();
  }
}
