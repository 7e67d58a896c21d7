/** The monitors that run the programs on the bare processor, and the command for each. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Progress } from '../src/guests/debian-packages.ts';
import { BARE_MEBIBYTES, type BareImages } from './bare-programs.ts';
import { bochsCommand, findBochs } from './bochs.ts';

export const PEERS = ['qemu', 'bochs', 'v86'] as const;
export type Peer = (typeof PEERS)[number];

export interface BareMachine {
  name: string;
  command: readonly string[];
}

const here = (name: string): string => join(import.meta.dirname, name);

/** Partita's command; the guest never ends by itself, so it is ended from outside like the others. */
export function partitaMachine({ multiboot }: BareImages): BareMachine {
  const run = [here('../src/cli/partita.ts'), 'run', '--kernel', multiboot, '--memory', `${BARE_MEBIBYTES}M`];
  return { name: 'partita', command: [process.execPath, ...run] };
}

/** A reason in words where the peer is missing here. */
export function peerMachine(peer: Peer, images: BareImages, progress: Progress): BareMachine | string {
  switch (peer) {
    case 'qemu':
      return qemuMachine(images);
    case 'bochs': {
      const bochs = findBochs(progress);
      if (typeof bochs === 'string') return bochs;
      return {
        name: 'bochs',
        command: bochsCommand(bochs, images.disk, BARE_MEBIBYTES, dirname(images.disk)),
      };
    }
    case 'v86':
      return v86Machine(images);
  }
}

function qemuMachine({ multiboot }: BareImages): BareMachine | string {
  const program = 'qemu-system-x86_64';
  if (spawnSync(program, ['--version'], { stdio: 'ignore' }).error) {
    return `${program} is not installed (Debian's package qemu-system-x86)`;
  }
  const machine = ['-accel', 'tcg', '-m', `${BARE_MEBIBYTES}M`, '-display', 'none', '-monitor', 'none'];
  return {
    name: 'qemu tcg',
    command: [program, ...machine, '-serial', 'stdio', '-no-reboot', '-kernel', multiboot],
  };
}

function v86Machine({ multiboot }: BareImages): BareMachine | string {
  try {
    createRequire(import.meta.url).resolve('v86');
  } catch {
    return 'the package v86 is not installed';
  }
  return {
    name: 'v86',
    command: [process.execPath, here('v86-machine.ts'), multiboot, String(BARE_MEBIBYTES)],
  };
}
