/**
 * Debian's Bochs without a screen: the machine's own, or unpacked from Debian's packages like the guests' kernels
 * and run where it lies, without root. Debian builds it with its debugger in, which is told to go on at once.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PackageError, type Progress } from '../src/guests/debian-packages.ts';
import { prepareUserland } from '../src/guests/debian-userland.ts';
import { DISK_GEOMETRY } from './bare-programs.ts';

const LIBRARIES = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'];

interface Bochs {
  /** Program and first parameters. */
  command: readonly string[];
  /** Where `usr` is. */
  root: string;
}

/** A reason in words where there is none. */
export function findBochs(progress: Progress): Bochs | string {
  if (existsSync('/usr/bin/bochs-bin') && existsSync('/usr/lib/x86_64-linux-gnu/bochs/plugins')) {
    return { command: ['/usr/bin/bochs-bin'], root: '/' };
  }
  try {
    const root = prepareUserland(['bochs', 'bochs-term'], progress);
    const libraries = LIBRARIES.map((each) => join(root, each)).join(':');
    const loader = join(root, 'lib64/ld-linux-x86-64.so.2');
    const command = [loader, '--library-path', libraries, join(root, 'usr/bin/bochs-bin')];
    const found = spawnSync(command[0]!, [...command.slice(1), '--help'], { stdio: 'ignore' });
    return found.error ? "Debian's Bochs does not run on this machine" : { command, root };
  } catch (error) {
    if (error instanceof PackageError) return error.message;
    throw error;
  }
}

/**
 * The command that boots `disk`; the serial port is its standard output. Bochs opens a file for the port by name, so
 * that output is a pipe behind descriptor 3; the screen's text goes into a file of `folder`.
 */
export function bochsCommand(bochs: Bochs, disk: string, mebibytes: number, folder: string): string[] {
  const share = join(bochs.root, 'usr/share/bochs');
  const plugins = join(bochs.root, 'usr/lib/x86_64-linux-gnu/bochs/plugins');
  const { cylinders, heads, sectorsPerTrack } = DISK_GEOMETRY;
  const settings = join(folder, 'bochsrc');
  const go = join(folder, 'bochs-go');
  writeFileSync(go, 'c\n');
  writeFileSync(
    settings,
    [
      `megs: ${mebibytes}`,
      'cpu: model=corei7_sandy_bridge_2600k, count=1, ips=50000000',
      'clock: sync=none',
      `romimage: file=${share}/BIOS-bochs-latest`,
      `vgaromimage: file=${share}/VGABIOS-lgpl-latest`,
      'display_library: term',
      'com1: enabled=1, mode=file, dev=/dev/fd/3',
      `ata0-master: type=disk, path=${disk}, mode=flat, cylinders=${cylinders}, heads=${heads}, spt=${sectorsPerTrack}`,
      'boot: disk',
      'sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy',
      'speaker: enabled=0',
      `log: ${join(folder, 'bochs.log')}`,
      'panic: action=fatal',
      '',
    ].join('\n'),
  );
  const words = [...bochs.command, '-q', '-rc', go, '-f', settings].map(quoted).join(' ');
  const environment = `TERM=xterm BXSHARE=${quoted(share)} LTDL_LIBRARY_PATH=${quoted(plugins)}`;
  const screen = quoted(join(folder, 'bochs.screen'));
  return ['sh', '-c', `{ ${environment} ${words} 3>&1 >${screen} 2>&1; } | cat`];
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
