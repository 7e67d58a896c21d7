/**
 * The initial root of our Debian guests: busybox with a link for each of its applets, device nodes, /init, and
 * the kernel modules given. `/init` looks at the word `partita=` on the kernel's command line (the kernel hands
 * it over as an environment variable): nothing or `shell` gives an interactive shell on the serial port,
 * anything else runs /etc/partita/<word> and powers off.
 */
import type { CpioEntry } from './cpio.ts';
import { type KernelModule, modulesDep } from './kernel-modules.ts';

/** /init's first line: the moment at which "the kernel has booted" is measured. */
export const INIT_FIRST_LINE = 'PARTITA-INIT-FIRST-LINE';
/** Printed before the shell's first prompt. */
export const SHELL_BANNER = 'A shell on the serial port';
/** Last line of a script that ran to its end. */
export const SCRIPT_DONE = 'PARTITA-SCRIPT-DONE';

/** Kernel command line for a guest that runs `job` ('shell', or a script's name). */
export function commandLine(job: string): string {
  return `console=ttyS0 panic=-1 partita=${job}`;
}

const INIT = `#!/bin/sh
echo ${INIT_FIRST_LINE}
export PATH=/bin:/sbin HOME=/root TERM=\${TERM:-linux}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /tmp
echo "$(dmesg | sed -n 's/^.*\\(Hypervisor detected.*\\)/\\1/p')"
echo "Current clocksource: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
job=\${partita:-shell}
if [ "$job" != shell ]; then
  if [ -f "/etc/partita/$job" ]; then
    sh "/etc/partita/$job"
    echo ${SCRIPT_DONE}
  else
    echo "no script named $job in /etc/partita"
  fi
  poweroff -f
fi
echo
echo "${SHELL_BANNER}. poweroff -f or reboot -f ends it."
echo
cd /root
setsid cttyhack sh -l
poweroff -f
`;

const PROFILE = `PS1='guest:\\w# '\nexport PS1\n`;

/** What the fixed demonstration types, so that a log shows the question before the answer. */
const DEMONSTRATION = `show() { echo; echo "guest# $*"; eval "$*"; }
show uname -srm
show "dmesg | grep -i -e hyper-v -e hyperv -e hv_"
show cat /sys/devices/system/clocksource/clocksource0/current_clocksource
show nproc
show free -m
show "seq 1 20000 | awk '{ s += \\$1 * \\$1; r += 1 / \\$1 } END { print s, r }'"
show "seq 1 5000 | sha256sum"
echo
`;

export interface InitramfsParts {
  busybox: Uint8Array;
  /** The kernel's release, as uname -r prints it. */
  release: string;
  modules: readonly KernelModule[];
  /** More files: benchmark programs, a userland, test scripts. */
  extra?: readonly CpioEntry[];
}

/** The entries of the archive, in order. */
export function initramfsEntries(parts: InitramfsParts): CpioEntry[] {
  const moduleFolder = `lib/modules/${parts.release}`;
  const applets = busyboxApplets(parts.busybox).filter((name) => name !== 'busybox');
  return [
    ...['proc', 'sys', 'tmp', 'root', 'etc', 'bin', 'sbin'].map(
      (path): CpioEntry => ({ kind: 'directory', path }),
    ),
    { kind: 'character', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'character', path: 'dev/null', major: 1, minor: 3, mode: 0o666 },
    { kind: 'character', path: 'dev/ttyS0', major: 4, minor: 64 },
    { kind: 'file', path: 'init', data: INIT, mode: 0o755 },
    { kind: 'file', path: 'etc/profile', data: PROFILE },
    { kind: 'file', path: 'etc/passwd', data: 'root:x:0:0:root:/root:/bin/sh\n' },
    { kind: 'file', path: 'etc/group', data: 'root:x:0:\n' },
    { kind: 'file', path: 'etc/partita/demonstration', data: DEMONSTRATION },
    { kind: 'file', path: 'bin/busybox', data: parts.busybox, mode: 0o755 },
    ...applets.map((name): CpioEntry => ({ kind: 'link', path: `bin/${name}`, target: 'busybox' })),
    { kind: 'link', path: 'sbin/modprobe', target: '../bin/busybox' },
    ...parts.modules.map(
      (module): CpioEntry => ({ kind: 'file', path: `${moduleFolder}/${module.path}`, data: module.data }),
    ),
    { kind: 'file', path: `${moduleFolder}/modules.dep`, data: modulesDep(parts.modules) },
    ...(parts.extra ?? []),
  ];
}

/**
 * The applets inside a busybox binary: its name table, NUL-separated, sorted, starting with `[` and `[[`. Read
 * from the bytes because the machine that builds the archive need not be able to run the guest's programs.
 */
export function busyboxApplets(binary: Uint8Array): string[] {
  const bytes = Buffer.from(binary.buffer, binary.byteOffset, binary.byteLength);
  const start = bytes.indexOf('\0[\0[[\0', 0, 'latin1') + 1;
  if (start === 0) return ['sh'];
  const names: string[] = [];
  for (let at = start; ; ) {
    const end = bytes.indexOf(0, at);
    const name = bytes.toString('latin1', at, end);
    const last = names.at(-1) ?? '';
    if (!/^[a-z0-9[][a-z0-9_.[-]*$/i.test(name) || name < last) return names;
    names.push(name);
    at = end + 1;
  }
}
