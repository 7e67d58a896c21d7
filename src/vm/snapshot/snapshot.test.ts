import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { PAGE_SIZE } from '../../hvdef/types.ts';
import { multibootImage } from '../loaders/hand-made-images.ts';
import type { NumaConfig } from '../numa-config.ts';
import { VirtualMachine } from '../virtual-machine.ts';
import { ConfigurationError, type VmConfig } from '../vm-config.ts';
import type { VmOutcome } from '../vm-outcome.ts';
import { decodeHeader, FORMAT_VERSION, HEADER_BYTES, SECTION_NAMES } from './format.ts';
import { MemoryFile } from './memory-file.ts';
import { PageIndex } from './page-index.ts';
import { readSnapshot } from './read-snapshot.ts';

const MEMORY_BYTES = 0x80_0000;
const LOAD_ADDRESS = 0x10_0000;
/**
 * Sends "R", waits for a byte at COM1, and exits with the sum of the byte, the one at 0x300000 and the generation ID's
 * first byte where the command asks for that; before it waits it has stored 0x21 at 0x300000, 0x400000 and 0x500000.
 */
const WAIT_AND_SUM =
  // mov al, 0x21; mov [0x300000], al; mov [0x400000], al; mov [0x500000], al; mov dx, 0x3f8; mov al, 'R'; out dx, al
  'b021a200003000a200004000a20000500066baf803b052ee' +
  // wait: mov dx, 0x3fd; in al, dx; test al, 1; jz wait; mov dx, 0x3f8; in al, dx
  '66bafd03eca80174f766baf803ec' +
  // add al, [0x300000]; inc byte [0x400000]; out 0xf4, al; jmp $
  '020500003000fe0500004000e6f4ebfe';

const kernel = { name: 'test', bytes: multibootImage(LOAD_ADDRESS, Buffer.from(WAIT_AND_SUM, 'hex')) };
const config: VmConfig = { kernel, modules: [], commandLine: '', memoryBytes: MEMORY_BYTES, vpCount: 1 };

/** Boots, waits until the guest has said it is ready, and saves. */
async function saved(from: VmConfig, name = 'a snapshot'): Promise<MemoryFile> {
  const file = new MemoryFile(name);
  let ready: () => void = () => {};
  const isReady = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const machine = VirtualMachine.create(from, { serialOutput: () => ready() });
  const end = machine.run();
  if (from.restore === undefined) await isReady;
  machine.snapshot({ open: () => file, goOn: false, progress() {}, cancelled: false, done() {} });
  expect((await end).kind).toBe('saved');
  return file;
}

async function goOn(
  file: MemoryFile,
  input: number,
  clone = true,
): Promise<{ outcome: VmOutcome; left: number }> {
  const restored: VmConfig = { ...config, restore: { snapshot: readSnapshot(file), clone } };
  const machine = VirtualMachine.create(restored, { serialOutput() {} });
  machine.serialInput(Uint8Array.of(input));
  const outcome = await machine.run();
  return { outcome, left: machine.summary().snapshot?.pagesAbsent ?? -1 };
}

const exit = (value: number): VmOutcome => ({ kind: 'exit-port', value, status: ((value << 1) | 1) & 0xff });

/** The refusal of a file that `change` has spoilt. */
function refusal(file: MemoryFile, change: (bytes: Uint8Array, file: MemoryFile) => void): string {
  const spoilt = new MemoryFile('spoilt');
  spoilt.write(file.contents, 0);
  change(spoilt.contents, spoilt);
  try {
    readSnapshot(spoilt);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.message;
    throw error;
  }
  return 'none';
}

function signed(bytes: Uint8Array): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(
    HEADER_BYTES - 4,
    crc32(bytes.subarray(0, HEADER_BYTES - 4)),
    true,
  );
}

describe('a machine that goes on from a snapshot', () => {
  test('has its memory, and what it writes stays its own: the file does not change', async () => {
    const file = await saved(config);
    const before = file.contents.slice();
    expect((await goOn(file, 1)).outcome).toEqual(exit(0x22));
    expect((await goOn(file, 2)).outcome).toEqual(exit(0x23));
    expect(file.contents).toEqual(before);
  });

  test('leaves in the file what nobody touches', async () => {
    const file = await saved(config);
    const { left } = await goOn(file, 1);
    // The page at 0x500000 and its like.
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(readSnapshot(file).pages.index.storedPages);
  });

  test('can be saved again, with pages that it never read', async () => {
    const first = await saved(config);
    const second = await saved({ ...config, restore: { snapshot: readSnapshot(first), clone: false } });
    const pages = readSnapshot(second).pages.index;
    for (const gpa of [0x30_0000, 0x40_0000, 0x50_0000]) expect(pages.find(gpa / PAGE_SIZE)).toBeDefined();
    expect((await goOn(second, 3)).outcome).toEqual(exit(0x24));
  });

  test('has a generation ID of its own as a clone, and keeps it when it is restored', async () => {
    const idOf = async (from: VmConfig): Promise<string> => {
      const { pages } = readSnapshot(await saved(from));
      const page = new Uint8Array(PAGE_SIZE);
      const run = pages.index.find(0xfe)!;
      pages.file.read(page, (pages.firstPage + run.stored + 0xfe - run.gpn) * PAGE_SIZE);
      return Buffer.from(page.subarray(0, 16)).toString('hex');
    };
    const snapshot = readSnapshot(await saved(config));
    const original = await idOf({ ...config, restore: { snapshot, clone: false } });
    const clones = [
      await idOf({ ...config, restore: { snapshot, clone: true } }),
      await idOf({ ...config, restore: { snapshot, clone: true } }),
    ];
    expect(await idOf({ ...config, restore: { snapshot, clone: false } })).toBe(original);
    expect(new Set([original, ...clones]).size).toBe(3);
  });

  test('ends with the page and the reason when a page it needs is damaged', async () => {
    const file = await saved(config);
    const { pages } = readSnapshot(file);
    const run = pages.index.find(0x300)!;
    file.contents[(pages.firstPage + run.stored + 0x300 - run.gpn) * PAGE_SIZE] ^= 1;
    const { outcome } = await goOn(file, 1);
    expect(outcome).toEqual({
      kind: 'snapshot-damaged',
      text: 'a snapshot: page 768 of the memory in it is damaged',
    });
  });

  test('does not begin as a clone when the page of its generation ID is damaged', async () => {
    const file = await saved(config);
    const { pages } = readSnapshot(file);
    const run = pages.index.find(0xfe)!;
    file.contents[(pages.firstPage + run.stored + 0xfe - run.gpn) * PAGE_SIZE] ^= 1;
    const { outcome } = await goOn(file, 1);
    expect(outcome).toMatchObject({ kind: 'error', error: expect.any(ConfigurationError) });
    expect((await goOn(file, 1, false)).outcome).toEqual(exit(0x22));
  });

  test('ends likewise when the file was cut off meanwhile', async () => {
    const file = await saved(config);
    const restored: VmConfig = { ...config, restore: { snapshot: readSnapshot(file), clone: false } };
    file.bytes = HEADER_BYTES;
    const outcome = await VirtualMachine.create(restored, { serialOutput() {} }).run();
    expect(outcome.kind).toBe('snapshot-damaged');
    expect(outcome).toMatchObject({ text: expect.stringContaining('cut off') });
  });
});

describe('NUMA nodes of a machine that goes on', async () => {
  const nodeBytes = [MEMORY_BYTES / 4, (MEMORY_BYTES * 3) / 4];
  const distances = [
    [10, 17],
    [31, 10],
  ];
  const file = await saved({ ...config, numa: { nodeBytes, distances } });
  const create = (numa: NumaConfig | undefined, from = file) => {
    const restore = { snapshot: readSnapshot(from), clone: false };
    return VirtualMachine.create({ ...config, numa, restore }, { serialOutput() {} });
  };

  test('are those of the one that was saved, without being asked for', async () => {
    const machine = create(undefined);
    machine.serialInput(Uint8Array.of(1));
    expect(await machine.run()).toEqual(exit(0x22));
    const { proximity } = (machine.inspect() as { hypervisor: { proximity: unknown[] } }).hypervisor;
    expect(proximity).toHaveLength(2);
    const again = await saved({ ...config, restore: { snapshot: readSnapshot(file), clone: false } });
    expect(readSnapshot(again).numa).toEqual({ nodeBytes, distances });
  });

  test('may be asked for as they were', () => {
    expect(() => create({ nodeBytes, distances })).not.toThrow();
  });

  test.each([
    [
      'other sizes',
      { nodeBytes: [...nodeBytes].reverse(), distances },
      'nodes of 2 and 6 MiB with distances 10 17 / 31 10, not',
    ],
    ['other distances', { nodeBytes }, 'not NUMA nodes of 2 and 6 MiB'],
    ['one node', { nodeBytes: [MEMORY_BYTES] }, 'not NUMA nodes of 8 MiB'],
  ])('are refused with %s', (_, numa, text) => {
    expect(() => create(numa)).toThrow(text);
    expect(() => create(numa)).toThrow(ConfigurationError);
  });

  test('are refused for a machine that had none', async () => {
    expect(() => create({ nodeBytes }, plainFile)).toThrow(
      'a snapshot has no NUMA nodes, not NUMA nodes of 2 and 6 MiB',
    );
  });
  const plainFile = await saved(config);

  test('may be told in the SLIT by default, and asked for with the same distances', async () => {
    const plain = await saved({ ...config, numa: { nodeBytes } });
    expect(() =>
      create(
        {
          nodeBytes,
          distances: [
            [10, 20],
            [20, 10],
          ],
        },
        plain,
      ),
    ).not.toThrow();
  });
});

test('memory and processors of a machine that goes on are the saved ones', async () => {
  const snapshot = readSnapshot(await saved(config));
  const create = (other: Partial<VmConfig>) => () =>
    VirtualMachine.create(
      { ...config, ...other, restore: { snapshot, clone: false } },
      { serialOutput() {} },
    );
  expect(create({ memoryBytes: 2 * MEMORY_BYTES })).toThrow(
    'memory: the machine in a snapshot has 8 MiB, not 16',
  );
  expect(create({ vpCount: 2 })).toThrow('vps: the machine in a snapshot has 1 virtual processors, not 2');
});

describe('taking a snapshot', () => {
  test('leaves a machine running that is to go on', async () => {
    const file = new MemoryFile('taken');
    const machine = VirtualMachine.create(config, {
      serialOutput() {
        machine.snapshot({
          open: () => file,
          goOn: true,
          progress() {},
          cancelled: false,
          done: () => machine.serialInput(Uint8Array.of(4)),
        });
      },
    });
    expect(await machine.run()).toEqual(exit(0x25));
    expect((await goOn(file, 5)).outcome).toEqual(exit(0x26));
  });

  test('that can not be written tells why, abandons it and lets the machine go on', async () => {
    const file = new MemoryFile('full');
    file.write = () => {
      throw new Error('no space left');
    };
    let problem: string | undefined;
    const machine = VirtualMachine.create(config, {
      serialOutput() {
        machine.snapshot({
          open: () => file,
          goOn: false,
          progress() {},
          cancelled: false,
          done(why) {
            problem = why;
            machine.serialInput(Uint8Array.of(4));
          },
        });
      },
    });
    expect(await machine.run()).toEqual(exit(0x25));
    expect(problem).toBe('no space left');
    expect(file.bytes).toBe(0);
  });
});

describe('a file that is no whole snapshot is refused with the part', async () => {
  const file = await saved(config);
  const header = decodeHeader(file.contents.slice(0, HEADER_BYTES));
  if (typeof header === 'string') throw new Error(header);

  test('not a snapshot, empty, or cut in the header', () => {
    expect(refusal(file, (bytes) => bytes.fill(0x20, 0, 4))).toBe('spoilt: it is not a snapshot');
    expect(refusal(file, (_, spoilt) => spoilt.abandon())).toBe('spoilt: it is not a snapshot');
    expect(
      refusal(file, (_, spoilt) => {
        spoilt.bytes = 100;
      }),
    ).toBe('spoilt: its header is cut off');
  });

  test('another version', () => {
    const message = refusal(file, (bytes) => {
      bytes[8] = FORMAT_VERSION + 1;
      signed(bytes);
    });
    expect(message).toBe('spoilt: it has the format of version 2; this partita reads version 1');
  });

  test('a flipped bit anywhere in the header', () => {
    for (let at = 12; at < 80; at++) {
      expect(refusal(file, (bytes) => (bytes[at] ^= 4))).toBe('spoilt: its header is damaged');
    }
  });

  test('a header that contradicts itself', () => {
    for (const at of [12, 16, 24, 28, 32, 40, 44, 56, 68]) {
      const message = refusal(file, (bytes) => {
        bytes[at] ^= 8;
        signed(bytes);
      });
      expect(message, `byte ${at}`).toBe('spoilt: its header contradicts itself');
    }
  });

  test.each(SECTION_NAMES.map((name, index) => [name, index] as const))(
    'a flipped bit in %s',
    (name, index) => {
      const { offset, bytes: size } = header.sections[index];
      const message = refusal(file, (bytes) => (bytes[offset + size - 1] ^= 1));
      expect(message).toBe(`spoilt: its ${name} section is damaged`);
    },
  );

  test('cut off or too long', () => {
    const total = file.bytes;
    const cut = refusal(file, (_, spoilt) => {
      spoilt.bytes -= 1;
    });
    expect(cut).toBe(`spoilt: it is cut off: ${total - 1} of ${total} bytes are there`);
    expect(refusal(file, (_, spoilt) => spoilt.write(Uint8Array.of(0), total))).toContain(
      'longer than its header',
    );
  });
});

describe('the page index', () => {
  test('finds the pages of its runs and no others', () => {
    const scan = PageIndex.scan(12, (gpn) => [2, 3, 7, 11].includes(gpn), 4);
    let step = scan.next();
    while (!step.done) step = scan.next();
    const index = PageIndex.decode(step.value.encode(), 12, 4)!;
    const stored = Array.from({ length: 12 }, (_, gpn) => {
      const run = index.find(gpn);
      return run === undefined ? -1 : run.stored + gpn - run.gpn;
    });
    expect(stored).toEqual([-1, -1, 0, 1, -1, -1, -1, 2, -1, -1, -1, 3]);
  });

  test.each([
    ['beyond memory', [10, 3]],
    ['overlap', [1, 3, 3, 1]],
    ['falling', [5, 1, 2, 1]],
    ['empty run', [5, 0]],
    ['not as many as stored', [5, 1]],
  ])('is refused where runs are wrong: %s', (_, words) => {
    expect(PageIndex.decode(new Uint8Array(Uint32Array.from(words).buffer), 12, 3)).toBeUndefined();
  });
});
