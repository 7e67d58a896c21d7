/**
 * The synthetic interrupt controller as data: registers, pages, ports, connections and the monitored
 * notification page (TLFS 2.0a §14.6 .. §14.8.10). Message layouts are in messages.ts.
 */

export const SINT_COUNT = 16;
export const SYNIC_VERSION = 1;
/** Valid vectors are 16..255 (§14.6.5). */
export const FIRST_SINT_VECTOR = 16;

/** Bits of SINTx; Polling (18) is from the current TLFS. */
export const SintBit = { VectorMask: 0xff, Masked: 1 << 16, AutoEoi: 1 << 17, Polling: 1 << 18 } as const;
export const SINT_RESET_VALUE = SintBit.Masked;
export const SCONTROL_ENABLE = 1;

/** A 4 KiB SIM page is 16 message slots, a SIEF page 16 flag areas, of 256 bytes each. */
export const SYNIC_SLOT_SIZE = 256;
export const EVENT_FLAGS_COUNT = 2048;

/** HV_PORT_TYPE. */
export const PortType = { Message: 1, Event: 2, Monitor: 3 } as const;
export type PortType = (typeof PortType)[keyof typeof PortType];

/** HV_PORT_PROPERTY_CODE. */
export const PortProperty = { PostCount: 0, PreferredTargetVp: 1 } as const;

/** Port and connection ids are 24 bits wide. */
export const ID_RESERVED_MASK = 0xff00_0000;
export const MESSAGE_BUFFERS_PER_PORT = 16;
export const HV_ANY_VP = 0xffff_ffff;

export const SYNTHETIC_TIMER_COUNT = 4;
/** Bits of STIMERx_CONFIG (§15.3.1); direct mode and its vector are from the current TLFS. */
export const StimerBit = {
  Enable: 1 << 0,
  Periodic: 1 << 1,
  Lazy: 1 << 2,
  AutoEnable: 1 << 3,
  VectorShift: 4,
  DirectMode: 1 << 12,
  SintShift: 16,
  /** Bits that must be zero in the low word; the high word must be zero too. */
  Reserved: 0xfff0_e000 | 0,
} as const;

/** HV_MONITOR_PAGE (§14.8.10). */
export const MonitorPageLayout = {
  TriggerState: 0,
  /** Four groups of { Pending, Armed }, 8 bytes each. */
  TriggerGroups: 8,
  /** UINT16 [4][32]. */
  Latency: 576,
  /** HV_MONITOR_PARAMETER [4][32], 8 bytes each: connection id, flag number. */
  Parameters: 1088,
} as const;
export const MONITOR_GROUPS = 4;
export const MONITOR_GROUP_ENABLE_MASK = 0xf;
export const MONITOR_DISABLED = 1 << 4;

/** HV_INTERRUPT_TYPE (§13.4.1). */
export const InterruptType = {
  Fixed: 0,
  LowestPriority: 1,
  Nmi: 4,
  Init: 5,
  Sipi: 6,
  ExtInt: 7,
} as const;
export const INTERRUPT_VECTOR_NONE = 0xffff_ffff;
/** High word of HV_INTERRUPT_CONTROL. */
export const InterruptControlBit = {
  LevelTriggered: 1,
  LogicalDestination: 2,
  Reserved: 0xffff_fffc,
} as const;

/** HV_FLUSH_FLAGS (§12.3.2); the extended range format is from the current TLFS. */
export const FlushFlag = {
  AllProcessors: 1,
  AllVirtualAddressSpaces: 2,
  NonGlobalMappingsOnly: 4,
  UseExtendedRangeFormat: 8,
} as const;
/** HV_VP_SET formats. */
export const VpSetFormat = { Sparse: 0, All: 1 } as const;
