/**
 * What a logical processor keeps for itself, apart from any virtual processor's architectural state: soft TLBs,
 * the cache of guest-physical translations, decoded code. It lies in memory that the hypervisor reserves and no
 * partition can reach. All of it is a cache: emptying it changes nothing but speed.
 */

/** Soft TLB entries per privilege (supervisor, then user). */
export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_SHIFT = 5;
/** Within an entry: page-aligned guest virtual address that may be read, written, executed; -1 where it may not. */
export const TLB_READ = 0;
export const TLB_WRITE = 8;
export const TLB_EXECUTE = 16;
/** Added to the low half of a guest virtual address gives the byte in system physical memory. */
export const TLB_ADDEND = 24;
/** The generation of the second level's entries (there alone). */
export const TLB_GENERATION = 28;
export const TLB_SIZE = TLB_ENTRIES << TLB_ENTRY_SHIFT;

/**
 * The second level, per privilege as well: larger, with entries elsewhere, so that pages which collide in the
 * first level need no walk each time. An entry counts while its generation is that of the area.
 */
export const SECOND_TLB_ENTRIES = 2048;
export const SECOND_TLB_SIZE = SECOND_TLB_ENTRIES << TLB_ENTRY_SHIFT;

/** Cached GPA page translations: page number (or -1), then `spn | rights << 24`. */
export const GPA_CACHE_ENTRIES = 1024;
export const GPA_CACHE_ENTRY_SHIFT = 3;

/** Decoded blocks by system physical address: address, mode, record address, entries left until it is hot (4 bytes each). */
export const BLOCK_TABLE_ENTRIES = 1 << 16;
export const BLOCK_ENTRY_SHIFT = 4;
export const BLOCK_ENTRIES_LEFT = 12;

export const AREA_TLB = 0;
export const AREA_GPA_CACHE = AREA_TLB + 2 * TLB_SIZE;
export const AREA_SECOND_TLB = AREA_GPA_CACHE + (GPA_CACHE_ENTRIES << GPA_CACHE_ENTRY_SHIFT);
/** Four bytes; another number empties the second level. */
export const AREA_SECOND_GENERATION = AREA_SECOND_TLB + 2 * SECOND_TLB_SIZE;
/** What profile.ts counts. */
export const AREA_COUNTERS = AREA_SECOND_GENERATION + 64;
export const COUNTER_BYTES = 4096 - 64;
export const AREA_BLOCK_TABLE = AREA_COUNTERS + COUNTER_BYTES;
export const AREA_RECORDS = AREA_BLOCK_TABLE + (BLOCK_TABLE_ENTRIES << BLOCK_ENTRY_SHIFT);
export const RECORDS_SIZE = 14 << 20;
/** What the processor's thread and others tell each other (threads/mailbox.ts): one page. */
export const AREA_MAILBOX = AREA_RECORDS + RECORDS_SIZE;
/** Bytes to reserve, a multiple of 4 KiB. */
export const AREA_SIZE = AREA_MAILBOX + 4096;
