/**
 * One partition's GPA space in SVG: a bar with a scale in MiB, its unmapped stretches folded, overlays as pins and the
 * nodes that back it as brackets; below it the same space cell by cell, a large mapping a cell with an outline.
 */
import { type Cell, cellPages, cellsOf, type Stretch, stretches } from './gpa-cells.ts';
import {
  addressText,
  type GpaRun,
  type MachinePicture,
  type OverlayMark,
  overlayOwner,
  type PartitionPicture,
  sizeText,
} from './machine-picture.ts';
import { rightsClass } from './palette.ts';
import { nodesText, rightsWord } from './picture-text.ts';
import type { SvgCanvas } from './svg-canvas.ts';

const LEFT = 96;
const RIGHT = 24;
const BAR_HEIGHT = 30;
const FOLD_WIDTH = 84;
const LEAST_WIDTH = 16;
const PIN_ROW = 17;
/** Where many pins stand close together, further ones keep their title and lose their label. */
const MOST_PIN_ROWS = 6;
const LABEL_CHARACTER = 6.2;

interface PlacedStretch extends Stretch {
  x: number;
  width: number;
}

/** Draws from `top` downward; answers where it ended. */
export function drawGpaSpace(
  svg: SvgCanvas,
  top: number,
  partition: PartitionPicture,
  machine: MachinePicture,
): number {
  const all = stretches(partition);
  if (all.length === 0) {
    svg.text(LEFT, top + 14, 'soft', 'Nothing is mapped.');
    return top + 26;
  }
  const afterBar = drawBar(svg, top, partition, machine, placed(all, svg.width - LEFT - RIGHT));
  return drawCells(svg, afterBar + 14, partition, machine, all);
}

function placed(all: readonly Stretch[], room: number): PlacedStretch[] {
  const pages = all.reduce((sum, { start, end }) => sum + end - start, 0);
  const folds = all.filter(({ start }, index) => start > (all[index - 1]?.end ?? 0)).length;
  const scale = Math.max(room - FOLD_WIDTH * folds - LEAST_WIDTH * all.length, 100) / pages;
  let x = LEFT;
  let previous = 0;
  return all.map((stretch) => {
    if (stretch.start > previous) x += FOLD_WIDTH;
    const width = LEAST_WIDTH + (stretch.end - stretch.start) * scale;
    const result = { ...stretch, x, width };
    x += width;
    previous = stretch.end;
    return result;
  });
}

function at(stretch: PlacedStretch, gpn: number): number {
  return stretch.x + ((gpn - stretch.start) / (stretch.end - stretch.start)) * stretch.width;
}

function drawBar(
  svg: SvgCanvas,
  top: number,
  partition: PartitionPicture,
  machine: MachinePicture,
  all: readonly PlacedStretch[],
): number {
  const rows = drawPins(svg, top, partition.overlays, all);
  const y = top + rows * PIN_ROW + 8;
  svg.text(LEFT - 10, y + 19, 'soft small', 'GPA space', { anchor: 'end' });
  svg.text(LEFT - 10, y + BAR_HEIGHT + 16, 'soft small', 'MiB', { anchor: 'end' });
  let previous = 0;
  let x = LEFT;
  for (const stretch of all) {
    if (stretch.start > previous) drawFold(svg, x, y, previous, stretch.start);
    svg.rect(stretch.x, y, stretch.width, BAR_HEIGHT, 'empty');
    for (const run of partition.runs) {
      if (run.gpn < stretch.start || run.gpn >= stretch.end) continue;
      const from = at(stretch, run.gpn);
      const width = Math.max(at(stretch, run.gpn + run.pages) - from, 0.8);
      svg.rect(from, y, width, BAR_HEIGHT, rightsClass(run.rights), runTitle(run, machine));
    }
    drawScale(svg, stretch, y + BAR_HEIGHT);
    previous = stretch.end;
    x = stretch.x + stretch.width;
  }
  return y + BAR_HEIGHT + 22 + drawNodes(svg, y + BAR_HEIGHT + 26, partition, machine, all);
}

function drawFold(svg: SvgCanvas, x: number, y: number, from: number, to: number): void {
  svg.rect(x, y, FOLD_WIDTH, BAR_HEIGHT, 'empty');
  const title = `${addressText(from)} to ${addressText(to)}: unmapped`;
  svg.rect(x, y, FOLD_WIDTH, BAR_HEIGHT, 'fold', title);
  svg.rect(x + 4, y + 7, FOLD_WIDTH - 8, 16, 'page', title, 3);
  svg.text(x + FOLD_WIDTH / 2, y + 19, 'soft small', sizeText(to - from), { anchor: 'middle' });
}

/** Overlays as pins above the bar, labels in rows so that they don't touch; answers the number of rows. */
function drawPins(
  svg: SvgCanvas,
  top: number,
  overlays: readonly OverlayMark[],
  all: readonly PlacedStretch[],
): number {
  const above: { left: number; row: number }[] = [];
  // From right to left, each above those that its label reaches: no pin crosses a label.
  const pins = overlays
    .toSorted((a, b) => b.gpn - a.gpn)
    .flatMap((overlay) => {
      const stretch = all.find(({ start, end }) => overlay.gpn >= start && overlay.gpn < end);
      if (stretch === undefined) return [];
      const x = at(stretch, overlay.gpn + 0.5);
      const label = `${overlay.kind}${overlayOwner(overlay)}`;
      const width = label.length * LABEL_CHARACTER + 14;
      // A label that would pass the right edge hangs to the left of its pin.
      const left = x + width > svg.width - RIGHT ? x - width : x;
      const reached = above.filter((other) => other.left < left + width).map((other) => other.row + 1);
      const row = Math.max(0, ...reached);
      if (row >= MOST_PIN_ROWS) return [{ overlay, x, label: '', left, row: MOST_PIN_ROWS - 1 }];
      above.push({ left: left - 6, row });
      return [{ overlay, x, label, left, row }];
    });
  const rows = pins.reduce((most, { row }) => Math.max(most, row + 1), 0);
  const foot = top + rows * PIN_ROW + 8;
  for (const { x, row } of pins) {
    const head = foot - 12 - row * PIN_ROW;
    svg.path(`M${x.toFixed(1)} ${head}V${foot + BAR_HEIGHT}`, 'pin');
  }
  for (const { overlay, x, label, left, row } of pins) {
    const head = foot - 12 - row * PIN_ROW;
    const title = `${addressText(overlay.gpn)}: overlay ${overlay.kind}${overlayOwner(overlay)} ${overlay.rights}`;
    svg.circle(x, head, 4, 'overlay', title);
    if (label === '') continue;
    const anchor = left < x ? 'end' : 'start';
    svg.text(x + (left < x ? -8 : 8), head + 4, 'ink small', label, { anchor });
  }
  return rows;
}

/** Ticks at round numbers of MiB, or of KiB in a small space. */
function drawScale(svg: SvgCanvas, stretch: PlacedStretch, y: number): void {
  const mib = (stretch.end - stretch.start) / 256;
  const step = Math.max(2 ** Math.ceil(Math.log2((mib * 60) / stretch.width)), 1 / 256);
  const label = (gpn: number) => {
    const text = step < 1 && gpn > 0 ? sizeText(gpn) : `${gpn / 256}`;
    svg.text(at(stretch, gpn), y + 16, 'soft small', text, { anchor: 'middle' });
  };
  const first = Math.ceil(stretch.start / 256 / step) * step;
  for (let tick = first; tick * 256 <= stretch.end; tick += step) {
    svg.path(`M${at(stretch, tick * 256).toFixed(1)} ${y}v5`, 'frame');
    label(tick * 256);
  }
  if (first * 256 > stretch.end) {
    const text = addressText(stretch.start);
    svg.text(stretch.x + stretch.width / 2, y + 16, 'soft small', text, { anchor: 'middle' });
  }
}

/** Brackets for the nodes that back the pages, where there are several; answers the height used. */
function drawNodes(
  svg: SvgCanvas,
  y: number,
  { runs }: PartitionPicture,
  { nodes }: MachinePicture,
  all: readonly PlacedStretch[],
): number {
  if (nodes.length < 2) return 12;
  svg.text(LEFT - 10, y + 8, 'soft small', 'backed by', { anchor: 'end' });
  for (const node of nodes) {
    for (const run of runs) {
      const first = Math.max(run.spn, node.firstPage);
      const last = Math.min(run.spn + run.pages, node.firstPage + node.pages);
      const gpn = run.gpn + first - run.spn;
      const stretch = all.find(({ start, end }) => gpn >= start && gpn < end);
      if (first >= last || stretch === undefined) continue;
      const from = at(stretch, gpn) + 1;
      const to = at(stretch, gpn + last - first) - 1;
      if (to - from < 3) continue;
      svg.path(`M${from.toFixed(1)} ${y - 3}v6H${to.toFixed(1)}v-6`, 'frame');
      if (to - from > 50)
        svg.text((from + to) / 2, y + 16, 'ink small', `node ${node.id}`, { anchor: 'middle' });
    }
  }
  return 28;
}

function drawCells(
  svg: SvgCanvas,
  top: number,
  partition: PartitionPicture,
  machine: MachinePicture,
  all: readonly Stretch[],
): number {
  const pages = cellPages(all);
  const total = all.reduce((sum, { start, end }) => sum + (end - start) / pages, 0);
  const perRow = total > 512 ? 64 : 32;
  const size = (svg.width - LEFT - RIGHT) / perRow;
  const height = Math.min(size, 20);
  svg.text(
    LEFT,
    top + 10,
    'soft small',
    `One cell is ${sizeText(pages)}, one row ${sizeText(pages * perRow)}.`,
  );
  let y = top + 20;
  for (const stretch of all) {
    const cells = cellsOf(partition, stretch, pages);
    for (let index = 0; index < cells.length; index += perRow) {
      const row = cells.slice(index, index + perRow);
      svg.text(LEFT - 10, y + height - 5, 'soft mono', addressText(row[0].gpn), { anchor: 'end' });
      row.forEach((cell, column) => {
        drawCell(svg, LEFT + column * size, y, size - 1.5, height - 1.5, cell, machine);
      });
      y += height + 1;
    }
    y += 5;
  }
  return y + 6;
}

function drawCell(
  svg: SvgCanvas,
  x: number,
  y: number,
  width: number,
  height: number,
  cell: Cell,
  machine: MachinePicture,
): void {
  svg.rect(x, y, width, height, 'empty', `${addressText(cell.gpn)}: unmapped`, 2);
  for (const run of cell.runs) {
    const from = x + ((run.gpn - cell.gpn) / cell.pages) * width;
    const part = (run.pages / cell.pages) * width;
    const radius = run.pages === cell.pages ? 2 : 0;
    svg.rect(from, y, Math.max(part, 0.6), height, rightsClass(run.rights), runTitle(run, machine), radius);
  }
  const isLarge = cell.runs.length > 0 && cell.runs.every(({ large }) => large);
  if (isLarge) svg.rect(x + 2.5, y + 2.5, width - 5, height - 5, 'large', runTitle(cell.runs[0], machine), 2);
  cell.overlays.forEach((overlay, index) => {
    const title = `${addressText(overlay.gpn)}: overlay ${overlay.kind}${overlayOwner(overlay)} ${overlay.rights}`;
    svg.circle(x + 6 + (index % 4) * 5, y + height / 2, 3.2, 'overlay', title);
  });
}

function runTitle(run: GpaRun, machine: MachinePicture): string {
  const node = machine.nodes.length < 2 ? '' : `, node ${nodesText(machine, run.spn, run.pages)}`;
  const large = run.large ? ' in 2 MiB mappings' : '';
  return [
    `${addressText(run.gpn)} to ${addressText(run.gpn + run.pages)}: ${sizeText(run.pages)}`,
    `${rightsWord(run.rights)}${large}`,
    `backed by SPA ${addressText(run.spn)}${node}`,
  ].join('\n');
}
