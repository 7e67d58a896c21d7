/** Debian's cloud kernel, unmodified, boots in a child partition. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine, INIT_FIRST_LINE, SCRIPT_DONE, SHELL_BANNER } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { type CommandResult, partita, start, workFolder } from './partita-command.ts';

const cloud = debianGuest('cloud');
const title =
  cloud.kind === 'ready' ? "Debian's cloud kernel" : `Debian's cloud kernel (skipped: ${cloud.reason})`;
const folder = workFolder();
afterAll(() => folder.remove());

/** Each line is printed by the guest, and so is what it computes: known answers of the real processor. */
const SCRIPT = `dmesg
echo "clocksource: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "sum: $(seq 1 1000 | awk '{ s += $1 / 7 } END { printf "%.6f", s }')"
echo "digest: $(seq 1 2000 | sha256sum)"
echo "sorted: $(seq 1 300 | sort -r | md5sum)"
`;

describe.skipIf(cloud.kind === 'missing')(title, () => {
  if (cloud.kind === 'missing') return;
  const { guest } = cloud;
  const boot = (job: string, initrd: string): string[] => [
    ...['run', '--json', '--timeout', '200', '--memory', '256M'],
    ...['--kernel', guest.kernel, '--initrd', initrd, '--append', commandLine(job)],
  ];
  let result: CommandResult;
  let text: string;

  beforeAll(async () => {
    const initrd = initramfs(guest, 'boot', [{ kind: 'file', path: 'etc/partita/check', data: SCRIPT }]);
    result = await partita(...boot('check', initrd));
    text = result.stdout.replaceAll('\r', '');
  });

  test('reaches /init and powers off with status 0', () => {
    expect(text).toContain(INIT_FIRST_LINE);
    expect(text).toContain(SCRIPT_DONE);
    expect(result.status).toBe(0);
  });

  test('detects Microsoft Hyper-V', () => {
    expect(text).toContain('Hypervisor detected: Microsoft Hyper-V');
  });

  test('keeps time by the reference TSC page', () => {
    expect(text).toContain('clocksource: hyperv_clocksource_tsc_page');
  });

  test('computes as the real processor does', () => {
    expect(text).toContain('sum: 71500.000000');
    expect(text).toContain('digest: 6251e5743b6fd6a7d606130bdf7c15077ce85ebd3a0fdee284d15a46df199e38');
    expect(text).toContain('sorted: 3af2999127873b3409dddb1e4a831a11');
  });

  test('says nothing of a bug, an oops or a call trace', () => {
    expect(text).not.toMatch(/BUG:|Oops|Call Trace|WARNING: CPU/);
  });

  test('gives a shell that obeys, and reboot -f ends with status 0', async () => {
    const command = start(boot('shell', initramfs(guest, 'shell', [])));
    await command.shows(SHELL_BANNER);
    command.input('echo $((6 * 7))-$((1 + 1))\n');
    await command.shows('42-2');
    command.input('reboot -f\n');
    expect((await command.end).status).toBe(0);
  });

  test('a panic ends the machine with status 3, and its text is told', async () => {
    const initrd = initramfs(guest, 'panic', [
      { kind: 'file', path: 'etc/partita/panic', data: 'echo c > /proc/sysrq-trigger\n' },
    ]);
    const panic = await partita(...boot('panic', initrd));
    expect(panic.stdout).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(panic.stderr).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(panic.status).toBe(3);
  });
});
