/**
 * Has a start image built in the background where there is none or an old one, by whoever is about to need it: a
 * snapshot was taken, or a machine has gone on from one without an image. bin/partita says where the image lies, and
 * uses it; where it says nothing there are none. Nobody waits for it, and nobody hears when it fails: without an image
 * the command starts as ever.
 */
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** In the name of a folder in which one is being built. */
export const BUILDING = '.building-';
/** A build that takes longer was killed. */
export const LONGEST_BUILD_MS = 120_000;
const SOURCES = join(import.meta.dirname, '../..');
const LOCK_FILE = join(SOURCES, '../package-lock.json');

let fromImage = false;

/** This process is being made into an image. */
export function markImage(): void {
  fromImage = true;
}

/** Whether this process started from an image. */
export function startedFromImage(): boolean {
  return fromImage;
}

export function requestStartImage(): void {
  const image = process.env.PARTITA_START_IMAGE;
  if (image === undefined) return;
  try {
    mkdirSync(dirname(image), { recursive: true, mode: 0o700 });
    const age = statSync(image, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (isBeingBuilt(image) || [SOURCES, LOCK_FILE].every((path) => !isNewer(path, age))) return;
    const script = join(import.meta.dirname, 'build.ts');
    // Not imported: this module is part of the image, where Node has not verified that one.
    const { spawn } = process.getBuiltinModule('node:child_process');
    const builder = spawn(process.execPath, [script, image], { detached: true, stdio: 'ignore' });
    builder.on('error', () => {});
    builder.unref();
  } catch {
    // The cache can't be written.
  }
}

function isBeingBuilt(image: string): boolean {
  const start = `${basename(image)}${BUILDING}`;
  return readdirSync(dirname(image)).some((name) => {
    const status = statSync(join(dirname(image), name), { throwIfNoEntry: false });
    return name.startsWith(start) && Date.now() - (status?.mtimeMs ?? 0) < LONGEST_BUILD_MS;
  });
}

/** Whether the file, or a folder's anything, was changed after `time`. */
function isNewer(path: string, time: number): boolean {
  const status = statSync(path);
  if (status.mtimeMs > time) return true;
  return status.isDirectory() && readdirSync(path).some((name) => isNewer(join(path, name), time));
}
