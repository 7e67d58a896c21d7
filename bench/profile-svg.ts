/** Draws where the time of one or more runs goes: a column a run, from the profile that `partita run --json` prints. */
import { SvgCanvas } from '../src/cli/picture/svg-canvas.ts';
import type { VmSummary } from '../src/vm/vm-outcome.ts';

export interface ProfiledRun {
  title: string;
  summary: VmSummary;
}

interface Share {
  name: string;
  amount: number;
  /** As people read it. */
  text: string;
}

const COLUMN = 460;
const MARGIN = 24;
const GAP = 32;
const BAR = 22;
const LINE = 18;
const HEAD = 40;
const MOST_ROWS = 9;
const NAME_WIDTH = 170;
const AMOUNT_WIDTH = 70;

export function drawProfiles(runs: readonly ProfiledRun[]): string {
  const canvas = new SvgCanvas(2 * MARGIN + runs.length * COLUMN + (runs.length - 1) * GAP);
  canvas.text(MARGIN, 40, 'ink title', 'Where the time goes');
  let bottom = 0;
  runs.forEach((run, index) => {
    const column = new Column(canvas, MARGIN + index * (COLUMN + GAP), 72);
    drawRun(column, run);
    bottom = Math.max(bottom, column.y);
  });
  return canvas.document(
    bottom + MARGIN,
    `Where the time goes: ${runs.map(({ title }) => title).join(', ')}`,
  );
}

function drawRun(column: Column, { title, summary }: ProfiledRun): void {
  const { profile } = summary;
  if (profile === undefined) throw new Error(`${title}: the run has no profile`);
  const { instructions, tlb, decoder, translator } = profile;
  column.text('ink head', title);
  const decode = decoder.milliseconds / 1000;
  const translate = translator.milliseconds / 1000;
  column.stack(`Time: ${summary.seconds.toFixed(1)} s`, [
    { name: 'decoding', amount: decode, text: `${decode.toFixed(2)} s` },
    { name: 'translating', amount: translate, text: `${translate.toFixed(2)} s` },
    rest('running, and all else', summary.seconds - decode - translate),
  ]);
  column.stack(`Guest instructions by tier: ${large(summary.instructions)}`, [
    part('interpreter', instructions.interpreter),
    part('translated regions', instructions.regions),
  ]);
  column.note(
    `${large(decoder.instructions)} decoded in ${large(decoder.blocks)} blocks; ` +
      `${large(translator.instructions)} translated in ${large(translator.regions)} regions`,
  );
  column.note(`${large(translator.regionsDropped)} regions lost to stores`);
  const thousand = (1000 * tlb.misses) / Math.max(1, summary.instructions);
  column.stack(`Misses of the soft TLB: ${large(tlb.misses)}, ${thousand.toFixed(1)} in 1,000 instructions`, [
    part('second level has it', tlb.secondLevelHits),
    part('page walk', tlb.walks),
  ]);
  column.bars('Exits by kind', summary.exits);
  column.bars('Microcode by operation', profile.microcode);
}

const part = (name: string, amount: number): Share => ({ name, amount, text: large(amount) });
const rest = (name: string, seconds: number): Share => ({
  name,
  amount: Math.max(0, seconds),
  text: `${Math.max(0, seconds).toFixed(2)} s`,
});

/** Sections below each other. */
class Column {
  readonly #canvas: SvgCanvas;
  readonly #x: number;
  y: number;

  constructor(canvas: SvgCanvas, x: number, y: number) {
    this.#canvas = canvas;
    this.#x = x;
    this.y = y;
  }

  text(classes: string, text: string): void {
    this.#canvas.text(this.#x, this.y, classes, text);
    this.y += LINE;
  }

  note(text: string): void {
    this.text('soft small', text);
  }

  /** One bar of shares, and a line of legend for each. */
  stack(title: string, shares: readonly Share[]): void {
    this.y += HEAD - LINE;
    this.text('ink', title);
    const total = shares.reduce((sum, share) => sum + share.amount, 0);
    let x = this.#x;
    shares.forEach(({ name, amount, text }, index) => {
      const width = total === 0 ? 0 : (amount / total) * COLUMN;
      this.#canvas.rect(x, this.y - 8, width, BAR, `cause${index}`, `${name}: ${text}`);
      x += width;
    });
    this.y += BAR + 8;
    shares.forEach(({ name, amount, text }, index) => {
      const percent = total === 0 ? 0 : (100 * amount) / total;
      this.#canvas.rect(this.#x, this.y - 9, 10, 10, `cause${index}`);
      this.#canvas.text(this.#x + 16, this.y, 'ink small', `${name}: ${text} (${percent.toFixed(1)} %)`);
      this.y += LINE - 2;
    });
  }

  /** A bar for each count, the largest first. */
  bars(title: string, counts: Record<string, number>): void {
    this.y += HEAD - LINE;
    this.text('ink', title);
    const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
    const most = sorted[0]?.[1] ?? 1;
    const room = COLUMN - NAME_WIDTH - AMOUNT_WIDTH;
    for (const [name, amount] of sorted.slice(0, MOST_ROWS)) {
      this.#canvas.text(this.#x, this.y, 'ink small', name);
      this.#canvas.rect(this.#x + NAME_WIDTH, this.y - 10, (amount / most) * room, 12, 'cause0', '', 2);
      const at = this.#x + NAME_WIDTH + (amount / most) * room + 6;
      this.#canvas.text(at, this.y, 'soft small', large(amount));
      this.y += LINE - 2;
    }
    const others = sorted.slice(MOST_ROWS).reduce((sum, [, amount]) => sum + amount, 0);
    if (others > 0) this.note(`and ${large(others)} of ${sorted.length - MOST_ROWS} other kinds`);
  }
}

/** 1234567 as "1.2 million". */
export function large(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} billion`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} million`;
  return Math.round(value).toLocaleString('en-US');
}
