/**
 * Claims about §10.2: a guest parent writes each register of a child's processor through HvSetVpRegisters and
 * reads the value back through HvGetVpRegisters; a read-only one it reads, and is refused.
 */
import { HypercallCode as C } from '../../../src/hvdef/hypercalls.ts';
import { RegisterName as R } from '../../../src/hvdef/registers.ts';
import { HvStatus, statusName } from '../../../src/hvdef/status.ts';
import type { Scene } from './scene.ts';

export interface RegisterClaim {
  readonly name: string;
  readonly register: number;
  /** What is written and read back: low and high half; undefined: read-only. */
  readonly value: readonly [bigint, bigint] | undefined;
}
export interface ImpossibleRegister {
  readonly name: string;
  readonly reason: string;
}

const flat = (selector: bigint, attributes: bigint, limit = 0xffff_ffffn): [bigint, bigint] => [
  0x1_2340_0000n,
  limit | (attributes << 32n) | (selector << 48n),
];

/** Registers whose bits are not all free. */
const VALUES: Record<string, readonly [bigint, bigint] | undefined> = {
  ExplicitSuspend: [1n, 0n],
  InterceptSuspend: [0n, 0n],
  PendingInterruption: [0x0041_0001n, 0n],
  InterruptState: [1n, 0n],
  Rflags: [0x246n, 0n],
  FpMmx0: [0x8000_0000_0000_1234n, 0x3fffn],
  FpControlStatus: [0x37fn, 0n],
  XmmControlStatus: [0n, 0xffff_0000_1f80n],
  Cr0: [0x8000_0031n, 0n],
  Cr3: [0x12_3000n, 0n],
  Cr4: [0x220n, 0n],
  Cr8: [5n, 0n],
  Xfem: [3n, 0n],
  Dr6: [0xffff_0ff1n, 0n],
  Dr7: [0x401n, 0n],
  Es: flat(0x10n, 0xc093n),
  Cs: flat(0x08n, 0xa09bn),
  Ss: flat(0x10n, 0xc093n),
  Ds: flat(0x10n, 0xc093n),
  Fs: flat(0x10n, 0xc093n),
  Gs: flat(0x10n, 0xc093n),
  Ldtr: flat(0x20n, 0x0082n, 0xffffn),
  Tr: flat(0x28n, 0x008bn, 0xffffn),
  Idtr: [0x0fff_0000_0000_0000n, 0x5000n],
  Gdtr: [0x00ff_0000_0000_0000n, 0x6000n],
  Efer: [0xd00n, 0n],
  ApicBase: [0xfee0_0900n, 0n],
  Pat: [0x0007_0406_0007_0406n, 0n],
  SysenterCs: [0x10n, 0n],
  Star: [0x0023_0010_0000_0000n, 0n],
  Sfmask: [0x4_7700n, 0n],
  InitialApicId: [3n, 0n],
  MtrrCap: undefined,
  MtrrDefType: [0xc06n, 0n],
  MtrrPhysBase0: [0x1234_5006n, 0n],
  MtrrPhysMask0: [0xf_f000_0800n, 0n],
  MtrrFix64k00000: [0x0606_0606_0606_0606n, 0n],
  MtrrFix16k80000: [0x0606_0606_0606_0606n, 0n],
  MtrrFix16kA0000: [0n, 0n],
  MtrrFix4kC0000: [0x0505_0505_0505_0505n, 0n],
  VpRuntime: undefined,
  // Without an identity, the page can't be enabled.
  Hypercall: [0x7000n, 0n],
  StatsPartitionRetail: [0xb001n, 0n],
  StatsPartitionInternal: [0xc001n, 0n],
  StatsVpRetail: [0xd001n, 0n],
  StatsVpInternal: [0xe001n, 0n],
  GuestOsId: [0x8100_0000_0001_0000n, 0n],
  VpIndex: undefined,
  TimeRefCount: undefined,
  Eoi: [0n, 0n],
  Icr: [0x0000_0000_0000_4041n, 0n],
  Tpr: [0x20n, 0n],
  ApicAssistPage: [0x8001n, 0n],
  Sint0: [0x1_0042n, 0n],
  Scontrol: [1n, 0n],
  Sversion: undefined,
  Siefp: [0x9001n, 0n],
  Simp: [0xa001n, 0n],
  Eom: [0n, 0n],
  Stimer0Config: [0x3_0002n, 0n],
  Stimer0Count: [0x10_0000n, 0n],
  Xmm0: [0x1111_2222_3333_4444n, 0x5555_6666_7777_8888n],
};

/** Names of §10.2 that stand for more than one register, and how many. */
const FAMILIES: Record<string, readonly [count: number, step: number]> = {
  Xmm0: [16, 1],
  FpMmx0: [8, 1],
  MtrrPhysBase0: [8, 1],
  MtrrPhysMask0: [8, 1],
  MtrrFix4kC0000: [8, 1],
  Sint0: [16, 1],
  Stimer0Config: [4, 2],
  Stimer0Count: [4, 2],
  Ymm0Low: [16, 1],
  Ymm0High: [16, 1],
};

/** Names later than 2.0a. */
const NEWER = new Set([
  'GuestCrashP0',
  'GuestCrashCtl',
  'TscFrequency',
  'ApicFrequency',
  'ReferenceTsc',
  'TscAux',
]);
const NOT_HERE: Record<string, string> = {
  Ymm0Low: 'the processors here have no AVX',
  Ymm0High: 'the processors here have no AVX',
};

const all = Object.entries(R)
  .filter(([name]) => !NEWER.has(name))
  .flatMap(([name, first]) => {
    const [count, step] = FAMILIES[name] ?? [1, 1];
    return Array.from({ length: count }, (_, index) => {
      return { family: name, name: count === 1 ? name : `${name}+${index}`, register: first + index * step };
    });
  });

export const REGISTER_TOTAL = all.length;
export const IMPOSSIBLE_REGISTERS: readonly ImpossibleRegister[] = all
  .filter(({ family }) => family in NOT_HERE)
  .map(({ name, family }) => ({ name, reason: NOT_HERE[family]! }));
export const REGISTER_CLAIMS: readonly RegisterClaim[] = all
  .filter(({ family }) => !(family in NOT_HERE))
  .map(({ family, name, register }) => {
    const value = family in VALUES ? VALUES[family] : ([0x1234_5678n, 0n] as const);
    return { name, register, value };
  });

/** Undefined if the claim holds on VP 0 of `child`. */
export function tryRegister(s: Scene, child: bigint, { register, value }: RegisterClaim): string | undefined {
  if (value !== undefined) {
    const set = s.parent.call(C.SetVpRegisters, [child, 0, register, 0, value[0], value[1]], { reps: 1 });
    if (set.status !== HvStatus.SUCCESS) return `setting it answered ${statusName(set.status)}`;
  }
  const got = s.parent.call(C.GetVpRegisters, [child, 0, register], { reps: 1 });
  if (got.status !== HvStatus.SUCCESS) return `getting it answered ${statusName(got.status)}`;
  if (value === undefined) {
    const set = s.parent.call(C.SetVpRegisters, [child, 0, register, 0, 0, 0], { reps: 1 });
    return set.status === HvStatus.INVALID_PARAMETER
      ? undefined
      : `setting it answered ${statusName(set.status)}`;
  }
  const [low, high] = [got.output.getBigUint64(0, true), got.output.getBigUint64(8, true)];
  if (low === value[0] && high === value[1]) return undefined;
  return `0x${low.toString(16)}:0x${high.toString(16)} came back`;
}
