/**
 * Debian's gdb and the remote stub: it attaches to a booting Linux, breaks by symbol in the kernel's late start, steps,
 * watches a variable and lets go; the guest boots on as if nothing had been.
 */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandLine, SHELL_BANNER } from '../../src/guests/initramfs.ts';
import { debianGuest, initramfs } from './debian-guest.ts';
import { findGdb, runGdb } from './gdb-command.ts';
import { partita, type RunningCommand, start, workFolder } from './partita-command.ts';

const cloud = debianGuest('cloud');
const gdb = cloud.kind === 'ready' ? findGdb() : cloud;
const title = gdb.kind === 'ready' ? 'gdb on Linux' : `gdb on Linux (skipped: ${gdb.reason})`;
const folder = workFolder();
afterAll(() => folder.remove());

/** Prints the addresses of what the test needs; the kernel's package has no System.map. */
const NAMES = [
  '_text',
  '_stext',
  '_etext',
  'rest_init',
  'kernel_init',
  'kernel_init_freeable',
  'run_init_process',
  'jiffies_64',
];
const LIST = `grep -E ' (${NAMES.join('|')}|do_[a-z_]*init[a-z_]*)$' /proc/kallsyms\n`;
const SLOW_SECONDS = 150;

/** The port that the command says it listens on. */
async function portOf(command: RunningCommand): Promise<number> {
  await command.complains('target remote :');
  return Number(/target remote :(\d+)/.exec(command.said())?.[1]);
}

describe.skipIf(gdb.kind === 'missing')(title, () => {
  if (gdb.kind === 'missing' || cloud.kind === 'missing') return;
  const { guest } = cloud;
  const boot = (job: string, ...options: string[]): string[] => [
    ...['run', '--timeout', '400', '--memory', '256M', '--kernel', guest.kernel],
    ...['--initrd', initramfs(guest, `gdb-${job}`, [{ kind: 'file', path: 'etc/partita/list', data: LIST }])],
    ...['--append', `${commandLine(job)} nokaslr`, ...options],
  ];
  const symbols = folder.path('kallsyms');
  const symbolFile = folder.path('vmlinux.sym');

  beforeAll(async () => {
    const { stdout } = await partita(...boot('list'));
    const lines = stdout.split(/\r?\n/).filter((line) => /^[0-9a-f]{16} \w \w+$/.test(line));
    folder.write('kallsyms', `${lines.join('\n')}\n`);
    const made = await partita('symbols', symbols, '-o', symbolFile);
    expect(made.stderr).toMatch(/\d+ symbols/);
  });

  test('breaks by symbol, steps, watches jiffies, and the guest boots on to its shell', async () => {
    const command = start(boot('shell', '--gdb', '0', '--gdb-wait', '--symbols', symbols));
    const port = await portOf(command);
    const said = await runGdb(
      gdb.command,
      [
        `symbol-file ${symbolFile}`,
        `target remote :${port}`,
        'info threads',
        'print $rip',
        'break rest_init',
        'continue',
        'print $efer',
        'print $cr0',
        'print/x *(unsigned char *)$pc',
        'stepi',
        'stepi 20',
        'info symbol $pc',
        'watch *(long *)&jiffies_64',
        'continue',
        'print *(long *)&jiffies_64',
        'continue',
        'delete',
        'break run_init_process',
        'continue',
        'monitor info',
        'monitor nonsense',
        'detach',
      ],
      SLOW_SECONDS,
    );
    expect(said).toContain('virtual processor 0');
    expect(said).toContain('in ?? ()');
    expect(said).toMatch(/Breakpoint 1, .*rest_init/);
    expect(said).toMatch(/\$\d+ = \[.*LMA.*\]/);
    expect(said).toMatch(/\$\d+ = \[ PG .*PE \]/);
    // The breakpoint's INT3 does not show.
    expect(said).not.toMatch(/\$\d+ = 0xcc/);
    const watched = [...said.matchAll(/Old value = (\d+)\s+New value = (\d+)/g)].map(([, from, to]) => [
      +from,
      +to,
    ]);
    expect(watched).toHaveLength(2);
    for (const [from, to] of watched) expect(to).toBe(from + 1);
    expect(watched[1][0]).toBe(watched[0][1]);
    expect(said).toMatch(new RegExp(`\\$\\d+ = ${watched[0][1]}\\n`));
    expect(said).toMatch(/Breakpoint 3, .*run_init_process/);
    expect(said).toContain("there is no command 'nonsense'");

    await command.shows(SHELL_BANNER);
    command.input('echo $((6 * 7))-ok; dmesg | grep -c -e BUG: -e Oops; poweroff -f\n');
    const { status, stdout } = await command.end;
    expect(stdout).toContain('42-ok\r\n0\r\n');
    expect(status).toBe(0);
  }, 300_000);

  test('interrupts a running guest, is refused twice, disconnects, comes back and kills', async () => {
    const command = start(boot('shell', '--gdb', '0'));
    const port = await portOf(command);
    await command.shows(SHELL_BANNER);
    const attach = [`symbol-file ${symbolFile}`, `target remote :${port}`];
    const second = `shell sleep 0.2; (printf '$?#3f'; sleep 1) | timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/${port}; cat <&3 & cat >&3; wait'`;
    const first = await runGdb(gdb.command, [...attach, 'print $rip', second, 'stepi', 'disconnect'], 60);
    expect(first).toContain('E.another debugger is connected');
    // Stopped, and nobody connected: a snapshot would have to run it.
    const saved = await partita('save', String(command.pid), folder.path('snapshot'));
    expect(saved.status).not.toBe(0);
    expect(saved.stderr).toContain('a debugger has the machine');
    const again = await runGdb(gdb.command, [...attach, 'stepi', 'detach'], 60);
    expect(again).not.toMatch(/refused|closed|Error/);
    command.input('echo still-$((40 + 2))\n');
    await command.shows('still-42');
    await runGdb(gdb.command, [...attach, 'kill'], 60);
    expect((await command.end).status).toBe(130);
  }, 200_000);

  test('a panic stops in the debugger, with the text, and ends the machine when it lets go', async () => {
    const command = start(boot('shell', '--gdb', '0', '--symbols', symbols));
    const port = await portOf(command);
    await command.shows(SHELL_BANNER);
    setTimeout(() => command.input('sleep 2; echo c > /proc/sysrq-trigger\n'), 100);
    const said = await runGdb(gdb.command, [`target remote :${port}`, 'continue', 'detach'], 60);
    expect(said).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(said).toContain('SIGSEGV');
    expect((await command.end).status).toBe(3);
  }, 200_000);

  test('noise, floods and half-open connections do the guest no harm and keep no debugger out', async () => {
    const command = start(boot('shell', '--gdb', '0'));
    const port = await portOf(command);
    await command.shows(SHELL_BANNER);
    const noises = [
      'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
      `$${'A'.repeat(100_000)}`,
      '+'.repeat(200_000),
      `$qSupported#37${'$m0,ffffffff#00'.repeat(2000)}`,
      `$?#3f${'$g#67'.repeat(20_000)}`,
      Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7919) & 0xff)),
      '$X0,7fffffff:#00$vCont;s:ffff#00\x03\x03\x03',
      '$',
      '',
    ];
    for (const noise of noises) {
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(noise));
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        setTimeout(() => socket.destroy(), 300);
      });
    }
    const said = await runGdb(gdb.command, [`target remote :${port}`, 'print 6 * 7', 'detach'], 60);
    expect(said).toContain('= 42');
    command.input('echo still-$((40 + 2)); poweroff -f\n');
    await command.shows('still-42');
    expect((await command.end).status).toBe(0);
  }, 200_000);
});
