/**
 * A snapshot of a running Linux, taken in the middle of a computation: ten machines go on from it in fresh processes.
 * Each comes to the right result, each knows from its generation ID that it is another machine (Linux's driver says so
 * and reseeds its random numbers), and the file stays as it was. A snapshot whose writer is killed leaves nothing.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine, SCRIPT_DONE } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { type CommandResult, partita, start, workFolder } from './partita-command.ts';

/** The cloud kernel has no driver for the generation ID. */
const full = debianGuest('full');
const title = full.kind === 'ready' ? 'snapshots' : `snapshots (skipped: ${full.reason})`;
const folder = workFolder();
afterAll(() => folder.remove());

const ROOT = join(import.meta.dirname, '../..');
const ROUNDS = 800;
const CLONES = 10;
/** Clones that run at the same time. */
const ABREAST = 2;
const SCRIPT = `dd if=/dev/random of=/dev/null bs=1 count=1 2>/dev/null
awk 'BEGIN {
  x = 1
  for (i = 1; i <= ${ROUNDS}; i++) {
    for (k = 0; k < 200; k++) x = (x * 16807) % 2147483647
    if (i % 100 == 0) { printf "round %d %d\\n", i, x; fflush() }
  }
}'
echo "generation $(dd if=/dev/mem bs=16 skip=$((0xfe000 / 16)) count=1 2>/dev/null | hexdump -v -e '1/1 "%02x"')"
dmesg | grep -c 'reseeded due to virtual machine fork' | sed 's/^/forks noticed: /'
`;

function expectedLastRound(): string {
  let x = 1;
  for (let i = 0; i < ROUNDS * 200; i++) x = (x * 16807) % 2147483647;
  return `round ${ROUNDS} ${x}`;
}

const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
const generation = ({ stdout }: CommandResult): string | undefined =>
  /generation ([0-9a-f]{32})/.exec(stdout)?.[1];
const forks = ({ stdout }: CommandResult): string | undefined => /forks noticed: (\d+)/.exec(stdout)?.[1];

describe.skipIf(full.kind === 'missing')(title, () => {
  if (full.kind === 'missing') return;
  const { guest } = full;
  const snapshot = folder.path('snapshot');
  let original: CommandResult;
  let before: string;
  const clones: CommandResult[] = [];

  beforeAll(async () => {
    const initrd = initramfs(guest, 'snapshot', [{ kind: 'file', path: 'etc/partita/count', data: SCRIPT }]);
    const running = start([
      ...['run', '--timeout', '300', '--memory', '256M', '--kernel', guest.kernel],
      ...['--initrd', initrd, '--append', commandLine('count')],
    ]);
    await running.shows('round 200 ');
    const answer = await partita('snapshot', String(running.pid), snapshot);
    if (answer.status !== 0) throw new Error(answer.stderr);
    before = digest(snapshot);
    original = await running.end;
    while (clones.length < CLONES) {
      const some = Array.from({ length: ABREAST }, () =>
        partita('run', '--timeout', '200', '--json', '--from', snapshot),
      );
      clones.push(...(await Promise.all(some)));
    }
  }, 600_000);

  test('the machine itself goes on and is the same machine', () => {
    expect(original.stdout).toContain(expectedLastRound());
    expect(forks(original)).toBe('0');
    expect(original.status).toBe(0);
  });

  test('ten clones finish the computation from where it stood, without a boot', () => {
    for (const clone of clones) {
      expect(clone.stderr).toContain('the guest powered off');
      expect(clone.stdout).toContain(expectedLastRound());
      expect(clone.stdout).toContain(SCRIPT_DONE);
      expect(clone.stdout).not.toMatch(/Linux version|round 100 |BUG:|Oops|Call Trace|unstable/);
    }
  });

  test('each has a generation ID of its own, and its Linux has noticed', () => {
    const ids = [original, ...clones].map(generation);
    expect(ids).not.toContain(undefined);
    expect(new Set(ids).size).toBe(CLONES + 1);
    for (const clone of clones) expect(forks(clone)).toBe('1');
  });

  test('each left in the file what it did not touch, and the file as it was', () => {
    for (const clone of clones) {
      const { pagesRead, pagesAbsent } = JSON.parse(clone.stdout.trim().split('\n').at(-1) ?? '').snapshot;
      expect(pagesAbsent).toBeGreaterThan(pagesRead);
    }
    expect(digest(snapshot)).toBe(before);
  });

  test.skipIf(process.platform !== 'linux')(
    'a process that starts from a start image does the same',
    async () => {
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      const image = folder.path(`partita/start${ROOT}/${boot}`);
      execFileSync(process.execPath, [join(ROOT, 'src/cli/start-image/build.ts'), image], { stdio: 'pipe' });
      const run = start(['run', '--timeout', '200', '--json', '--from', snapshot], {
        XDG_CACHE_HOME: folder.path('.'),
        NODE_OPTIONS: '',
      });
      run.input('');
      const end = await run.end;
      expect(end.stdout).toContain(expectedLastRound());
      expect(end.stdout).toContain('"startImage":true');
    },
  );

  test('another memory size or number of processors is refused', async () => {
    const memory = await partita('run', '--from', snapshot, '--memory', '512M');
    expect(memory.status).toBe(2);
    expect(memory.stderr).toContain('its machine has 256 MiB of memory, not 512 MiB');
    const processors = await partita('run', '--from', snapshot, '--vps', '2');
    expect(processors.status).toBe(2);
    expect(processors.stderr).toContain('its machine has 1 virtual processors, not 2');
    const kernel = await partita('run', '--from', snapshot, '--kernel', guest.kernel);
    expect(kernel.status).toBe(2);
    expect(kernel.stderr).toContain('it takes no --kernel');
  });

  test('a writer that is killed leaves the file of the name as it was', async () => {
    const running = start(['run', '--timeout', '200', '--from', snapshot]);
    await running.shows('round ');
    const target = folder.path('unfinished');
    writeFileSync(target, 'the file before');
    const asked = partita('snapshot', String(running.pid), target);
    const partial = () => readdirSync(folder.path('.')).filter((name) => name.startsWith('unfinished.'));
    for (let tries = 0; partial().length === 0 && tries < 20_000; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    running.signal('SIGKILL');
    await running.end;
    expect((await asked).status).toBe(2);
    expect(readFileSync(target, 'utf8')).toBe('the file before');
    const next = start(['run', '--timeout', '200', '--from', snapshot]);
    await next.shows('round ');
    expect((await partita('snapshot', '--stop', String(next.pid), target)).status).toBe(0);
    expect((await next.end).stderr).toContain('the machine was saved');
    expect(partial(), 'what the killed one left is gone').toEqual([]);
    expect(existsSync(target)).toBe(true);
    expect((await partita('run', '--timeout', '200', '--from', target)).stdout).toContain(
      expectedLastRound(),
    );
  });
});
