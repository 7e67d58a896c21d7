import { expect, test } from 'vitest';
import { busyboxApplets, commandLine, INIT_FIRST_LINE, initramfsEntries } from './initramfs.ts';

const table = (...names: string[]): Buffer =>
  Buffer.from(`junk\0${names.join('\0')}\0Usage: junk\0`, 'latin1');

test('applets are read from the name table of the busybox binary', () => {
  const binary = table('[', '[[', 'ash', 'busybox', 'cat', 'mount', 'sh');
  expect(busyboxApplets(binary)).toEqual(['[', '[[', 'ash', 'busybox', 'cat', 'mount', 'sh']);
});

test('a binary without a name table still gives a shell', () => {
  expect(busyboxApplets(Buffer.from('nothing here'))).toEqual(['sh']);
});

test('/init says its first line before it does anything else', () => {
  const entries = initramfsEntries({ busybox: table('[', '[[', 'sh'), release: '1.2', modules: [] });
  const init = entries.find((entry) => entry.path === 'init');
  if (init?.kind !== 'file') throw new Error('no /init');
  expect(init.mode).toBe(0o755);
  expect(String(init.data).split('\n').slice(0, 2)).toEqual(['#!/bin/sh', `echo ${INIT_FIRST_LINE}`]);
});

test('modules lie under the release that uname reports, with a dependency table', () => {
  const module = { path: 'kernel/a.ko', data: Buffer.from('A'), dependencies: ['kernel/b.ko'] };
  const entries = initramfsEntries({ busybox: table('[', '[[', 'sh'), release: '1.2', modules: [module] });
  const find = (path: string) => entries.find((entry) => entry.path === path);
  expect(find('lib/modules/1.2/kernel/a.ko')).toBeDefined();
  expect(find('lib/modules/1.2/modules.dep')).toMatchObject({ data: 'kernel/a.ko: kernel/b.ko\n' });
});

test('the command line names the job and the console', () => {
  expect(commandLine('bench')).toContain('console=ttyS0');
  expect(commandLine('bench').split(' ')).toContain('partita=bench');
});
