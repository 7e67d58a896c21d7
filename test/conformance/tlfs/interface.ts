/**
 * Claims about chapter 4: calling conventions, alignment, rep lists, continuation, and the statuses that every
 * hypercall may answer (§4.11.3), which no return-value table repeats.
 */
import { HypercallCode as C } from '../../../src/hvdef/hypercalls.ts';
import { MessageType } from '../../../src/hvdef/messages.ts';
import { RegisterName as R } from '../../../src/hvdef/registers.ts';
import { HvStatus, statusName } from '../../../src/hvdef/status.ts';
import { GPA_PAGE_LIMIT } from '../../../src/hvdef/types.ts';
import { type Answer, must, PAGE, pageList } from './fed-guest.ts';
import { hypercallIn, MODES } from './hypercall-mode.ts';
import type { Scene } from './scene.ts';

export interface InterfaceClaim {
  readonly section: string;
  readonly claim: string;
  /** What is wrong, if something is. */
  readonly check: (scene: Scene) => string | undefined;
}

const NO_SUCH_CALL = 0x3fff;
const UNMAPPED_PAGE = 0x40_0000;
const RIGHTS = 7;

const answers = (answer: Answer, status: number, reps = 0): string | undefined =>
  answer.status === status && answer.reps === reps
    ? undefined
    : `answered ${statusName(answer.status)} after ${answer.reps} elements`;

const refuses =
  (status: number, call: (s: Scene) => Answer): InterfaceClaim['check'] =>
  (s) =>
    answers(call(s), status);

/** HvMapGpaPages of the pages into a fresh child, from a rep start index on. */
function mapList(s: Scene, sources: readonly number[], start = 0): { child: bigint; answer: Answer } {
  const child = s.child();
  const answer = s.parent.call(C.MapGpaPages, [child, 0, RIGHTS, ...sources], {
    reps: sources.length,
    start,
  });
  return { child, answer };
}

const isMapped = (s: Scene, child: bigint, gpn: number): boolean =>
  s.hypervisor.partitions.get(Number(child))!.gpaMap.lookup(gpn) >= 0;

export const INTERFACE_CLAIMS: readonly InterfaceClaim[] = [
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_HYPERCALL_CODE if the call code is not recognized',
    check: refuses(HvStatus.INVALID_HYPERCALL_CODE, (s) => s.parent.call(NO_SUCH_CALL, [])),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_HYPERCALL_INPUT if a simple call has a rep count',
    check: refuses(HvStatus.INVALID_HYPERCALL_INPUT, (s) => s.parent.call(C.GetPartitionId, [], { reps: 1 })),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_HYPERCALL_INPUT if a rep call has none',
    check: refuses(HvStatus.INVALID_HYPERCALL_INPUT, (s) => s.parent.call(C.DepositMemory, [s.parent.id, 0])),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_HYPERCALL_INPUT if the rep start index is not less than the rep count',
    check: refuses(HvStatus.INVALID_HYPERCALL_INPUT, (s) =>
      s.parent.call(C.DepositMemory, [s.parent.id, 0], { reps: 1, start: 1 }),
    ),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_HYPERCALL_INPUT if a reserved bit of the input value is set',
    check: refuses(HvStatus.INVALID_HYPERCALL_INPUT, (s) =>
      s.parent.call(C.GetPartitionId | 0x0800_0000, []),
    ),
  },
  {
    section: '4.7',
    claim: 'HV_STATUS_INVALID_HYPERCALL_INPUT if a call without a register form is called in registers',
    check: refuses(HvStatus.INVALID_HYPERCALL_INPUT, (s) =>
      s.parent.call(C.GetPartitionId, [], { fast: true }),
    ),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_ALIGNMENT if the input list is not aligned to 8 bytes',
    check: refuses(HvStatus.INVALID_ALIGNMENT, (s) =>
      s.parent.call(C.CreatePartition, [0, 0], { input: s.parent.takeOpen(1) * PAGE + 4 }),
    ),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_ALIGNMENT if the input list spans pages',
    check: refuses(HvStatus.INVALID_ALIGNMENT, (s) =>
      s.parent.call(C.CreatePartition, [0, 0], { input: s.parent.takeOpen(2) * PAGE + PAGE - 8 }),
    ),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_ALIGNMENT if the output list is not aligned to 8 bytes',
    check: refuses(HvStatus.INVALID_ALIGNMENT, (s) =>
      s.parent.call(C.GetPartitionId, [], { output: s.parent.takeOpen(1) * PAGE + 4 }),
    ),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_ALIGNMENT if the output list spans pages',
    check: refuses(HvStatus.INVALID_ALIGNMENT, (s) =>
      s.parent.call(C.GetMemoryBalance, [s.child(), 0], { output: s.parent.takeOpen(2) * PAGE + PAGE - 8 }),
    ),
  },
  {
    section: '4.11.3',
    claim: 'HV_STATUS_INVALID_ALIGNMENT if the output pointer is beyond the GPA space',
    check: (s) =>
      answers(
        s.parent.callAt(C.GetPartitionId, 0n, BigInt(GPA_PAGE_LIMIT) * BigInt(PAGE)),
        HvStatus.INVALID_ALIGNMENT,
      ),
  },
  {
    section: '4.4',
    claim: 'a rep call that fails says how many elements were done, and those stay done',
    check: (s) => {
      const first = s.parent.takeOpen(2);
      const { child, answer } = mapList(s, [first, first + 1, UNMAPPED_PAGE]);
      if (!isMapped(s, child, 1) || isMapped(s, child, 2)) return 'the wrong pages were mapped';
      return answers(answer, HvStatus.OPERATION_DENIED, 2);
    },
  },
  {
    section: '4.4',
    claim: 'a rep call begins at the rep start index, and counts from the start of the list',
    check: (s) => {
      const { child, answer } = mapList(s, [UNMAPPED_PAGE, s.parent.takeOpen(1)], 1);
      if (isMapped(s, child, 0) || !isMapped(s, child, 1)) return 'the wrong pages were mapped';
      return answers(answer, HvStatus.SUCCESS, 2);
    },
  },
  {
    section: '4.3',
    claim:
      'a list as long as a page holds is done to its end, by as many executions of the instruction as it takes',
    check: (s) => {
      const count = 500;
      const { answer } = mapList(s, pageList(0, count));
      return answers(answer, HvStatus.SUCCESS, count);
    },
  },
  {
    section: '4.7.1',
    claim: 'parameters in XMM registers, and answers behind them',
    check: (s) => {
      const child = s.childWithVp();
      const words = [child, 0, BigInt(R.Rax), 0, 0x1122_3344n, 0];
      const set = s.parent.call(C.SetVpRegisters, words, { fast: true, reps: 1 });
      if (set.status !== HvStatus.SUCCESS) return `setting answered ${statusName(set.status)}`;
      const got = s.parent.call(C.GetVpRegisters, [child, 0, BigInt(R.Rax)], { fast: true, reps: 1 });
      // Input: 24 bytes, so the answer is in XMM1.
      const value = got.output.getBigUint64(32, true);
      return got.status === HvStatus.SUCCESS && value === 0x1122_3344n
        ? undefined
        : `0x${value.toString(16)} came back`;
    },
  },
  {
    section: '4.6',
    claim: 'an input page that is not mapped is a memory intercept; with the page there, the call goes on',
    check: (s) => {
      const { parent } = s;
      const child = s.guest('unmapped input', parent, {
        privileges: parent.vp.partition.privileges,
        depositPages: 32,
      });
      const at = BigInt(UNMAPPED_PAGE) * BigInt(PAGE);
      const control = BigInt(C.GetPartitionProperty);
      if (child.tryCallAt(control, at, 0n)) return 'the call was carried out';
      const slot = parent.seen(parent.messagePage);
      const type = s.memory.view.getUint32(slot, true);
      if (type !== MessageType.UnmappedGpa) return `message 0x${type.toString(16)}`;
      s.memory.view.setUint32(slot, 0, true);
      must(parent, C.MapGpaPages, [child.id, UNMAPPED_PAGE, RIGHTS, parent.takeOpen(1)], { reps: 1 });
      must(parent, C.SetVpRegisters, [child.id, 0, R.InterceptSuspend, 0, 0, 0], { reps: 1 });
      if (!child.finish()) return 'the call did not go on';
      return Number(child.result & 0xffffn) === HvStatus.INVALID_PARTITION_ID
        ? undefined
        : `result ${child.result}`;
    },
  },
  ...MODES.map(([mode, expected]) => ({
    section: '4.5',
    claim:
      expected === 'undefined'
        ? `a hypercall in ${mode} raises #UD`
        : `the same instruction at ${mode} is a hypercall`,
    check: (s: Scene) => {
      const found = hypercallIn(s, mode, false);
      return found === expected ? undefined : `it ended with ${found}`;
    },
  })),
  ...(['real mode', 'CPL 3'] as const).map((mode) => ({
    section: '9.1',
    claim: `the #UD of a hypercall in ${mode} goes to a parent that intercepts it, and not to the guest`,
    check: (s: Scene) => {
      const found = hypercallIn(s, mode, true);
      return found === 'intercepted' ? undefined : `it ended with ${found}`;
    },
  })),
  {
    section: '18.5.1',
    claim: 'HvNotifyLongSpinWait is advice and always succeeds',
    check: refuses(HvStatus.SUCCESS, (s) => s.parent.call(C.NotifyLongSpinWait, [1000], { fast: true })),
  },
];

export function tryInterface(scene: Scene, { check }: InterfaceClaim): string | undefined {
  try {
    return check(scene);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
