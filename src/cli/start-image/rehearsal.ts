/**
 * Walks once what a machine that goes on from a snapshot will walk, so that V8 has compiled those functions before the
 * image is made: a machine of our own is assembled, saved to memory, and gone on with twice. There is no WebAssembly
 * while an image is built, so a stand-in takes its place: memory that is not shared, and an interpreter that has the host
 * translate and decode, and then halts. What is rehearsed is never used: the image is tested by what starts from it.
 */
import { smallGuest } from '../../guests/small-guest.ts';
import { MemoryFile } from '../../vm/snapshot/memory-file.ts';
import { readSnapshot } from '../../vm/snapshot/read-snapshot.ts';
import type { SnapshotFile } from '../../vm/snapshot/snapshot-file.ts';
import { VirtualMachine } from '../../vm/virtual-machine.ts';
import type { VmConfig } from '../../vm/vm-config.ts';

const MEMORY_BYTES = 0x80_0000;
const WASM_PAGE = 0x1_0000;
const HALT = 3;
/** Where the small guest's code lies, and how much of it is decoded. */
const CODE_PAGE = 0x100;
const DECODED_BYTES = 2048;
const REHEARSALS = 2;

export async function rehearse(): Promise<void> {
  const real = Object.getOwnPropertyDescriptor(globalThis, 'WebAssembly');
  Object.defineProperty(globalThis, 'WebAssembly', { value: standIn(), configurable: true });
  try {
    const kernel = { name: 'small guest', bytes: smallGuest() };
    const config = { kernel, modules: [], commandLine: '', memoryBytes: MEMORY_BYTES, vpCount: 1 };
    const file = await saved(config);
    for (let round = 0; round < REHEARSALS; round++) {
      const snapshot = readSnapshot(file);
      await runShortly({ ...config, restore: { snapshot, clone: true } });
    }
  } finally {
    if (real === undefined) Reflect.deleteProperty(globalThis, 'WebAssembly');
    else Object.defineProperty(globalThis, 'WebAssembly', real);
  }
}

async function saved(config: VmConfig): Promise<SnapshotFile> {
  const file = new MemoryFile('rehearsal');
  const machine = VirtualMachine.create(config, { serialOutput() {} });
  const end = machine.run();
  let problem: string | undefined;
  machine.snapshot({
    open: () => file,
    goOn: false,
    progress() {},
    cancelled: false,
    done(why) {
      problem = why;
    },
  });
  const outcome = await end;
  if (outcome.kind === 'error') throw outcome.error;
  if (outcome.kind !== 'saved') throw new Error(`the rehearsal ended with ${outcome.kind}: ${problem}`);
  return file;
}

async function runShortly(config: VmConfig): Promise<void> {
  const machine = VirtualMachine.create(config, { serialOutput() {} });
  machine.serialInput(Uint8Array.of(0x0a));
  const end = machine.run();
  await new Promise((resolve) => setTimeout(resolve, 5));
  machine.stop();
  const outcome = await end;
  if (outcome.kind === 'error') throw outcome.error;
  if (outcome.kind !== 'stopped') throw new Error(`the rehearsal ended with ${outcome.kind}`);
  machine.summary();
}

interface HostImports {
  memory: { buffer: ArrayBuffer };
  translateGpa(gpn: number, access: number): number;
  decodeBlock(state: number, spa: number): number;
  readTsc(): number;
}

function standIn(): unknown {
  return {
    Memory: class {
      readonly buffer: ArrayBuffer;
      constructor({ initial }: { initial: number }) {
        this.buffer = new ArrayBuffer(initial * WASM_PAGE);
      }
    },
    Module: class {},
    Instance: class {
      readonly exports: unknown;
      constructor(_module: unknown, { host }: { host: HostImports }) {
        const table = { set() {}, get: () => null, grow: () => 0, length: 0 };
        const run = (state: number) => execute(host, state);
        const known = { table, run, put: (...list: number[]) => putEntries(host, list) };
        this.exports = new Proxy(known, {
          get: (target, name) => (name in target ? Reflect.get(target, name) : () => 0),
        });
      }
    },
  };
}

function execute(host: HostImports, state: number): number {
  host.readTsc();
  const page = host.translateGpa(CODE_PAGE, 4);
  if (page >= 0) {
    const start = (page & 0xff_ffff) * 4096;
    for (let at = 0; at < DECODED_BYTES; at += 16) host.decodeBlock(state, start + at);
  }
  return HALT;
}

/** What hypervisor/mapping-pass.ts does, for pages that are fine. */
function putEntries({ memory }: HostImports, [entry, list, step, count, mark]: number[]): number {
  const words = new Uint32Array(memory.buffer);
  for (let page = 0; page < count; page++)
    words[entry / 4 + page * 2] = mark | words[(list + page * step) / 4];
  return count;
}
