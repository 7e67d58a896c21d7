/** Debian's kernels for the integration tests, or the reason why there are none here. */

import { join } from 'node:path';
import type { CpioEntry } from '../../src/guests/cpio.ts';
import {
  buildInitramfs,
  cacheFolder,
  type DebianGuest,
  type Flavour,
  prepareDebianGuest,
} from '../../src/guests/debian-guest.ts';
import { PackageError } from '../../src/guests/debian-packages.ts';

export type Availability = { kind: 'ready'; guest: DebianGuest } | { kind: 'missing'; reason: string };

/** On continuous integration a kernel that cannot be fetched is a failure, not a reason to skip. */
export function debianGuest(flavour: Flavour): Availability {
  try {
    return { kind: 'ready', guest: prepareDebianGuest(flavour, () => {}) };
  } catch (error) {
    if (!(error instanceof PackageError) || process.env.CI === 'true') throw error;
    return { kind: 'missing', reason: error.message };
  }
}

/** An initial root with these entries more, under a name of its own in the cache. */
export function initramfs(guest: DebianGuest, name: string, extra: readonly CpioEntry[]): string {
  return buildInitramfs(guest, join(cacheFolder(), `initramfs-test-${name}.cpio`), extra);
}
