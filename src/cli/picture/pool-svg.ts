/** A memory pool's account in SVG: what it is used for now, and where a trace tells it, how it got there. */
import type { PartitionPicture, PoolMovement } from './machine-picture.ts';
import { causeClass } from './palette.ts';
import type { SvgCanvas } from './svg-canvas.ts';

const LEFT = 96;
const RIGHT = 24;
const BAR = 20;
const CHART = 90;

/** Draws from `top` downward; answers where it ended. */
export function drawPool(svg: SvgCanvas, top: number, { pool }: PartitionPicture): number {
  const total = pool.free + pool.inUse;
  if (total === 0 && pool.totals.length === 0) return top;
  const room = svg.width - LEFT - RIGHT;
  svg.text(LEFT - 10, top + 14, 'soft small', 'memory pool', { anchor: 'end' });
  svg.rect(LEFT, top, room, BAR, 'empty', `${pool.free} pages free`, 2);
  const causes = [...pool.causes].sort((a, b) => b[1] - a[1]);
  let x = LEFT;
  let labelX = LEFT;
  let labelY = top + BAR + 18;
  const label = (classes: string, text: string) => {
    const width = text.length * 6.4 + 30;
    if (labelX + width > svg.width - RIGHT) {
      labelX = LEFT;
      labelY += 18;
    }
    svg.rect(labelX, labelY - 9, 10, 10, classes, '', 2);
    svg.text(labelX + 15, labelY, 'ink small', text);
    labelX += width;
  };
  causes.forEach(([cause, pages], index) => {
    const width = (pages / Math.max(total, 1)) * room;
    svg.rect(x, top, Math.max(width - 1, 0.8), BAR, causeClass(index), `${cause}: ${pages} pages in use`);
    x += width;
    label(causeClass(index), `${cause} ${pages}`);
  });
  label('empty', `free ${pool.free}`);
  svg.text(svg.width - RIGHT, top - 5, 'soft small', `${total} pages deposited`, { anchor: 'end' });
  const y = labelY + 14;
  const done = pool.totals.map(
    ({ action, cause, pages }) => `${action}${cause === action ? '' : ` ${cause}`} ${pages}`,
  );
  const afterTotals = drawTotals(svg, y, done);
  return pool.history.length < 3 ? afterTotals : drawHistory(svg, afterTotals + 8, pool.history);
}

/** So many characters fit a line. */
const LINE = 140;

function drawTotals(svg: SvgCanvas, top: number, entries: readonly string[]): number {
  if (entries.length === 0) return top;
  const lines: string[] = ['So far:'];
  for (const [index, entry] of entries.entries()) {
    const text = index === entries.length - 1 ? entry : `${entry},`;
    if (lines[lines.length - 1].length + text.length > LINE) lines.push(text);
    else lines[lines.length - 1] += ` ${text}`;
  }
  lines.forEach((line, index) => {
    svg.text(LEFT, top + 8 + index * 16, 'soft small', line);
  });
  return top + 8 + lines.length * 16;
}

/** Free and used pages after each movement, stacked; a column a movement. */
function drawHistory(svg: SvgCanvas, top: number, history: readonly PoolMovement[]): number {
  const room = svg.width - LEFT - RIGHT;
  const most = Math.max(1, ...history.map(({ free, inUse }) => free + inUse));
  const x = (index: number) => (LEFT + (index / history.length) * room).toFixed(1);
  const y = (pages: number) => (top + CHART - (pages / most) * CHART).toFixed(1);
  const area = (value: (movement: PoolMovement) => number) => {
    const steps = history.map((each, index) => `V${y(value(each))}H${x(index + 1)}`).join('');
    return `M${LEFT} ${top + CHART}${steps}V${top + CHART}z`;
  };
  svg.path(
    area(({ free, inUse }) => free + inUse),
    'empty',
  );
  svg.path(
    area(({ inUse }) => inUse),
    causeClass(0),
  );
  svg.path(`M${LEFT} ${top}V${top + CHART}H${LEFT + room}`, 'frame');
  svg.text(LEFT - 10, top + 10, 'soft small', `${most} pages`, { anchor: 'end' });
  svg.text(LEFT - 10, top + CHART, 'soft small', '0', { anchor: 'end' });
  if (history.length <= 2000) {
    history.forEach(({ action, cause, pages, free, inUse }, index) => {
      const text = `${index + 1}. ${action} ${cause === action ? '' : `${cause} `}× ${pages}\n${inUse} in use, ${free} free`;
      svg.rect(Number(x(index)), top, room / history.length, CHART, 'touch', text);
    });
  }
  const caption = `${history.length} movements from left to right: blue is in use, grey is free`;
  svg.text(LEFT, top + CHART + 15, 'soft small', caption);
  return top + CHART + 24;
}
