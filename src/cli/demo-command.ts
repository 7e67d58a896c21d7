/**
 * `partita demo`, behind `npm start`: Debian's kernel to a shell on the terminal; a fixed demonstration where
 * there is no terminal; our own small guest where there is no apt.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  buildInitramfs,
  cacheFolder,
  FLAVOURS,
  type Flavour,
  prepareDebianGuest,
} from '../guests/debian-guest.ts';
import { PackageError } from '../guests/debian-packages.ts';
import { commandLine, INIT_FIRST_LINE, SCRIPT_DONE } from '../guests/initramfs.ts';
import { smallGuest } from '../guests/small-guest.ts';
import type { VmConfig } from '../vm/vm-config.ts';
import { describeOutcome, ExitStatus } from './exit-status.ts';
import { DEMO_HELP } from './help.ts';
import { readNamed } from './run-command.ts';
import { type MachineEnd, runMachine } from './run-machine.ts';
import { firstSentence, parseMemory } from './run-options.ts';
import { summaryText } from './summary-text.ts';
import { treeText } from './tree-text.ts';
import { UsageError } from './usage-error.ts';

/** The scripted demonstration takes well under a minute; this ends one that hangs. */
const SCRIPT_TIMEOUT_SECONDS = 300;

export async function demoCommand(parameters: readonly string[]): Promise<number> {
  const options = parse(parameters);
  if (options.help) {
    process.stdout.write(DEMO_HELP);
    return ExitStatus.Success;
  }
  const memoryBytes = parseMemory(options.memory);
  if (!Object.hasOwn(FLAVOURS, options.flavour)) {
    throw new UsageError(`--flavour ${options.flavour}: not one of ${Object.keys(FLAVOURS).join(', ')}`);
  }
  if (options.small) return runSmallGuest(options.trace);
  const interactive = !options.scripted && process.stdin.isTTY === true && process.stdout.isTTY === true;
  const job = interactive ? 'shell' : 'demonstration';
  const config = debianConfig(options.flavour as Flavour, job, memoryBytes);
  if (config === undefined) return runSmallGuest(options.trace);
  return interactive ? runShell(config, options.trace) : runScript(config, options.trace);
}

function parse(parameters: readonly string[]) {
  try {
    return parseArgs({
      args: [...parameters],
      options: {
        flavour: { type: 'string', default: 'cloud' },
        memory: { type: 'string', default: '512M' },
        scripted: { type: 'boolean', default: false },
        small: { type: 'boolean', default: false },
        trace: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(firstSentence(error));
  }
}

function progress(line: string): void {
  process.stderr.write(`partita: ${line}\n`);
}

/** The machine that boots Debian's kernel; undefined, with the reason told, where it cannot be fetched. */
function debianConfig(flavour: Flavour, job: string, memoryBytes: number): VmConfig | undefined {
  try {
    const guest = prepareDebianGuest(flavour, progress);
    progress('building the initial root');
    const initrd = buildInitramfs(guest, join(cacheFolder(), `initramfs-${flavour}.cpio.gz`));
    return {
      kernel: readNamed('--kernel', guest.kernel),
      initrd: readNamed('--initrd', initrd),
      modules: [],
      commandLine: commandLine(job),
      memoryBytes,
      vpCount: 1,
    };
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    progress(`Debian's kernel could not be fetched: ${error.message}`);
    progress(
      'with a kernel and an initial root of your own: bin/partita run --kernel FILE --initrd FILE --append console=ttyS0',
    );
    return undefined;
  }
}

async function runShell(config: VmConfig, trace: string | undefined): Promise<number> {
  progress(`booting ${config.kernel.name}; Ctrl-] q quits`);
  const end = await runMachine(config, { serial: { kind: 'stdio' }, trace });
  progress(describeOutcome(end.outcome).message);
  return end.status;
}

async function runScript(config: VmConfig, trace: string | undefined): Promise<number> {
  progress(`no terminal here: booting ${config.kernel.name} for a fixed demonstration`);
  const started = performance.now();
  let text = '';
  let initSeconds: number | undefined;
  const end = await runMachine(
    { ...config, timeoutSeconds: SCRIPT_TIMEOUT_SECONDS },
    {
      serial: { kind: 'stdio' },
      trace,
      watch(bytes) {
        text += Buffer.from(bytes).toString('latin1');
        if (initSeconds === undefined && text.includes(INIT_FIRST_LINE)) {
          initSeconds = (performance.now() - started) / 1000;
        }
      },
    },
  );
  printEnd(end);
  progress(`the first line of /init came after ${initSeconds?.toFixed(2) ?? 'no'} s`);
  if (end.status === 0 && !text.includes(SCRIPT_DONE)) {
    progress('the guest ended before its demonstration did');
    return ExitStatus.GuestCrash;
  }
  return end.status;
}

/** Our own guest leaves by the exit port with 0, so status 1 is its success. */
const SMALL_GUEST_STATUS = 1;

async function runSmallGuest(trace: string | undefined): Promise<number> {
  progress("booting partita's own small guest");
  const end = await runMachine(
    {
      kernel: { name: 'small guest', bytes: smallGuest() },
      modules: [],
      commandLine: 'demonstration',
      memoryBytes: 32 * 2 ** 20,
      vpCount: 1,
      timeoutSeconds: 60,
    },
    { serial: { kind: 'stdio' }, trace },
  );
  printEnd(end);
  process.stdout.write(`\n${treeText(end.inspection)}`);
  return end.status === SMALL_GUEST_STATUS ? ExitStatus.Success : end.status;
}

function printEnd(end: MachineEnd): void {
  process.stdout.write('\n');
  progress(describeOutcome(end.outcome).message);
  process.stdout.write(`\n${summaryText(end.summary)}`);
}
