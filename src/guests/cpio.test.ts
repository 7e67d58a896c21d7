import { expect, test } from 'vitest';
import { writeCpio } from './cpio.ts';

const field = (archive: Buffer, at: number, index: number): number =>
  Number.parseInt(archive.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index), 16);

interface Entry {
  name: string;
  mode: number;
  data: string;
}

/** Reads an archive back by the format's rules. */
function entries(archive: Buffer): Entry[] {
  const found: Entry[] = [];
  for (let at = 0; ; ) {
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    const nameLength = field(archive, at, 11);
    const size = field(archive, at, 6);
    const name = archive.toString('utf8', at + 110, at + 110 + nameLength - 1);
    const start = (at + 110 + nameLength + 3) & ~3;
    if (name === 'TRAILER!!!') return found;
    found.push({ name, mode: field(archive, at, 1), data: archive.toString('utf8', start, start + size) });
    at = (start + size + 3) & ~3;
  }
}

test('every entry keeps its name, type, rights and content', () => {
  const archive = writeCpio([
    { kind: 'file', path: 'init', data: '#!/bin/sh\n', mode: 0o755 },
    { kind: 'link', path: 'sh', target: 'busybox' },
    { kind: 'character', path: 'console', major: 5, minor: 1 },
  ]);
  expect(entries(archive)).toEqual([
    { name: 'init', mode: 0o100755, data: '#!/bin/sh\n' },
    { name: 'sh', mode: 0o120777, data: 'busybox' },
    { name: 'console', mode: 0o020600, data: '' },
  ]);
});

test('a folder that no entry names comes once, before what it holds', () => {
  const archive = writeCpio([
    { kind: 'file', path: 'a/b/c', data: '1' },
    { kind: 'directory', path: 'a' },
    { kind: 'file', path: 'a/d', data: '2' },
  ]);
  expect(entries(archive).map((entry) => entry.name)).toEqual(['a', 'a/b', 'a/b/c', 'a/d']);
});

test('the same content gives the same bytes', () => {
  const build = (): Buffer => writeCpio([{ kind: 'file', path: 'x', data: 'y' }]);
  expect(build().equals(build())).toBe(true);
});
