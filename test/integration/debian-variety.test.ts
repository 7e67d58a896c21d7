/** Debian's other kernels, memory sizes from 128 MiB to 3 GiB, and a userland from real packages. */
import { describe, expect, test } from 'vitest';
import type { CpioEntry } from '../../src/guests/cpio.ts';
import type { Flavour } from '../../src/guests/debian-guest.ts';
import { commandLine, SCRIPT_DONE } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { userlandEntries } from './debian-userland.ts';
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

  test('bash, coreutils and perl compute what they compute on the real processor', async () => {
    const job = `for each in proc sys dev; do mount -o bind /$each /debian/$each; done
chroot /debian /bin/bash /check
`;
    const check = `export PATH=/usr/bin:/bin
set -o pipefail
echo "bash: $((2**40 / 7)) \${BASH_VERSINFO[0]}"
echo "sum: $(seq 1 3000 | sha512sum | cut -c1-32)"
echo "sort: $(seq 1 2000 | shuf --random-source=/bin/bash | sort -n | md5sum | cut -c1-32)"
echo "printf: $(printf '%.18Lg %.3e' 3.14159265358979323846 6.02214e23)"
perl -e 'my $s = 0; $s += sin($_) * sqrt($_) / exp($_ / 500) for 1 .. 2000; printf "perl: %.12f\\n", $s'
perl -e 'printf "atan2: %.15f pow: %.6e int: %d\\n", 4 * atan2(1, 1), 1.5 ** 300, 9007199254740993 % 1000007'
perl -e 'my %h; $h{$_ % 97} .= chr(65 + $_ % 26) for 1 .. 5000; printf "hash: %d %s\\n", scalar keys %h, substr($h{13}, 0, 12)'
`;
    const userland = userlandEntries(['bash', 'coreutils', 'perl-base']);
    const extra = [script('userland', job), { kind: 'file', path: 'debian/check', data: check } as const];
    const result = await boot('cloud', '512M', 'userland', [...userland, ...extra]);
    const said = result.stdout.replaceAll('\r', '');
    for (const line of USERLAND_ANSWERS) expect(said).toContain(line);
    expect(result.status).toBe(0);
  });
});

/** The same script on the real processor. */
const USERLAND_ANSWERS = [
  'bash: 157073089682 5',
  'sum: 2204d1def9cbd08c17ab7b760b2766ae',
  'sort: ea4d0a24dabcaa11f9aa979b872d162b',
  'printf: 3.14159265358979324 6.022e+23',
  'perl: 1.257188621946',
  'atan2: 3.141592653589793 pow: 6.720131e+52 int: 787565',
  'hash: 97 NGZSLEXQJCVO',
];
