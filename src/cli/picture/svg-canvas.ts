/** Shapes written one after the other into an SVG. Text and titles are escaped here, once for all. */
import { escaped } from './markup.ts';
import { STYLE } from './palette.ts';

export interface TextOptions {
  anchor?: 'start' | 'middle' | 'end';
}

export class SvgCanvas {
  readonly width: number;
  readonly #parts: string[] = [];

  constructor(width: number) {
    this.width = width;
  }

  text(x: number, y: number, classes: string, text: string, { anchor = 'start' }: TextOptions = {}): void {
    const placed = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
    this.#parts.push(
      `<text x="${fixed(x)}" y="${fixed(y)}" class="${classes}"${placed}>${escaped(text)}</text>`,
    );
  }

  rect(x: number, y: number, width: number, height: number, classes: string, title = '', radius = 0): void {
    const box = `x="${fixed(x)}" y="${fixed(y)}" width="${fixed(Math.max(width, 0))}" height="${fixed(height)}"`;
    const corner = radius === 0 ? '' : ` rx="${radius}"`;
    this.#parts.push(`<rect ${box}${corner} class="${classes}"${titled('rect', title)}`);
  }

  circle(x: number, y: number, radius: number, classes: string, title = ''): void {
    const place = `cx="${fixed(x)}" cy="${fixed(y)}" r="${fixed(radius)}"`;
    this.#parts.push(`<circle ${place} class="${classes}"${titled('circle', title)}`);
  }

  path(d: string, classes: string): void {
    this.#parts.push(`<path d="${d}" class="${classes}"/>`);
  }

  /** The whole document, `height` high; `name` is what it shows, for who can't see it. */
  document(height: number, name: string): string {
    const size = `width="${this.width}" height="${fixed(height)}" viewBox="0 0 ${this.width} ${fixed(height)}"`;
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escaped(name)}">`,
      `<style>${STYLE}</style>`,
      '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">',
      '<path d="M0 0V6" class="hatch"/></pattern></defs>',
      `<rect width="${this.width}" height="${fixed(height)}" class="page"/>`,
      ...this.#parts,
      '</svg>\n',
    ].join('\n');
  }
}

function titled(tag: string, title: string): string {
  return title === '' ? '/>' : `><title>${escaped(title)}</title></${tag}>`;
}

function fixed(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toFixed(2))) : '0';
}
