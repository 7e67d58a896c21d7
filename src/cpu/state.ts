/**
 * A virtual processor's state page as TypeScript sees it, and everything that is derived from it: execution
 * mode, stack width, code base. Whoever changes CR0, CR4, EFER, RFLAGS.TF/VM, CPL or a segment calls `refresh`.
 */

import { CR0 } from '../x86/control-registers.ts';
import { FLAG } from '../x86/flags.ts';
import { ATTRIBUTE_DB, isLongMode, Mode, modeOf } from './mode.ts';
import type { PhysicalMemory, SegmentRegister } from './processor.ts';
import { Segment } from './processor.ts';
import { ATTRIBUTE } from './segmentation.ts';
import * as S from './state-layout.ts';

const ALL_ONES = (1n << 64n) - 1n;
const MASK_16 = 0xffffn;
const MASK_32 = 0xffffffffn;

export class ProcessorState {
  /** Byte address of the state page. */
  readonly address: number;
  private readonly u64: BigUint64Array;
  private readonly i32: Int32Array;
  private readonly u16: Uint16Array;
  readonly bytes: Uint8Array;

  constructor(memory: PhysicalMemory, address: number) {
    this.address = address;
    const { buffer } = memory.memory;
    this.u64 = new BigUint64Array(buffer, address, S.STATE_SIZE / 8);
    this.i32 = new Int32Array(buffer, address, S.STATE_SIZE / 4);
    this.u16 = new Uint16Array(buffer, address, S.STATE_SIZE / 2);
    this.bytes = new Uint8Array(buffer, address, S.STATE_SIZE);
    const masks = [ALL_ONES, ALL_ONES, MASK_32, MASK_16];
    for (const [k, mask] of masks.entries()) this.set64(S.ADDRESS_MASK + 8 * k, mask);
  }

  get64(offset: number): bigint {
    return this.u64[offset >> 3]!;
  }
  set64(offset: number, value: bigint): void {
    this.u64[offset >> 3] = value;
  }
  /** Signed. */
  get32(offset: number): number {
    return this.i32[offset >> 2]!;
  }
  set32(offset: number, value: number): void {
    this.i32[offset >> 2] = value;
  }
  get16(offset: number): number {
    return this.u16[offset >> 1]!;
  }
  set16(offset: number, value: number): void {
    this.u16[offset >> 1] = value;
  }

  /** Bits of the attention word; other threads change it too. */
  raiseAttention(bits: number): void {
    Atomics.or(this.i32, S.ATTENTION >> 2, bits);
  }
  clearAttention(bits: number): void {
    Atomics.and(this.i32, S.ATTENTION >> 2, ~bits);
  }

  gpr(index: number): bigint {
    return this.u64[(S.GPR >> 3) + index]!;
  }
  setGpr(index: number, value: bigint): void {
    this.u64[(S.GPR >> 3) + index] = value;
  }

  get cpl(): number {
    return this.get32(S.CPL);
  }
  get rip(): bigint {
    return this.get64(S.RIP);
  }
  set rip(value: bigint) {
    this.set64(S.RIP, value);
  }
  /** Linear address of the instruction at RIP. */
  get linearRip(): bigint {
    return BigInt.asUintN(64, this.rip + this.get64(S.CODE_BASE));
  }
  get protectedMode(): boolean {
    return (this.get32(S.CR0) & CR0.PE) !== 0;
  }
  get virtual8086(): boolean {
    return (this.get32(S.FLAGS_SYSTEM) & FLAG.VM) !== 0;
  }
  get longMode(): boolean {
    return isLongMode(this.get32(S.EFER));
  }
  get code64(): boolean {
    return (this.get32(S.MODE) & Mode.CodeSizeMask) === Mode.Code64;
  }

  segment(index: number): SegmentRegister {
    const at = S.SEGMENT + index * S.SEGMENT_SIZE;
    return {
      selector: this.get16(at + S.SEGMENT_SELECTOR),
      base: this.get64(at + S.SEGMENT_BASE),
      limit: this.get32(at + S.SEGMENT_LIMIT) >>> 0,
      attributes: this.get16(at + S.SEGMENT_ATTRIBUTES),
    };
  }
  setSegment(index: number, value: SegmentRegister): void {
    const at = S.SEGMENT + index * S.SEGMENT_SIZE;
    this.set16(at + S.SEGMENT_SELECTOR, value.selector);
    this.set64(at + S.SEGMENT_BASE, value.base);
    this.set32(at + S.SEGMENT_LIMIT, value.limit);
    this.set16(at + S.SEGMENT_ATTRIBUTES, value.attributes);
  }

  get rflags(): number {
    const aux = this.get32(S.FLAG_AUX);
    const result = this.get64(S.FLAG_RESULT);
    let low = Number(result & 0xffn) ^ ((aux >> 8) & 0xff);
    low ^= low >> 4;
    let flags = this.get32(S.FLAGS_SYSTEM) | FLAG.FIXED;
    if (aux < 0) flags |= FLAG.CF;
    if (((0x9669 >> (low & 15)) & 1) !== 0) flags |= FLAG.PF;
    if ((aux & 8) !== 0) flags |= FLAG.AF;
    if (result === 0n) flags |= FLAG.ZF;
    if (Number(result >> 63n) !== (aux & 1)) flags |= FLAG.SF;
    if ((aux ^ (aux << 1)) < 0) flags |= FLAG.OF;
    return flags;
  }
  set rflags(value: number) {
    const zero = (value & FLAG.ZF) !== 0 ? 1 : 0;
    const carry = (value & FLAG.CF) !== 0 ? 1 : 0;
    const overflow = (value & FLAG.OF) !== 0 ? 1 : 0;
    const parity = (value & FLAG.PF) !== 0 ? 1 : 0;
    this.set64(S.FLAG_RESULT, zero === 1 ? 0n : 1n);
    const sign = (value & FLAG.SF) !== 0 ? 1 : 0;
    const adjust = (value & FLAG.AF) !== 0 ? 8 : 0;
    this.set32(
      S.FLAG_AUX,
      (carry << 31) | ((carry ^ overflow) << 30) | adjust | sign | ((parity ^ zero) << 8),
    );
    const system =
      FLAG.TF |
      FLAG.IF |
      FLAG.DF |
      FLAG.IOPL |
      FLAG.NT |
      FLAG.RF |
      FLAG.VM |
      FLAG.AC |
      FLAG.VIF |
      FLAG.VIP |
      FLAG.ID;
    this.set32(S.FLAGS_SYSTEM, value & system);
  }

  /** Bit i set: segment i can be used without limit and type checks. */
  private flatSegments(): number {
    let flat = 0;
    for (let k: number = Segment.ES; k <= Segment.GS; k++) {
      const { limit, attributes } = this.segment(k);
      const needed = ATTRIBUTE.Present | ATTRIBUTE.System | ATTRIBUTE.Writable;
      const isData = (attributes & (needed | ATTRIBUTE.Code | ATTRIBUTE.ExpandDown)) === needed;
      const isCode = k === Segment.CS;
      if (limit === 0xffffffff && (isData || isCode)) flat |= 1 << k;
    }
    return flat;
  }

  /** Recomputes all derived fields. */
  refresh(): void {
    const cs = this.segment(Segment.CS);
    const mode = modeOf({
      cr0: this.get32(S.CR0),
      cr4: this.get32(S.CR4),
      efer: this.get32(S.EFER),
      rflags: this.get32(S.FLAGS_SYSTEM),
      cpl: this.cpl,
      csAttributes: cs.attributes,
      flat: this.flatSegments(),
      shadow: this.get32(S.INTERRUPT_SHADOW) !== 0,
      debugging: (this.get32(S.TRAP_PENDING) | this.get32(S.DEBUG_HITS) | this.get32(S.BREAKPOINTS)) !== 0,
    });
    this.set32(S.MODE, mode);
    const code = mode & Mode.CodeSizeMask;
    const is64 = code === Mode.Code64;
    const ss = this.segment(Segment.SS);
    this.set64(S.STACK_MASK, is64 ? ALL_ONES : ss.attributes & ATTRIBUTE_DB ? MASK_32 : MASK_16);
    this.set64(S.STACK_BASE, is64 ? 0n : ss.base);
    this.set64(S.STRING_BASE, is64 ? 0n : this.segment(Segment.ES).base);
    this.set64(S.CODE_BASE, is64 ? 0n : cs.base);
    this.set64(S.CODE_MASK, is64 ? ALL_ONES : MASK_32);
  }
}
