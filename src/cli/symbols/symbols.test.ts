import { describe, expect, test } from 'vitest';
import { UsageError } from '../usage-error.ts';
import { nameInText, withSymbols } from './named-addresses.ts';
import { readSymbols } from './read-symbols.ts';
import { symbolElf } from './symbol-elf.ts';
import { SymbolTable } from './symbol-table.ts';

const LIST = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000040 T start_kernel
ffffffff81000040 t alias
ffffffff81000100 t helper
ffffffff82000000 D jiffies_64
ffffffff82000008 b counter
ffffffffc0000000 t probe\t[hv_vmbus]
`;
const read = (text: string | Uint8Array, name = 'map') => readSymbols({ name, bytes: Buffer.from(text) });

describe('symbols', () => {
  test('name an address by the symbol below it, within reach', () => {
    const table = new SymbolTable(read(LIST));
    expect(table.nameOf(0xffffffff81000040n)).toBe('start_kernel');
    expect(table.nameOf(0xffffffff8100007fn)).toBe('start_kernel+0x3f');
    expect(table.nameOf(0xffffffff82000004n)).toBe('jiffies_64+0x4');
    expect(table.nameOf(0xffffffffc0000010n)).toBe('probe:hv_vmbus+0x10');
    expect(table.nameOf(0x100n)).toBeUndefined();
    expect(table.nameOf(0xffffffff90000000n)).toBeUndefined();
  });

  test('move with the kernel', () => {
    const table = new SymbolTable(read(LIST), 0x1e000000n);
    expect(table.nameOf(0xffffffff9f000040n)).toBe('start_kernel');
    expect(table.nameOf(0xffffffff81000040n)).toBeUndefined();
  });

  test('survive the way through an ELF file, and end there where the next begins', () => {
    const table = new SymbolTable(read(symbolElf(read(LIST)), 'elf'));
    expect(table.nameOf(0xffffffff81000050n)).toBe('start_kernel+0x10');
    expect(table.nameOf(0xffffffff82000007n)).toBe('jiffies_64+0x7');
    expect(table.nameOf(0xffffffffc0000000n)).toBe('probe:hv_vmbus');
  });

  test('of files that hold none are refused with the reason', () => {
    expect(() => read('hello\n')).toThrow(UsageError);
    expect(() => read('ffffffffffffffff B The real System.map is elsewhere\n')).toThrow(/list of symbols/);
    expect(() => read('0000000000000000 T _text\n0000000000000000 T x\n')).toThrow(/kptr_restrict/);
    expect(() => read(new Uint8Array(0))).toThrow(UsageError);
  });

  test('of damaged ELF files are refused or read, in bounded time, whatever bytes are wrong', () => {
    const good = symbolElf(read(LIST));
    let seed = 99;
    for (let round = 0; round < 3000; round++) {
      const bad = good.slice(0, round % 3 === 0 ? (seed >>> 3) % good.length : good.length);
      for (let changes = 0; changes < 3; changes++) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        if (bad.length > 0) bad[seed % bad.length] = seed >>> 24;
      }
      try {
        expect(read(bad, 'elf').length).toBeLessThan(1000);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
      }
    }
  });

  test('stand beside code addresses in records and sentences', () => {
    const table = new SymbolTable(read(LIST));
    const record = {
      kind: 'intercept',
      rip: 0xffffffff81000044n,
      details: { list: [{ rip: '0xffffffff81000100' }] },
    };
    expect(withSymbols(record, table)).toEqual({
      ...record,
      symbol: 'start_kernel+0x4',
      details: { list: [{ rip: '0xffffffff81000100', symbol: 'helper' }] },
    });
    expect(nameInText('triple fault (VP 0, RIP 0xffffffff81000102)', table)).toBe(
      'triple fault (VP 0, RIP 0xffffffff81000102 helper+0x2)',
    );
    expect(nameInText('RIP 0x10', table)).toBe('RIP 0x10');
  });
});
