/**
 * A decoded instruction as the interpreter reads it: 32 bytes in the logical processor's area. Register
 * operands are offsets into the state page, so that one handler serves all registers.
 */
export const RECORD_SIZE = 32;
export const RECORD_SHIFT = 5;
/** Index of the handler (u16). */
export const RECORD_HANDLER = 0;
/** Offset of the instruction's first byte from its linear page (u16, 0..4095). */
export const RECORD_PAGE_OFFSET = 2;
/** Length in bytes (u8). */
export const RECORD_LENGTH = 4;
/** Index scale as a shift count (u8). */
export const RECORD_SCALE = 5;
/** State page offsets of the first and second register operands (u16). */
export const RECORD_A = 6;
export const RECORD_B = 8;
/** State page offsets of base and index (u16); `ZERO` for none. */
export const RECORD_BASE = 10;
export const RECORD_INDEX = 12;
/** State page offset of the segment register, divided by 16 (u8); that of `ZERO` where the base is known to be 0. */
export const RECORD_SEGMENT = 14;
/** Address kind (u8): `AddressKind`. */
export const RECORD_KIND = 15;
/** Immediate, branch displacement or far offset (i64). */
export const RECORD_IMMEDIATE = 16;
/** Memory displacement (i64); in branches the linked target record (u32); second immediate. */
export const RECORD_DISPLACEMENT = 24;

/**
 * How an effective address is formed: plain is base + displacement with 64-bit addresses and no segment. Wrap, set
 * outside 64-bit code: the linear address has 32 bits.
 */
export const AddressKind = { Plain: 0, Bits64: 1, Bits32: 2, Bits16: 3, CheckSegment: 4, Wrap: 8 } as const;

/** Handlers with a fixed meaning, before those of the instruction forms. */
export const Handler = {
  /** The record was invalidated: look the code up again. */
  Stale: 0,
  /** End of a block without a branch: RIP is this record's offset. */
  Continue: 1,
  /** Raise the exception in the immediate (vector; error code in the displacement, -1 for none). */
  Raise: 2,
  /** Begin of an instruction that crosses pages: its second page must still be where it was (immediate: spn). */
  CheckSecondPage: 3,
  /** After one instruction under STI's shadow or the trap flag. */
  AfterOne: 4,
  /** Enter the translated region whose table slot is in the immediate. */
  Region: 5,
  /** End of a block where another one begins: its first record is in the immediate. */
  Goto: 6,
  /** The first of the instruction forms. */
  First: 7,
} as const;
