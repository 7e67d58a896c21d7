/**
 * A Debian guest ready to boot: the kernel of one of Debian's kernel packages and an initial root of our own,
 * both kept in a cache folder. A flavour that is complete in the cache is used without touching the network;
 * remove the folder to fetch anew.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type CpioEntry, writeCpio } from './cpio.ts';
import { type DebianPackages, openDebianPackages, type Progress } from './debian-packages.ts';
import { initramfsEntries } from './initramfs.ts';
import { collectModules } from './kernel-modules.ts';

/** Kernel flavours by the meta package that stands for each. */
export const FLAVOURS = {
  cloud: 'linux-image-cloud-amd64',
  full: 'linux-image-amd64',
  rt: 'linux-image-rt-amd64',
} as const;
export type Flavour = keyof typeof FLAVOURS;

/** What a Hyper-V guest loads once the devices for it exist, and what those devices carry. */
const MODULES = [
  'hv_vmbus',
  'hv_utils',
  'hv_balloon',
  'hv_storvsc',
  'hv_netvsc',
  'hv_sock',
  'hid_hyperv',
  'hyperv_keyboard',
  'hyperv_fb',
  'sd_mod',
  'sr_mod',
  'ext4',
  'isofs',
  'vfat',
  'nls_ascii',
  'nls_cp437',
  'af_packet',
];

export interface DebianGuest {
  /** Path of the kernel image (bzImage). */
  kernel: string;
  /** As uname -r prints it. */
  release: string;
  /** Path of the busybox binary. */
  busybox: string;
  /** Folder lib/modules/<release>. */
  moduleFolder: string;
}

/** The repository's cache folder. */
export function cacheFolder(): string {
  return process.env.PARTITA_CACHE || join(import.meta.dirname, '../../.cache');
}

/** Fetches what is not in the cache yet. */
export function prepareDebianGuest(flavour: Flavour, progress: Progress, cache = cacheFolder()): DebianGuest {
  const manifest = join(cache, `debian-${flavour}.json`);
  const known = readManifest(manifest, cache);
  if (known !== undefined) return known;

  const packages = openDebianPackages(join(cache, 'apt'), progress);
  const kernelPackage = packages.resolve(FLAVOURS[flavour], 'linux-image-');
  const kernelRoot = unpackOnce(packages, kernelPackage, cache);
  const busyboxRoot = unpackOnce(packages, 'busybox-static', cache);
  const image = readdirSync(join(kernelRoot, 'boot')).find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined) throw new Error(`${kernelPackage} holds no kernel image`);
  const release = image.slice('vmlinuz-'.length);
  const relative = {
    kernel: `unpacked/${kernelPackage}/boot/${image}`,
    release,
    busybox: `unpacked/busybox-static/${existsSync(join(busyboxRoot, 'bin/busybox')) ? 'bin' : 'usr/bin'}/busybox`,
    moduleFolder: `unpacked/${kernelPackage}/${existsSync(join(kernelRoot, 'lib/modules')) ? '' : 'usr/'}lib/modules/${release}`,
  };
  writeFileSync(manifest, `${JSON.stringify(relative, undefined, 2)}\n`);
  return readManifest(manifest, cache) as DebianGuest;
}

function readManifest(manifest: string, cache: string): DebianGuest | undefined {
  if (!existsSync(manifest)) return undefined;
  const relative = JSON.parse(readFileSync(manifest, 'utf8')) as DebianGuest;
  const guest = {
    kernel: join(cache, relative.kernel),
    release: relative.release,
    busybox: join(cache, relative.busybox),
    moduleFolder: join(cache, relative.moduleFolder),
  };
  return [guest.kernel, guest.busybox, guest.moduleFolder].every(existsSync) ? guest : undefined;
}

/** Unpacks beside the target first, so that a broken download never looks complete. */
function unpackOnce(packages: DebianPackages, name: string, cache: string): string {
  const target = join(cache, 'unpacked', name);
  if (existsSync(target)) return target;
  const incoming = `${target}.${process.pid}`;
  mkdirSync(join(cache, 'unpacked'), { recursive: true });
  try {
    packages.unpack(name, incoming);
    renameSync(incoming, target);
  } finally {
    rmSync(incoming, { recursive: true, force: true });
  }
  return target;
}

/**
 * Builds the initial root with `extra` entries, writes it as `file` and returns that path. Compressed when the
 * name ends in .gz: smaller, but the guest takes its time to inflate it.
 */
export function buildInitramfs(guest: DebianGuest, file: string, extra: readonly CpioEntry[] = []): string {
  const archive = writeCpio(
    initramfsEntries({
      busybox: readFileSync(guest.busybox),
      release: guest.release,
      modules: collectModules(guest.moduleFolder, MODULES),
      extra,
    }),
  );
  const incoming = `${file}.${process.pid}`;
  writeFileSync(incoming, file.endsWith('.gz') ? gzipSync(archive, { level: 6 }) : archive);
  renameSync(incoming, file);
  return file;
}
