/**
 * Operations that semantics hand to TypeScript (cpu/microcode): rare or intricate ones. The number goes through
 * the import `microcode`; what else an operation needs is in SCRATCH and the argument, as noted.
 */
export const Operation = {
  /** SCRATCH: divisor. Dividend in RDX:RAX. */
  DivideUnsigned: 0,
  DivideSigned: 1,
  /** Argument: state offset of the general register | of the special register << 16. */
  ReadControl: 2,
  WriteControl: 3,
  ReadDebug: 4,
  WriteDebug: 5,
  /** SCRATCH: selector; argument: segment index. */
  LoadSegment: 6,
  /** As LoadSegment; SCRATCH + 8: RSP afterwards. */
  PopSegment: 7,
  /** As LoadSegment; SCRATCH + 0x100: offset; argument: segment | state offset of the register << 8. */
  LoadFarPointer: 8,
  /** SCRATCH: offset, SCRATCH + 8: selector. */
  JumpFar: 9,
  CallFar: 10,
  /** SCRATCH: bytes to release. */
  ReturnFar: 11,
  InterruptReturn: 12,
  /** SCRATCH: vector. */
  SoftwareInterrupt: 13,
  Breakpoint: 14,
  DebugTrap: 15,
  Overflow: 16,
  Syscall: 17,
  Sysret: 18,
  Sysenter: 19,
  Sysexit: 20,
  /** SCRATCH: port; argument: bytes. */
  PortIn: 21,
  PortOut: 22,
  PortInString: 23,
  PortOutString: 24,
  ReadMsr: 25,
  WriteMsr: 26,
  Cpuid: 27,
  Halt: 28,
  Hypercall: 29,
  /** SCRATCH: linear address. */
  InvalidatePage: 30,
  /** SCRATCH: limit, SCRATCH + 8: base. */
  LoadGdt: 31,
  LoadIdt: 32,
  /** SCRATCH: selector. */
  LoadLdt: 33,
  LoadTask: 34,
  /** SCRATCH: new low half of CR0. */
  LoadMachineStatus: 35,
  ClearTaskSwitched: 36,
  /** SCRATCH: selector; result in SCRATCH + 8, ZF in SCRATCH + 16. */
  LoadAccessRights: 37,
  LoadLimit: 38,
  VerifyRead: 39,
  VerifyWrite: 40,
  Xgetbv: 41,
  Xsetbv: 42,
  /** SCRATCH + 0x300: linear address. */
  Fxsave: 43,
  Fxrstor: 44,
  Xsave: 45,
  Xrstor: 46,
  /** Argument: index in the list of x87 operations; memory operand in SCRATCH. */
  X87: 47,
  /** Mode depends on flags that just changed. */
  FlagsChanged: 48,
  /** SCRATCH: frame size, SCRATCH + 8: level. */
  Enter: 51,
  PushAll: 52,
  PopAll: 53,
  /** Argument: which of daa, das, aaa, aas, aam, aad; SCRATCH: the immediate. */
  DecimalAdjust: 55,
  /** Precise scalar and packed floating point when MXCSR is not the default; see semantics/sse. */
  PreciseFloat: 56,
  Rdpmc: 57,
  StringCompareSse: 59,
  /** Between two instructions under STI's shadow or the trap flag. */
  Boundary: 60,
  /** Argument: the record. */
  CheckSecondPage: 61,
  /** 1 if the page of EXIT_B holds a data breakpoint, else 0. */
  WatchesPage: 62,
  /** Operand size: bytes; argument: kind of access; EXIT_B: linear address. */
  NoteAccess: 63,
} as const;
