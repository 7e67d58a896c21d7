/** A whole machine as one self-contained SVG: the tree of its partitions, then each one's GPA space and pool. */
import { drawGpaSpace } from './gpa-space-svg.ts';
import { type MachinePicture, partitionTree } from './machine-picture.ts';
import { summary } from './picture-text.ts';
import { drawPool } from './pool-svg.ts';
import { SvgCanvas } from './svg-canvas.ts';

const WIDTH = 1080;
const LEFT = 24;
/** What is drawn of a machine with very many partitions. */
const MOST_PARTITIONS = 64;

const LEGEND: readonly [classes: string, text: string][] = [
  ['rwx', 'RWX'],
  ['rw', 'RW'],
  ['rx', 'RX'],
  ['ro', 'R'],
  ['inaccessible', 'inaccessible (deposited)'],
  ['empty', 'unmapped'],
];

export function machineSvg(machine: MachinePicture): string {
  const svg = new SvgCanvas(WIDTH);
  svg.text(LEFT, 40, 'ink title', machine.title);
  const tree = partitionTree(machine.partitions).slice(0, MOST_PARTITIONS);
  let y = 70;
  const rowOfDepth: number[] = [];
  for (const { partition, depth } of tree) {
    const x = LEFT + depth * 26;
    if (depth > 0) svg.path(`M${x - 18} ${(rowOfDepth[depth - 1] ?? y) + 6}V${y - 4}H${x - 3}`, 'frame');
    svg.circle(x + 4, y - 4, 4, partition.state === 'active' ? 'rx' : 'soft', partition.state);
    svg.text(x + 14, y, 'ink', summary(partition));
    rowOfDepth[depth] = y;
    y += 22;
  }
  y = drawLegend(svg, y + 12);
  for (const { partition } of tree) {
    svg.path(`M${LEFT} ${y}H${WIDTH - LEFT}`, 'rule');
    const role = partition.parent === undefined ? 'the root' : `child of ${partition.parent}`;
    svg.text(LEFT, y + 26, 'ink head', `Partition ${partition.id}, ${role}`);
    y = drawGpaSpace(svg, y + 40, partition, machine);
    y = drawPool(svg, y + 14, partition) + 18;
  }
  return svg.document(y + 6, machine.title);
}

function drawLegend(svg: SvgCanvas, y: number): number {
  let x = LEFT;
  const advance = (text: string) => {
    svg.text(x + 22, y, 'ink small', text);
    x += text.length * 6.6 + 42;
  };
  for (const [classes, text] of LEGEND) {
    svg.rect(x, y - 11, 16, 14, classes, '', 2);
    advance(text);
  }
  svg.rect(x, y - 11, 16, 14, 'rwx', '', 2);
  svg.rect(x + 2.5, y - 8.5, 11, 9, 'large', '', 2);
  advance('2 MiB mapping');
  svg.circle(x + 8, y - 4, 4, 'overlay');
  advance('overlay page');
  return y + 20;
}
