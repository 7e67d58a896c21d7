/** The instruction at RIP as the host sees it: its bytes, its length, what its faults mean. Nothing here changes the guest. */
import { VECTOR } from '../x86/exceptions.ts';
import { lookupOf, translateGva } from './gva-translation.ts';
import { decode } from './instructions/decode.ts';
import type { DecodeResult } from './instructions/instruction.ts';
import { isCanonical } from './microcode/core.ts';
import { Mode } from './mode.ts';
import { Access, type PhysicalMemory, type ProcessorHost, Segment } from './processor.ts';
import type { SoftTlb } from './soft-tlb.ts';
import type { ProcessorState } from './state.ts';
import * as S from './state-layout.ts';

/** Instructions that address the stack without saying so. A memory operand of theirs is looked at first. */
const USES_STACK = new Set('push pop call callf ret retf enter leave pushf popf pusha popa iret'.split(' '));
const OPERAND_SIZE_PREFIX = 0x66;
const CODE_SIZES = [16, 32, 64] as const;

export class InstructionAtRip {
  private readonly memory: PhysicalMemory;
  private readonly state: ProcessorState;
  private readonly host: ProcessorHost;
  private readonly tlb: SoftTlb;

  constructor(memory: PhysicalMemory, state: ProcessorState, host: ProcessorHost, tlb: SoftTlb) {
    this.memory = memory;
    this.state = state;
    this.host = host;
    this.tlb = tlb;
  }

  decode(): DecodeResult {
    const bytes = this.bytes();
    const code = CODE_SIZES[this.state.get32(S.MODE) & Mode.CodeSizeMask]!;
    return decode(bytes, 0, Math.min(bytes.length, 15), code);
  }

  /** In bytes; 0 if it can't be decoded. */
  get length(): number {
    const known = this.lengthByOpcode();
    if (known !== 0) return known;
    const result = this.decode();
    return result.kind === 'ok' ? result.instruction.length : 0;
  }

  /** Of plain port accesses, which exit most: their bytes mean the same in every mode. 0 for all others. */
  private lengthByOpcode(): number {
    const first = this.tlb.executable(this.state.linearRip, this.state.cpl === 3);
    if (first < 0) return 0;
    const { bytes } = this.memory;
    const hasPrefix = bytes[first] === OPERAND_SIZE_PREFIX && (first & 0xfff) !== 0xfff;
    const opcode = bytes[hasPrefix ? first + 1 : first]!;
    // IN and OUT: E4..E7 with the port in a byte behind, EC..EF with the port in DX.
    if ((opcode & 0xf4) !== 0xe4) return 0;
    return (hasPrefix ? 1 : 0) + ((opcode & 8) === 0 ? 2 : 1);
  }

  /** Up to 16 bytes at RIP, as far as they can be fetched. */
  bytes(): Uint8Array {
    const { state } = this;
    const linear = state.linearRip;
    const { bytes } = this.memory;
    const first = this.peek(linear);
    if (first === undefined) return new Uint8Array(0);
    const inPage = Math.min(16, 4096 - Number(linear & 0xfffn));
    if (inPage === 16) return bytes.slice(first, first + 16);
    const second = this.peek(linear + BigInt(inPage));
    const rest = second === undefined ? 0 : 16 - inPage;
    const code = new Uint8Array(inPage + rest);
    code.set(bytes.subarray(first, first + inPage));
    if (second !== undefined) code.set(bytes.subarray(second, second + rest), inPage);
    return code;
  }

  /** Host address of an executable byte, without side effects that the guest could see. */
  private peek(va: bigint): number | undefined {
    const cached = this.tlb.executable(va, this.state.cpl === 3);
    if (cached >= 0) return cached;
    const privilege = this.state.cpl;
    const found = translateGva(this.memory, this.state, lookupOf(this.host), {
      gva: va,
      access: Access.Execute,
      privilege,
      setTableBits: false,
    });
    if (found.kind !== 'ok') return undefined;
    const answer = lookupOf(this.host)(Math.floor(found.gpa / 4096), Access.Execute);
    return answer < 0 ? undefined : (answer & 0xffffff) * 4096 + (found.gpa % 4096);
  }

  /** #SS(0) when the instruction at RIP addresses memory through SS, #GP(0) otherwise (SDM vol. 1 §3.3.7.1). */
  vectorOfNonCanonical(): number {
    const result = this.decode();
    if (result.kind !== 'ok') return VECTOR.GP;
    const { operands, row } = result.instruction;
    const memory = operands.find((operand) => operand.kind === 'memory');
    if (memory?.kind === 'memory' && memory.segment === Segment.SS) return VECTOR.SS;
    const stackIsBad = memory === undefined || !isCanonical(this.state.gpr(4));
    return USES_STACK.has(row.mnemonic) && stackIsBad ? VECTOR.SS : VECTOR.GP;
  }
}
