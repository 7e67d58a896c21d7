/**
 * `npm run bench:snapshot`: a Linux guest at its shell goes on from a file, in Partita and in QEMU's TCG, with the same
 * kernel, initial root, command line and memory; runs alternate, figures are medians.
 *
 *   npm run bench:snapshot -- [--runs N] [--clones N] [--memory MEBIBYTES] [--flavour cloud|full|rt]
 *
 * "To the first instruction" ends where the guest executes again (QEMU: its own trace of the machine's state), "to the
 * shell's line" where the answer to a command that was on the serial port from the start has arrived. Both begin before
 * the command is started, and the file is in the page cache. QEMU restores with -incoming from what its monitor's
 * `migrate` wrote: its `loadvm` needs a disk image, which this guest has not.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildInitramfs, cacheFolder, type Flavour, prepareDebianGuest } from '../src/guests/debian-guest.ts';
import { commandLine } from '../src/guests/initramfs.ts';

const PARTITA = join(import.meta.dirname, '../bin/partita');
const IMAGE_BUILDER = join(import.meta.dirname, '../src/cli/start-image/build.ts');
const QEMU = 'qemu-system-x86_64';
const PROMPT = 'guest:';
const ANSWER = /(^|[\r\n])hello-\d+\r?\n/;
/** QEMU's serial port loses the first character where it is there before the machine runs: a space. */
const QUESTION = ' echo hello-$((40+2))\n';
const TIMEOUT_MS = 120_000;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '9' },
    clones: { type: 'string', default: '10' },
    memory: { type: 'string', default: '512' },
    flavour: { type: 'string', default: 'cloud' },
  },
});
const runs = Math.max(1, Number(values.runs));
const clones = Math.max(1, Number(values.clones));
const memory = `${Number(values.memory)}M`;
const log = (line: string): void => console.error(`bench: ${line}`);
const folder = mkdtempSync(join(tmpdir(), 'partita-bench-'));
const files = { partita: join(folder, 'partita.snapshot'), qemu: join(folder, 'qemu.state') };

interface Running {
  child: ChildProcess;
  text(): string;
  /** Milliseconds since the start when the output matched. */
  shows(pattern: RegExp): Promise<number>;
  end(): Promise<void>;
}

function start(program: string, parameters: readonly string[], input: string): Running {
  const begun = performance.now();
  const child = spawn(program, parameters, { stdio: ['pipe', 'pipe', 'pipe'] });
  let text = '';
  let changed = (): void => {};
  const receive = (part: Buffer): void => {
    text += part.toString('latin1');
    changed();
  };
  child.stdout.on('data', receive);
  child.stderr.on('data', receive);
  child.stdin.on('error', () => {});
  child.stdin.write(input);
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const limit = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
  void closed.then(() => {
    clearTimeout(limit);
    changed();
  });
  return {
    child,
    text: () => text,
    async shows(pattern) {
      while (!pattern.test(text)) {
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`${program} ended:\n${text}`);
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
      }
      return performance.now() - begun;
    },
    async end() {
      child.kill('SIGTERM');
      await closed;
    },
  };
}

/** Boots the guest to its prompt; `settle` milliseconds later it is idle. */
async function booted(program: string, parameters: readonly string[]): Promise<Running> {
  const machine = start(program, parameters, '');
  await machine.shows(new RegExp(PROMPT));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return machine;
}

const guest = prepareDebianGuest(values.flavour as Flavour, log);
const initrd = buildInitramfs(guest, join(cacheFolder(), 'initramfs-bench-snapshot.cpio'), []);
const append = commandLine('shell');
const qemuMachine = [
  '-accel',
  'tcg',
  '-m',
  memory,
  '-display',
  'none',
  '-serial',
  'stdio',
  '-no-reboot',
  '-nodefaults',
];

async function writePartita(): Promise<void> {
  const machine = await booted(PARTITA, [
    ...['run', '--kernel', guest.kernel, '--initrd', initrd],
    ...['--append', append, '--memory', memory],
  ]);
  const begun = performance.now();
  const command = start(PARTITA, ['snapshot', String(machine.child.pid), files.partita], '');
  await waitFor(files.partita, command);
  log(`partita snapshot took ${(performance.now() - begun).toFixed(0)} ms`);
  await machine.end();
}

async function writeQemu(): Promise<void> {
  const socket = join(folder, 'monitor');
  const machine = await booted(QEMU, [
    ...qemuMachine,
    ...[
      '-monitor',
      `unix:${socket},server,nowait`,
      '-kernel',
      guest.kernel,
      '-initrd',
      initrd,
      '-append',
      append,
    ],
  ]);
  const monitor = connect(socket);
  let told = '';
  monitor.on('data', (part) => {
    told += part.toString();
  });
  monitor.write(`migrate "exec:cat > ${files.qemu}"\n`);
  for (let tries = 0; tries < 600 && !told.includes('completed'); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    monitor.write('info migrate\n');
  }
  monitor.destroy();
  await machine.end();
}

async function waitFor(path: string, writer: Running): Promise<void> {
  for (let tries = 0; statSync(path, { throwIfNoEntry: false }) === undefined; tries++) {
    if (tries > 600) throw new Error(`there is no snapshot: ${writer.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Runs of ours that had no start image: sources have changed meanwhile. */
let withoutImage = 0;

interface Figures {
  toInstruction: number | undefined;
  toLine: number;
  resident: number;
}

function startPartita(): Running {
  return start(PARTITA, ['run', '--json', '--from', files.partita], QUESTION);
}

async function runPartita(): Promise<Figures> {
  const epoch = performance.timeOrigin + performance.now();
  const machine = startPartita();
  const toLine = await machine.shows(ANSWER);
  const resident = residentOf(machine.child.pid!).rss;
  await machine.end();
  const at = Number(/"firstInstructionUnixMs":([\d.]+)/.exec(machine.text())?.[1]);
  if (!machine.text().includes('"startImage":true')) withoutImage++;
  return { toInstruction: at - epoch, toLine, resident };
}

async function runQemu(): Promise<Figures> {
  const trace = join(folder, 'trace');
  const epoch = Date.now();
  const machine = start(
    QEMU,
    [
      ...qemuMachine,
      ...['-monitor', 'none', '-kernel', guest.kernel, '-initrd', initrd, '-append', append],
      ...[
        '-incoming',
        `exec:cat ${files.qemu}`,
        '-trace',
        'vm_state_notify',
        '-msg',
        'timestamp=on',
        '-D',
        trace,
      ],
    ],
    QUESTION,
  );
  const toLine = await machine.shows(ANSWER);
  const resident = residentOf(machine.child.pid!).rss;
  await machine.end();
  const line = /@(\d+\.\d+):vm_state_notify running 1/.exec(readFileSync(trace, 'latin1'));
  return { toInstruction: line === null ? undefined : Number(line[1]) * 1000 - epoch, toLine, resident };
}

/** MiB: all that is resident, its share where pages are shared, and what is this process's own. */
function residentOf(pid: number): { rss: number; pss: number; own: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024;
  return { rss: field('Rss'), pss: field('Pss'), own: field('Private_Clean') + field('Private_Dirty') };
}

function median(list: readonly (number | undefined)[]): number | undefined {
  const sorted = list.filter((each) => each !== undefined && !Number.isNaN(each)).sort((a, b) => a! - b!);
  return sorted[sorted.length >> 1];
}

try {
  log('booting the guest in partita');
  await writePartita();
  const image = startImage();
  if (image !== undefined) spawnSync(process.execPath, [IMAGE_BUILDER, image]);
  const withQemu = spawnSync(QEMU, ['--version'], { stdio: 'ignore' }).error === undefined;
  if (withQemu) {
    log('booting the guest in qemu');
    await writeQemu();
  } else log(`${QEMU} is not installed (Debian's package qemu-system-x86): its column stays empty`);

  const ours: Figures[] = [];
  const theirs: Figures[] = [];
  for (let run = 0; run < runs; run++) {
    ours.push(await runPartita());
    if (withQemu) theirs.push(await runQemu());
  }
  const row = (title: string, pick: (figures: Figures) => number | undefined, digits = 0): void => {
    const [mine, other] = [median(ours.map(pick)), median(theirs.map(pick))];
    const ratio = mine !== undefined && other !== undefined ? (mine / other).toFixed(2) : '';
    const cells = [mine, other].map((value) => (value?.toFixed(digits) ?? '-').padStart(10));
    console.log(`${title.padEnd(40)}${cells.join('')}${ratio.padStart(8)}`);
  };
  console.log(`${''.padEnd(40)}${'partita'.padStart(10)}${'qemu tcg'.padStart(10)}${'ratio'.padStart(8)}`);
  row('to the first instruction, ms', ({ toInstruction }) => toInstruction);
  row("to the shell's first line, ms", ({ toLine }) => toLine);
  row('resident then, MiB', ({ resident }) => resident);
  if (withoutImage > 0) console.log(`${withoutImage} of ${runs} runs of partita had no start image`);
  const sizes = [files.partita, files.qemu].map(
    (path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0,
  );
  console.log(
    `file, MiB: partita ${(sizes[0] / 2 ** 20).toFixed(1)}, qemu ${(sizes[1] / 2 ** 20).toFixed(1)}`,
  );

  const machines = Array.from({ length: clones }, startPartita);
  for (const machine of machines) await machine.shows(ANSWER);
  console.log(`\n${clones} machines from one snapshot, each after its first line, MiB`);
  machines.forEach((machine, index) => {
    const { rss, pss, own } = residentOf(machine.child.pid!);
    const text = [rss, pss, own].map((value) => value.toFixed(1).padStart(8));
    console.log(
      `  ${String(index + 1).padStart(3)}: resident${text[0]}, proportional${text[1]}, its own${text[2]}`,
    );
  });
  for (const machine of machines) await machine.end();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Where bin/partita looks for it. */
function startImage(): string | undefined {
  const home = process.env.XDG_CACHE_HOME ?? (process.env.HOME && join(process.env.HOME, '.cache'));
  if (!home || process.platform !== 'linux') return undefined;
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return join(home, `partita/start${join(import.meta.dirname, '..')}`, boot);
}
