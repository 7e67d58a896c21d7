/**
 * `npm run docs:profile`: boots Debian's cloud kernel on Partita, alone and with the benchmark's programs, and writes
 * docs/where-time-goes.svg and docs/where-time-goes.md from the profiles that those runs print.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildInitramfs, cacheFolder, prepareDebianGuest } from '../src/guests/debian-guest.ts';
import { commandLine, SCRIPT_DONE } from '../src/guests/initramfs.ts';
import type { VmSummary } from '../src/vm/vm-outcome.ts';
import { compilePrograms, PROGRAMS, programEntries } from './guest-programs.ts';
import { drawProfiles, large, type ProfiledRun } from './profile-svg.ts';

const TIMEOUT_MS = 300_000;
const DOCS = join(import.meta.dirname, '../docs');

const log = (line: string): void => console.error(`profile: ${line}`);
const guest = prepareDebianGuest('cloud', log);
const binary = compilePrograms(join(cacheFolder(), 'partita-bench'));
if (binary === undefined) throw new Error('gcc is needed for the programs');
const runs: ProfiledRun[] = [
  { title: 'Debian boots and powers off', summary: run([]) },
  { title: 'The same, and the benchmark programs', summary: run(PROGRAMS) },
];
writeFileSync(join(DOCS, 'where-time-goes.svg'), drawProfiles(runs));
writeFileSync(join(DOCS, 'where-time-goes.md'), text(runs));

function run(programs: readonly string[]): VmSummary {
  log(programs.length === 0 ? 'the boot' : 'the boot and the programs');
  const entries = programEntries(programs.length === 0 ? undefined : binary, programs);
  const initrd = buildInitramfs(guest, join(cacheFolder(), 'initramfs-profile.cpio.gz'), entries);
  const partita = join(import.meta.dirname, '../src/cli/partita.ts');
  const parameters = ['--kernel', guest.kernel, '--initrd', initrd, '--append', commandLine('bench')];
  const result = spawnSync(process.execPath, [partita, 'run', '--json', '--memory', '512M', ...parameters], {
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    maxBuffer: 1 << 26,
  });
  if (result.status !== 0 || !result.stdout.includes(SCRIPT_DONE)) {
    throw new Error(`the guest did not finish:\n${result.stdout}\n${result.stderr}`.slice(-3000));
  }
  return JSON.parse(result.stdout.trim().split('\n').at(-1)!) as VmSummary;
}

function text(all: readonly ProfiledRun[]): string {
  const rows = all.map(({ title, summary }) => {
    const { instructions, tlb, decoder, translator } = summary.profile!;
    const share = (100 * instructions.regions) / summary.instructions;
    const cells = [
      title,
      summary.seconds.toFixed(1),
      large(summary.instructions),
      `${share.toFixed(1)} %`,
      large(tlb.misses),
      large(tlb.walks),
      (decoder.milliseconds / 1000).toFixed(2),
      (translator.milliseconds / 1000).toFixed(2),
      large(Object.values(summary.exits).reduce((sum, count) => sum + count, 0)),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return `# Where the time goes

Written by \`npm run docs:profile\` from two real runs; do not edit. The times are of the machine that wrote it, the
counts are much the same everywhere. Any run prints its own: \`partita run --json\`, in the last line under \`profile\`.

![Where the time goes](where-time-goes.svg)

| run | s | guest instructions | in translated regions | soft TLB misses | page walks | decoding, s | translating, s | exits |
|---|---|---|---|---|---|---|---|---|
${rows.join('\n')}

- *Interpreter* and *translated regions* are the two tiers: code is decoded when it is first met, and translated to
  WebAssembly when it is hot.
- A *miss of the soft TLB* is an access that its first level does not answer; the second level holds more, the rest
  walks the guest's page tables.
- An *exit* leaves the processor for the hypervisor: \`Budget\` is a turn's end, not the guest's doing.
- *Microcode* is what an instruction leaves to TypeScript.
`;
}
