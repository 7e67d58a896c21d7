/** A Debian userland from real packages, below /debian in the guest; scripts go in by chroot. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CpioEntry } from '../../src/guests/cpio.ts';
import { cacheFolder } from '../../src/guests/debian-guest.ts';
import { openDebianPackages } from '../../src/guests/debian-packages.ts';
import { folderEntries } from '../../src/guests/folder-entries.ts';

/** Documentation, locales, character sets and installation tools that no test needs. */
const LEFT_OUT =
  /^(usr\/share|usr\/lib\/x86_64-linux-gnu\/(gconv|audit|libmpfr)|usr\/include|usr\/lib\/locale|usr\/bin\/(perl5|gawk|dpkg)|usr\/sbin|var|etc)/;

/** Entries for the initial root: `packages` and all they depend on. Throws PackageError where apt cannot. */
export function userlandEntries(packages: readonly string[]): CpioEntry[] {
  const folder = join(cacheFolder(), 'unpacked', `userland-${packages.join('-')}`);
  if (!existsSync(folder)) unpackAll(packages, folder);
  const mountPoints = ['proc', 'sys', 'dev', 'tmp'].map(
    (name): CpioEntry => ({ kind: 'directory', path: `debian/${name}` }),
  );
  return [...mountPoints, ...folderEntries(folder, 'debian', (path) => !LEFT_OUT.test(path))];
}

function unpackAll(packages: readonly string[], folder: string): void {
  const archive = openDebianPackages(join(cacheFolder(), 'apt'), () => {});
  const incoming = `${folder}.${process.pid}`;
  try {
    for (const name of archive.closure(packages)) archive.unpack(name, incoming);
    renameSync(incoming, folder);
  } finally {
    rmSync(incoming, { recursive: true, force: true });
  }
}
