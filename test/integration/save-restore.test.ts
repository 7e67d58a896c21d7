/**
 * A running Linux partition is saved by TLFS 2.0a chapter 17 and goes on in a fresh process: what it computes across
 * the save comes out right, and its uptime goes on.
 */
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine, SCRIPT_DONE } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { type CommandResult, partita, start, workFolder } from './partita-command.ts';

const cloud = debianGuest('cloud');
const title = cloud.kind === 'ready' ? 'save and restore' : `save and restore (skipped: ${cloud.reason})`;
const folder = workFolder();
afterAll(() => folder.remove());

const ROUNDS = 1200;
/** Counts and hashes as it goes; the last digest depends on every round before it. */
const SCRIPT = `echo "uptime at start: $(cut -d' ' -f1 /proc/uptime)"
awk 'BEGIN {
  x = 1; s = 0.5
  for (i = 1; i <= ${ROUNDS}; i++) {
    for (k = 0; k < 200; k++) { x = (x * 16807) % 2147483647; s = s * 0.75 + x / 2147483647 }
    if (i % 100 == 0) { printf "round %d %d %.12f\\n", i, x, s; fflush() }
  }
}'
sleep 1
echo "uptime at end: $(cut -d' ' -f1 /proc/uptime)"
`;

/** What the guest's last round must print, computed here. */
function expectedLastRound(): string {
  let x = 1;
  let s = 0.5;
  for (let i = 0; i < ROUNDS * 200; i++) {
    x = (x * 16807) % 2147483647;
    s = s * 0.75 + x / 2147483647;
  }
  return `round ${ROUNDS} ${x} ${s.toFixed(12)}`;
}

const uptime = (text: string, moment: string): number =>
  Number(new RegExp(`uptime at ${moment}: ([0-9.]+)`).exec(text)?.[1] ?? Number.NaN);

describe.skipIf(cloud.kind === 'missing')(title, () => {
  if (cloud.kind === 'missing') return;
  const { guest } = cloud;
  const saved = folder.path('saved-machine');
  let before: CommandResult;
  let after: CommandResult;

  beforeAll(async () => {
    const initrd = initramfs(guest, 'save', [{ kind: 'file', path: 'etc/partita/count', data: SCRIPT }]);
    const running = start([
      ...['run', '--timeout', '200', '--memory', '256M', '--kernel', guest.kernel],
      ...['--initrd', initrd, '--append', commandLine('count')],
    ]);
    await running.shows('round 300 ');
    const answer = await partita('save', String(running.pid), saved);
    if (answer.status !== 0) throw new Error(answer.stderr);
    before = await running.end;
    after = await partita('run', '--timeout', '200', '--json', '--restore', saved);
  });

  test('the saved machine ends, in the middle of its work', () => {
    expect(before.status).toBe(0);
    expect(before.stderr).toContain('the machine was saved');
    expect(before.stdout).not.toContain(`round ${ROUNDS} `);
  });

  test('a fresh process continues it: no boot, and the next round is the next line', () => {
    expect(after.stderr).toContain('the guest powered off');
    expect(after.status).toBe(0);
    expect(after.stdout).not.toContain('Linux version');
    const rounds = [...`${before.stdout}${after.stdout}`.matchAll(/round (\d+) \d+ [\d.]+/g)].map((each) =>
      Number(each[1]),
    );
    expect(rounds).toEqual(Array.from({ length: ROUNDS / 100 }, (_, index) => (index + 1) * 100));
    expect(after.stdout).toContain(SCRIPT_DONE);
  });

  test('the computation that spans the save gives the right result', () => {
    expect(after.stdout).toContain(expectedLastRound());
  });

  test('uptime goes on from where it stood', () => {
    const start = uptime(before.stdout, 'start');
    const end = uptime(after.stdout, 'end');
    expect(end).toBeGreaterThan(start + 1);
    expect(end).toBeLessThan(start + before.seconds + after.seconds);
  });

  test('says nothing of a bug, an unstable clock or a stall', () => {
    expect(after.stdout).not.toMatch(/BUG:|Oops|Call Trace|unstable|rcu.*stall|lockup/);
  });

  test('a damaged or truncated file is refused with status 2, and no machine runs', async () => {
    const bytes = readFileSync(saved);
    const damaged = folder.path('damaged');
    bytes[5000] ^= 1;
    writeFileSync(damaged, bytes);
    const first = await partita('run', '--restore', damaged);
    expect(first.status).toBe(2);
    expect(first.stderr).toContain('its state section is damaged');
    truncateSync(saved, statSync(saved).size - 5000);
    const second = await partita('run', '--restore', saved);
    expect(second.status).toBe(2);
    expect(second.stderr).toContain('cut off');
  });
});
