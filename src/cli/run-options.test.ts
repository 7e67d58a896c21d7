import { describe, expect, test } from 'vitest';
import { parseMemory, parseRunOptions } from './run-options.ts';
import { UsageError } from './usage-error.ts';

describe('sizes', () => {
  test.each([
    ['4194304', 4194304],
    ['128M', 128 * 2 ** 20],
    ['128m', 128 * 2 ** 20],
    ['3G', 3 * 2 ** 30],
    ['65536K', 65536 * 1024],
    ['512MB', 512 * 2 ** 20],
  ])('%s', (text, bytes) => {
    expect(parseMemory(text)).toBe(bytes);
  });

  test.each(['', 'M', '1.5G', '-1M', '12T', '0x10', '99999999999999G'])('%s is refused by name', (text) => {
    expect(() => parseMemory(text)).toThrow(`--memory ${text}`);
  });
});

describe('the command line of run', () => {
  test('has defaults for all but the kernel', () => {
    expect(parseRunOptions(['--kernel', 'k'])).toMatchObject({
      kernel: 'k',
      append: '',
      memoryBytes: 512 * 2 ** 20,
      vpCount: 1,
      modules: [],
      serial: { kind: 'stdio' },
      json: false,
    });
  });

  test('takes modules with their own command lines', () => {
    const { modules } = parseRunOptions(['--kernel', 'k', '--module', 'm1 a b', '--module', 'm2']);
    expect(modules).toEqual([
      { path: 'm1', commandLine: 'a b' },
      { path: 'm2', commandLine: '' },
    ]);
  });

  test('takes an --append that starts with dashes when it is joined by =', () => {
    expect(parseRunOptions(['--kernel', 'k', '--append=--x']).append).toBe('--x');
  });

  test.each([
    [['--bogus'], '--bogus'],
    [['stray'], 'stray'],
    [['--serial', 'com1'], '--serial com1'],
    [['--serial', 'file:'], '--serial file:'],
    [['--vps', 'two'], '--vps two'],
    [['--timeout', '0'], '--timeout 0'],
    [['--timeout', 'soon'], '--timeout soon'],
    [['--memory'], '--memory'],
    [['--json=yes'], '--json'],
    [['--gdb', '65536'], '--gdb 65536'],
    [['--gdb', 'here'], '--gdb here'],
    [['--gdb-wait'], '--gdb PORT'],
    [['--symbol-offset', '0x10'], '--symbols FILE'],
    [['--symbols', 'f', '--symbol-offset', '-1'], '--symbol-offset'],
  ])('refuses %j and says what', (extra, told) => {
    const parse = () => parseRunOptions(['--kernel', 'k', ...extra]);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(told);
  });

  test('asks for a kernel', () => {
    expect(() => parseRunOptions([])).toThrow('--kernel FILE is required');
  });
});
