/** Writes a machine's picture where the options say: SVG, HTML, or text to the terminal when they say nothing. */
import { writeFileSync } from 'node:fs';
import { machineHtml } from './picture/machine-html.ts';
import type { MachinePicture } from './picture/machine-picture.ts';
import { machineSvg } from './picture/machine-svg.ts';
import { pictureText } from './picture/picture-text.ts';
import { UsageError } from './usage-error.ts';

export interface PictureTargets {
  svg?: string;
  html?: string;
}

export function givePicture(picture: MachinePicture, { svg, html }: PictureTargets): void {
  if (svg !== undefined) write('--svg', svg, machineSvg(picture));
  if (html !== undefined) write('--html', html, machineHtml(picture));
  if (svg === undefined && html === undefined) process.stdout.write(pictureText(picture));
}

function write(option: string, path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new UsageError(`${option} ${path}: ${(error as NodeJS.ErrnoException).code ?? error}`);
  }
}
