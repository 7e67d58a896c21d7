/**
 * LuaJIT from Debian's packages makes code, patches it and throws it away while it runs: a few programs print in the
 * guest, with its compiler and without, what they print on the real processor (test/guests/userland/luajit.txt,
 * written by `luajit luajit.lua 3` there, and the same with -joff).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  inUserland,
  prepareUserland,
  USERLAND_ROOT,
  userlandEntries,
} from '../../src/guests/debian-userland.ts';
import { commandLine, SCRIPT_DONE } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { partita } from './partita-command.ts';

const PACKAGES = ['bash', 'coreutils', 'luajit'];
const SCALE = 3;
const FOLDER = join(import.meta.dirname, '../guests/userland');
/** Lines that divide what is printed. */
const [ON, OFF, END] = ['COMPILED', 'INTERPRETED', 'END-OF-CHECK'];
const JOB = [
  `echo ${ON}; /usr/bin/luajit /check/luajit.lua ${SCALE}`,
  `echo ${OFF}; /usr/bin/luajit -joff /check/luajit.lua ${SCALE}`,
  `echo ${END}`,
].join('; ');

const cloud = debianGuest('cloud');
const title = cloud.kind === 'ready' ? 'LuaJIT' : `LuaJIT (skipped: ${cloud.reason})`;

describe.skipIf(cloud.kind === 'missing')(title, () => {
  if (cloud.kind === 'missing') return;
  let said: string;
  const between = (from: string, to: string): string =>
    said.slice(said.indexOf(`${from}\n`) + from.length + 1, said.indexOf(`${to}\n`));

  beforeAll(async () => {
    const program = readFileSync(join(FOLDER, 'luajit.lua'));
    const initrd = initramfs(cloud.guest, 'luajit', [
      ...userlandEntries(prepareUserland(PACKAGES, () => {})),
      { kind: 'file', path: `${USERLAND_ROOT}/check/luajit.lua`, data: program },
      { kind: 'file', path: `${USERLAND_ROOT}/check/run.sh`, data: JOB },
      { kind: 'file', path: 'etc/partita/userland', data: inUserland('/bin/bash /check/run.sh 2>&1') },
    ]);
    const result = await partita(
      ...['run', '--timeout', '200', '--memory', '512M', '--kernel', cloud.guest.kernel],
      ...['--initrd', initrd, '--append', `${commandLine('userland')} loglevel=1`],
    );
    expect(result.stdout).toContain(SCRIPT_DONE);
    expect(result.status).toBe(0);
    said = result.stdout.replaceAll('\r', '');
  });

  const answers = readFileSync(join(FOLDER, 'luajit.txt'), 'utf8');

  test('computes compiled what the real processor does, and says that it compiled', () => {
    expect(between(ON, OFF)).toBe(`${answers}true\n`);
  });

  test('computes the same interpreted', () => {
    expect(between(OFF, END)).toBe(`${answers}false\n`);
  });
});
