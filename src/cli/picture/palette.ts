/**
 * Colours that people with colour-vision deficiencies tell apart (Okabe and Ito 2008), as classes of one style sheet
 * that follows the reader's choice of dark or light. Classes, not custom properties: rsvg-convert knows no `var()`.
 */

const RIGHTS: Record<string, [name: string, colour: string]> = {
  RWX: ['rwx', '#0072b2'],
  RW: ['rw', '#56b4e9'],
  RX: ['rx', '#009e73'],
  R: ['ro', '#f0e442'],
  none: ['inaccessible', '#d55e00'],
};
const CAUSES = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442', '#8a8a8a'];

export function rightsClass(rights: string): string {
  return Object.hasOwn(RIGHTS, rights) ? RIGHTS[rights][0] : 'unknown';
}

export function causeClass(index: number): string {
  return `cause${index % CAUSES.length}`;
}

const LIGHT = {
  page: '#ffffff',
  ink: '#1f2328',
  soft: '#59636e',
  line: '#d1d9e0',
  empty: '#eef1f4',
  unknown: '#8a8a8a',
};
const DARK = {
  page: '#0d1117',
  ink: '#e6edf3',
  soft: '#9198a1',
  line: '#3d444d',
  empty: '#1c2128',
  unknown: '#8a8a8a',
};

function surfaces(colours: typeof LIGHT): string {
  return [
    `.page{fill:${colours.page}}`,
    `.ink{fill:${colours.ink}}`,
    `.soft{fill:${colours.soft}}`,
    `.empty{fill:${colours.empty}}`,
    `.unknown{fill:${colours.unknown}}`,
    `.rule{stroke:${colours.line};fill:none}`,
    `.frame{stroke:${colours.soft};fill:none}`,
    `.overlay{fill:#cc79a7;stroke:${colours.ink}}`,
    `.pin{stroke:${colours.ink};fill:none}`,
    `.hatch{stroke:${colours.line};stroke-width:2}`,
  ].join('');
}

export const STYLE = [
  "text{font:12px ui-sans-serif,system-ui,'Segoe UI','DejaVu Sans',sans-serif}",
  '.title{font-size:20px;font-weight:600}.head{font-size:15px;font-weight:600}.small{font-size:11px}',
  ".mono{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:11px}",
  ...Object.values(RIGHTS).map(([name, colour]) => `.${name}{fill:${colour}}`),
  ...CAUSES.map((colour, index) => `.cause${index}{fill:${colour}}`),
  '.fold{fill:url(#hatch)}.touch{fill:#000;fill-opacity:0}',
  '.large{stroke:#ffffff;stroke-opacity:.75;fill:none}',
  surfaces(LIGHT),
  `@media (prefers-color-scheme:dark){${surfaces(DARK)}}`,
].join('');
