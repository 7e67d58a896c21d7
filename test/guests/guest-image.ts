/**
 * A bare-metal guest in memory: bytes for one stretch of guest physical pages, and the registers that start it
 * in long mode with paging, so that any parent (the root or another guest) can load it with HvMapGpaPages and
 * HvSetVpRegisters. A Multiboot loader can start it too: see `entry32`.
 */
import { RegisterName } from '../../src/hvdef/registers.ts';

export interface GuestImage {
  /** GPA (and GVA) of the first byte; page-aligned. */
  readonly origin: number;
  /** Whole pages. */
  readonly bytes: Uint8Array;
  readonly labels: (name: string) => number;
  readonly entry: number;
  readonly stack: number;
  readonly pageTables: number;
  readonly gdt: { base: number; limit: number };
}

export interface RegisterValue {
  readonly name: number;
  readonly low: bigint;
  readonly high: bigint;
}

export const CODE_SELECTOR = 0x08;
export const DATA_SELECTOR = 0x10;
export const CODE32_SELECTOR = 0x18;

const LONG_CODE = 0xa09bn;
const FLAT_DATA = 0xc093n;
const BUSY_TASK = 0x008bn;
/** PE, ET, NE, WP, PG; PAE, OSFXSR; LME, LMA, NXE. */
const CR0 = 0x8001_0031n;
const CR4 = 0x220n;
const EFER = 0xd00n;

const segment = (
  name: number,
  selector: number,
  attributes: bigint,
  limit = 0xffff_ffffn,
): RegisterValue => ({
  name,
  low: 0n,
  high: limit | (attributes << 32n) | (BigInt(selector) << 48n),
});
const plain = (name: number, value: bigint): RegisterValue => ({ name, low: value, high: 0n });

/** What a parent sets before it lets VP 0 go, in an order that is consistent; `Rdi` is the guest's argument. */
export function bootRegisters(image: GuestImage, argument = 0n): RegisterValue[] {
  const data = (['Ds', 'Es', 'Ss', 'Fs', 'Gs'] as const).map((name) =>
    segment(RegisterName[name], DATA_SELECTOR, FLAT_DATA),
  );
  return [
    plain(RegisterName.Efer, EFER),
    plain(RegisterName.Cr3, BigInt(image.pageTables)),
    plain(RegisterName.Cr4, CR4),
    plain(RegisterName.Cr0, CR0),
    segment(RegisterName.Cs, CODE_SELECTOR, LONG_CODE),
    ...data,
    segment(RegisterName.Tr, 0, BUSY_TASK, 0xffffn),
    { name: RegisterName.Gdtr, low: BigInt(image.gdt.limit) << 48n, high: BigInt(image.gdt.base) },
    plain(RegisterName.Rdi, argument),
    plain(RegisterName.Rsp, BigInt(image.stack)),
    plain(RegisterName.Rflags, 2n),
    plain(RegisterName.Rip, BigInt(image.entry)),
  ];
}
