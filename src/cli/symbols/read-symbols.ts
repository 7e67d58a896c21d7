/**
 * Symbols from what kernels come with: an ELF file's .symtab, or text of the form that nm, System.map and
 * /proc/kallsyms share. The file is hostile: a wrong one is refused with the reason, in time that its size bounds.
 */
import type { NamedFile } from '../../vm/vm-config.ts';
import { UsageError } from '../usage-error.ts';
import type { NamedAddress, SymbolKind } from './symbol-table.ts';

const MOST_SYMBOLS = 4_000_000;
const ELF_MAGIC = 0x464c_457f;
const CLASS_64 = 2;
const SECTION_SYMTAB = 2;
const SYMBOL_BYTES = { 32: 16, 64: 24 } as const;
const TYPE_FUNCTION = 2;
const TYPE_OBJECT = 1;
const TYPE_NONE = 0;
const BIND_LOCAL = 0;
const SHN_UNDEFINED = 0;
const SHN_ABSOLUTE = 0xfff1;
/** SHF_EXECINSTR. */
const EXECUTABLE = 4;
const LONGEST_NAME = 512;

/** Throws a UsageError that names the file and what is wrong with it. */
export function readSymbols({ name, bytes }: NamedFile): NamedAddress[] {
  const fail = (reason: string): never => {
    throw new UsageError(`${name}: ${reason}`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isElf = bytes.length >= 64 && view.getUint32(0, true) === ELF_MAGIC;
  const symbols = isElf ? fromElf(view, bytes, fail) : fromText(bytes);
  if (symbols.length === 0)
    fail(
      isElf
        ? 'an ELF file without a symbol table'
        : 'neither an ELF file nor a list of symbols such as System.map',
    );
  if (symbols.every(({ address }) => address === 0n))
    fail(
      'all its addresses are zero: /proc/kallsyms shows them to root, with kernel.kptr_restrict at 0 or 1',
    );
  return symbols;
}

const LINE = /^([0-9a-fA-F]{8,16}) ([A-Za-z?]) (\S{1,512})(?:\s+\[(\S{1,64})\])?$/;

function fromText(bytes: Uint8Array): NamedAddress[] {
  const symbols: NamedAddress[] = [];
  for (const line of Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('latin1')
    .split('\n')) {
    const match = LINE.exec(line.trimEnd());
    if (match === null) {
      // Text of another kind is not searched to its end.
      if (symbols.length === 0 && line !== '') return [];
      continue;
    }
    const [, digits, letter, name, module] = match;
    symbols.push({
      address: BigInt(`0x${digits}`),
      name: module === undefined ? name : `${name}:${module}`,
      size: 0,
      kind: kindOf(letter),
      isGlobal: letter === letter.toUpperCase(),
    });
    if (symbols.length >= MOST_SYMBOLS) break;
  }
  return symbols;
}

function kindOf(letter: string): SymbolKind {
  if ('tTwWiI'.includes(letter)) return 'code';
  return 'aA?U'.includes(letter) ? 'absolute' : 'data';
}

interface Section {
  type: number;
  flags: number;
  offset: number;
  size: number;
  link: number;
  entrySize: number;
}

function fromElf(view: DataView, bytes: Uint8Array, fail: (reason: string) => never): NamedAddress[] {
  const bits = view.getUint8(4) === CLASS_64 ? 64 : 32;
  const sections = sectionsOf(view, bits, fail);
  const inFile = ({ offset, size }: Section): boolean => offset + size <= view.byteLength;
  const symbols: NamedAddress[] = [];
  for (const table of sections) {
    if (table.type !== SECTION_SYMTAB) continue;
    const strings = sections[table.link];
    const stride = SYMBOL_BYTES[bits];
    if (!inFile(table) || table.entrySize !== stride || strings === undefined || !inFile(strings))
      fail('its symbol table lies outside the file');
    const names = bytes.subarray(strings.offset, strings.offset + strings.size);
    for (let at = table.offset; at + stride <= table.offset + table.size; at += stride) {
      const symbol = symbolAt(view, at, bits, names, sections);
      if (symbol !== undefined) symbols.push(symbol);
      if (symbols.length >= MOST_SYMBOLS) return symbols;
    }
  }
  return symbols;
}

function symbolAt(
  view: DataView,
  at: number,
  bits: 32 | 64,
  names: Uint8Array,
  sections: readonly Section[],
): NamedAddress | undefined {
  const info = view.getUint8(at + (bits === 64 ? 4 : 12));
  const section = view.getUint16(at + (bits === 64 ? 6 : 14), true);
  const type = info & 0xf;
  if (section === SHN_UNDEFINED || ![TYPE_NONE, TYPE_OBJECT, TYPE_FUNCTION].includes(type)) return undefined;
  const start = view.getUint32(at, true);
  const end = names.subarray(start, start + LONGEST_NAME).indexOf(0);
  if (start >= names.length || end <= 0) return undefined;
  const executable = ((sections[section]?.flags ?? 0) & EXECUTABLE) !== 0;
  const kind = section === SHN_ABSOLUTE ? 'absolute' : type === TYPE_FUNCTION || executable ? 'code' : 'data';
  return {
    address: bits === 64 ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true)),
    size: bits === 64 ? Number(view.getBigUint64(at + 16, true)) : view.getUint32(at + 8, true),
    name: Buffer.from(names.subarray(start, start + end)).toString('latin1'),
    kind,
    isGlobal: info >> 4 !== BIND_LOCAL,
  };
}

function sectionsOf(view: DataView, bits: 32 | 64, fail: (reason: string) => never): Section[] {
  const wide = bits === 64;
  const word = (at: number): number =>
    wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true);
  const tableAt = word(wide ? 40 : 32);
  const stride = view.getUint16(wide ? 58 : 46, true);
  const count = view.getUint16(wide ? 60 : 48, true);
  if (stride < (wide ? 64 : 40) || tableAt + stride * count > view.byteLength)
    fail('its section table lies outside the file');
  return Array.from({ length: count }, (_, index) => {
    const at = tableAt + index * stride;
    return {
      type: view.getUint32(at + 4, true),
      flags: view.getUint32(at + 8, true),
      offset: word(at + (wide ? 24 : 16)),
      size: word(at + (wide ? 32 : 20)),
      link: view.getUint32(at + (wide ? 40 : 24), true),
      entrySize: word(at + (wide ? 56 : 36)),
    };
  });
}
