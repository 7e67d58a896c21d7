/** Event logging as data: types, sources, layouts, entries. TLFS 2.0a §16.5.10, §19.2, Appendix I. */

export const EventLogType = { GlobalSystemEvents: 0, LocalDiagnostics: 1 } as const;
export const EVENT_LOG_TYPES = 2;
export const EVENT_LOG_MAXIMUM = 512;

/** Bits of the masks of event sources (§19.2.2). */
export const SystemSource = { Success: 1n, Failure: 2n } as const;
/** §19.2.2, and the groups of Appendix I. */
export const DiagnosticSource = {
  Admin: 1n,
  Hypercall: 0x400n,
  Intercept: 0x800n,
  Object: 0x2000n,
  VirtualProcessor: 0x8000n,
  Scheduler: 0x40_0000n,
  Profiler: 0x800_0000n,
  PerfGeneral: 1n << 32n,
} as const;

export const EventLogBufferState = { Standby: 0, Free: 1, InUse: 2, Complete: 3, Ready: 4 } as const;
export const EVENT_LOG_INDEX_NONE = 0xffff_ffff;
export const EventLogTimeBasis = { Reference: 0, Tsc: 1 } as const;

/** HV_EVENTLOG_BUFFER_HEADER. */
export const EventLogBufferHeader = {
  BufferSize: 0,
  BufferIndex: 4,
  EventsLost: 8,
  EventCount: 12,
  TimeStamp: 16,
  LogicalProcessor: 40,
  BufferState: 44,
  NextBufferOffset: 48,
  Type: 56,
  NextBufferIndex: 60,
  End: 88,
} as const;

/** HV_EVENTLOG_ENTRY_HEADER. */
export const EventLogEntryHeader = { Context: 0, Size: 4, Type: 6, TimeStamp: 8, End: 16 } as const;

/** Numbers of the entries that this hypervisor makes (Appendix I). */
export const EventLogEntry = {
  Hypercall: 0x1a,
  GuestException: 0x20,
  MsrRead: 0x21,
  MsrWrite: 0x22,
  Halt: 0x25,
  Cpuid: 0x27,
  PortRead: 0x28,
  PortWrite: 0x29,
  GuestShutdown: 0x2c,
  MemoryIntercept: 0x36,
  CreatePartition: 0x40,
  DeletePartition: 0x41,
  CreateVp: 0x4b,
  DeleteVp: 0x4c,
  ContextSwitch: 0xb0,
  ProfilerSample: 0xf0,
} as const;

/** Event log buffers ready (§16.5.10). */
export const EventLogMessage = { Type: 16, BufferIndex: 20, End: 24 } as const;
