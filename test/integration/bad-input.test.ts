/** What makes no sense is refused with status 2 and a message that names it; nothing is thrown at the user. */
import { afterAll, describe, expect, test } from 'vitest';
import { smallGuest } from '../../src/guests/small-guest.ts';
import { partita, workFolder } from './partita-command.ts';

const folder = workFolder();
afterAll(() => folder.remove());
const good = folder.write('good.elf', smallGuest());

async function refused(parameters: readonly string[], told: string): Promise<void> {
  const result = await partita(...parameters);
  expect(result.stderr).toContain(told);
  expect(result.stderr).not.toMatch(/^\s+at /m);
  expect(result.status).toBe(2);
}

describe('options', () => {
  test.each([
    [['--frobnicate'], '--frobnicate'],
    [['--memory', '511K'], 'memory'],
    [['--memory', '1000G'], 'memory'],
    [['--memory', '0'], 'memory'],
    [['--memory', 'lots'], '--memory lots'],
    [['--vps', '0'], 'vps'],
    [['--vps', '4096'], 'vps'],
    [['--timeout', '-1'], '--timeout'],
    [['--serial', 'tcp'], '--serial tcp'],
    [['--trace', '/no/such/folder/trace'], '/no/such/folder/trace'],
    [['--initrd', '/no/such/initrd'], '/no/such/initrd'],
    [['--module', '/no/such/module arguments'], '/no/such/module'],
  ])('%j', async (extra, told) => {
    await refused(['run', '--kernel', good, ...extra], told);
  });

  test('an unknown command and a missing kernel', async () => {
    await refused(['fly'], 'fly');
    await refused(['run'], '--kernel');
    await refused(['inspect', '999999999'], '999999999');
  });
});

describe('kernels', () => {
  const patched = (name: string, change: (bytes: DataView) => void): string => {
    const bytes = smallGuest();
    change(new DataView(bytes.buffer));
    return folder.write(name, bytes);
  };

  test('a file that is no kernel', async () => {
    await refused(['run', '--kernel', folder.write('text', 'This is no kernel.\n'.repeat(200))], 'text');
  });

  test('an empty file, and a folder', async () => {
    await refused(['run', '--kernel', folder.write('empty', '')], 'empty');
    await refused(['run', '--kernel', '/'], 'folder');
  });

  test.each([20, 60, 100, 300])('an ELF file cut off after %i bytes', async (length) => {
    await refused(
      ['run', '--kernel', folder.write(`cut-${length}`, smallGuest().subarray(0, length))],
      `cut-${length}`,
    );
  });

  test('a segment outside memory', async () => {
    const file = patched('outside', (elf) => elf.setUint32(64, 0xf000_0000, true));
    await refused(['run', '--kernel', file, '--memory', '32M'], 'outside');
  });

  test('a segment larger than memory', async () => {
    const file = patched('large', (elf) => elf.setUint32(72, 0x7000_0000, true));
    await refused(['run', '--kernel', file, '--memory', '32M'], 'large');
  });

  test('a module that does not fit', async () => {
    const module = folder.write('module', Buffer.alloc(8 << 20));
    await refused(['run', '--kernel', good, '--memory', '8M', '--module', module], 'module');
  });
});
