/** Where the guest's handler of a vector begins: read from its IDT, or its vector table in real mode (SDM vol. 3 §6.10). */
import { isLongMode, isReal, type ProcessorView } from './processor-view.ts';

/** Bytes at a linear address; fewer where memory is missing. */
export type ReadLinear = (address: bigint, length: number) => Uint8Array;

const LDT_BIT = 4;

/** Linear address of the handler; undefined where there is none to be seen. */
export function entryOf(view: ProcessorView, vector: number, read: ReadLinear): bigint | undefined {
  const size = isReal(view) ? 4 : isLongMode(view) ? 16 : 8;
  // In virtual-8086 mode an exception goes through the IDT; only real mode has the table of far pointers.
  const gate = wholly(read(view.idt.base + BigInt(vector * size), size), size);
  if (gate === undefined) return undefined;
  if (size === 4) return BigInt((gate.getUint16(2, true) << 4) + gate.getUint16(0, true));
  const low = BigInt(gate.getUint16(0, true)) | (BigInt(gate.getUint16(6, true)) << 16n);
  if (size === 16) return low | (BigInt(gate.getUint32(8, true)) << 32n);
  const base = descriptorBase(view, gate.getUint16(2, true), read);
  return base === undefined ? undefined : (base + low) & 0xffff_ffffn;
}

function descriptorBase(view: ProcessorView, selector: number, read: ReadLinear): bigint | undefined {
  const table = (selector & LDT_BIT) !== 0 ? view.ldt : view.gdt.base;
  const descriptor = wholly(read(table + BigInt(selector & ~7), 8), 8);
  if (descriptor === undefined) return undefined;
  const low = descriptor.getUint16(2, true) | (descriptor.getUint8(4) << 16);
  return BigInt(low) | (BigInt(descriptor.getUint8(7)) << 24n);
}

function wholly(bytes: Uint8Array, size: number): DataView | undefined {
  return bytes.length === size ? new DataView(bytes.buffer, bytes.byteOffset, size) : undefined;
}
