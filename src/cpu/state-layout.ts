/**
 * Where a virtual processor's architectural state lies: one 4 KiB page of system physical memory, drawn from
 * the partition's memory pool. Every offset below is in bytes from the start of that page; nothing else in
 * the project states one of them again.
 */

/** General registers RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8..R15: 8 bytes each. */
export const GPR = 0x000;
/** Eight bytes that are always zero: the base, index or segment of an address that has none. */
export const ZERO = 0x080;
/** Offset within the code segment of the next instruction to execute. True at every instruction boundary that the host can see. */
export const RIP = 0x088;
/** RIP of the first byte of the linear page that the interpreter is executing; RIP = this + the record's page offset. */
export const RIP_PAGE = 0x090;

/** Lazy arithmetic flags: the last result, sign-extended to 64 bits (see cpu/semantics/flags.ts). */
export const FLAG_RESULT = 0x098;
/** Lazy arithmetic flags: carry, overflow, adjust and the corrections to sign and parity, 32 bits. */
export const FLAG_AUX = 0x0a0;
/** RFLAGS without CF, PF, AF, ZF, SF and OF (those are lazy), 32 bits. */
export const FLAGS_SYSTEM = 0x0a4;

/** Segment registers ES, CS, SS, DS, FS, GS, LDTR, TR: SEGMENT_SIZE bytes each. */
export const SEGMENT = 0x100;
export const SEGMENT_SIZE = 16;
/** Within a segment: base (8 bytes), limit in bytes (4), attributes (2: descriptor bits 40..55), selector (2). */
export const SEGMENT_BASE = 0;
export const SEGMENT_LIMIT = 8;
export const SEGMENT_ATTRIBUTES = 12;
export const SEGMENT_SELECTOR = 14;

/** Descriptor table registers: base (8 bytes), limit (4). */
export const GDTR = 0x180;
export const IDTR = 0x190;

export const CR0 = 0x1a0;
export const CR2 = 0x1a8;
export const CR3 = 0x1b0;
export const CR4 = 0x1b8;
export const CR8 = 0x1c0;
export const EFER = 0x1c8;
export const XCR0 = 0x1d0;
/** DR0..DR7, 8 bytes each; DR4 and DR5 are never used. */
export const DR = 0x1e0;

/** Model-specific registers that are plain storage of the processor, 8 bytes each. */
export const MSR_STAR = 0x220;
export const MSR_LSTAR = 0x228;
export const MSR_CSTAR = 0x230;
export const MSR_SFMASK = 0x238;
export const MSR_KERNEL_GS_BASE = 0x240;
export const MSR_SYSENTER_CS = 0x248;
export const MSR_SYSENTER_ESP = 0x250;
export const MSR_SYSENTER_EIP = 0x258;
export const MSR_PAT = 0x260;
export const MSR_TSC_AUX = 0x268;
/** Added to the host's time stamp by RDTSC (IA32_TSC writes and IA32_TSC_ADJUST change it). */
export const TSC_OFFSET = 0x270;
export const MSR_TSC_ADJUST = 0x278;
export const MSR_MTRR_DEF_TYPE = 0x280;
/** What the guest asks of indirect branch prediction; there is none. */
export const MSR_SPEC_CTRL = 0x288;

/** x87: the environment, then the eight physical registers of 16 bytes (80 bits used). */
export const FPU_CONTROL = 0x2c0;
export const FPU_STATUS = 0x2c2;
/** One bit per physical register, 1 = in use (the abridged tag word of FXSAVE). */
export const FPU_TAG = 0x2c4;
export const FPU_OPCODE = 0x2c6;
export const FPU_IP = 0x2c8;
export const FPU_DP = 0x2d0;
export const FPU_CS = 0x2d8;
export const FPU_DS = 0x2da;
export const MXCSR = 0x2dc;
export const FPU_REGISTER = 0x2e0;
export const FPU_REGISTER_SIZE = 16;
/** XMM0..XMM15, 16 bytes each. */
export const XMM = 0x360;

/** What the processor tells its host when run() returns (see cpu/processor.ts, `Exit`). */
export const EXIT_REASON = 0x460;
/** A pending architectural exception inside the processor: vector + 1, or 0; its error code (-1: none). */
export const FAULT_VECTOR = 0x464;
export const FAULT_ERROR = 0x468;
/** Bits that make run() stop at the next instruction boundary (see cpu/processor.ts, `Attention`). */
export const ATTENTION = 0x46c;
/**
 * Interrupts are held off for one instruction: 2 until that instruction starts, then 1. With bit 2 (after MOV SS,
 * not after STI) debug exceptions are held off as well.
 */
export const INTERRUPT_SHADOW = 0x470;
/** Instructions that may still be executed before run() returns `Budget`; signed, 32 bits. */
export const BUDGET = 0x474;
/** Current privilege level, 0..3. */
export const CPL = 0x478;
/** Execution mode bits that select decoded code and paging (see cpu/mode.ts). */
export const MODE = 0x47c;
/**
 * Details of an exit or a fault: for `Exit.Memory`, A is the guest physical address, B the guest virtual one and
 * C the kind of access; FAULT_ADDRESS is CR2's next value while a page fault waits to be delivered.
 */
export const EXIT_A = 0x480;
export const EXIT_B = 0x488;
export const EXIT_C = 0x490;
export const FAULT_ADDRESS = 0x498;
/** RIP behind the instruction that microcode is asked to execute. */
export const NEXT_RIP = 0x4a0;
/** Linear address masks by address kind: all ones, 64 bits, 32 bits, 16 bits (8 bytes each, see cpu/record.ts). */
export const ADDRESS_MASK = 0x4a8;
/** A split access on its way: host address and length of the first part, host address of the second. */
export const SPLIT_FIRST = 0x4c8;
export const SPLIT_LENGTH = 0x4cc;
export const SPLIT_SECOND = 0x4d0;
/** Derived from mode and segments whenever they change: the stack's address mask and base, ES's base for string stores. */
export const STACK_MASK = 0x4d8;
export const STACK_BASE = 0x4e0;
export const STRING_BASE = 0x4e8;
/** CS base and RIP mask of the current code (0 and all ones in 64-bit mode). */
export const CODE_BASE = 0x4f0;
export const CODE_MASK = 0x4f8;
/** Addresses (bytes, in the same memory) of this logical processor's own structures. */
export const TLB_BASE = 0x504;
export const BLOCK_TABLE_BASE = 0x508;
/** Byte address of the code map (see PhysicalMemory). */
export const CODE_MAP_BASE = 0x50c;
/** What the instruction that runs is followed by (microcode/debug-exceptions.ts, `TrapPending`). */
export const TRAP_PENDING = 0x500;
/** Derived from DR7: bits 0..3 name its enabled data breakpoints, bits 4..7 those on instructions. */
export const BREAKPOINTS = 0x510;
/** Data breakpoints that the running instruction has met: bits 0..3 of the next DR6. */
export const DEBUG_HITS = 0x514;
/** 1 from the delivery of an NMI to the next IRET: no other NMI is delivered. */
export const NMI_MASKED = 0x518;
/** Values between a handler and the microcode, and the bytes of an access that crosses a page. */
export const SCRATCH = 0x600;
export const SCRATCH_SIZE = 0x400;

export const STATE_SIZE = 0x1000;
