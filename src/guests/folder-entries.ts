/** A folder of this machine as cpio entries: files, links and folders with their rights; nothing else is copied. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CpioEntry } from './cpio.ts';

/** What lies in `folder`, with paths below `prefix`; `keep` gets a path relative to the folder. */
export function folderEntries(folder: string, prefix: string, keep: (path: string) => boolean): CpioEntry[] {
  const entries: CpioEntry[] = [];
  const visit = (relative: string): void => {
    for (const item of readdirSync(join(folder, relative), { withFileTypes: true })) {
      const path = relative === '' ? item.name : `${relative}/${item.name}`;
      if (!keep(path)) continue;
      const source = join(folder, path);
      const target = `${prefix}/${path}`;
      if (item.isSymbolicLink()) entries.push({ kind: 'link', path: target, target: readlinkSync(source) });
      else if (item.isDirectory()) {
        entries.push({ kind: 'directory', path: target });
        visit(path);
      } else if (item.isFile()) {
        const mode = statSync(source).mode & 0o7777;
        entries.push({ kind: 'file', path: target, data: readFileSync(source), mode });
      }
    }
  };
  visit('');
  return entries;
}
