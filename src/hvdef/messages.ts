/**
 * SynIC messages as data: types, the common header and the payload of every message the hypervisor itself
 * sends (TLFS 2.0a §14.8, §16). Offsets count from the start of the 256-byte message.
 *
 * Where the specification contradicts itself: §14.8.4 of 2.0a prints the header as type, 16 reserved bits,
 * flags, payload size. Every released guest and the current TLFS (HV_MESSAGE) have type, payload size, flags,
 * 16 reserved bits. Unmodified guests are what we run, so the latter is what is laid out here. All payloads
 * follow 2.0a to the byte.
 */

/** TLFS 2.0a §14.8.2. */
export const MessageType = {
  None: 0x0000_0000,
  UnmappedGpa: 0x8000_0000,
  GpaIntercept: 0x8000_0001,
  TimerExpired: 0x8000_0010,
  InvalidVpRegisterValue: 0x8000_0020,
  UnrecoverableException: 0x8000_0021,
  UnsupportedFeature: 0x8000_0022,
  ApicEoi: 0x8000_0030,
  FerrAsserted: 0x8000_0031,
  EventLogBuffersComplete: 0x8000_0040,
  X64IoPortIntercept: 0x8001_0000,
  X64MsrIntercept: 0x8001_0001,
  X64CpuidIntercept: 0x8001_0002,
  X64ExceptionIntercept: 0x8001_0003,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** A message type with this bit set comes from the hypervisor; guests may not post one. */
export const MESSAGE_TYPE_HYPERVISOR_MASK = 0x8000_0000;

export const MESSAGE_SIZE = 256;
export const MESSAGE_HEADER_SIZE = 16;
export const MESSAGE_MAX_PAYLOAD = 240;

/** HV_MESSAGE_HEADER. */
export const MessageHeader = {
  Type: 0,
  PayloadSize: 4,
  Flags: 5,
  /** Partition id, port id, or zero; 8 bytes. */
  Origination: 8,
} as const;
export const MessageFlag = { Pending: 1 } as const;

/** HV_X64_INTERCEPT_MESSAGE_HEADER (§16.2.2), from the start of the message. */
export const InterceptHeader = {
  VpIndex: 16,
  InstructionLength: 20,
  /** One bit of `InterceptAccessMask` (2.0a types the field as a mask; newer hypervisors count 0, 1, 2). */
  AccessType: 21,
  ExecutionState: 22,
  CsSegment: 24,
  Rip: 40,
  Rflags: 48,
  End: 56,
} as const;

/** HV_X64_VP_EXECUTION_STATE (§16.2.3). */
export const ExecutionState = {
  CplMask: 3,
  Cr0Pe: 1 << 2,
  Cr0Am: 1 << 3,
  EferLma: 1 << 4,
  DebugActive: 1 << 5,
  InterruptionPending: 1 << 6,
} as const;

/** Unmapped GPA and GPA access violation (§16.3). */
export const MemoryMessage = {
  Flags: 58,
  InstructionByteCount: 59,
  CacheType: 60,
  Gva: 64,
  Gpa: 72,
  InstructionBytes: 80,
  DsSegment: 96,
  SsSegment: 112,
  /** RAX..R15 in encoding order. */
  Registers: 128,
  End: 256,
} as const;
export const MemoryAccessFlag = { GvaValid: 1 } as const;

/** Timer expiration (§16.4.1). */
export const TimerMessage = { TimerIndex: 16, ExpirationTime: 24, DeliveryTime: 32, End: 40 } as const;

/** CPUID intercept (§16.5.1). */
export const CpuidMessage = {
  Rax: 56,
  Rcx: 64,
  Rdx: 72,
  Rbx: 80,
  DefaultRax: 88,
  DefaultRcx: 96,
  DefaultRdx: 104,
  DefaultRbx: 112,
  End: 120,
} as const;

/** MSR intercept (§16.5.2). */
export const MsrMessage = { MsrNumber: 56, Rdx: 64, Rax: 72, End: 80 } as const;

/** I/O port intercept (§16.5.3). */
export const IoPortMessage = {
  PortNumber: 56,
  AccessInfo: 58,
  InstructionByteCount: 59,
  Rax: 64,
  InstructionBytes: 72,
  DsSegment: 88,
  EsSegment: 104,
  Rcx: 120,
  Rsi: 128,
  Rdi: 136,
  End: 144,
} as const;
/** HV_X64_IO_PORT_ACCESS_INFO (§16.2.4): the size in bytes stands in the low three bits. */
export const IoPortAccessInfo = { SizeMask: 7, StringOp: 1 << 3, RepPrefix: 1 << 4 } as const;

/** Exception intercept (§16.5.4). */
export const ExceptionMessage = {
  Vector: 56,
  Flags: 58,
  InstructionByteCount: 59,
  ErrorCode: 60,
  Parameter: 64,
  InstructionBytes: 80,
  DsSegment: 96,
  SsSegment: 112,
  Registers: 128,
  End: 256,
} as const;
export const ExceptionFlag = { ErrorCodeValid: 1 } as const;

/** APIC EOI (§16.5.5). */
export const ApicEoiMessage = { VpIndex: 16, InterruptVector: 20, End: 24 } as const;
/** FERR asserted and invalid register value (§16.5.6, §16.5.7). */
export const VpOnlyMessage = { VpIndex: 16, End: 24 } as const;
/** Unsupported feature (§16.5.9). */
export const UnsupportedFeatureMessage = {
  VpIndex: 16,
  FeatureCode: 20,
  FeatureParameter: 24,
  End: 32,
} as const;

/** HV_UNSUPPORTED_FEATURE_CODE (§9.2.4). */
export const UnsupportedFeature = { Intercept: 1, TaskSwitchTss: 2 } as const;

/** HV_CACHE_TYPE (§12.3.3). */
export const CacheType = {
  Uncached: 0,
  WriteCombining: 1,
  WriteThrough: 4,
  WriteProtected: 5,
  WriteBack: 6,
} as const;
