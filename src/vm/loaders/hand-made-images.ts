/** For tests: small kernel images of every kind, made by hand. */

export interface ElfPart {
  physicalAddress: number;
  virtualAddress?: bigint;
  bytes: Uint8Array;
  memoryBytes?: number;
  /** PT_LOAD when not given. */
  type?: number;
}

/** An ELF executable of either class with these program headers. */
export function elfImage(is64: boolean, entry: bigint, parts: readonly ElfPart[]): Uint8Array {
  const headerBytes = is64 ? 64 : 52;
  const entryBytes = is64 ? 56 : 32;
  const dataStart = headerBytes + parts.length * entryBytes;
  const total = dataStart + parts.reduce((sum, part) => sum + Math.ceil(part.bytes.length / 8) * 8, 0);
  const image = new Uint8Array(total);
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, is64 ? 62 : 3, true);
  view.setUint32(20, 1, true);
  if (is64) {
    view.setBigUint64(24, entry, true);
    view.setBigUint64(32, BigInt(headerBytes), true);
    view.setUint16(54, entryBytes, true);
    view.setUint16(56, parts.length, true);
  } else {
    view.setUint32(24, Number(entry), true);
    view.setUint32(28, headerBytes, true);
    view.setUint16(42, entryBytes, true);
    view.setUint16(44, parts.length, true);
  }
  let data = dataStart;
  parts.forEach((part, index) => {
    writeProgramHeader(view, is64, headerBytes + index * entryBytes, data, part);
    image.set(part.bytes, data);
    data += Math.ceil(part.bytes.length / 8) * 8;
  });
  return image;
}

function writeProgramHeader(view: DataView, is64: boolean, at: number, data: number, part: ElfPart): void {
  const type = part.type ?? 1;
  const virtual = part.virtualAddress ?? BigInt(part.physicalAddress);
  const memoryBytes = part.memoryBytes ?? part.bytes.length;
  view.setUint32(at, type, true);
  if (is64) {
    view.setBigUint64(at + 8, BigInt(data), true);
    view.setBigUint64(at + 16, virtual, true);
    view.setBigUint64(at + 24, BigInt(part.physicalAddress), true);
    view.setBigUint64(at + 32, BigInt(part.bytes.length), true);
    view.setBigUint64(at + 40, BigInt(memoryBytes), true);
  } else {
    const fields = [data, Number(virtual), part.physicalAddress, part.bytes.length, memoryBytes];
    fields.forEach((field, index) => {
      view.setUint32(at + 4 + index * 4, field, true);
    });
  }
}

/** Code with a Multiboot header before it; the entry is behind the header, at `loadAddress` + 48. */
export const MULTIBOOT_CODE_OFFSET = 48;
export function multibootImage(loadAddress: number, code: Uint8Array, flags = 0x1_0003): Uint8Array {
  const image = new Uint8Array(MULTIBOOT_CODE_OFFSET + code.length);
  const view = new DataView(image.buffer);
  const words = [0x1bad_b002, flags, -(0x1bad_b002 + flags) >>> 0];
  if ((flags & 0x1_0000) !== 0)
    words.push(loadAddress, loadAddress, 0, 0, loadAddress + MULTIBOOT_CODE_OFFSET);
  words.forEach((word, index) => {
    view.setUint32(index * 4, word, true);
  });
  image.set(code, MULTIBOOT_CODE_OFFSET);
  return image;
}

/** An ELF note segment. */
export function noteBytes(name: string, type: number, descriptor: Uint8Array): Uint8Array {
  const nameBytes = Math.ceil((name.length + 1) / 4) * 4;
  const bytes = new Uint8Array(12 + nameBytes + Math.ceil(descriptor.length / 4) * 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name.length + 1, true);
  view.setUint32(4, descriptor.length, true);
  view.setUint32(8, type, true);
  for (let at = 0; at < name.length; at++) bytes[12 + at] = name.charCodeAt(at);
  bytes.set(descriptor, 12 + nameBytes);
  return bytes;
}

/** A bzImage whose protected-mode part is `kernel` (at least 0x201 bytes). */
export function bzImage(kernel: Uint8Array, change: (header: DataView) => void = () => {}): Uint8Array {
  const image = new Uint8Array(1024 + kernel.length);
  const view = new DataView(image.buffer);
  image[0x1f1] = 1;
  view.setUint32(0x1f4, Math.ceil(kernel.length / 16), true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint16(0x200, 0x6aeb, true);
  view.setUint32(0x202, 0x5372_6448, true);
  view.setUint16(0x206, 0x020f, true);
  image[0x211] = 1;
  view.setUint32(0x22c, 0x7fff_ffff, true);
  view.setUint32(0x230, 0x20_0000, true);
  image[0x234] = 1;
  view.setUint16(0x236, 1, true);
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, 0x100_0000n, true);
  view.setUint32(0x260, 0x10_0000, true);
  image.set(kernel, 1024);
  change(view);
  return image;
}
