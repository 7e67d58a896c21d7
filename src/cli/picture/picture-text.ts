/** A machine drawn with characters, for the terminal: the partition tree, each GPA space and each pool's account. */
import { type Cell, cellPages, cellsOf, stretches } from './gpa-cells.ts';
import {
  addressText,
  type MachinePicture,
  mappedPages,
  overlayOwner,
  type PartitionPicture,
  partitionTree,
  sizeText,
} from './machine-picture.ts';
import { printable } from './markup.ts';

const CELLS_PER_LINE = 64;
const BAR_WIDTH = 40;
const LEGEND =
  '█ RWX in 2 MiB mappings  ▓ RWX  w RW  x RX  r R  - inaccessible  · unmapped  ? mixed  o overlay';

export function pictureText(machine: MachinePicture): string {
  const tree = partitionTree(machine.partitions);
  const lines = [printable(machine.title), ''];
  for (const { partition, depth } of tree) lines.push(`${treeBranch(depth)}${printable(summary(partition))}`);
  lines.push('', LEGEND);
  for (const { partition } of tree) lines.push('', ...partitionLines(partition, machine));
  return `${lines.join('\n')}\n`;
}

function treeBranch(depth: number): string {
  return depth === 0 ? '' : `${'   '.repeat(depth - 1)}└─ `;
}

export function summary(partition: PartitionPicture): string {
  const { id, state, pool, processors } = partition;
  const name = partition.parent === undefined ? `partition ${id} (root)` : `partition ${id}`;
  const vps = processors.length === 0 ? '' : `, ${processors.join(', ')}`;
  return `${name}: ${state}${vps}, ${sizeText(mappedPages(partition))} mapped, pool ${pool.inUse} of ${pool.inUse + pool.free} pages in use`;
}

function partitionLines(partition: PartitionPicture, machine: MachinePicture): string[] {
  const all = stretches(partition);
  const pages = cellPages(all);
  const lines = [`GPA space of partition ${partition.id}, ${sizeText(pages)} a character`];
  let previous = 0;
  for (const stretch of all) {
    if (stretch.start > previous)
      lines.push(`  ${addressText(previous)}  (${sizeText(stretch.start - previous)} unmapped)`);
    const cells = cellsOf(partition, stretch, pages);
    for (let at = 0; at < cells.length; at += CELLS_PER_LINE) {
      const row = cells.slice(at, at + CELLS_PER_LINE);
      lines.push(`  ${addressText(row[0].gpn)}  ${row.map(cellCharacter).join('')}`);
    }
    previous = stretch.end;
  }
  for (const run of partition.runs.slice(0, 24)) {
    const node = machine.nodes.length < 2 ? '' : `, node ${nodesText(machine, run.spn, run.pages)}`;
    const size = run.large ? ' in 2 MiB mappings' : '';
    lines.push(
      `  ${addressText(run.gpn)}  ${sizeText(run.pages)} ${printable(rightsWord(run.rights))}${size}, backed by SPA ${addressText(run.spn)}${node}`,
    );
  }
  if (partition.runs.length > 24) lines.push(`  and ${partition.runs.length - 24} more runs`);
  for (const overlay of partition.overlays) {
    const rights = overlay.rights === '' ? '' : ` ${overlay.rights}`;
    lines.push(
      `  ${addressText(overlay.gpn)}  overlay: ${printable(`${overlay.kind}${overlayOwner(overlay)}${rights}`)}`,
    );
  }
  return [...lines, ...poolLines(partition)];
}

export function rightsWord(rights: string): string {
  return rights === 'none' ? 'inaccessible' : rights;
}

export function nodesText(machine: MachinePicture, spn: number, pages: number): string {
  const touched = machine.nodes.filter(
    (node) => node.firstPage < spn + pages && node.firstPage + node.pages > spn,
  );
  return touched.map(({ id }) => id).join(' and ');
}

const CHARACTER: Record<string, string> = { RWX: '▓', RW: 'w', RX: 'x', R: 'r', none: '-' };

function cellCharacter(cell: Cell): string {
  if (cell.overlays.length > 0) return 'o';
  const mapped = cell.runs.reduce((sum, run) => sum + run.pages, 0);
  if (mapped === 0) return '·';
  const [first] = cell.runs;
  if (mapped < cell.pages || cell.runs.some(({ rights }) => rights !== first.rights)) return '?';
  if (first.rights === 'RWX' && cell.runs.every(({ large }) => large)) return '█';
  return CHARACTER[first.rights] ?? '?';
}

function poolLines({ id, pool }: PartitionPicture): string[] {
  const total = pool.free + pool.inUse;
  if (total === 0 && pool.totals.length === 0) return [];
  const lines = [`Memory pool of partition ${id}: ${total} pages, ${pool.inUse} in use, ${pool.free} free`];
  const causes = [...pool.causes].sort((a, b) => b[1] - a[1]);
  const width = Math.max(4, ...causes.map(([cause]) => printable(cause).length));
  for (const [cause, pages] of [...causes, ['free', pool.free] as const]) {
    const bar = (cause === 'free' ? '░' : '█').repeat(Math.ceil((pages * BAR_WIDTH) / Math.max(total, 1)));
    lines.push(`  ${printable(cause).padEnd(width)} ${String(pages).padStart(6)}  ${bar}`);
  }
  const moved = pool.totals.map(({ action, cause, pages }) => {
    return `${action}${cause === action ? '' : ` ${cause}`} ${pages}`;
  });
  if (moved.length > 0) lines.push(`  so far: ${printable(moved.join(', '))}`);
  return lines;
}
