/**
 * The benchmark programs without an operating system: the C sources of the guest's table compiled for 32 bits, with
 * a small kernel of our own below them (bench/bare-processor), as a Multiboot image and as a disk that a BIOS boots.
 * Every monitor can run one of the two, also those that know no 64-bit mode, and both hold the same bytes.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = join(import.meta.dirname, 'bare-processor');
const SHARED = ['integer', 'sieve', 'sha256', 'copy', 'pointer-chase', 'floating-point', 'compression'];
const OWN = ['kernel', 'library', 'programs'];

/** As bare-processor/programs.c names them, in its order. */
export const BARE_PROGRAMS = [
  'integer',
  'sieve',
  'sha256',
  'memcpy',
  'pointer-chase',
  'floating-point',
  'x87',
  'compression',
  'calls',
  'faults',
  'address-spaces',
] as const;

/** The line after which nothing more comes. */
export const ALL_DONE = 'ALL DONE';
export const BARE_MEBIBYTES = 128;

const SSE = ['-msse2', '-mfpmath=sse'];
/** The same source with the older unit, in fewer steps: it is slow everywhere. */
const X87 = ['-mno-sse', '-mfpmath=387', '-Dfloating_point=x87', '-DSTEPS=10000'];
const GENERAL = ['-mgeneral-regs-only'];

const SECTOR = 512;
/** One read of the BIOS: 127 sectors. */
const MOST_SECTORS = 127;
/** Behind the Multiboot header (bare-processor/boot.S). */
const ENTRY = 0x10_0010;
const BOOT_SECTOR_ADDRESS = 0x7c00;
export const DISK_GEOMETRY = { cylinders: 20, heads: 16, sectorsPerTrack: 63 } as const;

export interface BareImages {
  /** Path of an ELF32 executable with a Multiboot 1 header. */
  multiboot: string;
  /** Path of a raw disk with a boot sector. */
  disk: string;
}

/** Compiles into `folder`; undefined where gcc is missing. Throws with the compiler's own words. */
export function compileBareImages(folder: string): BareImages | undefined {
  if (spawnSync('gcc', ['--version'], { stdio: 'ignore' }).error) return undefined;
  mkdirSync(folder, { recursive: true });
  const headers = run('gcc', ['-print-file-name=include']).trim();
  const flags = [
    ...['-m32', '-march=pentium4', '-O2', '-ffreestanding', '-fno-pic', '-fno-stack-protector', '-fno-ident'],
    ...['-fno-asynchronous-unwind-tables', '-fno-math-errno', '-nostdinc'],
    ...['-isystem', join(SOURCES, 'include'), '-isystem', headers],
  ];
  const object = (name: string, source: string, extra: readonly string[]): string => {
    const output = join(folder, `${name}.o`);
    run('gcc', [...flags, ...extra, '-c', source, '-o', output]);
    return output;
  };
  const objects = [
    object('boot', join(SOURCES, 'boot.S'), []),
    ...OWN.map((name) => object(name, join(SOURCES, `${name}.c`), GENERAL)),
    ...SHARED.map((name) => object(name, join(SOURCES, `../programs/${name}.c`), SSE)),
    object('x87', join(SOURCES, '../programs/floating-point.c'), X87),
  ];
  const multiboot = join(folder, 'programs.elf');
  const link = ['-m', 'elf_i386', '-z', 'noexecstack', '-T', join(SOURCES, 'kernel.ld')];
  run('ld', [...link, '-o', multiboot, ...objects]);
  return { multiboot, disk: makeDisk(folder, multiboot) };
}

/** The executable's bytes behind a boot sector that loads them. */
function makeDisk(folder: string, executable: string): string {
  const flat = join(folder, 'programs.bin');
  run('objcopy', ['-O', 'binary', executable, flat]);
  const code = readFileSync(flat);
  const sectors = Math.ceil(code.length / SECTOR);
  if (sectors > MOST_SECTORS) throw new Error(`the programs have ${sectors} sectors, ${MOST_SECTORS} fit`);
  const object = join(folder, 'disk.o');
  const boot = join(folder, 'disk.bin');
  const values = [`-DSECTORS=${sectors}`, `-DENTRY=${ENTRY}`];
  run('gcc', ['-m32', ...values, '-c', join(SOURCES, 'disk.S'), '-o', object]);
  const place = ['-m', 'elf_i386', '-Ttext', `0x${BOOT_SECTOR_ADDRESS.toString(16)}`, '-e', 'start'];
  run('ld', [...place, '--oformat', 'binary', '-o', boot, object]);
  const { cylinders, heads, sectorsPerTrack } = DISK_GEOMETRY;
  const image = new Uint8Array(cylinders * heads * sectorsPerTrack * SECTOR);
  image.set(readFileSync(boot));
  image.set(code, SECTOR);
  const disk = join(folder, 'programs.img');
  // Bochs leaves its lock behind when it is ended from outside.
  rmSync(`${disk}.lock`, { force: true });
  writeFileSync(disk, image);
  return disk;
}

function run(program: string, parameters: readonly string[]): string {
  const result = spawnSync(program, parameters, { encoding: 'utf8' });
  if (result.error) throw new Error(`${program} could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${program} failed:\n${result.stderr}`);
  return result.stdout;
}
