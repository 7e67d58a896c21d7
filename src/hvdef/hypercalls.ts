/**
 * Every hypercall as data: the 56 of TLFS 2.0a Appendix B, with the layouts of their "Native Interface"
 * sections, and the newer ones that today's guests know. The dispatcher checks and the trace decodes by this
 * table. Where 2.0a and newer editions use one code differently (0x0071), 2.0a holds.
 *
 * `_` is padding. Data of up to a page ("up to 4080 bytes") are declared as a tail behind their fixed part.
 * HvSetPortProperty: §14.9.5 lists an output that its wrapper doesn't have; it has none here.
 */
import { type HypercallCaller, type HypercallDefinition, layout } from './hypercall-definition.ts';
import type { PrivilegeName } from './privileges.ts';

interface Row {
  code: number;
  /** 'fast', 'xmm' (both register conventions), 'rep', 'variable', in any combination. */
  kinds?: string;
  caller: HypercallCaller;
  privilege?: PrivilegeName;
  input?: string;
  inputElement?: string;
  output?: string;
  outputElement?: string;
  /** Bytes that may follow the fixed part. */
  inputTail?: number;
  outputTail?: number;
  source: string;
}

const PARTITION = 'PartitionId:u64';
const PARTITION_VP = 'PartitionId:u64 VpIndex:u32 _:4';
const EVENT_LOG_BUFFER = 'Type:u32 BufferIndex:u32';
const FLUSH = 'AddressSpace:u64 Flags:u64 ProcessorMask:u64';
const FLUSH_EX = 'AddressSpace:u64 Flags:u64 Format:u64 ValidBankMask:u64';
const GET_REGISTERS = 'PartitionId:u64 VpIndex:u32 TargetVtl:u8 _:3';

const ROWS = {
  SwitchVirtualAddressSpace: {
    code: 0x0001,
    kinds: 'fast',
    caller: 'any',
    input: 'AddressSpace:u64',
    source: '§12.4.1',
  },
  FlushVirtualAddressSpace: { code: 0x0002, kinds: 'xmm', caller: 'any', input: FLUSH, source: '§12.4.2' },
  FlushVirtualAddressList: {
    code: 0x0003,
    kinds: 'rep xmm',
    caller: 'any',
    input: FLUSH,
    inputElement: 'GvaRange:u64',
    source: '§12.4.3',
  },
  GetLogicalProcessorRunTime: {
    code: 0x0004,
    caller: 'any',
    privilege: 'CpuManagement',
    output: 'GlobalTime:u64 LocalRunTime:u64 _:8 HypervisorTime:u64',
    source: '§6.4.1',
  },
  NotifyLongSpinWait: {
    code: 0x0008,
    kinds: 'fast',
    caller: 'any',
    input: 'SpinwaitInfo:u32 _:4',
    source: '§18.5.1',
  },
  ParkLogicalProcessors: {
    code: 0x0009,
    kinds: 'fast',
    caller: 'any',
    privilege: 'CpuManagement',
    input: 'ProcessorMask:u64',
    source: '§6.4.2',
  },
  CreatePartition: {
    code: 0x0040,
    caller: 'any',
    privilege: 'CreatePartitions',
    input: 'Flags:u64 ProximityDomainInfo:u64',
    output: 'NewPartitionId:u64',
    source: '§5.6.1',
  },
  InitializePartition: { code: 0x0041, kinds: 'fast', caller: 'parent', input: PARTITION, source: '§5.6.2' },
  FinalizePartition: { code: 0x0042, kinds: 'fast', caller: 'parent', input: PARTITION, source: '§5.6.3' },
  DeletePartition: { code: 0x0043, kinds: 'fast', caller: 'parent', input: PARTITION, source: '§5.6.4' },
  GetPartitionProperty: {
    code: 0x0044,
    caller: 'parent-or-root',
    input: 'PartitionId:u64 PropertyCode:u32 _:4',
    output: 'PropertyValue:u64',
    source: '§5.6.5',
  },
  SetPartitionProperty: {
    code: 0x0045,
    caller: 'parent-or-root',
    input: 'PartitionId:u64 PropertyCode:u32 _:4 PropertyValue:u64',
    source: '§5.6.6',
  },
  GetPartitionId: {
    code: 0x0046,
    caller: 'any',
    privilege: 'AccessPartitionId',
    output: PARTITION,
    source: '§5.6.7',
  },
  GetNextChildPartition: {
    code: 0x0047,
    caller: 'parent',
    input: 'ParentId:u64 PreviousChildId:u64',
    output: 'NextChildId:u64',
    source: '§5.6.8',
  },
  DepositMemory: {
    code: 0x0048,
    kinds: 'rep',
    caller: 'parent-or-self',
    privilege: 'AccessMemoryPool',
    input: PARTITION,
    inputElement: 'GpaPage:u64',
    source: '§7.3.1',
  },
  WithdrawMemory: {
    code: 0x0049,
    kinds: 'rep',
    caller: 'parent-or-self',
    privilege: 'AccessMemoryPool',
    input: 'PartitionId:u64 ProximityDomainInfo:u64',
    outputElement: 'GpaPage:u64',
    source: '§7.3.2',
  },
  GetMemoryBalance: {
    code: 0x004a,
    caller: 'parent-or-self',
    privilege: 'AccessMemoryPool',
    input: 'PartitionId:u64 ProximityDomainInfo:u64',
    output: 'PagesAvailable:u64 PagesInUse:u64',
    source: '§7.3.3',
  },
  MapGpaPages: {
    code: 0x004b,
    kinds: 'rep',
    caller: 'parent-or-root',
    input: 'TargetPartitionId:u64 TargetGpaBase:u64 MapFlags:u32 _:4',
    inputElement: 'SourceGpaPage:u64',
    source: '§8.3.1',
  },
  UnmapGpaPages: {
    code: 0x004c,
    kinds: 'rep',
    caller: 'parent',
    input: 'TargetPartitionId:u64 TargetGpaBase:u64',
    source: '§8.3.2',
  },
  InstallIntercept: {
    code: 0x004d,
    caller: 'parent',
    input: 'PartitionId:u64 AccessType:u32 InterceptType:u32 InterceptParameter:u64',
    source: '§9.3.1',
  },
  CreateVp: {
    code: 0x004e,
    caller: 'parent',
    input: `${PARTITION_VP} ProximityDomainInfo:u64 Flags:u64`,
    source: '§10.4.1',
  },
  DeleteVp: { code: 0x004f, kinds: 'fast', caller: 'parent', input: PARTITION_VP, source: '§10.4.2' },
  GetVpRegisters: {
    code: 0x0050,
    kinds: 'rep xmm',
    caller: 'parent-or-self',
    input: GET_REGISTERS,
    inputElement: 'RegisterName:u32',
    outputElement: 'Low:u64 High:u64',
    source: '§10.4.3',
  },
  SetVpRegisters: {
    code: 0x0051,
    kinds: 'rep xmm',
    caller: 'parent',
    input: GET_REGISTERS,
    inputElement: 'RegisterName:u32 _:12 Low:u64 High:u64',
    source: '§10.4.4',
  },
  TranslateVirtualAddress: {
    code: 0x0052,
    caller: 'parent',
    input: `${PARTITION_VP} ControlFlags:u64 GvaPage:u64`,
    output: 'TranslationResult:u64 GpaPage:u64',
    source: '§12.4.4',
  },
  ReadGpa: {
    code: 0x0053,
    caller: 'parent',
    input: 'PartitionId:u64 VpIndex:u32 ByteCount:u32 BaseGpa:u64 ControlFlags:u64',
    output: 'AccessResult:u64 Data:16',
    source: '§12.4.5',
  },
  WriteGpa: {
    code: 0x0054,
    caller: 'parent',
    input: 'PartitionId:u64 VpIndex:u32 ByteCount:u32 BaseGpa:u64 ControlFlags:u64 Data:16',
    output: 'AccessResult:u64',
    source: '§12.4.6',
  },
  AssertVirtualInterrupt: {
    code: 0x0055,
    caller: 'parent',
    input: 'DestinationPartition:u64 InterruptControl:u64 DestinationAddress:u64 RequestedVector:u32 _:4',
    source: '§13.5.1',
  },
  ClearVirtualInterrupt: {
    code: 0x0056,
    kinds: 'fast',
    caller: 'parent',
    input: 'DestinationPartition:u64',
    source: '§13.5.2',
  },
  CreatePort: {
    code: 0x0057,
    caller: 'parent-or-self',
    privilege: 'CreatePort',
    input: 'PortPartition:u64 PortId:u32 _:4 ConnectionPartition:u64 PortTypeInfo:24',
    source: '§14.9.1',
  },
  DeletePort: {
    code: 0x0058,
    kinds: 'fast',
    caller: 'parent-or-self',
    input: 'PortPartition:u64 PortId:u32 _:4',
    source: '§14.9.2',
  },
  ConnectPort: {
    code: 0x0059,
    caller: 'parent-or-self',
    privilege: 'ConnectPort',
    input: 'ConnectionPartition:u64 ConnectionId:u32 _:4 PortPartition:u64 PortId:u32 _:4 ConnectionInfo:8',
    source: '§14.9.3',
  },
  GetPortProperty: {
    code: 0x005a,
    caller: 'parent-or-self',
    input: 'PartitionId:u64 PortId:u32 _:4 PropertyCode:u32 _:4',
    output: 'PropertyValue:u64',
    source: '§14.9.4',
  },
  DisconnectPort: {
    code: 0x005b,
    kinds: 'fast',
    caller: 'parent-or-self',
    input: 'ConnectionPartition:u64 ConnectionId:u32 _:4',
    source: '§14.9.6',
  },
  PostMessage: {
    code: 0x005c,
    caller: 'any',
    privilege: 'PostMessages',
    input: 'ConnectionId:u32 _:4 MessageType:u32 PayloadSize:u32 Message:240',
    source: '§14.9.7',
  },
  SignalEvent: {
    code: 0x005d,
    kinds: 'fast',
    caller: 'any',
    privilege: 'SignalEvents',
    input: 'ConnectionId:u32 FlagNumber:u16 _:2',
    source: '§14.9.8',
  },
  SavePartitionState: {
    code: 0x005e,
    caller: 'parent',
    input: 'PartitionId:u64 Flags:u32 _:4',
    output: 'SaveState:u32 SaveDataCount:u32',
    outputTail: 4080,
    source: '§17.3.1',
  },
  RestorePartitionState: {
    code: 0x005f,
    caller: 'parent',
    privilege: 'CreatePartitions',
    input: 'PartitionId:u64 Flags:u32 RestoreDataCount:u32',
    inputTail: 4080,
    output: 'RestoreState:u32 RestoreDataConsumed:u32',
    source: '§17.3.2',
  },
  InitializeEventLogBufferGroup: {
    code: 0x0060,
    caller: 'root',
    input: 'Type:u32 MaximumBufferCount:u32 BufferPages:u32 Threshold:u32 TimeBasis:u32 SystemTime:8 _:4',
    source: '§19.3.1',
  },
  FinalizeEventLogBufferGroup: {
    code: 0x0061,
    kinds: 'fast',
    caller: 'root',
    input: 'Type:u32 _:4',
    source: '§19.3.2',
  },
  CreateEventLogBuffer: {
    code: 0x0062,
    kinds: 'fast',
    caller: 'root',
    input: `${EVENT_LOG_BUFFER} ProximityInfo:u64`,
    source: '§19.3.3',
  },
  DeleteEventLogBuffer: {
    code: 0x0063,
    kinds: 'fast',
    caller: 'root',
    input: EVENT_LOG_BUFFER,
    source: '§19.3.4',
  },
  MapEventLogBuffer: {
    code: 0x0064,
    caller: 'root',
    input: EVENT_LOG_BUFFER,
    output: 'GpaPages:u64',
    outputTail: 4088,
    source: '§19.3.5',
  },
  UnmapEventLogBuffer: {
    code: 0x0065,
    kinds: 'fast',
    caller: 'root',
    input: EVENT_LOG_BUFFER,
    source: '§19.3.6',
  },
  SetEventLogGroupSources: {
    code: 0x0066,
    kinds: 'fast',
    caller: 'root',
    input: 'Type:u32 _:4 EnableFlags:u64',
    source: '§19.3.7',
  },
  ReleaseEventLogBuffer: {
    code: 0x0067,
    kinds: 'fast',
    caller: 'root',
    input: EVENT_LOG_BUFFER,
    source: '§19.3.8',
  },
  FlushEventLogBuffer: {
    code: 0x0068,
    kinds: 'fast',
    caller: 'root',
    input: EVENT_LOG_BUFFER,
    source: '§19.3.9',
  },
  PostDebugData: {
    code: 0x0069,
    caller: 'any',
    privilege: 'Debugging',
    input: 'Count:u32 Options:u32',
    inputTail: 4088,
    output: 'PendingCount:u32 _:4',
    source: '§20.3.1',
  },
  RetrieveDebugData: {
    code: 0x006a,
    caller: 'any',
    privilege: 'Debugging',
    input: 'Count:u32 Options:u32 Timeout:u64',
    output: 'RetrievedCount:u32 RemainingCount:u32',
    outputTail: 4088,
    source: '§20.3.2',
  },
  ResetDebugSession: {
    code: 0x006b,
    kinds: 'fast',
    caller: 'any',
    privilege: 'Debugging',
    input: 'Options:u32 _:4',
    source: '§20.3.3',
  },
  MapStatsPage: {
    code: 0x006c,
    caller: 'parent',
    privilege: 'AccessStats',
    input: 'StatsType:u32 _:4 ObjectIdentity:16 TargetGpaPage:u64',
    source: '§21.3.1',
  },
  UnmapStatsPage: {
    code: 0x006d,
    caller: 'parent',
    privilege: 'AccessStats',
    input: 'StatsType:u32 _:4 ObjectIdentity:16',
    source: '§21.3.2',
  },
  MapSparseGpaPages: {
    code: 0x006e,
    kinds: 'rep',
    caller: 'parent-or-root',
    input: 'TargetPartitionId:u64 MapFlags:u32 _:4',
    inputElement: 'TargetGpaPage:u64 SourceGpaPage:u64',
    source: '§8.3.3',
  },
  SetSystemProperty: {
    code: 0x006f,
    caller: 'root',
    privilege: 'ConfigureProfiler',
    input: 'PropertyCode:u32 _:4 PropertyValue:16',
    source: '§23.4.1',
  },
  SetPortProperty: {
    code: 0x0070,
    caller: 'parent-or-self',
    privilege: 'CreatePort',
    input: 'PartitionId:u64 PortId:u32 _:4 PropertyCode:u32 _:4 PropertyValue:u64',
    source: '§14.9.5',
  },
  GetSystemProperty: {
    code: 0x0071,
    caller: 'root',
    input: 'PropertyCode:u32 _:4',
    output: 'PropertyValue:16',
    source: '§23.4.2',
  },

  SendSyntheticClusterIpi: {
    code: 0x000b,
    kinds: 'fast',
    caller: 'any',
    input: 'Vector:u32 TargetVtl:u8 _:3 ProcessorMask:u64',
    source: 'current',
  },
  FlushVirtualAddressSpaceEx: {
    code: 0x0013,
    kinds: 'variable xmm',
    caller: 'any',
    input: FLUSH_EX,
    source: 'current',
  },
  FlushVirtualAddressListEx: {
    code: 0x0014,
    kinds: 'rep variable xmm',
    caller: 'any',
    input: FLUSH_EX,
    inputElement: 'GvaRange:u64',
    source: 'current',
  },
  SendSyntheticClusterIpiEx: {
    code: 0x0015,
    kinds: 'variable xmm',
    caller: 'any',
    input: 'Vector:u32 TargetVtl:u8 _:3 Format:u64 ValidBankMask:u64',
    source: 'current',
  },
  RetargetDeviceInterrupt: {
    code: 0x007e,
    kinds: 'variable xmm',
    caller: 'parent-or-self',
    input:
      'PartitionId:u64 DeviceId:u64 InterruptEntry:16 _:8 Vector:u32 Flags:u32 ProcessorMaskOrFormat:u64',
    source: 'current',
  },
  AssertVirtualInterruptVtl: {
    code: 0x0094,
    kinds: 'xmm',
    caller: 'parent',
    input:
      'TargetPartition:u64 InterruptControl:u64 DestinationAddress:u64 RequestedVector:u32 TargetVtl:u8 _:3',
    source: 'current',
  },
  StartVirtualProcessor: {
    code: 0x0099,
    caller: 'parent-or-self',
    privilege: 'StartVirtualProcessor',
    input: 'PartitionId:u64 VpIndex:u32 TargetVtl:u8 _:3 VpContext:224',
    source: 'current',
  },
  GetVpIndexFromApicId: {
    code: 0x009a,
    kinds: 'rep xmm',
    caller: 'parent-or-self',
    input: 'PartitionId:u64 TargetVtl:u8 _:7',
    inputElement: 'ApicId:u32',
    outputElement: 'VpIndex:u32',
    source: 'current',
  },
  FlushGuestPhysicalAddressSpace: {
    code: 0x00af,
    kinds: 'fast',
    caller: 'any',
    input: 'AddressSpace:u64 Flags:u64',
    source: 'current',
  },
  FlushGuestPhysicalAddressList: {
    code: 0x00b0,
    kinds: 'rep xmm',
    caller: 'any',
    input: 'AddressSpace:u64 Flags:u64',
    inputElement: 'GpaRange:u64',
    source: 'current',
  },
  SignalEventDirect: {
    code: 0x00c0,
    caller: 'parent',
    input: 'TargetPartition:u64 TargetVp:u32 TargetVtl:u8 TargetSint:u8 FlagNumber:u16',
    output: 'NewlySignaled:u8 _:7',
    source: 'current',
  },
  GetVpCpuidValues: {
    code: 0x00f4,
    kinds: 'rep',
    caller: 'parent-or-self',
    input: 'PartitionId:u64 VpIndex:u32 Flags:u32 _:8',
    inputElement: 'Leaf:u32 Subleaf:u32',
    outputElement: 'Eax:u32 Ebx:u32 Ecx:u32 Edx:u32',
    source: 'current',
  },
  ExtQueryCapabilities: {
    code: 0x8001,
    caller: 'any',
    privilege: 'EnableExtendedHypercalls',
    output: 'Capabilities:u64',
    source: 'current',
  },
} as const satisfies Record<string, Row>;

export type HypercallName = keyof typeof ROWS;

function define(key: string, row: Row): HypercallDefinition {
  const kinds = (row.kinds ?? '').split(' ');
  return {
    code: row.code,
    name: row.source === 'current' ? `HvCall${key}` : `Hv${key}`,
    rep: kinds.includes('rep'),
    fast: kinds.includes('fast') || kinds.includes('xmm'),
    extendedFast: kinds.includes('xmm'),
    caller: row.caller,
    privilege: row.privilege,
    input: layout(row.input ?? ''),
    inputElement: layout(row.inputElement ?? ''),
    output: layout(row.output ?? ''),
    outputElement: layout(row.outputElement ?? ''),
    variableHeader: kinds.includes('variable'),
    inputTail: row.inputTail,
    outputTail: row.outputTail,
    source: row.source,
  };
}

const entries = Object.entries(ROWS) as [HypercallName, Row][];

/** Every definition, in the table's order. */
export const HYPERCALLS: readonly HypercallDefinition[] = entries.map(([key, row]) => define(key, row));

/** Call codes by name without prefix. */
export const HypercallCode = Object.fromEntries(entries.map(([key, row]) => [key, row.code])) as {
  readonly [K in HypercallName]: (typeof ROWS)[K]['code'];
};

const byCode = new Map(HYPERCALLS.map((definition) => [definition.code, definition]));

export function hypercallDefinition(code: number): HypercallDefinition | undefined {
  return byCode.get(code);
}
