/**
 * Draws the benchmark history: the geometric mean in a wide panel, each program in a small one, all on the same
 * logarithmic scale with a line where Partita takes as long as TCG. Below that line it is ahead.
 */
import { SvgCanvas } from '../src/cli/picture/svg-canvas.ts';
import type { HistoryLine } from './history-line.ts';
import { geometricMean } from './ratios.ts';

const WIDTH = 960;
const MARGIN = 24;
const COLUMNS = 4;
const GAP = 16;
const WIDE_HEIGHT = 150;
const SMALL_HEIGHT = 96;
const TITLE_HEIGHT = 22;
/** The scale: a quarter of TCG's time to eight times it. */
const LEAST = 0.25;
const MOST = 8;
const GRID = [0.5, 1, 2, 4];

interface Panel {
  x: number;
  y: number;
  width: number;
  height: number;
}

export function drawHistory(lines: readonly HistoryLine[]): string {
  const canvas = new SvgCanvas(WIDTH);
  const inner = WIDTH - 2 * MARGIN;
  canvas.text(MARGIN, 40, 'ink title', 'Partita against QEMU TCG, over time');
  canvas.text(
    MARGIN,
    60,
    'soft',
    'Seconds on Partita divided by seconds on TCG in the same run; below the line at 1 Partita is ahead.',
  );
  const means = lines.map((line) => geometricMean(Object.values(line.ratios)));
  const wide = { x: MARGIN, y: 84, width: inner, height: WIDE_HEIGHT };
  drawPanel(canvas, wide, 'geometric mean', lines, means);
  lines.forEach((line, index) => {
    const x = across(wide, index, lines.length);
    if (index % Math.ceil(lines.length / 10) === 0 || index === lines.length - 1) {
      canvas.text(x, wide.y + TITLE_HEIGHT + wide.height + 14, 'soft small', line.commit, {
        anchor: 'middle',
      });
    }
  });
  const top = wide.y + TITLE_HEIGHT + wide.height + 36;
  const width = (inner - (COLUMNS - 1) * GAP) / COLUMNS;
  const names = [...new Set(lines.flatMap((line) => Object.keys(line.ratios)))];
  names.forEach((name, index) => {
    const x = MARGIN + (index % COLUMNS) * (width + GAP);
    const y = top + Math.floor(index / COLUMNS) * (TITLE_HEIGHT + SMALL_HEIGHT + GAP);
    const series = lines.map((line) => line.ratios[name]);
    drawPanel(canvas, { x, y, width, height: SMALL_HEIGHT }, name, lines, series);
  });
  const rows = Math.ceil(names.length / COLUMNS);
  const height = top + rows * (TITLE_HEIGHT + SMALL_HEIGHT + GAP) + MARGIN / 2;
  return canvas.document(height, 'Ratios of Partita to QEMU TCG by commit');
}

function drawPanel(
  canvas: SvgCanvas,
  panel: Panel,
  title: string,
  lines: readonly HistoryLine[],
  series: readonly (number | undefined)[],
): void {
  const { x, width, height } = panel;
  const y = panel.y + TITLE_HEIGHT;
  canvas.text(x, y - 8, 'ink', title);
  const last = series.findLast((ratio) => ratio !== undefined);
  if (last !== undefined) canvas.text(x + width, y - 8, 'ink', last.toFixed(2), { anchor: 'end' });
  canvas.rect(x, y, width, height, 'empty', '', 3);
  for (const ratio of GRID) {
    const at = y + down(ratio, height);
    canvas.path(`M${x} ${at.toFixed(1)}H${x + width}`, ratio === 1 ? 'frame' : 'rule');
    canvas.text(x + 3, at - 2, 'soft small', String(ratio));
  }
  const points = series.flatMap((ratio, index) =>
    ratio === undefined
      ? []
      : [{ ratio, line: lines[index]!, x: across(panel, index, lines.length), y: y + down(ratio, height) }],
  );
  const place = points.map((point) => `${point.x.toFixed(1)} ${point.y.toFixed(1)}`);
  if (points.length > 1) canvas.path(`M${place.join('L')}`, 'pin');
  for (const point of points) {
    const { commit, date, subject } = point.line;
    // Vermilion where Partita is behind, blue where it is ahead.
    const colour = point.ratio > 1 ? 'cause5' : 'cause0';
    canvas.circle(
      point.x,
      point.y,
      4,
      colour,
      `${point.ratio.toFixed(2)} at ${commit} (${date}): ${subject}`,
    );
  }
}

/** From the top of a panel, on the logarithmic scale; ratios beyond it stay on its border. */
function down(ratio: number, height: number): number {
  const within = Math.min(Math.max(ratio, LEAST), MOST);
  return (height * Math.log(MOST / within)) / Math.log(MOST / LEAST);
}

function across({ x, width }: Panel, index: number, count: number): number {
  const left = x + 32;
  const right = x + width - 16;
  return count === 1 ? (left + right) / 2 : left + ((right - left) * index) / (count - 1);
}
