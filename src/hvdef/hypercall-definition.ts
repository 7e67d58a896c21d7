/** The form of a row in the hypercall table (hvdef/hypercalls.ts), and its layouts. TLFS 2.0a §4.9. */
import type { PrivilegeName } from './privileges.ts';

export type FieldType = 'u8' | 'u16' | 'u32' | 'u64' | 'bytes';

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  /** Bytes from the start of the structure. */
  readonly offset: number;
  readonly size: number;
}

export interface Layout {
  /** Bytes without padding at the end. */
  readonly size: number;
  readonly fields: readonly Field[];
}

/** Whom the caller may act on: Appendix B's column "Caller". */
export type HypercallCaller = 'any' | 'parent' | 'parent-or-self' | 'parent-or-root' | 'root';

export interface HypercallDefinition {
  readonly code: number;
  /** With the prefix that its specification gives it. */
  readonly name: string;
  readonly rep: boolean;
  /** May use the register-based convention (Appendix B, column "Fast Call"). */
  readonly fast: boolean;
  /** May use it with XMM registers (§4.7.1), rep lists included. */
  readonly extendedFast: boolean;
  readonly caller: HypercallCaller;
  /** The caller needs this privilege, or the dispatcher answers HV_STATUS_ACCESS_DENIED. */
  readonly privilege?: PrivilegeName;
  readonly input: Layout;
  readonly inputElement: Layout;
  readonly output: Layout;
  readonly outputElement: Layout;
  /** The header goes on for as many 8-byte words as bits 26:17 of the input value say (current TLFS). */
  readonly variableHeader: boolean;
  /** Bytes that may follow the fixed input or output ("up to 4080 bytes"), as far as the page reaches. */
  readonly inputTail?: number;
  readonly outputTail?: number;
  /** Section of TLFS 2.0a, or 'current' for what only newer editions have. */
  readonly source: string;
}

const SIZES: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 };

/**
 * A layout from text: fields in order as `Name:type`, where type is u8, u16, u32, u64 or a number of bytes;
 * the name `_` is padding.
 */
export function layout(text: string): Layout {
  const fields: Field[] = [];
  let offset = 0;
  for (const item of text.split(' ').filter((part) => part !== '')) {
    const [name, type] = item.split(':') as [string, string];
    const size = SIZES[type] ?? Number(type);
    if (name !== '_')
      fields.push({ name, type: type in SIZES ? (type as FieldType) : 'bytes', offset, size });
    offset += size;
  }
  return { size: offset, fields };
}
