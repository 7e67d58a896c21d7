/** Debian's other kernels and memory sizes from 128 MiB to 3 GiB. */
import { describe, expect, test } from 'vitest';
import type { CpioEntry } from '../../src/guests/cpio.ts';
import type { Flavour } from '../../src/guests/debian-guest.ts';
import { commandLine, SCRIPT_DONE } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { type CommandResult, partita } from './partita-command.ts';

const cloud = debianGuest('cloud');
const title = cloud.kind === 'ready' ? 'Debian' : `Debian (skipped: ${cloud.reason})`;

const REPORT = `uname -r
dmesg | grep -i "hypervisor detected"
grep MemTotal /proc/meminfo
cat /sys/devices/system/clocksource/clocksource0/current_clocksource
`;

const script = (name: string, data: string): CpioEntry => ({
  kind: 'file',
  path: `etc/partita/${name}`,
  data,
});

async function boot(
  flavour: Flavour,
  memory: string,
  job: string,
  extra: readonly CpioEntry[],
): Promise<CommandResult> {
  const available = debianGuest(flavour);
  if (available.kind === 'missing') throw new Error(available.reason);
  const { guest } = available;
  const initrd = initramfs(guest, `${job}-${flavour}`, extra);
  return partita(
    ...['run', '--timeout', '220', '--memory', memory, '--kernel', guest.kernel, '--initrd', initrd],
    ...['--append', commandLine(job)],
  );
}

describe.skipIf(cloud.kind === 'missing')(title, () => {
  test.each([
    ['full', /^6\.\d+\.\d+-\d+-amd64\r?$/m],
    ['rt', /^6\.\d+\.\d+-\d+-rt-amd64\r?$/m],
  ] as const)('the %s kernel boots, detects Hyper-V and powers off', async (flavour, release) => {
    const result = await boot(flavour, '512M', 'report', [script('report', REPORT)]);
    expect(result.stdout).toMatch(release);
    expect(result.stdout).toContain('Hypervisor detected: Microsoft Hyper-V');
    expect(result.stdout).toContain('hyperv_clocksource_tsc_page');
    expect(result.stdout).toContain(SCRIPT_DONE);
    expect(result.status).toBe(0);
  });

  test.each([
    ['128M', 80, 128],
    ['3G', 2800, 3072],
  ])('with --memory %s the guest has that much', async (memory, least, most) => {
    const result = await boot('cloud', memory, 'report', [script('report', REPORT)]);
    expect(result.status).toBe(0);
    const total = Number(/MemTotal: +(\d+) kB/.exec(result.stdout)?.[1]) / 1024;
    expect(total).toBeGreaterThan(least);
    expect(total).toBeLessThanOrEqual(most);
  });
});
