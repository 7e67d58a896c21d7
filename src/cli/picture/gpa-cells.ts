/**
 * A GPA space cut into equal cells, and its occupied stretches: what both the drawing on the terminal and the one in
 * SVG are made of.
 */
import type { GpaRun, PartitionPicture } from './machine-picture.ts';

/** Occupied pages from `start` to `end`, with small gaps in it. */
export interface Stretch {
  start: number;
  end: number;
}

export interface Cell {
  gpn: number;
  pages: number;
  /** Runs that lie in it, cut to it. */
  runs: GpaRun[];
  overlays: PartitionPicture['overlays'];
}

/** Large mappings are this many pages; a cell is never more where the space is drawn cell by cell. */
const LARGEST_CELL = 512;
const FEWEST_CELLS = 64;
const MOST_CELLS = 2048;

/** Stretches with at least a sixteenth of all that is occupied between them. */
export function stretches({ runs, overlays }: PartitionPicture): Stretch[] {
  const pieces = [
    ...runs.map(({ gpn, pages }) => ({ start: gpn, end: gpn + pages })),
    ...overlays.map(({ gpn }) => ({ start: gpn, end: gpn + 1 })),
  ].sort((a, b) => a.start - b.start);
  const occupied = pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  const result: Stretch[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if (last !== undefined && piece.start - last.end <= Math.max(LARGEST_CELL, occupied / 16)) {
      last.end = Math.max(last.end, piece.end);
    } else result.push({ ...piece });
  }
  return result;
}

/** A power of two that gives neither too few nor too many cells. */
export function cellPages(list: readonly Stretch[]): number {
  const total = list.reduce((sum, { start, end }) => sum + end - start, 0);
  let pages = LARGEST_CELL;
  while (pages > 1 && total / pages < FEWEST_CELLS) pages /= 2;
  while (total / pages > MOST_CELLS) pages *= 2;
  return pages;
}

/** The cells of one stretch, aligned to their size. */
export function cellsOf({ runs, overlays }: PartitionPicture, stretch: Stretch, pages: number): Cell[] {
  const first = Math.floor(stretch.start / pages) * pages;
  const count = Math.min(Math.ceil((stretch.end - first) / pages), 2 * MOST_CELLS);
  const cells: Cell[] = [];
  let from = 0;
  for (let index = 0; index < count; index++) {
    const gpn = first + index * pages;
    const end = gpn + pages;
    while (from < runs.length && runs[from].gpn + runs[from].pages <= gpn) from++;
    const inside: GpaRun[] = [];
    for (let at = from; at < runs.length && runs[at].gpn < end; at++) inside.push(cut(runs[at], gpn, end));
    const marks = overlays.filter((overlay) => overlay.gpn >= gpn && overlay.gpn < end);
    cells.push({ gpn, pages, runs: inside, overlays: marks });
  }
  return cells;
}

function cut(run: GpaRun, start: number, end: number): GpaRun {
  const first = Math.max(run.gpn, start);
  const last = Math.min(run.gpn + run.pages, end);
  return { ...run, gpn: first, pages: last - first, spn: run.spn + first - run.gpn };
}
