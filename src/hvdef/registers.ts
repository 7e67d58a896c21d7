/**
 * Virtual processor register names and the layouts of their 16-byte values (TLFS 2.0a §10.2, §10.3). Names that
 * 2.0a does not have (a handful that today's guests or their parents use) stand in a group of their own.
 */

/** HV_REGISTER_NAME. Families that count up (XMM, MTRR, SINT ...) are named by their first member. */
export const RegisterName = {
  ExplicitSuspend: 0x0000_0000,
  InterceptSuspend: 0x0000_0001,

  PendingInterruption: 0x0001_0002,
  InterruptState: 0x0001_0003,

  Rax: 0x0002_0000,
  Rcx: 0x0002_0001,
  Rdx: 0x0002_0002,
  Rbx: 0x0002_0003,
  Rsp: 0x0002_0004,
  Rbp: 0x0002_0005,
  Rsi: 0x0002_0006,
  Rdi: 0x0002_0007,
  R8: 0x0002_0008,
  R9: 0x0002_0009,
  R10: 0x0002_000a,
  R11: 0x0002_000b,
  R12: 0x0002_000c,
  R13: 0x0002_000d,
  R14: 0x0002_000e,
  R15: 0x0002_000f,
  Rip: 0x0002_0010,
  Rflags: 0x0002_0011,

  Xmm0: 0x0003_0000,
  FpMmx0: 0x0003_0010,
  FpControlStatus: 0x0003_0018,
  XmmControlStatus: 0x0003_0019,

  Cr0: 0x0004_0000,
  Cr2: 0x0004_0001,
  Cr3: 0x0004_0002,
  Cr4: 0x0004_0003,
  Cr8: 0x0004_0004,
  Xfem: 0x0004_0005,

  Dr0: 0x0005_0000,
  Dr1: 0x0005_0001,
  Dr2: 0x0005_0002,
  Dr3: 0x0005_0003,
  Dr6: 0x0005_0004,
  Dr7: 0x0005_0005,

  Es: 0x0006_0000,
  Cs: 0x0006_0001,
  Ss: 0x0006_0002,
  Ds: 0x0006_0003,
  Fs: 0x0006_0004,
  Gs: 0x0006_0005,
  Ldtr: 0x0006_0006,
  Tr: 0x0006_0007,

  Idtr: 0x0007_0000,
  Gdtr: 0x0007_0001,

  Tsc: 0x0008_0000,
  Efer: 0x0008_0001,
  KernelGsBase: 0x0008_0002,
  ApicBase: 0x0008_0003,
  Pat: 0x0008_0004,
  SysenterCs: 0x0008_0005,
  SysenterRip: 0x0008_0006,
  SysenterRsp: 0x0008_0007,
  Star: 0x0008_0008,
  Lstar: 0x0008_0009,
  Cstar: 0x0008_000a,
  Sfmask: 0x0008_000b,
  InitialApicId: 0x0008_000c,

  MtrrCap: 0x0008_000d,
  MtrrDefType: 0x0008_000e,
  MtrrPhysBase0: 0x0008_0010,
  MtrrPhysMask0: 0x0008_0040,
  MtrrFix64k00000: 0x0008_0070,
  MtrrFix16k80000: 0x0008_0071,
  MtrrFix16kA0000: 0x0008_0072,
  /** C0000, C8000, ... F8000: eight names. */
  MtrrFix4kC0000: 0x0008_0073,

  VpRuntime: 0x0009_0000,
  Hypercall: 0x0009_0001,
  GuestOsId: 0x0009_0002,
  VpIndex: 0x0009_0003,
  TimeRefCount: 0x0009_0004,

  Eoi: 0x0009_0010,
  Icr: 0x0009_0011,
  Tpr: 0x0009_0012,
  ApicAssistPage: 0x0009_0013,

  StatsPartitionRetail: 0x0009_0020,
  StatsPartitionInternal: 0x0009_0021,
  StatsVpRetail: 0x0009_0022,
  StatsVpInternal: 0x0009_0023,

  /** Sixteen names. */
  Sint0: 0x000a_0000,
  Scontrol: 0x000a_0010,
  Sversion: 0x000a_0011,
  Siefp: 0x000a_0012,
  Simp: 0x000a_0013,
  Eom: 0x000a_0014,

  /** Config and count alternate; four timers. */
  Stimer0Config: 0x000b_0000,
  Stimer0Count: 0x000b_0001,

  /** Sixteen low halves, then sixteen high halves. */
  Ymm0Low: 0x000c_0000,
  Ymm0High: 0x000c_0010,

  // Later than 2.0a (current TLFS, HV_REGISTER_NAME).
  GuestCrashP0: 0x0000_0210,
  GuestCrashCtl: 0x0000_0215,
  TscFrequency: 0x0000_0240,
  ApicFrequency: 0x0000_0241,
  ReferenceTsc: 0x0009_0017,
  TscAux: 0x0008_007b,
} as const;

export const REGISTER_VALUE_SIZE = 16;

/** HV_EXPLICIT_SUSPEND_REGISTER and HV_INTERCEPT_SUSPEND_REGISTER (§10.3.1). */
export const SuspendBit = { Suspended: 1, TlbFlushInhibit: 2 } as const;

/** HV_X64_INTERRUPT_STATE_REGISTER (§10.3.3). */
export const InterruptStateBit = { InterruptShadow: 1, NmiMasked: 2 } as const;

/** HV_X64_PENDING_INTERRUPTION_REGISTER (§10.3.4): first word; the error code is the second. */
export const PendingInterruption = {
  Pending: 1,
  TypeShift: 1,
  TypeMask: 7,
  DeliverErrorCode: 1 << 4,
  ReservedMask: 0xffe0,
  VectorShift: 16,
} as const;

/**
 * HV_X64_SEGMENT_REGISTER (§10.3.6): offsets within the value. 2.0a puts the attributes before the selector;
 * the current TLFS and Linux, and with them HvCallStartVirtualProcessor, have them the other way round
 * (`ModernSegmentLayout`).
 */
export const SegmentLayout = { Base: 0, Limit: 8, Attributes: 12, Selector: 14 } as const;
export const ModernSegmentLayout = { Base: 0, Limit: 8, Selector: 12, Attributes: 14 } as const;
/** Attribute bits that exist: type, S, DPL, P, AVL, L, D/B, G. */
export const SEGMENT_ATTRIBUTES_MASK = 0xf0ff;

/** HV_X64_TABLE_REGISTER (§10.3.7). */
export const TableLayout = { Limit: 6, Base: 8 } as const;

/** HV_X64_FP_STATUS_CONTROL_REGISTER and HV_X64_XMM_STATUS_CONTROL_REGISTER (§10.3.5). */
export const FpControlStatusLayout = {
  Control: 0,
  Status: 2,
  Tag: 4,
  IgnoreNumericError: 5,
  LastOpcode: 6,
  LastRip: 8,
} as const;
export const XmmControlStatusLayout = { LastRdp: 0, Control: 8, ControlMask: 12 } as const;
