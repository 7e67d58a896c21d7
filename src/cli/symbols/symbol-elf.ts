/**
 * An ELF file that holds nothing but symbols, for gdb's `symbol-file`: sections without contents where code and data
 * lie, so that gdb takes bytes from the machine, and a symbol table. Kernels are distributed without their vmlinux;
 * their symbols can be had from System.map or, in the guest, from /proc/kallsyms.
 */
import type { NamedAddress, SymbolKind } from './symbol-table.ts';

const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;
const NULL_SECTION = 0;
const SECTIONS = ['', '.text', '.data', '.symtab', '.strtab', '.shstrtab'] as const;
const INDEX: Readonly<Record<SymbolKind, number>> = { code: 1, data: 2, absolute: 0xfff1 };
const Type = { Symtab: 2, Strtab: 3, Nobits: 8 } as const;
const Flag = { Write: 1n, Allocate: 2n, Execute: 4n } as const;
const FUNCTION = 2;
const OBJECT = 1;
const GLOBAL = 1 << 4;
const EXECUTABLE_FILE = 2;
const X86_64 = 62;
/** The next symbol of a kind ends the one before it, unless it is farther away. */
const LONGEST_SYMBOL = 0x1_0000n;
/** Modules lie apart from the kernel: a section reaches over what is no farther away. */
const KERNEL_BYTES = 0x4000_0000n;

export function symbolElf(symbols: readonly NamedAddress[]): Uint8Array {
  // Local ones first, as ELF demands.
  const sorted = [...symbols].sort((a, b) => Number(a.isGlobal) - Number(b.isGlobal));
  const sizes = sizesOf(symbols);
  const strings = new Strings();
  const table = new DataView(new ArrayBuffer((sorted.length + 1) * SYMBOL_BYTES));
  for (const [index, symbol] of sorted.entries()) {
    const at = (index + 1) * SYMBOL_BYTES;
    table.setUint32(at, strings.add(symbol.name), true);
    table.setUint8(at + 4, (symbol.isGlobal ? GLOBAL : 0) | (symbol.kind === 'code' ? FUNCTION : OBJECT));
    table.setUint16(at + 6, INDEX[symbol.kind], true);
    table.setBigUint64(at + 8, symbol.address, true);
    table.setBigUint64(at + 16, sizes.get(symbol) ?? 0n, true);
  }
  const locals = sorted.filter(({ isGlobal }) => !isGlobal).length + 1;
  return assemble(symbols, new Uint8Array(table.buffer), locals, strings.bytes());
}

function assemble(
  symbols: readonly NamedAddress[],
  table: Uint8Array,
  locals: number,
  names: Uint8Array,
): Uint8Array {
  const sectionNames = new Strings();
  const nameAt = SECTIONS.map((name) => (name === '' ? 0 : sectionNames.add(name)));
  const ownNames = sectionNames.bytes();
  const parts = [table, names, ownNames];
  const offsets: number[] = [];
  let end = HEADER_BYTES;
  for (const part of parts) {
    offsets.push(end);
    end += Math.ceil(part.length / 8) * 8;
  }
  const file = new Uint8Array(end + SECTIONS.length * SECTION_BYTES);
  const view = new DataView(file.buffer);
  writeHeader(file, view, end);
  parts.forEach((part, index) => {
    file.set(part, offsets[index]);
  });
  const section = (
    index: number,
    type: number,
    flags: bigint,
    address: bigint,
    offset: number,
    size: bigint,
  ): number => {
    const at = end + index * SECTION_BYTES;
    view.setUint32(at, nameAt[index], true);
    view.setUint32(at + 4, type, true);
    view.setBigUint64(at + 8, flags, true);
    view.setBigUint64(at + 16, address, true);
    view.setBigUint64(at + 24, BigInt(offset), true);
    view.setBigUint64(at + 32, size, true);
    view.setBigUint64(at + 48, 1n, true);
    return at;
  };
  const code = extent(symbols, 'code');
  const data = extent(symbols, 'data');
  section(1, Type.Nobits, Flag.Allocate | Flag.Execute, code.start, HEADER_BYTES, code.bytes);
  section(2, Type.Nobits, Flag.Allocate | Flag.Write, data.start, HEADER_BYTES, data.bytes);
  const symtab = section(3, Type.Symtab, 0n, 0n, offsets[0], BigInt(table.length));
  view.setUint32(symtab + 40, 4, true);
  view.setUint32(symtab + 44, locals, true);
  view.setBigUint64(symtab + 56, BigInt(SYMBOL_BYTES), true);
  section(4, Type.Strtab, 0n, 0n, offsets[1], BigInt(names.length));
  section(5, Type.Strtab, 0n, 0n, offsets[2], BigInt(ownNames.length));
  return file;
}

function writeHeader(file: Uint8Array, view: DataView, sectionsAt: number): void {
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, NULL_SECTION]);
  view.setUint16(16, EXECUTABLE_FILE, true);
  view.setUint16(18, X86_64, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(40, BigInt(sectionsAt), true);
  view.setUint16(52, HEADER_BYTES, true);
  view.setUint16(58, SECTION_BYTES, true);
  view.setUint16(60, SECTIONS.length, true);
  view.setUint16(62, SECTIONS.length - 1, true);
}

/** From the lowest symbol of a kind on, over those that belong to the same image. */
function extent(symbols: readonly NamedAddress[], kind: SymbolKind): { start: bigint; bytes: bigint } {
  const addresses = symbols
    .filter((each) => each.kind === kind && each.address > 0xffffn)
    .map(({ address }) => address);
  if (addresses.length === 0) return { start: 0n, bytes: 0n };
  const anchor = symbols.find(({ name }) => name === '_text' || name === '_stext')?.address;
  const near =
    anchor === undefined
      ? addresses
      : addresses.filter((each) => each >= anchor && each - anchor < KERNEL_BYTES);
  const inside = near.length > 0 ? near : addresses;
  let [start, last] = [inside[0], inside[0]];
  for (const each of inside) {
    if (each < start) start = each;
    if (each > last) last = each;
  }
  return { start, bytes: last - start + 1n };
}

/** A symbol without a size ends where the next of its kind begins. */
function sizesOf(symbols: readonly NamedAddress[]): Map<NamedAddress, bigint> {
  const sizes = new Map<NamedAddress, bigint>();
  for (const kind of ['code', 'data'] as const) {
    const sorted = symbols
      .filter((each) => each.kind === kind)
      .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    let next: bigint | undefined;
    let following: bigint | undefined;
    for (let index = sorted.length - 1; index >= 0; index--) {
      const symbol = sorted[index];
      if (following !== undefined && following !== symbol.address) next = following;
      following = symbol.address;
      const gap = next === undefined ? 0n : next - symbol.address;
      sizes.set(symbol, symbol.size > 0 ? BigInt(symbol.size) : gap < LONGEST_SYMBOL ? gap : 0n);
    }
  }
  return sizes;
}

/** A string table: names behind one another, each ended by a zero. */
class Strings {
  readonly #parts: string[] = [];
  #length = 1;

  add(text: string): number {
    const at = this.#length;
    this.#parts.push(text);
    this.#length += text.length + 1;
    return at;
  }

  bytes(): Uint8Array {
    return Buffer.from(`\0${this.#parts.map((part) => `${part}\0`).join('')}`, 'latin1');
  }
}
