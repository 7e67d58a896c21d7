/**
 * The parent surface: all that the virtualization stack in the root partition gets of the hypervisor. It is
 * what an operating system in the root would have: its own memory (identity-mapped system RAM), the hypercall
 * instruction, the synthetic MSRs of its virtual processor, and interrupts. Nothing else crosses.
 */
import type { PhysicalMemory } from '../cpu/processor.ts';
import { PAGE_SIZE } from '../hvdef/types.ts';
import type { AbsentPages, PageSource } from './absent-pages.ts';
import { SPN_MASK } from './gpa-map.ts';
import {
  Dispatched,
  type HypercallEntry,
  type HypercallRequest,
  hypercallRequest,
  resultValue,
} from './hypercall-request.ts';
import type { Partition } from './partition.ts';
import type { ProximityDomain } from './proximity-domain.ts';
import type { InterruptHandler, RootProcessor } from './root-processor.ts';

export type { PageSource };

export interface PageRange {
  gpn: number;
  pages: number;
}

export interface ParentSurface {
  /** The root's RAM. A GPA of the root is a byte address here, except where an overlay lies: `pageAddress`. */
  readonly memory: PhysicalMemory;
  /** Runs of pages that are the root's to use. */
  readonly ramPages: readonly PageRange[];
  /** How system memory is divided into NUMA nodes, as the ACPI tables tell it (§7.1.2). */
  readonly proximity: readonly ProximityDomain[];
  /** The root's pages whose contents come when they are first reached for. */
  readonly absentPages: AbsentPages;
  /** Byte address in `memory` of what the root sees at its page `gpn`, overlays included; -1 where nothing is. */
  pageAddress(gpn: number): number;
  /**
   * Executes a hypercall on the root's VP 0 and answers the result value (§4.8). The two further parameters are
   * GPAs, or for a fast call its two input words. Continuation is followed to the end.
   */
  hypercall(inputValue: bigint, first: number | bigint, second: number | bigint): bigint;
  /** RDMSR on the root's VP 0; undefined: #GP. */
  readMsr(msr: number): bigint | undefined;
  /** WRMSR on the root's VP 0; false: #GP. */
  writeMsr(msr: number, value: bigint): boolean;
  /** Sets who hears of interrupts to the root's VP 0. They arrive between slices of other VPs, never within a call. */
  onInterrupt(handler: InterruptHandler): void;
}

const FAST = 0x1_0000;
const LOW = 0xffff_ffffn;

export class RootSurface implements ParentSurface {
  readonly memory: PhysicalMemory;
  readonly ramPages: readonly PageRange[];
  readonly proximity: readonly ProximityDomain[];
  readonly absentPages: AbsentPages;
  readonly #root: Partition;
  readonly #processor: RootProcessor;
  readonly #entry: HypercallEntry;
  /** Reused: calls don't nest. */
  readonly #request: HypercallRequest;

  constructor(processor: RootProcessor, entry: HypercallEntry, ramPages: readonly PageRange[]) {
    this.#processor = processor;
    this.#root = processor.partition;
    this.#entry = entry;
    this.memory = this.#root.machine.memory;
    this.ramPages = ramPages;
    this.proximity = this.#root.machine.proximity.list;
    this.absentPages = this.#root.machine.absentPages;
    this.#request = hypercallRequest(this.#root, processor.index);
  }

  pageAddress(gpn: number): number {
    const mapping = this.#root.translate(gpn, this.#processor.index);
    return mapping < 0 ? -1 : (mapping & SPN_MASK) * PAGE_SIZE;
  }

  hypercall(inputValue: bigint, first: number | bigint, second: number | bigint): bigint {
    const request = this.#request;
    request.controlLow = Number(inputValue & LOW);
    request.controlHigh = Number((inputValue >> 32n) & LOW);
    if ((request.controlLow & FAST) !== 0) {
      const block = new DataView(request.fastBlock.buffer);
      block.setBigUint64(0, BigInt(first), true);
      block.setBigUint64(8, BigInt(second), true);
    } else {
      request.inputGpa = Number(first);
      request.outputGpa = Number(second);
    }
    let outcome = this.#entry.dispatch(request);
    // Each continuation made progress, so this ends.
    while (outcome === Dispatched.Continue) {
      request.controlHigh = ((request.controlHigh & 0xffff) | (request.repsCompleted << 16)) >>> 0;
      outcome = this.#entry.dispatch(request);
    }
    if (outcome === Dispatched.Done) return resultValue(request);
    // The root has no parent to send the intercept to: the stack passed an address that is not its own.
    throw new Error(
      `root hypercall 0x${inputValue.toString(16)} can't reach GPA 0x${request.interceptGpa.toString(16)}`,
    );
  }

  readMsr(msr: number): bigint | undefined {
    const bank = this.#processor.msrs;
    if (bank === undefined || !bank.handles(msr) || !bank.read(msr)) return undefined;
    return (BigInt(bank.high >>> 0) << 32n) | BigInt(bank.low >>> 0);
  }

  writeMsr(msr: number, value: bigint): boolean {
    const bank = this.#processor.msrs;
    if (bank === undefined || !bank.handles(msr)) return false;
    return bank.write(msr, Number(value & LOW), Number((value >> 32n) & LOW));
  }

  onInterrupt(handler: InterruptHandler): void {
    this.#processor.interruptHandler = handler;
  }
}
