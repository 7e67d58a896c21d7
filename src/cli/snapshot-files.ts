/**
 * Snapshots on the disk. One is written under another name first, in the same folder, and gets its own when all of it
 * is on the disk: whatever happens meanwhile, a file with the name is whole. One that is read stays open for as long as
 * the machine runs: the file may be renamed or replaced by another, but not cut.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SnapshotFile, SnapshotSink } from '../vm/snapshot/snapshot-file.ts';

const PARTIAL = '.partial';
let partials = 0;

/** Throws what the system refuses with. */
export function openSnapshotFile(path: string): SnapshotFile & { close(): void } {
  const descriptor = openSync(path, 'r');
  const status = fstatSync(descriptor);
  if (!status.isFile()) {
    closeSync(descriptor);
    throw Object.assign(new Error('it is not a file'), { code: status.isDirectory() ? 'EISDIR' : undefined });
  }
  return {
    name: path,
    bytes: status.size,
    read(into, offset) {
      let got = 0;
      while (got < into.length) {
        const count = readSync(descriptor, into, got, into.length - got, offset + got);
        if (count === 0) break;
        got += count;
      }
      return got;
    },
    close: () => closeSync(descriptor),
  };
}

/** Throws what the system refuses with. */
export function createSnapshotFile(path: string): SnapshotSink {
  removeLeftovers(path);
  const partial = `${path}.${process.pid}-${partials++}${PARTIAL}`;
  const descriptor = openSync(partial, 'wx', 0o600);
  let isOpen = true;
  const close = (): void => {
    if (isOpen) closeSync(descriptor);
    isOpen = false;
  };
  return {
    write(bytes, offset) {
      for (let at = 0; at < bytes.length; ) {
        at += writeSync(descriptor, bytes, at, bytes.length - at, offset + at);
      }
    },
    async commit() {
      close();
      await onDisk(partial);
      renameSync(partial, path);
      syncFolder(dirname(path));
    },
    abandon() {
      close();
      rmSync(partial, { force: true });
    },
  };
}

/** On a thread of Node's own: the machine may run on meanwhile. */
async function onDisk(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** What processes that were killed have left of this file. */
function removeLeftovers(path: string): void {
  const folder = dirname(path);
  const start = `${basename(path)}.`;
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(start) || !name.endsWith(PARTIAL)) continue;
    const [, pid] = /^(\d+)-\d+$/.exec(name.slice(start.length, -PARTIAL.length)) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(folder, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
