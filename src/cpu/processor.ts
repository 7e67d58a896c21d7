/**
 * The seam between a processor and what hosts it. A processor executes x86-64 instructions on guest physical
 * addresses; it knows no hypervisor policy. Everything that is policy (what a guest page maps to, what a port,
 * an MSR or a CPUID leaf answers, when an interrupt arrives, what time it is) is asked of the host here.
 *
 * An exit always leaves the processor on an instruction boundary: RIP names the instruction that caused the
 * exit, and nothing of it has been done. The host either completes it (sets registers, then
 * `completeInstruction()`), injects an exception for it, or makes it possible and lets it run again.
 */
import type { ProcessorProfile } from './processor-profile.ts';

/** Access rights and kinds, as bits. */
export const Access = { Read: 1, Write: 2, Execute: 4 } as const;

/** Why `run()` returned. */
export const Exit = {
  /** The instruction budget is used up. */
  Budget: 0,
  /** A bit of `attention` that the host set asks for a stop. */
  Attention: 1,
  /** `Attention.InterruptWindow` was asked for and an external interrupt can now be accepted. */
  InterruptWindow: 2,
  /** HLT (RIP is behind it already). */
  Halt: 3,
  /** IN, OUT, INS or OUTS: see `PortExit`. */
  Port: 4,
  MsrRead: 5,
  MsrWrite: 6,
  Cpuid: 7,
  /** VMCALL or VMMCALL. */
  Hypercall: 8,
  /** `translateGpa` refused an access: see `MemoryExit`. */
  Memory: 9,
  /** A fault while delivering a double fault. */
  TripleFault: 10,
  /** An exception whose vector is in `exceptionIntercepts`; not delivered yet: see `ExceptionExit`. */
  Exception: 11,
} as const;
export type Exit = (typeof Exit)[keyof typeof Exit];

/** Bits of the attention word. Service: other processors' threads ask for something (threads/requests.ts). */
export const Attention = { Stop: 1, InterruptWindow: 2, Service: 4 } as const;

export interface PortExit {
  port: number;
  /** Bytes: 1, 2 or 4. */
  size: number;
  write: boolean;
  /** INS or OUTS; then the fields below mean something. */
  string: boolean;
  rep: boolean;
  /** OUT: the value written. */
  value: number;
}
export interface MemoryExit {
  /** Guest physical byte address of the access (number below 2^52). */
  gpa: number;
  /** Linear (guest virtual) address; only meaningful where `gvaValid`. */
  gva: bigint;
  gvaValid: boolean;
  /** One bit of `Access`. */
  access: number;
}
export interface ExceptionExit {
  vector: number;
  errorCode: number | undefined;
  /** CR2's new value for a page fault, DR6's for a debug exception (it is set already). */
  parameter: bigint;
}

/** An event whose delivery, injected or the guest's own exception's, met a refusal of `translateGpa` or ended in shutdown; nothing was delivered. */
export interface FailedDelivery {
  /** `Exit.Memory` (see `memoryExit`) or `Exit.TripleFault`. */
  exit: Exit;
  external: boolean;
  vector: number;
  errorCode: number | undefined;
}

/** What a processor asks of its host while it runs. Implementations must not throw on guest input. */
export interface ProcessorHost {
  /**
   * Guest physical page `gpn` for an access (one bit of `Access`). Returns `spn | rights << 24`, where rights
   * are the `Access` bits that hold for the page now, or a negative number to refuse: `run()` then returns
   * `Exit.Memory` with nothing of the instruction done.
   */
  translateGpa(gpn: number, access: number): number;
  /** Time stamp counter ticks since the partition's start, before the processor's own offset. */
  readTsc(): number;
  /** Reading of the machine's clock, in ns, at which `readTsc()` was 0; asked when a run on a thread of its own begins. */
  tscOrigin?(): number;
}

/** The thread that executes a processor's instructions; everything else of the processor is called while it stands still. */
export interface ProcessorThread {
  /** True from `begin` until `takeExit` has answered. */
  readonly running: boolean;
  /** As `Processor.run`, but returns at once. */
  begin(maxInstructions: number): void;
  /** Why it has stopped, once; undefined while it executes. Throws when the thread has died. */
  takeExit(): Exit | undefined;
  /** Makes it stop at the next instruction boundary and waits for that; `takeExit` then answers. */
  stop(): void;
  /** Time spent executing since creation, in ns. */
  readonly runTime: number;
}

export interface SegmentRegister {
  selector: number;
  base: bigint;
  /** In bytes, granularity applied. */
  limit: number;
  /** Descriptor bits 40..55: type, S, DPL, P, AVL, L, D/B, G (bits 8..11 are zero). */
  attributes: number;
}

/** Index of a segment register in state and in `segment()`. */
export const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** How to translate a guest virtual address on behalf of somebody (HvTranslateVirtualAddress, a debugger). */
export interface GvaTranslationRequest {
  gva: bigint;
  /** `Access` bits that must be allowed; 0 checks presence only. */
  access: number;
  /** 0 = as supervisor, 3 = as user. */
  privilege: number;
  /** Set the accessed and dirty bits as a real access would. */
  setTableBits: boolean;
}
export type GvaTranslation =
  | { kind: 'ok'; gpa: number }
  | { kind: 'not-present' }
  | { kind: 'privilege-violation' }
  | { kind: 'invalid-page-table-flags' }
  /** A page table lay on a guest physical page that could not be accessed; `gpa` is that page's address. */
  | { kind: 'gpa-unmapped' | 'gpa-no-read' | 'gpa-no-write'; gpa: number };

/** A processor. Register values are BigInt, unsigned 64-bit. */
export interface Processor {
  /** Byte address of the state page in system physical memory (layout: cpu/state-layout.ts). */
  readonly stateAddress: number;
  /** Undefined where `run` executes on the caller's thread. */
  readonly thread?: ProcessorThread;
  /** Runs until an exit; at most about `maxInstructions` (at least 1). */
  run(maxInstructions: number): Exit;
  /** Instructions completed since creation. */
  readonly instructionsRetired: number;

  readonly portExit: PortExit;
  readonly memoryExit: MemoryExit;
  readonly exceptionExit: ExceptionExit;
  /** MSR number of an MsrRead or MsrWrite exit; for writes the value is EDX:EAX. */
  readonly msrExit: { msr: number };
  /** Length in bytes of the instruction that caused the exit; 0 if it could not be decoded. */
  readonly exitInstructionLength: number;
  /** Up to 16 bytes at RIP, as far as they can be fetched without a fault or an intercept. */
  instructionBytes(): Uint8Array;

  getGpr(index: number): bigint;
  setGpr(index: number, value: bigint): void;
  getRip(): bigint;
  setRip(value: bigint): void;
  getRflags(): bigint;
  setRflags(value: bigint): void;
  getSegment(index: number): SegmentRegister;
  setSegment(index: number, value: SegmentRegister): void;
  getTable(which: 'gdtr' | 'idtr'): { base: bigint; limit: number };
  setTable(which: 'gdtr' | 'idtr', value: { base: bigint; limit: number }): void;
  getControl(index: 0 | 2 | 3 | 4 | 8): bigint;
  /** Sets CR0, 2, 3, 4 or 8 without checks; derived mode and the soft TLB follow. */
  setControl(index: 0 | 2 | 3 | 4 | 8, value: bigint): void;
  getXcr0(): bigint;
  setXcr0(value: bigint): void;
  getDebug(index: number): bigint;
  setDebug(index: number, value: bigint): void;
  /** An MSR that is the processor's own (EFER, STAR, FS base, PAT, TSC...), or undefined if it is not one. */
  getMsr(msr: number): bigint | undefined;
  /** Sets such an MSR. 'ok', 'fault' (#GP is due) or 'unknown' (not one of the processor's own). */
  setMsr(msr: number, value: bigint): 'ok' | 'fault' | 'unknown';
  /** The 512-byte FXSAVE64 image of x87 and SSE state. */
  saveFloatingPoint(): Uint8Array;
  restoreFloatingPoint(image: Uint8Array): void;

  /** The processor's own CPUID answer, before a hypervisor changes it. */
  cpuid(leaf: number, subleaf: number): { eax: number; ebx: number; ecx: number; edx: number };

  /** The instruction of the exit is done: RIP moves behind it, the interrupt shadow ends. */
  completeInstruction(): void;
  /** True when an external interrupt could be delivered now (IF set, no shadow). */
  readonly interruptible: boolean;
  /** True when INTERRUPT_SHADOW holds. */
  interruptShadow: boolean;
  /** An NMI was delivered and IRET not executed since; IRET ends it and raises `Attention.Stop`. */
  nmiMasked: boolean;
  /** Delivers an external interrupt; the caller checked `interruptible`. */
  injectInterrupt(vector: number): void;
  /** Delivers an exception for the current instruction as if it had raised it. */
  injectException(vector: number, errorCode?: number): void;
  /**
   * After an injection, and after `run()`: what kept an event from being delivered, once. The host reports the exit and injects the event
   * again when the access has become possible.
   */
  takeFailedDelivery(): FailedDelivery | undefined;
  /** Sets or clears bits of the attention word; safe at any time. */
  raiseAttention(bits: number): void;
  clearAttention(bits: number): void;
  /** Bit v set: an exception with vector v exits instead of being delivered. */
  exceptionIntercepts: number;

  /** Forgets all cached GVA and GPA translations (needed after any change of a GPA mapping or right). */
  flushTlb(): void;
  /** Forgets all cached GVA translations. */
  flushVirtual(): void;
  /** Forgets the cached translation of one guest virtual address. */
  flushTlbPage(gva: bigint): void;
  translateGva(request: GvaTranslationRequest): GvaTranslation;
  /** Architectural reset (SDM vol. 3 §9.1.1): real mode at F000:FFF0. */
  reset(): void;
  /** INIT: as reset, but x87/SSE state, CR0.CD/NW and MSRs that survive INIT stay. */
  init(): void;
  /** Where its work went since it was made, if it counts that. */
  profile?(): ProcessorProfile;
  /** The processor is used no more: it lets go of what it shares with others (its place among the code holders). */
  release(): void;
}

/** Whoever keeps decoded or translated guest code. */
export interface CodeHolder {
  /** Bytes of page `spn` were written. Drops code that came from them; true if it still holds code of the page. */
  written(spn: number, offset: number, size: number): boolean;
}

/** System physical memory as every room below sees it: one shared WebAssembly memory, page-granular. */
export interface PhysicalMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly view: DataView;
  /** 4 KiB pages. */
  readonly pageCount: number;
  /**
   * Every writer that does not go through a processor's TLB (loaders, hypercalls, overlays, device DMA) calls
   * this after writing to page `spn`, so that decoded or translated code from that page is dropped.
   */
  noteWritten(spn: number, offset?: number, size?: number): void;
  /**
   * Byte address of the code map: one byte per page, in this memory, not zero where a holder has code from the
   * page. Stores to such pages go through `noteWritten`.
   */
  readonly codeMapAddress: number;
  /** All processors' decoders; each adds itself. */
  readonly codeHolders: CodeHolder[];
}

/** What a decoder does where other threads store to the memory that it decodes from (threads/code-sharing.ts). */
export interface CodeSharing {
  /** Before reading code of the page: from now on no store to it goes unnoticed. May serve other threads' requests. */
  markCodePage(spn: number): void;
  /** Code came from these bytes of the page. */
  markCode(spn: number, from: number, to: number): void;
  /** Counts what was forgotten at other threads' request. */
  readonly epoch: number;
}
