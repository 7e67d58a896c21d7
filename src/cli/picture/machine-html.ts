/**
 * A machine as one HTML page that needs nothing else: its SVG, and the account of every pool, movement by movement.
 * The page may run no script and load nothing.
 */
import { type MachinePicture, partitionTree } from './machine-picture.ts';
import { machineSvg } from './machine-svg.ts';
import { escaped } from './markup.ts';

const STYLE = `
:root { color-scheme: light dark; font: 14px ui-sans-serif, system-ui, sans-serif; }
body { margin: 0 auto; max-width: 1080px; padding: 12px; background: light-dark(#ffffff, #0d1117); }
svg { max-width: 100%; height: auto; }
summary { cursor: pointer; padding: 6px 0; font-weight: 600; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 14px 2px 0; text-align: left; border-bottom: 1px solid light-dark(#d1d9e0, #3d444d); }
td.n, th.n { text-align: right; }
.deposit { color: light-dark(#0072b2, #56b4e9); } .draw { color: light-dark(#a34700, #e69f00); }
.release { color: light-dark(#00694c, #34c796); } .withdraw { color: light-dark(#93406c, #cc79a7); }`;

const COLUMNS = ['#', 'movement', 'cause', 'pages', 'in use', 'free'];
const ACTIONS = ['deposit', 'draw', 'release', 'withdraw'];

export function machineHtml(machine: MachinePicture): string {
  const accounts = partitionTree(machine.partitions).map(({ partition: { id, pool } }) => {
    if (pool.history.length === 0) return '';
    const head = COLUMNS.map((name) => `<th${numeric(name)}>${name}</th>`).join('');
    const rows = pool.history.map(({ action, cause, pages, inUse, free }, index) => {
      const cells = [index + 1, action, cause === action ? '' : cause, pages, inUse, free];
      const row = cells.map(
        (cell) => `<td${typeof cell === 'number' ? ' class="n"' : ''}>${escaped(String(cell))}</td>`,
      );
      return `<tr class="${ACTIONS.includes(action) ? action : ''}">${row.join('')}</tr>`;
    });
    return `<details><summary>The pool of partition ${id}, movement by movement</summary>
<table><thead><tr>${head}</tr></thead><tbody>
${rows.join('\n')}
</tbody></table></details>`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(machine.title)}</title><style>${STYLE}</style></head><body>
${machineSvg(machine)}
${accounts.filter((account) => account !== '').join('\n')}
</body></html>
`;
}

function numeric(column: string): string {
  return column === 'movement' || column === 'cause' ? '' : ' class="n"';
}
