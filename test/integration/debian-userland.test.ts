/**
 * Programs from Debian's packages print in the guest what they print on the real processor: test/guests/userland
 * holds what they do, and answers.txt what came out there (natively.sh writes it).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CpioEntry } from '../../src/guests/cpio.ts';
import {
  inUserland,
  prepareUserland,
  USERLAND_ROOT,
  userlandEntries,
} from '../../src/guests/debian-userland.ts';
import { commandLine, SCRIPT_DONE } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { partita } from './partita-command.ts';

const PACKAGES = [
  ...['bash', 'coreutils', 'perl-base', 'python3', 'gawk', 'bc'],
  ...['grep', 'sed', 'gzip', 'xz-utils', 'diffutils', 'openssl'],
];
/** Between what the programs print and the kernel's log. */
const END = 'END-OF-CHECK';
const FOLDER = join(import.meta.dirname, '../guests/userland');

const cloud = debianGuest('cloud');
const title = cloud.kind === 'ready' ? 'Debian userland' : `Debian userland (skipped: ${cloud.reason})`;

const checkFile = (name: string): CpioEntry => ({
  kind: 'file',
  path: `${USERLAND_ROOT}/check/${name}`,
  data: readFileSync(join(FOLDER, name)),
});

describe.skipIf(cloud.kind === 'missing')(title, () => {
  if (cloud.kind === 'missing') return;
  let said: string[];
  let log: string;

  beforeAll(async () => {
    const job = `${inUserland('/bin/bash /check/check.sh 2>&1')}echo ${END}; dmesg\n`;
    const initrd = initramfs(cloud.guest, 'userland', [
      ...userlandEntries(prepareUserland(PACKAGES, () => {})),
      ...['check.sh', 'mathematics.py', 'processes.py'].map(checkFile),
      { kind: 'file', path: 'etc/partita/userland', data: job },
    ]);
    const result = await partita(
      ...['run', '--timeout', '220', '--memory', '768M', '--kernel', cloud.guest.kernel],
      ...['--initrd', initrd, '--append', `${commandLine('userland')} loglevel=1`],
    );
    expect(result.stdout).toContain(SCRIPT_DONE);
    expect(result.status).toBe(0);
    const text = result.stdout.replaceAll('\r', '');
    const end = text.indexOf(`${END}\n`);
    said = text.slice(0, end).split('\n');
    log = text.slice(end);
  });

  test('integers, doubles, long doubles, digests, compression, processes and time are right', () => {
    const answers = readFileSync(join(FOLDER, 'answers.txt'), 'utf8').trimEnd().split('\n');
    // What /init says comes first.
    const printed = said.slice(said.indexOf(answers[0]));
    answers.forEach((answer, line) => {
      expect(printed[line], `line ${line + 1}`).toBe(answer);
    });
  });

  test('the kernel has nothing to complain of', () => {
    const complaint =
      /WARNING:|BUG:|Call Trace|soft lockup|hung task|unchecked MSR|rcu.*stall|timekeeping watchdog/;
    expect(log.split('\n').filter((line) => complaint.test(line))).toEqual([]);
  });
});
