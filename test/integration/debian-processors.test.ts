/** Debian's cloud kernel on two virtual processors: it finds both, and loads on both agree with what one computes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine, SCRIPT_DONE } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { type CommandResult, partita, workFolder } from './partita-command.ts';

const cloud = debianGuest('cloud');
const title = cloud.kind === 'ready' ? 'Two processors' : `Two processors (skipped: ${cloud.reason})`;
const folder = workFolder();
afterAll(() => folder.remove());

const DIGEST = '6251e5743b6fd6a7d606130bdf7c15077ce85ebd3a0fdee284d15a46df199e38';
const JOBS = 8;
const SCRIPT = `dmesg
echo "processors: $(nproc) $(grep -c ^processor /proc/cpuinfo)"
for job in $(seq 1 ${JOBS}); do (for round in 1 2 3 4; do seq 1 2000 | sha256sum; done > /tmp/job.$job) & done
wait
echo "digests: $(cat /tmp/job.* | sort | uniq -c | sed 's/  */ /g')"
`;

describe.skipIf(cloud.kind === 'missing')(title, () => {
  if (cloud.kind === 'missing') return;
  let result: CommandResult;
  let text: string;

  beforeAll(async () => {
    const data = SCRIPT;
    const initrd = initramfs(cloud.guest, 'processors', [{ kind: 'file', path: 'etc/partita/check', data }]);
    result = await partita(
      ...['run', '--json', '--timeout', '200', '--memory', '256M', '--vps', '2'],
      ...['--kernel', cloud.guest.kernel, '--initrd', initrd, '--append', commandLine('check')],
    );
    text = result.stdout.replaceAll('\r', '');
  });

  test('are found by the kernel', () => {
    expect(text).toContain('smp: Brought up 1 node, 2 CPUs');
    expect(text).toContain('processors: 2 2');
    expect(text).toContain(SCRIPT_DONE);
    expect(result.status).toBe(0);
  });

  test('are woken by IPI hypercalls and flushed by flush hypercalls', () => {
    expect(text).toContain('Hyper-V: Using IPI hypercalls');
    expect(text).toContain('Hyper-V: Using hypercall for remote TLB flush');
  });

  test('compute as the real processor does, many at a time', () => {
    expect(text.replaceAll(/ +/g, ' ')).toContain(`digests: ${4 * JOBS} ${DIGEST} -`);
  });

  test('give the kernel nothing to complain of', () => {
    expect(text).not.toMatch(/BUG:|Oops|Call Trace|WARNING: CPU|detected stalls|soft lockup/);
  });
});
