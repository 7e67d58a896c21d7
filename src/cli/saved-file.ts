/** Writes a saved machine to its file: under another name first, so that a file with the name is always whole. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';

/** Throws when it can't be written; nothing is left behind then. */
export function writeSavedFile(path: string, pieces: Iterable<Uint8Array>): void {
  const partial = `${path}.${process.pid}.partial`;
  const descriptor = openSync(partial, 'w', 0o600);
  try {
    for (const piece of pieces) {
      for (let at = 0; at < piece.length; ) at += writeSync(descriptor, piece, at);
    }
    fsyncSync(descriptor);
    closeSync(descriptor);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}
