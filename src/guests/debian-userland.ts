/**
 * A Debian userland from real packages, unpacked without root and kept in the cache folder; in the guest it lies
 * below /debian and is entered by chroot. Nothing is configured: packages whose programs work as unpacked (the
 * essential ones, interpreters, compressors) are what it is good for.
 */
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { CpioEntry } from './cpio.ts';
import { cacheFolder } from './debian-guest.ts';
import { openDebianPackages, type Progress } from './debian-packages.ts';
import { folderEntries } from './folder-entries.ts';

/** Where the userland lies in the guest. */
export const USERLAND_ROOT = 'debian';

/** Documentation, locales, character sets, installation tools and test suites that no guest of ours needs. */
const LEFT_OUT =
  /^(usr\/share|usr\/lib\/x86_64-linux-gnu\/(gconv|audit)|usr\/include|usr\/lib\/locale|usr\/bin\/dpkg|usr\/sbin|var|etc|proc|dev|tmp|usr\/lib\/python3\.\d+\/(test|lib2to3|idlelib|ensurepip|pydoc_data))(\/|-|$)/;

/** Folder with `packages` and all they depend on, unpacked. Throws PackageError where apt cannot. */
export function prepareUserland(
  packages: readonly string[],
  progress: Progress,
  cache = cacheFolder(),
): string {
  const folder = join(cache, 'unpacked', `userland-${packages.join('-')}`);
  if (existsSync(folder)) return folder;
  const archive = openDebianPackages(join(cache, 'apt'), progress);
  const incoming = `${folder}.${process.pid}`;
  mkdirSync(join(cache, 'unpacked'), { recursive: true });
  try {
    for (const name of archive.closure(packages)) archive.unpack(name, incoming);
    // Debian's /bin/sh comes from dash, which nothing depends on because it is always there.
    if (!existsSync(join(incoming, 'bin/sh'))) symlinkSync('bash', join(incoming, 'bin/sh'));
    renameSync(incoming, folder);
  } finally {
    rmSync(incoming, { recursive: true, force: true });
  }
  return folder;
}

/** Entries for the initial root: the userland in `folder`, and mount points. */
export function userlandEntries(folder: string): CpioEntry[] {
  const mountPoints = ['proc', 'sys', 'dev', 'tmp'].map(
    (name): CpioEntry => ({ kind: 'directory', path: `${USERLAND_ROOT}/${name}` }),
  );
  return [...mountPoints, ...folderEntries(folder, USERLAND_ROOT, (path) => !LEFT_OUT.test(path))];
}

/** Shell lines for the guest that run `command` in the userland, with the kernel's file systems in it. */
export function inUserland(command: string): string {
  return [
    `for each in proc sys dev; do mount -o bind /$each /${USERLAND_ROOT}/$each; done`,
    `mount -t tmpfs tmp /${USERLAND_ROOT}/tmp`,
    'ln -sf /proc/self/fd /dev/fd',
    `chroot /${USERLAND_ROOT} ${command}`,
    '',
  ].join('\n');
}
