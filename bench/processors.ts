/**
 * `npm run bench:processors`: two copies of a program at once, each run several times, on one virtual processor and on two, in the same run. The
 * ratio says what the second processor gives; with two free host processors it is to be at least 1.7 for programs that
 * compute.
 *
 *   npm run bench:processors -- [--runs N] [--programs a,b,c] [--copies N] [--vps N] [--repeat N]
 *
 * Times are the guest's own, from /proc/uptime; medians over the runs.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildInitramfs, cacheFolder, prepareDebianGuest } from '../src/guests/debian-guest.ts';
import { commandLine } from '../src/guests/initramfs.ts';
import { compilePrograms, programEntries } from './guest-programs.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    programs: { type: 'string', default: 'integer,sha256,sieve,compression' },
    copies: { type: 'string', default: '2' },
    vps: { type: 'string', default: '2' },
    repeat: { type: 'string', default: '8' },
  },
});
const programs = values.programs.split(',');
const copies = Number(values.copies);

const guest = prepareDebianGuest('cloud', (line) => console.error(line));
const binary = compilePrograms(join(cacheFolder(), 'partita-bench'));
if (binary === undefined) throw new Error('gcc is needed to compile the programs');

const script = programs
  .map((name) => {
    const one = `for n in $(seq ${values.repeat}); do /bin/partita-bench ${name}; done > /dev/null`;
    const runs = `for copy in $(seq ${copies}); do (${one}) & done; wait`;
    return `a=$(cut -d' ' -f1 /proc/uptime); ${runs}; echo "TOOK ${name} $a $(cut -d' ' -f1 /proc/uptime)"\n`;
  })
  .join('');
const entries = programEntries(binary, []).map((entry) =>
  entry.path === 'etc/partita/bench' ? { ...entry, data: script } : entry,
);
const initrd = buildInitramfs(guest, join(cacheFolder(), 'initramfs-bench-processors.cpio'), entries);

/** Seconds by program of one run. */
function measure(vps: number): Map<string, number> {
  const command = [join(import.meta.dirname, '../src/cli/partita.ts'), 'run', '--timeout', '600'];
  const machine = ['--kernel', guest.kernel, '--initrd', initrd, '--append', commandLine('bench')];
  const parameters = [...command, ...machine, '--vps', String(vps)];
  const { stdout } = spawnSync(process.execPath, parameters, { encoding: 'latin1', maxBuffer: 2 ** 26 });
  const found = stdout.matchAll(/TOOK (\S+) ([\d.]+) ([\d.]+)/g);
  return new Map([...found].map(([, name, from, to]) => [name, Number(to) - Number(from)]));
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

const counts = [1, Number(values.vps)];
const runs: Map<string, number>[][] = counts.map(() => []);
for (let run = 0; run < Number(values.runs); run++)
  counts.forEach((vps, index) => {
    runs[index].push(measure(vps));
  });
console.log(`${copies} copies at once, seconds      1 VP    ${counts[1]} VPs   ratio`);
for (const name of programs) {
  const [one, several] = runs.map((of) => median(of.map((each) => each.get(name) ?? Number.NaN)));
  const columns = [one.toFixed(2), several.toFixed(2), (one / several).toFixed(2)];
  console.log(name.padEnd(28) + columns.map((each) => each.padStart(8)).join(''));
}
